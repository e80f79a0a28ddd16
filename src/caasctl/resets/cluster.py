"""Reset's first phase: nothing goes on after a boot; kubeconfigs of this node's cluster, then kubeadm reset, with etcd's data where it began here."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster, StaticPods
from caasctl.facts.ownership import OwnFiles, Record
from caasctl.model import Facts
from caasctl.needs.ownership import cluster_is_ours, holds_etcd
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.final import Final
from caasctl.resources.kubeadm.reset import ClusterGone, KubeconfigGone
from caasctl.resources.unit_file import UnitFileGone
from caasctl.syntax import kubeadm

RESUME = "caasctl-resume.service"
_ROOTS, _KIND = "/root/.kube/config", "kubeconfig:"
LOST = "etcd's data on this node, and all pods that run here"


def desired(facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    """First what would make a node again after a boot, whatever else fails. A kubeconfig is told by admin.conf, which is
    there until kubeadm reset has run: so it goes before.
    """
    yield Final(UnitFileGone(RESUME))
    record = facts[Record]
    ours = cluster_is_ours(facts)
    recorded = {name.removeprefix(_KIND) for name in record.resources if name.startswith(_KIND)}
    for path in sorted({*recorded, *((_ROOTS,) if ours else ())}):
        folder, written = path.rpartition("/")[0], record.written.get(path, frozenset())
        made = folder if folder in record.folders else ""
        yield Final(KubeconfigGone(File(path), File(kubeadm.ADMIN), written, made))
    if ours:
        etcd = holds_etcd(facts)
        yield Final(ClusterGone(etcd), LOST if etcd else "all pods that run on this node")


PHASE = Phase(
    "reset-cluster",
    "The cluster on this node, with etcd's data, and root's kubeconfig of it",
    desired,
    reads=(Record, OwnFiles, Cluster, StaticPods),
    disturbs=(Cluster, StaticPods),
)
