"""containerd's configuration: the files that it reads, those that lie unread, what comes of them, and crictl's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from caasctl.formats import FormatError, parse_toml, parse_yaml
from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import MARK, Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax.containerd import host as containerd_host
from caasctl.syntax.containerd.imports import ConfigFile, merged, with_defaults
from caasctl.syntax.containerd.tables import MAIN, Data, table

_SHIM_PATHS = re.compile(r"""^\s*["']?runtime_path["']?\s*=\s*["'](/[^"']+)["']""", re.MULTILINE)
_FOLDERS = ("/etc/containerd/conf.d", "/etc/containerd/config.d", "/etc/containerd/config.toml.d")


@dataclass(frozen=True)
class ContainerdConfig:
    """path: the main file. files: main and imports in the order of merging; text None = not there.

    unread: files in folders that look as if containerd read them, and which no `imports` names.
    """

    path: str = MAIN
    files: tuple[ConfigFile, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def main(self) -> ConfigFile:
        return self.files[0] if self.files else ConfigFile(self.path, None)

    @property
    def imports(self) -> tuple[ConfigFile, ...]:
        return self.files[1:]


@dataclass(frozen=True)
class ContainerdEffective:
    """The configuration that containerd makes of its files. source: `dump` (containerd's own word) or `files` (merged by caasctl).

    error: why containerd does not take the files. warnings: what it said while it merged them.
    """

    data: Data = field(default_factory=dict)
    source: str = "files"
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shims:
    """Executable shims: by name on PATH, and by path where a runtime_path names them (False = not there or not executable)."""

    on_path: Mapping[str, str] = field(default_factory=dict)
    by_path: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class CrictlConfig:
    """/etc/crictl.yaml. text: None = not there. Endpoints as written, "" where not given. error: why it is no YAML."""

    text: str | None = None
    runtime_endpoint: str = ""
    image_endpoint: str = ""
    error: str = ""

    @property
    def ours(self) -> bool:
        return MARK in (self.text or "").lower()


def _config(host: Reader) -> ContainerdConfig:
    files = containerd_host.config_files(host)
    read = {file.path for file in files}
    lying = [path for folder in _FOLDERS for path in glob(host, folder, ".toml")]
    return ContainerdConfig(files[0].path, files, tuple(path for path in lying if path not in read))


def _effective(host: Reader) -> ContainerdEffective:
    files = containerd_host.config_files(host)
    binary = containerd_host.binary(host)
    if binary:
        try:
            return _dump(host, binary, files[0])
        except Unreadable:
            return _by_ourselves(files, containerd_host.likely_version(host))
    return _by_ourselves(files, containerd_host.likely_version(host))


def _dump(host: Reader, binary: str, main: ConfigFile) -> ContainerdEffective:
    """Containerd 1.x fails to dump a file that is not there, although it starts without one."""
    argv = ("config", "dump") if main.text is not None else ("config", "default")
    said = host.query(binary, "--config", main.path, *argv, timeout_s=5)
    if said.missing:
        raise Unreadable(binary, "is not there")
    return parse_dump(said.rc, said.stdout, said.stderr)


def parse_dump(rc: int, stdout: str, stderr: str) -> ContainerdEffective:
    """`containerd config dump`: its TOML, or its reason; warnings from its log lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    warnings = tuple(line for line in lines if "level=warning" in line)
    if rc:
        said = next((line for line in reversed(lines) if line.startswith("containerd: ")), lines[-1] if lines else "")
        return ContainerdEffective(source="dump", error=said or f"exit status {rc}", warnings=warnings)
    try:
        return ContainerdEffective(parse_toml(stdout, "containerd config dump"), "dump", "", warnings)
    except FormatError as error:
        raise Unreadable("containerd config dump", error.problem) from error


def _by_ourselves(files: tuple[ConfigFile, ...], version: tuple[int, int, int]) -> ContainerdEffective:
    broken = [f"{file.path}: {file.error}" for file in files if file.error]
    missing = [f"open {file.path}: no such file or directory" for file in files[1:] if file.text is None]
    if broken or missing:
        return ContainerdEffective(error=(broken + missing)[0])
    return ContainerdEffective(with_defaults(merged(files, version), version))


def _shims(host: Reader) -> Shims:
    on_path: dict[str, str] = {}
    for folder in containerd_host.FOLDERS:
        for name in host.list(folder) or ():
            if name.startswith("containerd-shim") and _executable(host, f"{folder}/{name}"):
                on_path.setdefault(name, f"{folder}/{name}")
    files = containerd_host.config_files(host)
    named = sorted({path for file in files for path in _SHIM_PATHS.findall(file.text or "")})
    return Shims(on_path, {path: _executable(host, path) for path in named})


def _executable(host: Reader, path: str) -> bool:
    there = host.stat(path)
    return there is not None and there.kind is FileKind.FILE and there.mode & 0o111 != 0


def _crictl(host: Reader) -> CrictlConfig:
    return parse_crictl(host.read("/etc/crictl.yaml"))


def parse_crictl(text: str | None) -> CrictlConfig:
    """/etc/crictl.yaml: its two endpoints."""
    if text is None:
        return CrictlConfig()
    try:
        data = table(parse_yaml(text, "/etc/crictl.yaml"))
    except FormatError as error:
        return CrictlConfig(text, error=error.problem)
    return CrictlConfig(text, str(data.get("runtime-endpoint") or ""), str(data.get("image-endpoint") or ""))


PROBES = (
    Probe(ContainerdConfig, _config),
    Probe(ContainerdEffective, _effective),
    Probe(Shims, _shims),
    Probe(CrictlConfig, _crictl),
)
