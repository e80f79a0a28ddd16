"""Reset's fifth phase: kernel modules and settings at boot, settings now, units and swap, each as before caasctl."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.network import Links
from caasctl.facts.os_sysctl import SysctlConfig
from caasctl.facts.ownership import APT_PROXY, MODULES, SYSCTLS, OwnFiles, Record
from caasctl.model import Facts
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import Reset
from caasctl.resources.final import Final
from caasctl.resources.kernel import SwapOn, SysctlBack
from caasctl.resources.units import LinkBack, UnitBack
from caasctl.syntax import interfaces, sysctl

_UNITS = ("unmask", "mask", "enable", "disable")


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """Only the record knows what a setting or a unit was before; without it they stay as they are."""
    record = facts[Record]
    for path in (*MODULES, *SYSCTLS, *APT_PROXY):
        yield Final(Reset(path, secret=path in APT_PROXY, digests=record.written.get(path, frozenset())))
    for program, *words in record.commands:
        if program == "sysctl":
            yield from _setting(facts, words[-1])
        elif program == "systemctl" and words[0] in _UNITS:
            yield Final(_unit(words[0], words[-1]))
        elif program == "systemctl" and words[0] == "link":
            yield Final(LinkBack(words[-1]))
    for argv in record.commands:
        if argv[0] == "swapon":  # behind the units: a masked one would take its area off again
            yield Final(SwapOn(argv))


def _unit(verb: str, name: str) -> UnitBack:
    if verb in ("unmask", "mask"):
        return UnitBack(name, masked=verb == "mask")
    return UnitBack(name, enabled=verb == "enable")


def _setting(facts: Facts, assignment: str) -> Iterator[Resource]:
    """What another file asks for holds; and who else routes packets through this host, Docker for one, needs forwarding."""
    key, _, value = assignment.partition("=")
    other, links = facts[SysctlConfig].foreign(key), facts.get(Links)
    routes_others = any(interfaces.of_guests(link.name) for link in (links.links if links else ()))
    if other or not (sysctl.forwards(key) and routes_others):
        yield Final(SysctlBack(key, other.value if other else value))


PHASE = Phase(
    "reset-host",
    "Kernel modules, kernel settings, units and swap as before",
    desired,
    reads=(Record, SysctlConfig, Links),
    disturbs=(OwnFiles, SysctlConfig),
)
