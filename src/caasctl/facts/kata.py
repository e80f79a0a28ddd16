"""Kata's installed trees and the parts that each configuration file names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax import kata_release, links
from caasctl.syntax.containerd import host as containerd_host

SHIM = kata_release.SHIM
_HANDLERS = tuple(handler.removeprefix("kata-") for handler in kata_release.HANDLERS)
_PARTS = ("path", "kernel", "image", "initrd", "firmware", "virtio_fs_daemon")
_ROW = re.compile(r"""^\s*(?P<key>\w+)\s*=\s*(?P<value>"[^"]*"|'[^']*'|\[[^\]]*\]|[^#\s]+)""")
_TEXT = re.compile(r""""([^"]*)"|'([^']*)'""")
_SECTION = re.compile(r"^\s*\[(?P<name>[^\[\]]+)\]")
_CONFIG_PATHS = re.compile(r"""^\s*["']?ConfigPath["']?\s*=\s*["'](/[^"']+)["']""", re.MULTILINE)
_NEEDS = re.compile(r"GLIBC_(\d+)\.(\d+)")


@dataclass(frozen=True)
class KataTree:
    """One installation. version: of its VERSION file, "" where it has none (a distribution's package).

    source: SHA-256 of the tarball that caasctl unpacked it from, "" for a tree of somebody else's. go_shim, rust_shim: paths of the two shims, "" = not there. configs: its configuration-*.toml, own folders of handlers
    (runtimes/<handler>/) among them.
    """

    prefix: str
    version: str
    go_shim: str
    rust_shim: str
    configs: tuple[str, ...]
    source: str = ""

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
    """One configuration file with the drop-ins beside it. parts: of its [hypervisor.*] table, key -> path. missing: the paths
    that are not there.

    annotations: enable_annotations. create_timeout_s: create_container_timeout, 0 where it is not given. cold_plug, hot_plug:
    where VFIO devices go (no-port, root-port), "" where it is not given. drop_ins: their names.
    """

    path: str
    hypervisor: str
    parts: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    hugepages: bool = False
    annotations: tuple[str, ...] = ()
    create_timeout_s: int = 0
    cold_plug: str = ""
    hot_plug: str = ""
    drop_ins: tuple[str, ...] = ()


@dataclass(frozen=True)
class KataConfigs:
    """The configuration files of QEMU, Cloud Hypervisor and QEMU with NVIDIA's GPUs, of all trees, and caasctl's own."""

    configs: tuple[KataConfig, ...] = ()

    def in_effect(self, handler: str, tree: KataTree | None) -> KataConfig | None:
        """What a handler runs on: caasctl's own, else what the tree has for it."""
        own = self.of(kata_release.own_configuration(handler))
        return own or (self.of(tree.runs(handler)[1]) if tree else None)

    def of(self, path: str) -> KataConfig | None:
        return next((config for config in self.configs if config.path == path), None)


@dataclass(frozen=True)
class NamedKataConfigs:
    """configs: of the files that containerd's handlers name as ConfigPath, and that a shim takes where it is told none.

    absent: those named that are not there.
    """

    configs: tuple[KataConfig, ...] = ()
    absent: tuple[str, ...] = ()

    def of(self, path: str) -> KataConfig | None:
        return next((config for config in self.configs if config.path == path), None)


@dataclass(frozen=True)
class ShimGlibc:
    """What the Go shims ask of the C library. needs: (path, highest version asked, "" for a static one)."""

    needs: tuple[tuple[str, str], ...] = ()


def parse_settings(text: str) -> dict[str, str]:
    """section.key -> value as written, of each key that is on one line: read by line, as TOML takes 0.1 s."""
    section, found = "", dict[str, str]()
    for line in text.splitlines():
        if head := _SECTION.match(line):
            section = head["name"]
        elif row := _ROW.match(line):
            found[f"{section}.{row['key']}"] = row["value"]
    return found


def parse_config(path: str, *texts: str) -> KataConfig:
    """A configuration and its drop-ins, later ones over earlier ones."""
    said = {key: value for text in texts for key, value in parse_settings(text).items()}
    section = next((key.rpartition(".")[0] for key in said if key.startswith("hypervisor.")), "hypervisor.")
    hypervisor = section.partition(".")[2]
    of = {key.rpartition(".")[2]: value for key, value in said.items() if key.startswith(f"{section}.")}
    timeout = said.get("runtime.create_container_timeout") or said.get("agent.kata.create_container_timeout") or "0"
    return KataConfig(
        path,
        hypervisor,
        tuple((key, _text(value)) for key, value in of.items() if key in _PARTS and _text(value).startswith("/")),
        hugepages=of.get("enable_hugepages") == "true",
        annotations=tuple(one or other for one, other in _TEXT.findall(of.get("enable_annotations", ""))),
        create_timeout_s=int(timeout) if timeout.isdecimal() else 0,
        cold_plug=_text(of.get("cold_plug_vfio", "")),
        hot_plug=_text(of.get("hot_plug_vfio", "")),
    )


def _text(value: str) -> str:
    return value[1:-1] if value[:1] in ('"', "'") else ""


def parse_needs(text: str) -> str:
    """The highest GLIBC_x.y of a list of symbol versions, "" where there is none."""
    found = [(int(major), int(minor)) for major, minor in _NEEDS.findall(text)]
    return "{}.{}".format(*max(found)) if found else ""


def _prefixes(host: Reader) -> tuple[str, ...]:
    names = (f"/opt/{name}" for name in host.list("/opt") or () if name.startswith("kata"))
    own = tuple(
        path for path in names if not kata_release.is_folder("/opt/kata", path) and not path.endswith(links.MOVED)
    )  # what caasctl unpacked, or moved aside, is known by what leads there
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
            told = version[0].split()[0] if version else ""
            trees.append(KataTree(prefix, told, go, rust, configs, _stamp(host, prefix)))
    return KataTrees(tuple(trees), prefixes)


def _stamp(host: Reader, prefix: str) -> str:
    found = re.search(r'"sha256":\s*"([0-9a-f]{64})"', host.read(f"{prefix}/{kata_release.STAMP}") or "")
    return found[1] if found else ""


def read_configs(host: Reader) -> KataConfigs:
    wanted = {f"configuration-{name}{kind}.toml" for name in _HANDLERS for kind in ("", "-runtime-rs")}
    paths = [path for prefix in _prefixes(host) for path in _configs(host, prefix) if path.rpartition("/")[2] in wanted]
    own = [path for path in map(kata_release.own_configuration, kata_release.HANDLERS) if host.stat(path)]
    return KataConfigs(tuple(_read_config(host, path) for path in (*paths, *own)))


def read_named(host: Reader) -> NamedKataConfigs:
    files = containerd_host.config_files(host)
    named = dict.fromkeys(path for file in files for path in _CONFIG_PATHS.findall(file.text or ""))
    usual = [path for path in kata_release.USUAL if host.stat(path) is not None]
    there = {path: host.stat(path) is not None for path in (*named, *usual)}
    configs = tuple(_read_config(host, path) for path, is_there in there.items() if is_there)
    return NamedKataConfigs(configs, tuple(path for path, is_there in there.items() if not is_there))


def _read_config(host: Reader, path: str) -> KataConfig:
    drop_ins = glob(host, f"{path.rpartition('/')[0]}/config.d", ".toml")
    found = parse_config(path, *(host.read(one) or "" for one in (path, *drop_ins)))
    missing = tuple(f"{key} {part}" for key, part in found.parts if host.stat(part) is None)
    return replace(found, missing=missing, drop_ins=tuple(one.rpartition("/")[2] for one in drop_ins))


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
DOCTOR_PROBES: tuple[Probe, ...] = (Probe(NamedKataConfigs, read_named),)
