"""Phase cluster: RuntimeClasses, the device plugin, a template for tenants, and what this node says of itself."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kubernetes_objects import ClusterObjects as Seen
from caasctl.facts.os_system import Hostname
from caasctl.formats import dump_yaml
from caasctl.model import HEADER, Facts
from caasctl.needs.cluster.device_plugin import device_plugin
from caasctl.needs.cluster.runtime_classes import runtime_classes
from caasctl.needs.cluster.tenants import tenant_policies
from caasctl.needs.containerd import handlers
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.cluster.labels import NodeLabels
from caasctl.resources.cluster.objects import ClusterObjects
from caasctl.resources.files import File, Gone
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster.names import GPU_NAMESPACE, HANDLERS, PLUGIN, label

MANIFEST = kubeadm.OBJECTS
TENANTS = kubeadm.TENANTS
_HOW = "# A tenant's namespace gets it by `kubectl -n NAMESPACE apply -f` of this file; caasctl itself applies it nowhere.\n"
_MODE = 0o600


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    """The node's labels first: what the objects ask of a node is there before they are. A worker that is in no cluster gets
    nothing; one that joins finds the objects there.
    """
    if not profile.begins_cluster and not profile.join:
        return
    wanted = tuple(label(handler) for handler in _handlers(facts, profile))
    yield NodeLabels(facts[Hostname].name.lower(), wanted, tuple(map(label, HANDLERS)))
    if profile.begins_cluster:
        yield objects(facts, profile)
        yield File(TENANTS, HEADER + _HOW + dump_yaml(*tenant_policies()), _MODE)


def objects(facts: Facts, profile: NodeProfile) -> ClusterObjects:
    """Raises FactUnread."""
    names = _handlers(facts, profile)
    documents = (*runtime_classes(names), *device_plugin(facts, profile, names))
    known = (*(f"runtimeclass/{handler}" for handler in HANDLERS), f"namespace/{GPU_NAMESPACE}", f"daemonset/{PLUGIN}")
    wanted = {f"{one['kind'].lower()}/{one['metadata']['name']}" for one in documents}
    file = File(MANIFEST, HEADER + dump_yaml(*documents), _MODE) if documents else Gone(MANIFEST)
    return ClusterObjects(documents, file, GPU_NAMESPACE, tuple(name for name in known if name not in wanted))


def _handlers(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """Raises FactUnread: functions that could not be read are no host without GPUs, whose objects would go."""
    found = facts[PciFunctions] if profile.kata_handlers and profile.spec.gpu.passthrough == "auto" else None
    return handlers(facts, profile) if found else profile.kata_handlers


PHASE = Phase(
    "cluster",
    "RuntimeClasses, the GPUs' device plugin and a template for tenants",
    desired,
    reads=(Hostname, PciFunctions),
    disturbs=(Seen,),
)
