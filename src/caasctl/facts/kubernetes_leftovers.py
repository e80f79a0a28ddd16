"""What earlier clusters leave behind: caasctl's own record of one, CNI configurations, users' kubeconfigs."""

from __future__ import annotations

import re

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

RUNS = "/var/lib/caasctl/runs"
_ENTRY = re.compile(r"\d{4}\.json")
CNI_FOLDER = "/etc/cni/net.d"
_BEGINS = ("kubeadm:init", "kubeadm:join")


@dataclass(frozen=True)
class BegunHere:
    """The changes kubeadm:init and kubeadm:join in the record of caasctl's runs: what caasctl itself began on this host."""

    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class CniFiles:
    """File names in /etc/cni/net.d that containerd would read: *.conf, *.conflist, *.json."""

    names: tuple[str, ...] = ()


def parse_entry(text: str, what: str) -> str:
    """The resource of an entry of the record. Raises Unreadable."""
    try:
        entry = formats.parse_json(text, what)
        return str(entry["resource"])
    except (formats.FormatError, TypeError, KeyError) as error:
        raise Unreadable(what, "is no entry of caasctl's record") from error


def read_begun(host: Reader) -> BegunHere:
    """Runs that were taken back do not count."""
    begun: dict[str, None] = {}
    for run in host.list(RUNS) or ():
        names = host.list(f"{RUNS}/{run}") or ()
        if "undone" in names:
            continue
        for name in filter(_ENTRY.fullmatch, names):
            resource = parse_entry(host.read(f"{RUNS}/{run}/{name}") or "", f"{RUNS}/{run}/{name}")
            if resource in _BEGINS:
                begun[resource] = None
    return BegunHere(tuple(begun))


def read_cni_files(host: Reader) -> CniFiles:
    names = host.list(CNI_FOLDER) or ()
    return CniFiles(tuple(name for name in names if name.endswith((".conf", ".conflist", ".json"))))


PROBES: tuple[Probe, ...] = (Probe(BegunHere, read_begun), Probe(CniFiles, read_cni_files))
