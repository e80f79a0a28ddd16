"""containerd as installed: binaries, versions, runc, its systemd service and the process."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.containerd import host as containerd_host
from caasctl.syntax.containerd.output import properties, version
from caasctl.syntax.containerd.tables import MAIN, Version


@dataclass(frozen=True)
class ContainerdBinaries:
    """Paths of containerd, in the order of PATH; in_use: the one that the service starts, "" where there is none."""

    paths: tuple[str, ...] = ()
    in_use: str = ""


@dataclass(frozen=True)
class ContainerdVersion:
    """(1, 7, 24), (0, 0, 0) where there is no containerd; text: the words it was taken from (a package's, or --version).

    broken: why the program does not run on this host's C library, "" where it does.
    """

    version: Version = (0, 0, 0)
    text: str = ""
    broken: str = ""

    @property
    def release(self) -> str:
        return ".".join(map(str, self.version))


@dataclass(frozen=True)
class RuncBinaries:
    """Paths of runc, in the order of PATH."""

    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuncVersion:
    """(1, 1, 5), (0, 0, 0) where there is no runc. broken: as containerd's."""

    version: Version = (0, 0, 0)
    text: str = ""
    broken: str = ""


@dataclass(frozen=True)
class ContainerdService:
    """The unit file with its drop-ins applied. path: "" where there is none. config: of ExecStart's --config, else the usual.

    delegate: Delegate=yes. kill_mode: KillMode, `process` keeps pods alive over a restart.
    """

    path: str = ""
    drop_ins: tuple[str, ...] = ()
    binary: str = ""
    config: str = MAIN
    delegate: bool = False
    kill_mode: str = "control-group"
    masked: bool = False


@dataclass(frozen=True)
class ContainerdProcess:
    """What systemd says of the service: ActiveState and SubState, main pid (0 = none), whether units changed on disk."""

    active: str = ""
    sub: str = ""
    pid: int = 0
    needs_reload: bool = False

    @property
    def running(self) -> bool:
        return self.pid > 0


def _binaries(host: Reader) -> ContainerdBinaries:
    paths = containerd_host.programs(host, "containerd")
    return ContainerdBinaries(paths, containerd_host.binary(host) if paths else "")


def _version(host: Reader) -> ContainerdVersion:
    path = containerd_host.binary(host)
    if not path or path not in containerd_host.programs(host, "containerd"):
        return ContainerdVersion()
    text, broken = _said(host, path)
    found = version(text)
    if broken:
        return ContainerdVersion(broken=broken)
    if found == (0, 0, 0):
        raise Unreadable(f"{path} --version", f"names no version: {text[:60]}")
    return ContainerdVersion(found, text)


def _runc(host: Reader) -> RuncBinaries:
    return RuncBinaries(containerd_host.programs(host, "runc"))


def _runc_version(host: Reader) -> RuncVersion:
    paths = containerd_host.programs(host, "runc")
    text, broken = _said(host, paths[0]) if paths else ("", "")
    return RuncVersion(version(text), text.partition("\n")[0], broken)


def _said(host: Reader, path: str) -> tuple[str, str]:
    """What tells the version of a program, or why it does not run here."""
    try:
        return containerd_host.version_text(host, path), ""
    except Unreadable as unreadable:
        if containerd_host.does_not_run(unreadable):
            return "", unreadable.reason
        raise


def _service(host: Reader) -> ContainerdService:
    found = containerd_host.service(host)
    return ContainerdService(
        found.path, found.drop_ins, found.binary, found.config, found.delegate, found.kill_mode, found.masked
    )


def _process(host: Reader) -> ContainerdProcess:
    said = host.query(
        "systemctl", "show", "-p", "ActiveState,SubState,MainPID,NeedDaemonReload", containerd_host.UNIT, timeout_s=2
    )
    if said.missing:
        return ContainerdProcess()
    if not said.ok:
        lines = said.stderr.strip().splitlines()
        raise Unreadable("systemctl show containerd.service", lines[0] if lines else f"exit status {said.rc}")
    return parse_process(said.stdout)


def parse_process(text: str) -> ContainerdProcess:
    found = properties(text)
    pid = found.get("MainPID", "0")
    return ContainerdProcess(
        found.get("ActiveState", ""),
        found.get("SubState", ""),
        int(pid) if pid.isdigit() else 0,
        found.get("NeedDaemonReload") == "yes",
    )


PROBES = (
    Probe(ContainerdBinaries, _binaries),
    Probe(ContainerdVersion, _version),
    Probe(RuncBinaries, _runc),
    Probe(RuncVersion, _runc_version),
    Probe(ContainerdService, _service),
    Probe(ContainerdProcess, _process),
)
