"""The host's state beside its kernel: name, disks, clock, boot id, reboots that are due, kernels on disk."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

_PACKAGES = ("/var/cache/apt/archives", "/usr", "/var/lib/dpkg")
DISK_PATHS = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd", "/boot", "/run", "/opt", *_PACKAGES)
_MODULES = ("/usr/lib/modules", "/lib/modules")
_TIME_UNITS = {
    "chrony.service": "chrony",
    "chronyd.service": "chrony",
    "systemd-timesyncd.service": "systemd-timesyncd",
    "ntpsec.service": "ntpsec",
    "ntpd.service": "ntpd",
    "ntp.service": "ntpd",
    "openntpd.service": "openntpd",
}
_DF_COLUMNS = 5


@dataclass(frozen=True)
class Hostname:
    """name: as the kernel has it. addresses: what /etc/hosts gives for it. by_itself: nss-myhostname answers for it."""

    name: str
    addresses: tuple[str, ...] = ()
    by_itself: bool = False


@dataclass(frozen=True)
class Space:
    """The file system that holds a path, or would: mount point, sizes in KiB, inodes; 0 inodes where it counts none."""

    path: str
    mount: str
    total_kib: int
    free_kib: int
    inodes: int = 0
    free_inodes: int = 0


@dataclass(frozen=True)
class Disk:
    """Space for each of DISK_PATHS that `df` could tell."""

    spaces: tuple[Space, ...]


@dataclass(frozen=True)
class TimeSync:
    """service: chrony, systemd-timesyncd, ntpd, ntpsec, openntpd or "". synchronised: None where it is not known."""

    service: str
    synchronised: bool | None
    evidence: str = ""


@dataclass(frozen=True)
class BootId:
    """/proc/sys/kernel/random/boot_id: another one after every boot."""

    id: str


@dataclass(frozen=True)
class RebootPending:
    """/run/reboot-required of Debian and Ubuntu. packages: those that asked for it."""

    pending: bool
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstalledKernels:
    """releases: those whose modules are on disk, complete with modules.dep; what a removed kernel left is none."""

    releases: tuple[str, ...]


def parse_hosts(text: str, name: str) -> tuple[str, ...]:
    """Addresses of the lines of /etc/hosts that name the host, in order."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return tuple(fields[0] for fields in lines if name.lower() in (field.lower() for field in fields[1:]))


def parse_df(text: str) -> dict[str, tuple[str, int, int, int, int]]:
    """Rows of `df -k --output=file,target,size,avail,itotal,iavail` by file; mount points may hold blanks."""
    found: dict[str, tuple[str, int, int, int, int]] = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        numbers = [int(field) if field.isdigit() else 0 for field in fields[-4:]]
        if len(fields) > _DF_COLUMNS:
            size, free, inodes, free_inodes = numbers
            found[fields[0]] = (" ".join(fields[1:-4]), size, free, inodes, free_inodes)
    return found


def parse_units(text: str) -> dict[str, str]:
    """ActiveState by Id of `systemctl show -p Id,ActiveState` on several units."""
    blocks = (dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE)) for block in text.split("\n\n"))
    return {block["Id"]: block.get("ActiveState", "") for block in blocks if "Id" in block}


def parse_tracking(text: str) -> bool | None:
    """Whether `chronyc -n tracking` says that the clock is synchronised."""
    leap = re.search(r"^Leap status\s*:\s*(.+)$", text, re.MULTILINE)
    return None if not leap else "not synchronised" not in leap[1].lower()


def _read_hostname(host: Reader) -> Hostname:
    name = _text(host, "/proc/sys/kernel/hostname").strip()
    databases = re.search(r"^hosts:\s*(.*)$", host.read("/etc/nsswitch.conf") or "", re.MULTILINE)
    by_itself = "myhostname" in (databases[1].split() if databases else ())
    return Hostname(name, parse_hosts(host.read("/etc/hosts") or "", name), by_itself)


def _read_disk(host: Reader) -> Disk:
    """Asks for the parents too: what is not there yet will lie where its nearest parent does."""
    wanted = sorted({parent for path in DISK_PATHS for parent in _lineage(path)})
    said = host.query("df", "-k", "--output=file,target,size,avail,itotal,iavail", "--", *wanted)
    rows = parse_df(said.stdout)
    if not rows:
        raise Unreadable("df", said.stderr.strip() or "printed no rows")
    nearest = {path: next((rows[parent] for parent in _lineage(path) if parent in rows), None) for path in DISK_PATHS}
    return Disk(tuple(Space(path, *row) for path, row in nearest.items() if row))


def _lineage(path: str) -> tuple[str, ...]:
    """The path and its parents, nearest first."""
    return (path, *map(str, PurePosixPath(path).parents))


def _read_time_sync(host: Reader) -> TimeSync:
    """The marks of a running daemon first; who runs only systemd can tell."""
    if host.stat("/run/systemd/timesync/synchronized") is not None:
        return TimeSync("systemd-timesyncd", synchronised=True, evidence="/run/systemd/timesync/synchronized")
    said = host.query("systemctl", "show", "-p", "Id,ActiveState", *_TIME_UNITS)
    if not said.ok:
        return _without_systemd(host, said.stderr)
    states = parse_units(said.stdout)
    service = next((name for unit, name in _TIME_UNITS.items() if states.get(unit) == "active"), "")
    return _clock(host, service)


def _without_systemd(host: Reader, said: str) -> TimeSync:
    for path, service in (("/run/chrony/chronyd.pid", "chrony"), ("/run/ntpd.pid", "ntpd")):
        if host.stat(path) is not None:
            return _clock(host, service)
    raise Unreadable("systemctl show", (said.strip().splitlines() or ["says nothing of time services"])[0])


def _clock(host: Reader, service: str) -> TimeSync:
    if service == "systemd-timesyncd":
        mark = "/run/systemd/timesync/synchronized"
        return TimeSync(service, synchronised=False, evidence=f"no {mark}")
    if service == "chrony":
        said = host.query("chronyc", "-n", "tracking")
        return TimeSync(service, parse_tracking(said.stdout), "chronyc -n tracking")
    if not service:
        return TimeSync("", None)
    said = host.query("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    answer = {"yes": True, "no": False}.get(said.stdout.strip()) if said.ok else None
    return TimeSync(service, answer, "timedatectl show -p NTPSynchronized")


def _read_reboot(host: Reader) -> RebootPending:
    pending = host.stat("/run/reboot-required") is not None
    packages = (host.read("/run/reboot-required.pkgs") or "") if pending else ""
    return RebootPending(pending, tuple(dict.fromkeys(packages.split())))


def _read_installed(host: Reader) -> InstalledKernels:
    for folder in _MODULES:
        names = host.list(folder)
        if names is not None:
            found = (name for name in names if host.stat(f"{folder}/{name}/modules.dep") is not None)
            return InstalledKernels(tuple(found))
    return InstalledKernels(())


def _text(host: Reader, path: str) -> str:
    text = host.read(path)
    if text is None:
        raise Unreadable(path, "does not exist")
    return text


PROBES = (
    Probe(Hostname, _read_hostname),
    Probe(Disk, _read_disk),
    Probe(TimeSync, _read_time_sync),
    Probe(BootId, lambda host: BootId(_text(host, "/proc/sys/kernel/random/boot_id").strip())),
    Probe(RebootPending, _read_reboot),
    Probe(InstalledKernels, _read_installed),
)
