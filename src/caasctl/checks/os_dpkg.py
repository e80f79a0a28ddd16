"""Can dpkg work here: is it whole, is nobody else at it, and is there room for what would be installed?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.os_apt import AptSources
from caasctl.facts.os_dpkg import DpkgState, LockHolder, PackageLocks
from caasctl.facts.os_system import Disk, Space
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.packages import READS, installs
from caasctl.profile import NodeProfile

_SHOWN = 5
_MIB = 1024
_BY_ITSELF = {
    "apt-daily.service": "Debian's daily look for updates",
    "apt-daily-upgrade.service": "unattended-upgrades",
    "unattended-upgrades.service": "unattended-upgrades",
    "packagekit.service": "PackageKit",
    "cloud-final.service": "cloud-init, which still sets this host up",
    "cloud-config.service": "cloud-init, which still sets this host up",
}
_UNATTENDED = ("unattended-upgrade", "unattended-upgrades", "unattended-upgr")


@check(
    "os.package_locks",
    "No other program is installing packages",
    reads=(PackageLocks, DpkgState, *READS),
    why="apt stops with `Could not get lock /var/lib/dpkg/lock-frontend. It is held by process ...`.",
    fix="Let the other program finish; one that is killed leaves packages half installed.",
    source="apt: apt-pkg/contrib/fileutl.cc, GetLock; dpkg: lib/dpkg/dbmodify.c",
    gates=("packages",),
)
def package_locks(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/locks, /proc/PID/fd of who holds one: lock and lock-frontend of dpkg, the locks of apt's lists and archives."""
    locks = facts[PackageLocks]
    if not facts[DpkgState].there or not installs(facts, profile):
        return
    by_pid = {holder.pid: holder for holder in reversed(locks.holders)}
    for holder in by_pid.values():
        paths = [each.path for each in locks.holders if each.pid == holder.pid]
        make = warned if _ends(holder) else failed
        yield make(f"{_who(holder)}, process {holder.pid}, holds {', '.join(paths)}", wanted="no lock held",
                   subject=holder.program, fix=_wait(holder))  # fmt: skip
    if not by_pid:
        yield passed("none is held")


def _ends(holder: LockHolder) -> bool:
    """Whether it ends by itself: the phase waits for it, some minutes long."""
    return holder.program in _UNATTENDED or holder.unit in _BY_ITSELF


def _who(holder: LockHolder) -> str:
    if holder.program in _UNATTENDED:
        return "unattended-upgrades"
    whose = _BY_ITSELF.get(holder.unit, holder.unit)
    return f"{holder.program} ({whose})" if whose else holder.program


def _wait(holder: LockHolder) -> Fix:
    """Tail ends with the process: coreutils, on every host."""
    watched = f"journalctl -fu {holder.unit}" if holder.unit else f"tail --pid={holder.pid} -f /dev/null"
    if _ends(holder):
        return Fix(
            f"it ends by itself, and init-node waits 5 minutes for it; to wait longer: tail --pid={holder.pid} -f /dev/null   # {watched} shows it",
            FixKind.WAIT,
        )
    return Fix(
        f"finish what it does (`ps -fp {holder.pid}`), or wait for it: tail --pid={holder.pid} -f /dev/null",
        FixKind.WAIT,
    )


@check(
    "os.dpkg_whole",
    "No installation of packages was cut short",
    reads=(DpkgState, *READS),
    why="apt stops before it begins: `E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the"
    " problem.`, `E: The package ... needs to be reinstalled`.",
    fix="Let dpkg finish what it began: dpkg --configure -a, then apt-get --fix-broken install.",
    source="apt: apt-pkg/deb/debsystem.cc, CheckUpdates; dpkg(1), package states",
    gates=("packages",),
    after=("os.package_locks",),
)
def dpkg_whole(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """States in /var/lib/dpkg/status, numbered files in /var/lib/dpkg/updates."""
    state = facts[DpkgState]
    if not state.there:
        return
    wanted = installs(facts, profile)
    make = failed if wanted else warned
    if wanted and (state.cut_short or state.journal) and ({*wanted} & {*state.cut_short} or _began(facts)):
        # of a run of init-node that was cut short; the phase begins with `dpkg --configure -a`
        said = _named({**state.cut_short}) or f"/var/lib/dpkg/updates: {', '.join(state.journal[:_SHOWN])}"
        yield failed(said, wanted="whole packages", fixed_by="packages", fix=Fix("caasctl init-node"))
        return
    if state.journal:
        files = f"/var/lib/dpkg/updates: {', '.join(state.journal[:_SHOWN])}"
        yield make(f"{files}, of a dpkg that was cut short", wanted="none", fix=Fix("dpkg --configure -a"))
    halves = {name: kind for name, kind in state.cut_short.items() if kind in ("half-installed", "installed")}
    rest = {name: kind for name, kind in state.cut_short.items() if name not in halves}
    if halves:
        yield make(_named(halves), wanted="whole packages", subject="half installed",
                   cause="Its files are there in part, and apt wants it unpacked again before anything else.",
                   fix=Fix(f"apt-get install --reinstall {' '.join(halves)}"))  # fmt: skip
    if rest:
        yield make(_named(rest), wanted="packages that are set up", subject="not set up", fix=Fix("dpkg --configure -a"),
                   cause="apt first sets these up, or stops where their own scripts fail again.")  # fmt: skip
    if not state.journal and not state.cut_short:
        yield passed("all are whole")


def _began(facts: Facts) -> bool:
    """Whether the phase has been here: its sources come before anything is installed."""
    sources = facts.get(AptSources)
    return bool(
        sources and any(source.path.startswith("/etc/apt/sources.list.d/caasctl-") for source in sources.sources)
    )


def _named(packages: dict[str, str]) -> str:
    named = [f"{name} ({kind})" for name, kind in packages.items()]
    return ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")


# What a node's packages take, MiB: containerd, runc and Kubernetes' programs are 130 packed and 450 unpacked; dpkg writes
# its database whole, beside the old one.
_ROOM = {"/var/cache/apt/archives": 200, "/usr": 700, "/var/lib/dpkg": 100}


@check(
    "os.package_space",
    "There is room for the packages of a node",
    reads=(Disk, DpkgState, *READS),
    why="apt stops with `E: You don't have enough free space`, or dpkg in the middle: `No space left on device`.",
    fix="Make room where the finding says.",
    source="sizes of the packages in Debian 13, Docker's and Kubernetes' repositories",
    gates=("packages",),
)
def package_space(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`df` of /var/cache/apt/archives, /usr and /var/lib/dpkg, their needs added where they share a file system."""
    if not facts[DpkgState].there or not installs(facts, profile):
        return
    by_mount: dict[str, list[Space]] = {}
    for space in facts[Disk].spaces:
        if space.path in _ROOM:
            by_mount.setdefault(space.mount, []).append(space)
    full = [mount for mount, spaces in by_mount.items() if spaces[0].free_kib < _need(spaces) * _MIB]
    for mount in full:
        paths = ", ".join(space.path for space in by_mount[mount])
        said = f"{by_mount[mount][0].free_kib // _MIB} MiB free on {mount}"
        yield failed(said, wanted=f"{_need(by_mount[mount])} MiB for {paths}", subject=mount, fix=_make_room(mount, paths),
                     evidence=(Evidence("df", said),))  # fmt: skip
    if by_mount and not full:
        least = min((space for spaces in by_mount.values() for space in spaces), key=lambda space: space.free_kib)
        yield passed(f"{least.free_kib // _MIB} MiB free on {least.mount}")


def _need(spaces: list[Space]) -> int:
    return sum(_ROOM[space.path] for space in spaces)


def _make_room(mount: str, paths: str) -> Fix:
    clean = "apt-get clean; " if "/var/cache/apt" in paths else ""
    return Fix(f"{clean}du -xh -d2 {mount} | sort -h | tail   # then remove what is not needed", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (package_locks, dpkg_whole, package_space)
