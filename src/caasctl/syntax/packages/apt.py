"""What apt and dpkg say and read: installed packages, versions on offer, what a run would do, sources, pins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from caasctl.frozen import dataclass
from caasctl.model import HEADER
from caasctl.syntax.packages import Package, Repository

SOURCES, KEYRINGS, PINS = "/etc/apt/sources.list.d", "/etc/apt/keyrings", "/etc/apt/preferences.d"
_PRIORITY = 990  # above the distribution's 500, below what would downgrade
STATUS, HISTORY = "/var/lib/dpkg/status", "/var/log/apt/history.log"
_INSTALLED = "installed"
_GONE = ("not-installed", "config-files")
_FIELD = re.compile(r"^(Status|Version): (.*)$", re.MULTILINE)
_STEP = re.compile(r"^(Inst|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+) ([^)]*)\))?", re.MULTILINE)
_KEPT = re.compile(r"^dpkg: error processing package (\S+?)(?::\w+)? \(--purge\):$", re.MULTILINE)
_CANDIDATE = re.compile(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", re.MULTILINE)
_NAMED = re.compile(r"([^\s,]+?)(?::\w+)? \([^)]*\)")
_DOWN = re.compile(r"^The following packages will be DOWNGRADED:\n((?: .*\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Installed:
    """version: of the package. held: kept back from upgrades. whole: unpacked and configured; else dpkg was interrupted."""

    version: str
    held: bool = False
    whole: bool = True


@dataclass(frozen=True)
class Step:
    """What apt would do to one package. was: its version now, "" where it is not there. source: whose, as apt names it."""

    name: str
    version: str = ""
    was: str = ""
    source: str = ""


@dataclass(frozen=True)
class Simulation:
    """What one run of apt would do."""

    install: tuple[Step, ...] = ()
    upgrade: tuple[Step, ...] = ()
    remove: tuple[str, ...] = ()
    downgrade: tuple[str, ...] = ()


def installed(status: str, names: Iterable[str]) -> dict[str, Installed]:
    """Of /var/lib/dpkg/status, those of the packages that are there, be it in part."""
    found = {}
    listed = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    stanza = re.compile(rf"^Package: ({listed})\n((?:.+\n|.+\Z)*)", re.MULTILINE)
    for name, body in stanza.findall(status):
        fields = dict(_FIELD.findall(body))
        want, _, state = (*fields.get("Status", "").split(), "", "", "")[:3]
        if state and state not in _GONE:
            found[name] = Installed(fields.get("Version", ""), want == "hold", state == _INSTALLED)
    return found


def madison(text: str) -> dict[str, tuple[tuple[str, str], ...]]:
    """Of `apt-cache madison NAME…`: name -> (version, where), the newest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        name, version, where = (*(part.strip() for part in line.split("|")), "", "", "")[:3]
        if version and where and not where.endswith("Sources"):
            found.setdefault(name, []).append((version, where.removesuffix(" Packages")))
    return {name: tuple(versions) for name, versions in found.items()}


def offered(madison_said: str, policy_said: str) -> dict[str, tuple[str, ...]]:
    """Name -> versions on offer: first the one that apt itself would take, by its pins, then the newest. By NAME=VERSION it takes any.

    policy_said: of `apt-cache policy NAME…`.
    """
    chosen = dict(_CANDIDATE.findall(policy_said))
    found = {}
    for name, each in madison(madison_said).items():
        versions = dict.fromkeys(version for version, _ in each)
        found[name] = tuple(sorted(versions, key=lambda version: version != chosen.get(name)))
    return found


def simulation(text: str) -> Simulation:
    """Of `apt-get --simulate install …`."""
    steps = [
        Step(name, version, was, source) for verb, name, was, version, source in _STEP.findall(text) if verb == "Inst"
    ]
    gone = tuple(name for verb, name, *_ in _STEP.findall(text) if verb != "Inst")
    down = _DOWN.search(text)
    return Simulation(
        tuple(step for step in steps if not step.was),
        tuple(step for step in steps if step.was),
        gone,
        tuple(down[1].split()) if down else (),
    )


def installers(history: str) -> dict[str, str]:
    """Of apt's own log, package -> the command line that installed it last."""
    found: dict[str, str] = {}
    for stanza in history.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in stanza.splitlines())
        found.update(dict.fromkeys(_NAMED.findall(fields.get("Install", "")), fields.get("Commandline", "")))
    return found


def kept(said: str) -> tuple[str, ...]:
    """Of what dpkg says when it is asked to take packages off: those that others need, which it leaves."""
    return tuple(dict.fromkeys(_KEPT.findall(said)))


def keyring(repository: Repository) -> str:
    return f"{KEYRINGS}/caasctl-{repository.name}.gpg"


def source_file(repository: Repository) -> str:
    return f"{SOURCES}/caasctl-{repository.name}.sources"


def source_text(repository: Repository) -> str:
    """The repository as deb822 has it, bound to its one key."""
    fields = {"Types": "deb", "URIs": repository.uri, "Suites": repository.suite,
              "Components": " ".join(repository.components), "Signed-By": keyring(repository)}  # fmt: skip
    return HEADER + deb822(fields)


def pins_file(repository: Repository) -> str:
    return f"{PINS}/caasctl-{repository.name}.pref"


def pins_text(packages: Iterable[Package]) -> str:
    """Pins to the wanted versions, "" where any will do: a hold lets `apt-get install` go on to another version, a pin does not."""
    by: dict[str, list[str]] = {}
    for package in packages:
        by.setdefault(package.version, []).append(package.name)
    stanzas = [deb822({"Package": " ".join(names), "Pin": f"version {version}", "Pin-Priority": str(_PRIORITY)})
               for version, names in by.items() if version]  # fmt: skip
    return "\n".join((HEADER, *stanzas)) if stanzas else ""


def deb822(fields: Mapping[str, str]) -> str:
    """One stanza, without the fields that are empty."""
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
