"""Where containerd, its service and its configuration are on a host: looked up in one way for facts and for the activation."""

from __future__ import annotations

import gzip
import re
import shlex
import zlib

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Reader
from caasctl.syntax.containerd.imports import ConfigFile, config_file, load
from caasctl.syntax.containerd.output import version
from caasctl.syntax.containerd.tables import MAIN, Version, strings

FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/containerd/bin")
UNIT = "containerd.service"
UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                "/lib/systemd/system")  # fmt: skip


@dataclass(frozen=True)
class Service:
    """The systemd service, drop-ins applied. path: "" where there is no unit file. binary, config: of ExecStart."""

    path: str = ""
    drop_ins: tuple[str, ...] = ()
    binary: str = ""
    config: str = MAIN
    delegate: bool = False
    kill_mode: str = "control-group"
    masked: bool = False


def programs(host: Reader, name: str) -> tuple[str, ...]:
    """The paths of a program, as PATH orders them; a path that a link makes equal to an earlier one counts once."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        path = f"{folder}/{name}"
        there = host.stat(path)
        if there and there.kind is FileKind.FILE and there.mode & 0o111:
            found.setdefault(_real(host, path), path)
    return tuple(found.values())


def _real(host: Reader, path: str) -> str:
    """The path with a link of its folder (/bin -> usr/bin) and of itself resolved, one step each."""
    folder, _, name = path.rpartition("/")
    link = host.readlink(folder)
    path = f"{_resolve('/', link)}/{name}" if link else path
    link = host.readlink(path)
    return _resolve(path.rpartition("/")[0], link) if link else path


def _resolve(folder: str, target: str) -> str:
    return target if target.startswith("/") else f"{folder.rstrip('/')}/{target}"


def service(host: Reader) -> Service:
    """The unit file that systemd takes, and its drop-ins in the order of their names."""
    for folder in UNIT_FOLDERS:
        path = f"{folder}/{UNIT}"
        if host.readlink(path) == "/dev/null":
            return Service(path, masked=True)
        text = host.read(path)
        if text is not None:
            drop_ins = _drop_ins(host)
            return parse_service(path, text, tuple((p, host.read(p) or "") for p in drop_ins))
    return Service()


def _drop_ins(host: Reader) -> tuple[str, ...]:
    by_name: dict[str, str] = {}
    for folder in UNIT_FOLDERS:
        for name in host.list(f"{folder}/{UNIT}.d") or ():
            if name.endswith(".conf") and not name.startswith("."):
                by_name.setdefault(name, f"{folder}/{UNIT}.d/{name}")
    return tuple(by_name[name] for name in sorted(by_name))


def parse_service(path: str, text: str, drop_ins: tuple[tuple[str, str], ...] = ()) -> Service:
    """What matters of a unit file and its drop-ins; the last value of a key counts, an empty ExecStart clears it."""
    values: dict[str, str] = {}
    for source in (text, *(extra for _, extra in drop_ins)):
        for line in source.replace("\\\n", " ").splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith(("#", ";")) and (value.strip() or key.strip() == "ExecStart"):
                values[key.strip()] = value.strip()
    words = _words(values.get("ExecStart", ""))
    return Service(
        path=path,
        drop_ins=tuple(name for name, _ in drop_ins),
        binary=words[0].lstrip("-@:+!") if words else "",
        config=_config(words),
        delegate=values.get("Delegate", "no").lower() not in ("", "no", "false", "0", "off"),
        kill_mode=values.get("KillMode", "control-group"),
    )


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _config(words: list[str]) -> str:
    for at, word in enumerate(words):
        if word in ("--config", "-c", "-config") and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(("--config=", "-c=", "-config=")):
            return word.partition("=")[2]
    return MAIN


def binary(host: Reader) -> str:
    """The containerd that the service runs; else the first on PATH; "" where there is none."""
    found = programs(host, "containerd")
    started = service(host).binary
    return started if started in found or not found else found[0]


def version_text(host: Reader, path: str) -> str:
    """`--version` of a program; where nothing can be run (a tree, a recording) the version of the package that brings it.

    The program itself first: one that was unpacked over a package's file is not what the package says.
    """
    name = path.rpartition("/")[2]
    try:
        said = host.query(path, "--version", timeout_s=3)
    except Unreadable:
        packaged = _packaged(host, ("containerd", "containerd.io") if name == "containerd" else (name,))
        if packaged and path.startswith(("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/")):
            return packaged
        raise
    if not said.ok:
        raise Unreadable(f"{path} --version", (said.stderr.strip().splitlines() or [f"exit status {said.rc}"])[0])
    return said.stdout.strip()


def does_not_run(unreadable: Unreadable) -> bool:
    """Whether a program was built for another C library: that is a state of the host, nothing that could not be read."""
    return "GLIBC_" in unreadable.reason and "not found" in unreadable.reason


def _packaged(host: Reader, names: tuple[str, ...]) -> str:
    """What dpkg says is installed, else the newest entry of Debian's changelog that the package brings."""
    text = "\n" + (host.read("/var/lib/dpkg/status") or "")
    for name in names:
        _, found, rest = text.partition(f"\nPackage: {name}\n")
        fields = dict(line.split(": ", 1) for line in rest.partition("\n\n")[0].splitlines() if ": " in line)
        if found and fields.get("Status", "").endswith(" installed"):
            return f"{name} {fields.get('Version', '').rpartition(':')[2]}"
    return next((entry for entry in (_changelog(host, name) for name in names) if entry), "")


def _changelog(host: Reader, name: str) -> str:
    """`containerd 1.7.24~ds1-6` of `containerd (1.7.24~ds1-6) unstable; urgency=medium`, the first line."""
    packed = host.read_bytes(f"/usr/share/doc/{name}/changelog.Debian.gz")
    try:
        first = gzip.decompress(packed or b"").partition(b"\n")[0].decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""  # as good as none
    found = re.match(r"(\S+) \((?:\d+:)?([^)]+)\)", first)
    return f"{found[1]} {found[2]}" if found else ""


def installed_version(host: Reader) -> Version:
    """(1, 7, 24) of the containerd that the service runs; (0, 0, 0) where there is none."""
    path = binary(host)
    return version(version_text(host, path)) if path else (0, 0, 0)


def config_files(host: Reader) -> tuple[ConfigFile, ...]:
    """The main configuration file and its imports, in the order in which containerd merges them.

    Only relative patterns are read differently by 1.x and 2.x: for others nobody has to ask containerd its version.
    """
    main = service(host).config
    entries = strings(config_file(main, host.read(main)).data.get("imports"))
    depends = any("*" in entry and not entry.startswith("/") for entry in entries)
    return load(main, host.read, host.list, likely_version(host) if depends else (2, 0, 0))


def likely_version(host: Reader) -> Version:
    """The version, or what the main file's schema suggests where nothing on the host can say it."""
    try:
        return installed_version(host)
    except Unreadable:
        main = service(host).config
        newer = config_file(main, host.read(main)).schema >= 3  # noqa: PLR2004 - a schema version
        return (2, 0, 0) if newer else (1, 7, 0)
