"""What runs under containerd now: plugin states, the CRI's answer, pods by their cgroups, and whether Docker shares the daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.formats import FormatError, parse_json
from caasctl.frozen import dataclass
from caasctl.host import glob, unmasked
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax.containerd import host as containerd_host
from caasctl.syntax.containerd.output import CriStatus, PluginState, cri_status, plugins

_CGROUPS = "/sys/fs/cgroup"
_HIERARCHIES = ("", "/unified", "/systemd", "/memory", "/cpu,cpuacct", "/cpu")
_LITERAL = re.compile(r"^kubepods.*\.slice:cri-containerd:[0-9a-f]+$")
_POD = re.compile(r"pod([0-9a-f]{8}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{12})")
_TASKS = "/run/containerd/io.containerd.runtime.v2.task"
_SNAP, _DAEMON = "/snap/bin/docker.dockerd", "/etc/docker/daemon.json"
_OWN_TASKS = tuple(
    f"{run}/containerd/daemon/io.containerd.runtime.v2.task/moby" for run in ("/run/docker", "/run/snap.docker")
)
_BINDS = re.compile(r"^\s*(?:BindsTo|Requires|PartOf)\s*=(?:[^\n]*\s)?containerd\.service(?:\s|$)", re.MULTILINE)


@dataclass(frozen=True)
class ContainerdPlugins:
    """Rows of `ctr plugins ls`; error: why the daemon did not answer (it is down, no ctr)."""

    states: tuple[PluginState, ...] = ()
    error: str = ""

    def status(self, uri: str) -> str:
        """ok, skip or error; "" for a plugin that is not listed, as one that is disabled."""
        return next((state.status for state in self.states if state.uri == uri), "")


@dataclass(frozen=True)
class CriInfo:
    """What the CRI answers through crictl. status: None where there is no crictl; error: why it did not answer."""

    status: CriStatus | None = None
    error: str = ""


@dataclass(frozen=True)
class PodCgroups:
    """Where pods' cgroups are. live: uids of pods with processes. by_systemd, by_cgroupfs: kubepods.slice, kubepods are there.

    misplaced: paths below system.slice whose name is a systemd path taken literally: made by a runc in cgroupfs mode.
    at_root: the same names at the root of the hierarchy, which Kata makes with sandbox_cgroup_only=false: no harm.
    """

    live: tuple[str, ...] = ()
    by_systemd: bool = False
    by_cgroupfs: bool = False
    misplaced: tuple[str, ...] = ()
    at_root: tuple[str, ...] = ()


@dataclass(frozen=True)
class Docker:
    """daemon: path of dockerd, "" where there is none; a `docker` of podman's is none. containers: those in containerd's `moby`
    namespace; own: those of a containerd that dockerd itself started; None = not visible.

    bound: docker.service stops when containerd.service does. lives_on: its containers outlive dockerd (`live-restore`).
    """

    daemon: str = ""
    containers: tuple[str, ...] | None = ()
    own: tuple[str, ...] | None = ()
    bound: bool = False
    lives_on: bool = False

    @property
    def all_containers(self) -> int:
        return len(self.containers or ()) + len(self.own or ())


def _plugins(host: Reader) -> ContainerdPlugins:
    if host.stat("/run/containerd/containerd.sock") is None:
        return ContainerdPlugins(error="/run/containerd/containerd.sock is not there")
    said = host.query("ctr", "--connect-timeout", "1s", "plugins", "ls", timeout_s=2)
    if said.missing:
        raise Unreadable("ctr plugins ls", "ctr is not installed")
    if not said.ok:
        reason = said.stderr.strip().rpartition("\n")[2]
        if "permission denied" in reason:
            raise Unreadable("ctr plugins ls", "permission denied (needs root)")
        return ContainerdPlugins(error=reason or f"exit status {said.rc}")
    return ContainerdPlugins(plugins(said.stdout))


def _cri_info(host: Reader) -> CriInfo:
    paths = containerd_host.programs(host, "crictl")
    if not paths:
        return CriInfo()
    said = host.query(
        paths[0], "--runtime-endpoint", "unix:///run/containerd/containerd.sock", "--timeout", "2s", "info", timeout_s=3
    )
    if said.missing:
        return CriInfo()
    return parse_cri_info(said.rc, said.stdout, said.stderr)


def parse_cri_info(rc: int, stdout: str, stderr: str) -> CriInfo:
    """`crictl info`; it prints JSON, or the reason of the CRI."""
    if rc:
        lines = [line for line in stderr.splitlines() if line.strip()]
        if any("permission denied" in line for line in lines):
            raise Unreadable("crictl info", "permission denied (needs root)")
        return CriInfo(error=lines[-1] if lines else f"exit status {rc}")
    try:
        return CriInfo(cri_status(parse_json(stdout, "crictl info")))
    except FormatError as error:
        raise Unreadable("crictl info", error.problem) from error


def _pods(host: Reader) -> PodCgroups:
    if host.list(_CGROUPS) is None:
        raise Unreadable(_CGROUPS, "is not there")
    found = PodCgroups()
    for below in _HIERARCHIES:
        found = _joined(found, _hierarchy(host, _CGROUPS + below))
    return found


def _joined(one: PodCgroups, other: PodCgroups) -> PodCgroups:
    return PodCgroups(
        tuple(sorted({*one.live, *other.live})),
        one.by_systemd or other.by_systemd,
        one.by_cgroupfs or other.by_cgroupfs,
        one.misplaced + other.misplaced,
        one.at_root + other.at_root,
    )


def _hierarchy(host: Reader, root: str) -> PodCgroups:
    names = host.list(root) or ()
    at_root = tuple(f"{root}/{name}" for name in names if _LITERAL.match(name))
    parents = (f"{root}/system.slice", f"{root}/system.slice/containerd.service")
    misplaced = tuple(
        f"{folder}/{name}" for folder in parents for name in host.list(folder) or () if _LITERAL.match(name)
    )
    trees = [f"{root}/{name}" for name in ("kubepods.slice", "kubepods") if name in names]
    folders = [path for tree in trees for path in _pod_folders(host, tree)] + [*misplaced, *at_root]
    uids = {_uid(path) for path in folders if _populated(host, path)}
    return PodCgroups(tuple(sorted(uids - {""})), "kubepods.slice" in names, "kubepods" in names, misplaced, at_root)


def _pod_folders(host: Reader, tree: str) -> Iterator[str]:
    """Pods stand directly in the tree (guaranteed) or one level down (burstable, best effort)."""
    for name in host.list(tree) or ():
        path = f"{tree}/{name}"
        if _POD.search(name):
            yield path
        elif name.endswith(("burstable", "besteffort", "burstable.slice", "besteffort.slice")):
            yield from (f"{path}/{below}" for below in host.list(path) or () if _POD.search(below))


def _populated(host: Reader, path: str) -> bool:
    """cgroup.events tells on v2; on v1 a pod's folder is taken as alive."""
    events = host.read(f"{path}/cgroup.events")
    return events is None or "populated 1" in events


def _uid(path: str) -> str:
    found = _POD.search(path.rpartition("/")[2])
    return found[1].replace("_", "-") if found else ""


def _docker(host: Reader) -> Docker:
    daemon = next((path for path in (*containerd_host.programs(host, "dockerd"), _SNAP) if host.stat(path)), "")
    own = [_alive(host, folder) for folder in _OWN_TASKS]
    lost = any(each is None for each in own)
    found = None if lost else tuple(name for each in own for name in each or ())
    return Docker(daemon, _alive(host, f"{_TASKS}/moby"), found, _bound(host), _lives_on(host))


def _alive(host: Reader, folder: str) -> tuple[str, ...] | None:
    """None where it cannot be seen."""
    try:
        names = host.list(folder) or ()
        there = ((name, host.stat(f"{folder}/{name}")) for name in names)
        return tuple(name for name, stat in there if stat and stat.kind is FileKind.DIR)
    except Unreadable:
        return None


def _bound(host: Reader) -> bool:
    """docker-ce before 20.10 had BindsTo; Requires= and PartOf= stop it too."""
    folders = containerd_host.UNIT_FOLDERS
    units = (f"{folder}/docker.service" for folder in folders)
    unit = next((unmasked(host, path) for path in units if host.stat(path, follow=False)), "")
    drop_ins = (path for folder in folders for path in glob(host, f"{folder}/docker.service.d", ".conf"))
    return bool(_BINDS.search("\n".join((unit, *(unmasked(host, path) for path in drop_ins)))))


def _lives_on(host: Reader) -> bool:
    """A file that cannot be read says nothing, and dockerd does not start on one that is broken."""
    try:
        data = parse_json(host.read(_DAEMON) or "{}", _DAEMON)
    except (FormatError, Unreadable):
        return False
    return isinstance(data, dict) and data.get("live-restore") is True


PROBES = (
    Probe(ContainerdPlugins, _plugins),
    Probe(CriInfo, _cri_info),
    Probe(PodCgroups, _pods),
    Probe(Docker, _docker),
)
