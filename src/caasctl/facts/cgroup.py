"""The control group layout: which hierarchy is mounted where, and what its root offers."""

from __future__ import annotations

from collections.abc import Sequence

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

ROOT = "/sys/fs/cgroup"


@dataclass(frozen=True)
class Mount:
    """fstype: cgroup, cgroup2 or tmpfs. options: of the file system, as `rw,memory`."""

    path: str
    fstype: str
    options: str = ""


@dataclass(frozen=True)
class CgroupLayout:
    """mode: unified, hybrid, legacy, none. controllers: what the root of the v2 hierarchy offers, wherever it is mounted.

    delegated: those it hands to its children. mounts: of control groups and the file system below them, in mount order.
    """

    mode: str
    controllers: tuple[str, ...]
    delegated: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()

    @property
    def v2_at(self) -> str:
        """Where cgroup v2 is mounted, "" where it is not."""
        return next((mount.path for mount in self.mounts if mount.fstype == "cgroup2"), "")

    @property
    def v1(self) -> tuple[str, ...]:
        """Names of the v1 hierarchies, as their mount points end."""
        return tuple(mount.path.rpartition("/")[2] for mount in self.mounts if mount.fstype == "cgroup")


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of /proc/*/mountinfo that matter here; a later one on the same place hides the earlier."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        head, dash, tail = line.partition(" - ")
        places, kinds = head.split(), tail.split()
        if dash and places[4:] and kinds:
            _keep(found, Mount(places[4], kinds[0], kinds[2] if kinds[2:] else ""))
    return tuple(found.values())


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """The same of /proc/mounts."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        fields = line.split()
        if fields[3:]:
            _keep(found, Mount(fields[1], fields[2], fields[3]))
    return tuple(found.values())


def _keep(found: dict[str, Mount], mount: Mount) -> None:
    if mount.fstype in {"cgroup", "cgroup2"} or mount.path == ROOT:
        found.pop(mount.path, None)
        found[mount.path] = mount


def mode(mounts: Sequence[Mount]) -> str:
    """As systemd tells them apart, by what is mounted at the root; a cgroup2 mount elsewhere proves nothing."""
    at = {mount.path: mount.fstype for mount in mounts}
    if at.get(ROOT) == "cgroup2":
        return "unified"
    if "cgroup2" in {at.get(f"{ROOT}/unified"), at.get(f"{ROOT}/systemd")}:
        return "hybrid"
    return "legacy" if "cgroup" in at.values() else "none"


def read_layout(host: Reader) -> CgroupLayout:
    mounts = _mounts(host)
    root = next((mount.path for mount in mounts if mount.fstype == "cgroup2"), ROOT)
    controllers = _words(host, f"{root}/cgroup.controllers")
    return CgroupLayout(mode(mounts), controllers, _words(host, f"{root}/cgroup.subtree_control"), mounts)


def _mounts(host: Reader) -> tuple[Mount, ...]:
    for path, parse in (
        ("/proc/self/mountinfo", parse_mountinfo),
        ("/proc/1/mountinfo", parse_mountinfo),
        ("/proc/mounts", parse_mounts),
        ("/proc/self/mounts", parse_mounts),
    ):
        text = host.read(path)
        if text:
            return parse(text)
    return _by_files(host)


def _by_files(host: Reader) -> tuple[Mount, ...]:
    """For a tree without /proc: files that only cgroup v2 has."""
    if host.stat(f"{ROOT}/cgroup.controllers"):
        return (Mount(ROOT, "cgroup2"),)
    if host.stat(f"{ROOT}/unified/cgroup.controllers"):
        return (Mount(ROOT, "tmpfs"), Mount(f"{ROOT}/unified", "cgroup2"))
    raise Unreadable("/proc/mounts", "is not there")


def _words(host: Reader, path: str) -> tuple[str, ...]:
    return tuple((host.read(path) or "").split())


PROBES = (Probe(CgroupLayout, read_layout),)
