"""Reset's second phase: what Cilium and the kubelet leave in the kernel's network, and then caasctl's folder that proves it."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster
from caasctl.facts.ownership import FROZEN, OWN_FOLDER, OwnFiles, Record
from caasctl.model import Facts
from caasctl.needs.ownership import left_network
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.final import Final
from caasctl.resources.folder import OwnFolder
from caasctl.resources.remains import Remains, cilium
from caasctl.syntax import kubeadm

KEY_LOST = f"the key that opens secrets in copies of etcd ({kubeadm.ENCRYPTION})"
_REMAINS = (
    Remains("cilium:filters", cilium.filters),
    Remains("cilium:pins", cilium.pins),
    Remains("cilium:links", cilium.links),
    Remains("cilium:rules", cilium.rules),
    Remains("cilium:routes", cilium.routes),
    Remains("cilium:chains", cilium.chains),
    Remains("cilium:run", cilium.run_folder),
    Remains("cilium:cni", cilium.cni),
)


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """Filters before the pins of their maps: a program that runs on without its maps drops every packet."""
    if left_network(facts):
        yield from map(Final, _REMAINS)
    written = facts[Record].written
    files = tuple((path, written.get(path, frozenset()) if path in FROZEN else frozenset()) for path in OWN_FOLDER)
    key = kubeadm.ENCRYPTION in facts[OwnFiles].folder
    yield Final(OwnFolder(kubeadm.FOLDER, files, (kubeadm.PATCHES,)), KEY_LOST if key else "")


PHASE = Phase(
    "reset-network",
    "What Cilium and the kubelet leave behind in the kernel's network, and caasctl's own folder",
    desired,
    reads=(Record, OwnFiles, Cluster),
    disturbs=(OwnFiles,),
)
