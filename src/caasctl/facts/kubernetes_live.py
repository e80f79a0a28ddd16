"""The cluster's objects that a broken node shows in: nodes, workloads, classes, services and claims, by one question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from caasctl import kubectl
from caasctl.diagnosis import Line
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN, KUBELET_CONF
from caasctl.syntax.live import others
from caasctl.syntax.live.nodes import Node, parse_node
from caasctl.syntax.live.others import Claim, Endpoints, RuntimeClass, Service, StorageClass, Workload
from caasctl.syntax.live.shape import Item

T = TypeVar("T")
_VERSION = re.compile(r'"gitVersion": *"v([0-9][^"]*)"')
KINDS = "nodes,daemonsets,deployments,runtimeclasses,storageclasses,services,endpointslices,persistentvolumeclaims"
OF_NODE = "runtimeclasses,services"  # what a kubelet may see of others


@dataclass(frozen=True)
class LiveObjects:
    """asked: there is a kubeconfig. whole: asked as administrator; else only this node, classes and services are in it.

    name: this host's in its cluster, as far as its files tell.
    """

    asked: bool = False
    whole: bool = True
    name: str = ""
    nodes: tuple[Node, ...] = ()
    workloads: tuple[Workload, ...] = ()
    classes: tuple[RuntimeClass, ...] = ()
    storage: tuple[StorageClass, ...] = ()
    services: tuple[Service, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Conditions of this node that are not as they should be; of all nodes where it is none of them by name."""
        own = [node for node in self.nodes if node.name == self.name] or self.nodes
        return tuple(
            Line("node", f"node {node.name}", f"{one.kind}: {one.reason}: {one.message}", one.since)
            for node in own
            for one in node.troubles
        )

    def workload(self, kind: str, namespace: str, name: str) -> Workload | None:
        return next((w for w in self.workloads if (w.kind, w.namespace, w.name) == (kind, namespace, name)), None)

    def runtime_class(self, name: str) -> RuntimeClass | None:
        return next((one for one in self.classes if one.name == name), None)


@dataclass(frozen=True)
class ServerVersion:
    """What an API server says of itself to a worker's kubelet, as 1.36.4; "" where this is no worker: a control plane's files tell it."""

    version: str = ""


def read_version(host: Reader) -> ServerVersion:
    """Raises Unreadable."""
    if kubectl.kubeconfig_of(host) != KUBELET_CONF:
        return ServerVersion()
    argv = ("kubectl", "--kubeconfig", KUBELET_CONF, "--request-timeout=6s", "get", "--raw", "/version")
    said = kubectl.answer(host, argv, KUBELET_CONF)
    found = _VERSION.search(said or "")
    if not found:
        raise Unreadable("kubectl get --raw /version", "the API server does not answer")
    return ServerVersion(found[1])


def parse(found: Iterable[Item], name: str, *, whole: bool) -> LiveObjects:
    """Of what kubectl listed, in any order."""
    by_kind: dict[object, list[Item]] = {}
    for item in found:
        by_kind.setdefault(str(item.get("kind")), []).append(item)

    def every(kinds: tuple[str, ...], read: Callable[[Item], T]) -> tuple[T, ...]:
        return tuple(read(item) for kind in kinds for item in by_kind.get(kind, ()))

    return LiveObjects(
        True,
        whole,
        name,
        every(("Node",), parse_node),
        every(("DaemonSet", "Deployment"), others.parse_workload),
        every(("RuntimeClass",), others.parse_class),
        every(("StorageClass",), others.parse_storage),
        every(("Service",), others.parse_service),
        every(("EndpointSlice",), others.parse_endpoints),
        every(("PersistentVolumeClaim",), others.parse_claim),
    )


def read_objects(host: Reader) -> LiveObjects:
    """Asks only on a node. Raises Unreadable."""
    conf, name = kubectl.kubeconfig_of(host), kubectl.node_name(host)
    if not conf:
        return LiveObjects()
    if conf == ADMIN:
        return parse(kubectl.items(host, conf, KINDS, "-A"), name, whole=True)
    own = kubectl.items(host, conf, "nodes", name, "--ignore-not-found")
    return parse((*own, *kubectl.items(host, conf, OF_NODE, "-A")), name, whole=False)


PROBES: tuple[Probe, ...] = (Probe(LiveObjects, read_objects), Probe(ServerVersion, read_version))
