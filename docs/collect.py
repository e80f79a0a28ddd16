"""Writes collect/caasctl-collect.sh from what caasctl asks recorded hosts: python -m docs.collect. tests/test_collect.py says when."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from caasctl import __version__, commands, engine, planning, profile_load
from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts import DOCTOR_PROBES, PROBES
from caasctl.phases import ORDER
from caasctl.protocol import Completed, FileKind, Reader, Stat

T = TypeVar("T")
TOP = Path(__file__).resolve().parents[1]
HOSTS = TOP / "tests" / "hosts"
TARGET = TOP / "collect" / "caasctl-collect.sh"
TEMPLATE = Path(__file__).with_name("collect.sh.in")
# What differs from host to host, and how a shell names all of its kind.
VARIES = tuple((re.compile(pattern), glob) for pattern, glob in (
    (r"(?<=/)[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?=/|$)", "*:*:*.*"),
    (r"(?<=/iommu_groups/)\d+", "*"),
    (r"(?<=/dev/vfio/)\d+", "*"),
    (r"(?<=/system/node/)node\d+", "node[0-9]*"),
    (r"(?<=/system/cpu/)cpu\d+", "cpu[0-9]*"),
    (r"(?<=/)hugepages-\d+kB", "hugepages-*"),
    (r"^/proc/(?!1/|2/)\d+(?=/)", "/proc/PID"),
    (r"(?<=/task/)\d+(?=/|$)", "*"),
    (r"(?<=/net/ipv[46]/conf/)(?!all/|default/)[^/]+", "*"),
    (r"(?<=/class/net/)[^/]+", "*"),
    (r"(?<=/class/block/)[^/]+", "*"),
    (r"^/dev/dm-\d+", "/dev/dm-*"),
    (r"(?<=/lib/modules/)[^/]+", "*"),
    (r"(?<=/boot/config-).+|(?<=/ostree-boot/config-).+", "*"),
    (r"(?<=/boot/initrd.img-).+|(?<=/boot/vmlinuz-).+|(?<=/boot/initramfs-).+", "*"),
    (r"(?<=/loader/entries/).+(?=\.conf)", "*"),
    (r"(?<=/moby/)[^/]+", "*"),
    (r"(?<=/acpi/tables/)[^/]+", "*"),
    (r"(?<=/etc/kubernetes/manifests/)[^/]+", "*"),
    (r"(?<=\.target\.(?:wants)/).+|(?<=\.target\.requires/).+", "*"),
    (r"(?<=/system/)dev-.+(?=\.swap)", "dev-*"),
    (r"(?<=\.d/)[^/]+(?=\.(?:conf|cfg|toml|conflist|json|yaml|list|sources|rules)$)", "*"),
    (r"(?<=/zones/)[^/]+", "*"),
    (r"(?<=/cdi/)[^/]+\.(?:yaml|json)$", "*"),
    (r"(?<=/kata-containers/)configuration-[^/]+\.toml$", "configuration*.toml"),
    (r"^/home/[^/]+", "/home/*"),
    (r"(?<=/)anyname", "*"),
    (r"(?<=/)98765(?=/|$)", "[0-9]*"),
))  # fmt: skip
# Processes of a node, of which a probe asks for one by its number.
NAMES = "systemd | containerd* | dockerd | crio* | kubelet | etcd | kube-* | cilium* | qemu* | cloud-hyperv* | virtiofsd | nvidia-* | libvirtd | chronyd | caasctl*"
# A question that names one host's own things, and says nothing on another.
OWN = re.compile(r"anyname|98765|\b[0-9a-f]{12,}\b|/proc/\d|dev-\S+\.swap|/tmp/")
BIN = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
MAX_WAIT_S = 20


CURIOUS = ("rhel9-bls", "already-a-node")


class Asked:
    """A Reader that notes what is asked, and how long a command may take."""

    def __init__(self, inner: Reader, hostname: str) -> None:
        self._inner, self._name = inner, hostname
        self.paths: dict[str, set[str]] = {kind: set() for kind in ("read", "list", "link", "stat", "lstat", "tail")}
        self.commands: dict[tuple[str, ...], float] = {}

    def read_bytes(self, path: str) -> bytes | None:
        return self._note("read", path, self._inner.read_bytes)

    def read(self, path: str) -> str | None:
        return self._note("read", path, self._inner.read)

    def list(self, path: str) -> tuple[str, ...] | None:
        return self._note("list", path, self._inner.list)

    def readlink(self, path: str) -> str | None:
        return self._note("link", path, self._inner.readlink)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        self.paths["stat" if follow else "lstat"].add(path)
        return self._inner.stat(path, follow=follow)

    def tail(self, path: str, size_bytes: int) -> str | None:
        self.paths["tail"].add(path)
        return self._inner.tail(path, size_bytes)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        words = tuple("@HOST@" if word == self._name else word for word in argv)
        self.commands[words] = max(timeout_s, self.commands.get(words, 0))
        return self._inner.query(*argv, timeout_s=timeout_s)

    def _note(self, kind: str, path: str, ask: Callable[[str], T]) -> T:
        self.paths[kind].add(path)
        return ask(path)


# Names that a probe may meet in a folder that it lists: what it then asks about one, it asks about all such.
_SUFFIXES = ("", ".conf", ".cfg", ".toml", ".yaml", ".yml", ".json", ".conflist", ".service", ".sh", ".rules", ".xml", ".crt", ".list", ".sources", ".network", ".swap")  # fmt: skip
_ANY = "anyname"
_NUMBER = "98765"
_ALIKE = (
    "/sys/bus/pci/",
    "/sys/kernel/iommu_groups",
    "/sys/class/block",
)  # what is in them has one form, which VARIES knows
_KERNEL = "/proc/sys/kernel/arch"  # a disk has none, and is asked for other files then
_PROGRAMS = re.compile(r"/s?bin/[a-z-]+$")


class Curious:
    """A host that has something of each kind in each folder, and each program that is looked for, so that a probe goes on asking."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    def read_bytes(self, path: str) -> bytes | None:
        return b"" if _ANY in path or _NUMBER in path or path == _KERNEL else self._inner.read_bytes(path)

    def read(self, path: str) -> str | None:
        return "" if _ANY in path or _NUMBER in path or path == _KERNEL else self._inner.read(path)

    def list(self, path: str) -> tuple[str, ...] | None:
        if path.count(_ANY) > 1 or _NUMBER in path:
            return ()
        if path.startswith(_ALIKE):
            return self._inner.list(path)
        return (*(self._inner.list(path) or ()), *(f"{_ANY}{suffix}" for suffix in _SUFFIXES), _NUMBER)

    def readlink(self, path: str) -> str | None:
        return self._inner.readlink(path)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        there = (
            Stat(FileKind.FILE, 0o755)
            if _PROGRAMS.search(path)
            else Stat(FileKind.DIR, 0o755)
            if _ANY in path
            else None
        )
        return there or self._inner.stat(path, follow=follow)

    def tail(self, path: str, size_bytes: int) -> str | None:
        return "" if _ANY in path or _NUMBER in path else self._inner.tail(path, size_bytes)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 0) if argv[0] == "uname" else self._inner.query(*argv, timeout_s=timeout_s)


def look(host: Reader, name: str) -> Asked:
    """All that preflight, doctor and a plan ask of a host."""
    asked = Asked(host, name)
    once = RecordingHost(asked)
    planning.look_through(once, engine.collect(once, (*PROBES, *DOCTOR_PROBES)), profile_load.load(), ORDER)
    commands.name_of(once)
    return asked


def recorded() -> list[Asked]:
    asked = []
    for folder in sorted(path.parent for path in HOSTS.glob("*/manifest.json")):
        host = BundleHost(str(folder))
        name = str(host.manifest.get("host"))
        asked += [look(host, name), *([look(Curious(host), name)] if folder.name in CURIOUS else [])]
    return asked


def general(path: str) -> str:
    """A path with a glob in the place of what varies; elsewhere a shell's own signs are what they are."""
    path = re.sub(r"([\\*?\[])", r"\\\1", path)
    for pattern, glob in VARIES:
        path = pattern.sub(lambda _, glob=glob: glob, path)  # type: ignore[misc]
    return path


def patterns(paths: Iterable[str]) -> str:
    """Words of a shell's line, one on each."""
    found = {general(path) for path in paths if path.startswith("/")}
    every = [path for path in sorted(found) if not any(wide in found for wide in _wider(path))]
    return " \\\n\t".join(f"'{path}'" for path in every)


def _wider(pattern: str) -> Iterator[str]:
    """The pattern with one part of it left open."""
    parts = pattern.split("/")
    for at, part in enumerate(parts):
        if part != "*" and ("*" in part):
            yield "/".join([*parts[:at], "*", *parts[at + 1 :]])


def queries(asked: Iterable[Asked]) -> str:
    waits: dict[tuple[str, ...], float] = {}
    for one in asked:
        for argv, seconds in one.commands.items():
            for words in _everywhere(argv) if not OWN.search(" ".join(argv)) else ():
                waits[words] = max(seconds, waits.get(words, 0))
    lines = (f"\task {min(int(seconds) + 1, MAX_WAIT_S)} {_words(argv)}" for argv, seconds in sorted(waits.items()))
    return "\n".join(lines)


def _everywhere(argv: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The command by each path that its program may have."""
    folder, _, program = argv[0].rpartition("/")
    yield from ((f"{other}/{program}", *argv[1:]) for other in (BIN if folder in BIN else (folder,)) if folder)
    if not folder:
        yield argv


def _words(argv: tuple[str, ...]) -> str:
    return " ".join('"$HOST"' if word == "@HOST@" else shlex.quote(word) for word in argv)


def text(asked: list[Asked]) -> str:
    """The script."""
    script = TEMPLATE.read_text(encoding="utf-8")
    for kind in ("read", "list", "link", "stat", "lstat"):
        paths = {path for one in asked for path in one.paths[kind]}
        script = script.replace(f"@{kind.upper()}@", "\\\n\t" + patterns(paths))
    return script.replace("@QUERY@", queries(asked)).replace("@NAMES@", NAMES).replace("@VERSION@", __version__)


if __name__ == "__main__":
    sys.path.insert(0, str(TOP))
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text(recorded()), encoding="utf-8")
