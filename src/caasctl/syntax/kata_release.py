"""Kata's release tarballs: what a file's name says, and what its programs ask of a host."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass

TOP = "opt/kata"  # what a release holds, and what its own files expect
STAMP = ".caasctl.json"  # in a tree that caasctl unpacked, written last
SPLIT = (4, 1)  # since then kata-static holds runtime-rs only, and the Go programs are static
RELEASES = "https://github.com/kata-containers/kata-containers/releases"
API = "https://api.github.com/repos/kata-containers/kata-containers/releases/tags"
PROGRAMS = ("bin/", "runtime-rs/bin/")
OWN = "/etc/kata-containers/caasctl"  # configuration of caasctl's, a folder for each handler
HANDLERS = ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu")
SHIM = "containerd-shim-kata-v2"
# What a shim reads where no ConfigPath is given, the first that is there: src/runtime/pkg/katautils/config.go, Makefile
USUAL = ("/etc/kata-containers/configuration.toml", "/usr/share/defaults/kata-containers/configuration.toml",
         "/opt/kata/share/defaults/kata-containers/configuration.toml")  # fmt: skip
# e_machine of ELF (elf.h) by the word of a release's name
MACHINES = {"amd64": 62, "arm64": 183, "s390x": 22, "ppc64le": 21}
WORDS = {"x86_64": "amd64", "aarch64": "arm64"}  # of uname, where a release has another word
_NAME = re.compile(
    r"kata(?P<kind>-go|-tools)?-static-(?P<version>\d+\.\d+\.\d+[\w.~+-]*?)-(?P<arch>[a-z0-9_]+)\.tar\.(?P<pack>xz|zst)"
)
_GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
_HEAD, _TAIL = 20, 16


@dataclass(frozen=True)
class Release:
    """What a release's file name says. kind: "" of kata-static, go, tools. All empty for a name that is none of a release."""

    version: str = ""
    kind: str = ""
    arch: str = ""

    @property
    def minor(self) -> tuple[int, int]:
        """(4, 1) of 4.1.0; (0, 0) where the name does not say."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(found[1]), int(found[2])) if found else (0, 0)


def of_name(source: str) -> Release:
    found = _NAME.fullmatch(source.partition("?")[0].rpartition("/")[2])
    return Release(found["version"], (found["kind"] or "").lstrip("-"), found["arch"]) if found else Release()


def is_zst(source: str) -> bool:
    return source.partition("?")[0].endswith((".zst", ".tzst"))


def folder(prefix: str, source: str, sha256: str) -> str:
    """Where a tarball's tree lies beside the prefix: known before it is unpacked."""
    return f"{prefix}-{of_name(source).version or 'tree'}-{sha256[:12].lower()}"


def is_folder(prefix: str, path: str) -> bool:
    """Whether a path has the name of a tree that caasctl unpacked, or was about to, beside the prefix."""
    return re.fullmatch(rf"{re.escape(prefix)}-[\w.~+-]+-[0-9a-f]{{12}}(\.partial)?", path) is not None


def pairs(prefix: str, handler: str) -> tuple[tuple[str, str], ...]:
    """Where a release puts a handler's shim and configuration: Go's, then Rust's."""
    base, name = f"{prefix}/share/defaults/kata-containers", handler.removeprefix("kata-")
    return (
        (f"{prefix}/bin/{SHIM}", f"{base}/configuration-{name}.toml"),
        (f"{prefix}/runtime-rs/bin/{SHIM}", f"{base}/runtime-rs/configuration-{name}-runtime-rs.toml"),
    )


def own_configuration(handler: str) -> str:
    """The file that containerd hands to the shim; its folder's config.d is read beside it."""
    return f"{OWN}/{handler}/configuration-{handler.removeprefix('kata-')}.toml"


def own_drop_in(handler: str) -> str:
    return f"{OWN}/{handler}/config.d/60-caasctl.toml"


class Needs:
    """What the programs that pass by ask for. machine: e_machine, 0 for no ELF file. glibc: the highest version."""

    def __init__(self) -> None:
        self.machine = 0
        self.glibc = (0, 0)
        self._name, self._tail = "", b""

    def see(self, name: str, block: bytes) -> str:
        """Takes a block of a file; returns the program's name where it begins one, so that its machine can be judged."""
        if not name.startswith(PROGRAMS):
            return ""
        begins, self._tail = name != self._name, self._tail if name == self._name else b""
        self._name = name
        asked = [(int(major), int(minor)) for major, minor in _GLIBC.findall(self._tail + block)]
        self.glibc = max([self.glibc, *asked])
        self._tail = block[-_TAIL:]
        if begins and block.startswith(b"\x7fELF") and len(block) >= _HEAD:
            order = "big" if block[5] == 2 else "little"  # noqa: PLR2004 - ELFDATA2MSB
            self.machine = int.from_bytes(block[18:20], order)  # type: ignore[arg-type]
            return name
        return ""
