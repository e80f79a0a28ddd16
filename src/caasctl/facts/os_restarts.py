"""Who restarts services after an upgrade of packages, and which packages are upgraded at night."""

from __future__ import annotations

import re
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.protocol import Probe, Reader
from caasctl.syntax.debian import conf

_NEEDRESTART = "/etc/needrestart"
_MODE = re.compile(r"^\s*\$nrconf\{restart\}\s*=\s*['\"](\w)['\"]", re.MULTILINE)
_SPARED = re.compile(
    r"^\s*(?:\$nrconf\{override_rc\}(?:->)?\{\s*)?(?:qr\(([^\n]*?)\)|['\"]([^'\"]+)['\"])\s*\}?\s*(?:=>|=)\s*0",
    re.MULTILINE,
)
_APT = "/etc/apt/apt.conf.d"


@dataclass(frozen=True)
class Needrestart:
    """mode: l lists, i asks, a restarts by itself; "" where it is not installed, or its default of asking holds.

    source: the file that says so. spared: patterns of services that it leaves alone.
    """

    installed: bool = False
    mode: str = ""
    source: str = ""
    spared: tuple[str, ...] = ()

    def spares(self, service: str) -> bool:
        """Whether a pattern of `override_rc` covers the service, as Perl's and Python's expressions agree on."""
        return any(_matches(pattern, service) for pattern in self.spared)


@dataclass(frozen=True)
class UnattendedPackages:
    """What unattended-upgrades may upgrade. origins: its patterns, as they stand. spared: expressions of its blacklist."""

    origins: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()

    def spares(self, package: str) -> bool:
        """Expressions are looked for from the beginning of the name, as unattended-upgrades does."""
        return any(_matches(f"(?:{pattern})", package, whole=False) for pattern in self.spared)


def _matches(pattern: str, text: str, *, whole: bool = True) -> bool:
    try:
        return bool(re.search(pattern, text) if whole else re.match(pattern, text))
    except re.error:
        return False


def parse_needrestart(texts: Mapping[str, str]) -> Needrestart:
    """Path -> text, in the order in which needrestart reads them; the last word on the mode holds."""
    mode = source = ""
    spared: list[str] = []
    for path, text in texts.items():
        told = _MODE.findall(text)
        mode, source = (told[-1], path) if told else (mode, source)
        spared += [expression or re.escape(name) for expression, name in _SPARED.findall(text)]
    return Needrestart(bool(texts), mode, source, tuple(spared))


def read_needrestart(host: Reader) -> Needrestart:
    paths = (f"{_NEEDRESTART}/needrestart.conf", *glob(host, f"{_NEEDRESTART}/conf.d", ".conf"))
    return parse_needrestart({path: text for path in paths if (text := host.read(path)) is not None})


def read_unattended(host: Reader) -> UnattendedPackages:
    paths = [path for path in glob(host, _APT, "") if "." not in path.rpartition("/")[2].removesuffix(".conf")]
    told = conf.parse("\n".join(host.read(path) or "" for path in paths))
    origins = ("unattended-upgrade::allowed-origins", "unattended-upgrade::origins-pattern")
    return UnattendedPackages(
        tuple(value for name in origins for value in told.get(name, ())),
        told.get("unattended-upgrade::package-blacklist", ()),
    )


PROBES: tuple[Probe, ...] = (Probe(Needrestart, read_needrestart), Probe(UnattendedPackages, read_unattended))
