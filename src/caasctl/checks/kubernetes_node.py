"""The host as its cluster sees it: the node's conditions, in the words of its kubelet."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.model import Check, Evidence, Facts, Finding, Fix, check, failed, passed, warned
from caasctl.needs.live import node_of
from caasctl.profile import NodeProfile
from caasctl.syntax.live.nodes import Condition, Node

_PRESSURES = {
    "MemoryPressure": "free -h; kubectl top pods -A --sort-by=memory",
    "DiskPressure": "df -h /var/lib/kubelet /var/lib/containerd; crictl rmi --prune",
    "PIDPressure": "ps -eo nlwp,comm --sort=-nlwp | head",
}
# Of the kubelet's message: what it means, and what to do. The first that fits counts.
_SAYS = (
    ("cni plugin not initialized", "There is no CNI configuration: the cluster has no network plugin yet, or its agent does not come up.",
     "caasctl init-node --phase cilium"),
    ("networkpluginnotready", "The network plugin has not said that it is ready.", "kubectl -n kube-system get pods -o wide -l k8s-app=cilium"),
    ("container runtime is down", "containerd does not answer the kubelet.", "systemctl status containerd; journalctl -u containerd -n 50"),
    ("container runtime status check", "containerd does not answer the kubelet.", "systemctl status containerd; journalctl -u containerd -n 50"),
    ("pleg is not healthy", "containerd takes minutes to list its containers, or does not answer.", "systemctl status containerd; crictl ps -a"),
    ("stopped posting node status", "The kubelet does not run, or does not reach the API server.", "systemctl status kubelet; journalctl -u kubelet -n 50"),
    ("csinode", "The kubelet is not done with its start.", "journalctl -u kubelet -n 50"),
)  # fmt: skip


@check(
    "kubernetes.node_ready",
    "This node is ready for pods",
    reads=(LiveObjects,),
    why="A node that is not ready has a taint: no pod is placed there, CoreDNS among them (`untolerated taint"
    " {node.kubernetes.io/not-ready: }`), and those that run are moved away after five minutes.",
    fix="The message of the node's condition Ready says what its kubelet waits for.",
    source="https://kubernetes.io/docs/reference/node/node-status/",
)
def node_ready(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of `kubectl get nodes` the conditions Ready and NetworkUnavailable of the node with this host's name or address."""
    objects = facts[LiveObjects]
    if not objects.asked:
        return
    node = node_of(facts)
    if node is None:
        yield _unregistered(objects)
        return
    ready, network = node.ready, node.condition("NetworkUnavailable")
    if ready.status != "True":
        yield _not_ready(node, ready)
    elif network.status == "True":
        yield _not_ready(node, network)
    else:
        yield passed(f"{node.name} is ready" + (f" since {ready.since}" if ready.since else ""))


def _unregistered(objects: LiveObjects) -> Finding:
    names = ", ".join(node.name for node in objects.nodes) or "none"
    return failed(
        f"no node {objects.name}: the cluster has {names}",
        wanted="a node of this host's name or address",
        fix=Fix("systemctl status kubelet; journalctl -u kubelet | grep -i register"),
        cause="The kubelet has not registered this host: it does not run, it has another name, or the API server refuses it.",
    )


def _not_ready(node: Node, found: Condition) -> Finding:
    words = f"{found.kind}={found.status or 'not told'} {found.reason}: {found.message}".rstrip(": ")
    low = words.lower()
    cause, fix = next(
        ((cause, fix) for phrase, cause, fix in _SAYS if phrase in low),
        ("", "systemctl status kubelet; journalctl -u kubelet -n 50"),
    )
    return failed(words, wanted="Ready=True", subject=node.name, cause=cause, fix=Fix(fix),
                  evidence=(Evidence(f"kubectl get node {node.name} {found.since}".strip(), words),))  # fmt: skip


@check(
    "kubernetes.node_pressure",
    "This node has memory, disk and process ids to spare, and takes pods",
    reads=(LiveObjects,),
    why="Under pressure the kubelet ends pods (`Evicted`), and the scheduler places none; a cordoned node takes none either.",
    fix="Free what is short; `kubectl uncordon` opens a node again.",
    source="https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
)
def node_pressure(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of `kubectl get nodes` the conditions MemoryPressure, DiskPressure and PIDPressure, and spec.unschedulable."""
    node = node_of(facts) if facts[LiveObjects].asked else None
    if node is None:
        return
    under = [one for one in node.conditions if one.kind in _PRESSURES and one.status == "True"]
    for one in under:
        yield failed(
            f"{one.reason}: {one.message}", wanted=f"{one.kind}=False", subject=one.kind, fix=Fix(_PRESSURES[one.kind])
        )
    if node.closed:
        yield warned("cordoned", wanted="schedulable", subject=node.name, fix=Fix(f"kubectl uncordon {node.name}"),
                     cause="Somebody closed it to new pods (kubectl cordon or drain).")  # fmt: skip
    elif not under and node.conditions:
        yield passed("no pressure")


CHECKS: tuple[Check, ...] = (node_ready, node_pressure)
