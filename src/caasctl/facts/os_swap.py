"""Swap: the areas in use, and everything that brings swap back at the next boot."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import swap
from caasctl.syntax.swap import Area, FstabSwap

ADMIN = "/etc/systemd/system"
_GENERATED = ("/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late")
_PACKAGED = ("/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_WANTED_BY = ("swap.target.wants", "swap.target.requires", "multi-user.target.wants")
_ZRAM = ("/etc/systemd/zram-generator.conf", "/run/systemd/zram-generator.conf", "/usr/lib/systemd/zram-generator.conf")
SERVICES = ("zramswap.service", "zram-config.service", "dphys-swapfile.service", "swapspace.service")


@dataclass(frozen=True)
class SwapUnit:
    """A unit that turns swap on. source: what makes it. masked: it is a link to /dev/null in /etc.

    pinned: its file is the administrator's own in /etc, where it can be disabled but not masked; wanted: it is enabled.
    """

    name: str
    source: str
    masked: bool = False
    pinned: bool = False
    wanted: bool = False

    @property
    def returns(self) -> bool:
        """Whether it turns swap on at the next boot."""
        return not self.masked and (self.wanted or not self.pinned)


@dataclass(frozen=True)
class Swap:
    """active: of /proc/swaps. units: all units of swap, by name; a masked one stays listed. fstab: its swap lines."""

    active: tuple[Area, ...]
    units: tuple[SwapUnit, ...] = ()
    fstab: tuple[FstabSwap, ...] = ()

    @property
    def used_kib(self) -> int:
        return sum(area.used_kib for area in self.active)


def _read_swap(host: Reader) -> Swap:
    text = host.read("/proc/swaps")
    if text is None and host.read("/proc/sys/kernel/osrelease") is None:  # otherwise: a kernel without swap at all
        raise Unreadable("/proc/swaps", "does not exist")
    active = swap.areas(text or "")
    fstab = swap.fstab_swaps(host.read("/etc/fstab") or "")
    sources = _unit_files(host) | _zram(host) | _services(host)
    sources |= {swap.unit_name(area.path): area.path for area in active}
    sources |= {swap.unit_name(line.path): f"/etc/fstab line {line.line}" for line in fstab}  # the one a user can edit
    return Swap(active, tuple(_unit(host, name, sources[name]) for name in sorted(sources)), fstab)


def _unit_files(host: Reader) -> dict[str, str]:
    """Units by name, with the file that systemd would take."""
    found: dict[str, str] = {}
    for folder in (*_PACKAGED, *_GENERATED, ADMIN):
        for path in glob(host, folder, ".swap"):
            found[path.rpartition("/")[2]] = path
    return found


def _zram(host: Reader) -> dict[str, str]:
    """The generator's configuration: an empty one in /etc switches it off."""
    for path in _ZRAM:
        text = host.read(path)
        if text is not None:
            sections = [line.strip()[1:-1] for line in text.splitlines() if line.strip().startswith("[zram")]
            return {swap.unit_name(f"/dev/{name}"): path for name in sections}
    return {}


def _services(host: Reader) -> dict[str, str]:
    """Services of zram-tools, zram-config and the like, which call swapon themselves."""
    found: dict[str, str] = {}
    for folder in (*_PACKAGED, ADMIN):
        here = host.list(folder) or ()
        found |= {name: f"{folder}/{name}" for name in SERVICES if name in here}
    return found


def _unit(host: Reader, name: str, source: str) -> SwapUnit:
    path = f"{ADMIN}/{name}"
    there = host.stat(path, follow=False)
    masked = there is not None and host.readlink(path) == "/dev/null"
    wanted = any(host.stat(f"{ADMIN}/{by}/{name}", follow=False) is not None for by in _WANTED_BY)
    return SwapUnit(name, source, masked, pinned=there is not None and not masked, wanted=wanted)


PROBES = (Probe(Swap, _read_swap),)
