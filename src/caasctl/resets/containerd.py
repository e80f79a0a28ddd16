"""Reset's third phase: containerd on its configuration of before, or without caasctl's runtimes; crictl's file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from caasctl.facts.containerd import ContainerdBinaries, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.containerd_registries import RegistryFolders
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.ownership import CONTAINERD, CRICTL, PROXY, PROXY_DROP_IN, PROXY_UNITS, OwnFiles, Record
from caasctl.formats import FormatError, parse_toml
from caasctl.model import Facts
from caasctl.needs.ownership import is_ours, touched_containerd
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.containerd.back import ContainerdBack
from caasctl.resources.files import Reset, Transaction
from caasctl.resources.final import Final
from caasctl.resources.restarted import Restarted
from caasctl.syntax.containerd.tables import runtimes_path, schema, table
from caasctl.syntax.containerd.without import WithoutOurs


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    written = facts[Record].written
    yield from (Final(_proxied(written, unit)) for unit in PROXY_UNITS)
    if touched_containerd(facts):
        yield Final(_transaction(facts))
    yield Final(Reset(CRICTL, digests=written.get(CRICTL, frozenset())))
    for file in facts[RegistryFolders].files:
        if file.ours:
            yield Final(Reset(file.path, digests=written.get(file.path, frozenset())))


def _proxied(written: Mapping[str, frozenset[str]], unit: str) -> Transaction:
    paths = (PROXY, PROXY_DROP_IN.format(unit))
    files = tuple(Reset(path, secret=path == PROXY, digests=written.get(path, frozenset())) for path in paths)
    return Transaction(
        f"proxy:{unit}", files, Restarted(f"{unit}.service", paths), then=f"{unit} restarted where it runs"
    )


def _transaction(facts: Facts) -> Transaction:
    record, path = facts[Record], facts[ContainerdConfig].path
    was = record.originals.get(path)
    drop_in_stays = CONTAINERD in facts[OwnFiles].found and not is_ours(facts, CONTAINERD)
    main = Reset(
        path,
        digests=record.written.get(path, frozenset()),
        recorded=path in record.originals and not drop_in_stays,
        original=was,
        without=WithoutOurs(path, _handlers(was[0], path) if was else frozenset(), not drop_in_stays),
    )
    drop_in = Reset(CONTAINERD, digests=record.written.get(CONTAINERD, frozenset()))
    version, binary = facts[ContainerdVersion].version, facts[ContainerdBinaries].in_use
    back = ContainerdBack(binary, version, main=path, running=version != (0, 0, 0))
    return Transaction("containerd", (main, drop_in), back, then="checked as a whole first; containerd restarted on it")


def _handlers(text: str, path: str) -> frozenset[str]:
    try:
        data = parse_toml(text, path)
    except FormatError:
        return frozenset()
    return frozenset(table(data, *runtimes_path(schema(data))))


PHASE = Phase(
    "reset-containerd",
    "containerd without caasctl's configuration",
    desired,
    reads=(Record, OwnFiles, Cluster, ContainerdBinaries, ContainerdVersion, ContainerdConfig, RegistryFolders),
    disturbs=(OwnFiles, ContainerdConfig, RegistryFolders),
)
