"""Kata's installed trees and the parts that each configuration file names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader

SHIM = "containerd-shim-kata-v2"
_HANDLERS = ("qemu", "clh", "qemu-nvidia-gpu")
_PARTS = ("path", "kernel", "image", "initrd", "firmware", "virtio_fs_daemon")
_KEY = re.compile(r'^\s*(?P<key>\w+)\s*=\s*"(?P<value>[^"]*)"')
_SECTION = re.compile(r"^\s*\[(?P<name>[^\[\]]+)\]")
_NEEDS = re.compile(r"GLIBC_(\d+)\.(\d+)")


@dataclass(frozen=True)
class KataTree:
    """One installation. version: of its VERSION file, "" where it has none (a distribution's package).

    go_shim, rust_shim: paths of the two shims, "" = not there. configs: its configuration-*.toml, own folders of handlers
    (runtimes/<handler>/) among them.
    """

    prefix: str
    version: str
    go_shim: str
    rust_shim: str
    configs: tuple[str, ...]

    @property
    def release(self) -> tuple[int, ...]:
        """(3, 19, 1) of 3.19.1; () where it is not known."""
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", self.version)
        return tuple(int(part or 0) for part in found.groups()) if found else ()

    def config(self, handler: str, *, rust: bool = False) -> str:
        """The configuration file of a handler such as kata-qemu, its own folder's first; "" where there is none."""
        name = handler.removeprefix("kata-") + ("-runtime-rs" if rust else "")
        fit = [path for path in self.configs if path.endswith(f"/configuration-{name}.toml")]
        return min(fit, key=lambda path: "/runtimes/" not in path, default="")

    def runs(self, handler: str) -> tuple[str, str]:
        """Shim and configuration of a handler: Go's where the tree has both, else Rust's; empty where it has neither pair."""
        pairs = ((self.go_shim, self.config(handler)), (self.rust_shim, self.config(handler, rust=True)))
        return next(((shim, config) for shim, config in pairs if shim and config), ("", ""))


@dataclass(frozen=True)
class KataTrees:
    """The installations found. prefixes: where was looked."""

    trees: tuple[KataTree, ...] = ()
    prefixes: tuple[str, ...] = ("/opt/kata", "/usr", "/usr/local")

    def at(self, prefix: str) -> KataTree | None:
        return next((tree for tree in self.trees if tree.prefix == prefix.rstrip("/")), None)


@dataclass(frozen=True)
class KataConfig:
    """One configuration file. parts: of its [hypervisor.*] table, key -> path. missing: the paths that are not there."""

    path: str
    hypervisor: str
    parts: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    hugepages: bool = False


@dataclass(frozen=True)
class KataConfigs:
    """The configuration files of QEMU, Cloud Hypervisor and QEMU with NVIDIA's GPUs, of all trees."""

    configs: tuple[KataConfig, ...] = ()

    def of(self, path: str) -> KataConfig | None:
        return next((config for config in self.configs if config.path == path), None)


@dataclass(frozen=True)
class ShimGlibc:
    """What the Go shims ask of the C library. needs: (path, highest version asked, "" for a static one)."""

    needs: tuple[tuple[str, str], ...] = ()


def parse_config(text: str) -> tuple[str, tuple[tuple[str, str], ...], bool]:
    """(hypervisor, parts, whether guests use hugepages) of a Kata configuration: read by line, as TOML takes 0.1 s."""
    section = hypervisor = ""
    parts: list[tuple[str, str]] = []
    for line in text.splitlines():
        if head := _SECTION.match(line):
            section = head["name"]
            hypervisor = hypervisor or section.partition("hypervisor.")[2]
            continue
        said = _KEY.match(line) if section == f"hypervisor.{hypervisor}" else None
        if said and said["key"] in _PARTS and said["value"].startswith("/"):
            parts.append((said["key"], said["value"]))
    return hypervisor, tuple(parts), bool(re.search(r"^\s*enable_hugepages\s*=\s*true", text, re.MULTILINE))


def parse_needs(text: str) -> str:
    """The highest GLIBC_x.y of a list of symbol versions, "" where there is none."""
    found = [(int(major), int(minor)) for major, minor in _NEEDS.findall(text)]
    return "{}.{}".format(*max(found)) if found else ""


def _prefixes(host: Reader) -> tuple[str, ...]:
    own = tuple(f"/opt/{name}" for name in host.list("/opt") or () if name.startswith("kata"))
    return tuple(dict.fromkeys(("/opt/kata", *own, "/usr", "/usr/local")))


def _configs(host: Reader, prefix: str) -> Iterator[str]:
    base = f"{prefix}/share/defaults/kata-containers"
    for folder in (base, f"{base}/runtime-rs"):
        yield from (path for path in glob(host, folder, ".toml") if "/configuration-" in path)
        for name in host.list(f"{folder}/runtimes") or ():
            own = f"{folder}/runtimes/{name}"
            yield from (path for path in glob(host, own, ".toml") if "/configuration-" in path)


def _there(host: Reader, path: str) -> str:
    found = host.stat(path)
    return path if found and found.kind is FileKind.FILE else ""


def read_trees(host: Reader) -> KataTrees:
    """A tree is what has a shim or a configuration; /usr and /usr/local are where packages and builds put them."""
    trees = []
    prefixes = _prefixes(host)
    for prefix in prefixes:
        go = _there(host, f"{prefix}/bin/{SHIM}")
        rust = _there(host, f"{prefix}/runtime-rs/bin/{SHIM}")
        configs = tuple(_configs(host, prefix))
        if prefix == "/usr/local" and not configs:
            continue  # kata-manager leaves links there to the shim of /opt/kata
        if go or rust or configs:
            version = (host.read(f"{prefix}/VERSION") or "").strip().splitlines() if prefix.startswith("/opt/") else ()
            trees.append(KataTree(prefix, version[0].split()[0] if version else "", go, rust, configs))
    return KataTrees(tuple(trees), prefixes)


def read_configs(host: Reader) -> KataConfigs:
    wanted = {f"configuration-{name}{kind}.toml" for name in _HANDLERS for kind in ("", "-runtime-rs")}
    found = []
    for prefix in _prefixes(host):
        for path in _configs(host, prefix):
            if path.rpartition("/")[2] not in wanted:
                continue
            hypervisor, parts, hugepages = parse_config(host.read(path) or "")
            missing = tuple(f"{key} {part}" for key, part in parts if host.stat(part) is None)
            found.append(KataConfig(path, hypervisor, parts, missing, hugepages))
    return KataConfigs(tuple(found))


def read_shim_glibc(host: Reader) -> ShimGlibc:
    """The names of symbol versions lie in one row of the ELF file; grep stops there instead of reading 60 MB."""
    found: list[tuple[str, str]] = []
    for prefix in _prefixes(host):
        path = _there(host, f"{prefix}/bin/{SHIM}")
        if path and (prefix.startswith("/opt/") or not found):
            done = host.query("grep", "-aom1", "GLIBC_2[.][0-9][0-9]*", path)
            if done.missing or done.rc > 1:
                raise Unreadable(path, (done.stderr.strip() or "grep failed")[:120])
            found.append((path, parse_needs(done.stdout)))
    return ShimGlibc(tuple(found))


PROBES: tuple[Probe, ...] = (
    Probe(KataTrees, read_trees),
    Probe(KataConfigs, read_configs),
    Probe(ShimGlibc, read_shim_glibc),
)
