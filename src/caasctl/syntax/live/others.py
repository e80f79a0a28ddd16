"""Workloads, RuntimeClasses, storage and services: what of them a check looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.syntax.live.shape import Item, at, each, listed, place, text, texts, whole

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_OF_SERVICE = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Workload:
    """kind: DaemonSet or Deployment. said: messages of conditions that are not as wanted."""

    kind: str
    namespace: str
    name: str
    wanted: int = 0
    ready: int = 0
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuntimeClass:
    """overhead: podFixed. selector: of the nodes that have the handler."""

    name: str
    handler: str
    overhead: Mapping[str, str] = field(default_factory=dict)
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StorageClass:
    """waits: volumes are made once a pod wants one (WaitForFirstConsumer)."""

    name: str
    provisioner: str = ""
    waits: bool = False
    default: bool = False


@dataclass(frozen=True)
class Service:
    """ips: clusterIPs, () for a headless one."""

    namespace: str
    name: str
    ips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """A slice of a service's endpoints. ready, others: how many addresses."""

    namespace: str
    service: str
    ready: int = 0
    others: int = 0


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim. storage_class: None where it names none, "" where it wants none."""

    namespace: str
    name: str
    phase: str = ""
    storage_class: str | None = None
    volume: str = ""

    @property
    def full(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_workload(item: Item) -> Workload:
    status = at(item, "status")
    if item.get("kind") == "DaemonSet":
        return Workload(
            "DaemonSet", *place(item), whole(status, "desiredNumberScheduled"), whole(status, "numberReady")
        )
    replicas = at(item, "spec").get("replicas", 1)
    said = tuple(text(one, "message") for one in each(status, "conditions") if one.get("status") == "False")
    wanted = replicas if isinstance(replicas, int) else 1
    return Workload("Deployment", *place(item), wanted, whole(status, "readyReplicas"), said)


def parse_class(item: Item) -> RuntimeClass:
    return RuntimeClass(
        place(item)[1],
        text(item, "handler"),
        texts(item, "overhead", "podFixed"),
        texts(item, "scheduling", "nodeSelector"),
    )


def parse_storage(item: Item) -> StorageClass:
    default = texts(item, "metadata", "annotations").get(_DEFAULT) == "true"
    waits = text(item, "volumeBindingMode") == "WaitForFirstConsumer"
    return StorageClass(place(item)[1], text(item, "provisioner"), waits, default)


def parse_service(item: Item) -> Service:
    spec = at(item, "spec")
    ips = listed(spec, "clusterIPs") or (text(spec, "clusterIP"),)
    return Service(*place(item), tuple(ip for ip in ips if ip not in ("", "None")))


def parse_endpoints(item: Item) -> Endpoints:
    """An endpoint without the condition is ready: discovery/v1, EndpointConditions."""
    ready = others = 0
    for one in each(item, "endpoints"):
        if at(one, "conditions").get("ready") is False:
            others += len(listed(one, "addresses"))
        else:
            ready += len(listed(one, "addresses"))
    return Endpoints(place(item)[0], texts(item, "metadata", "labels").get(_OF_SERVICE, ""), ready, others)


def parse_claim(item: Item) -> Claim:
    spec = at(item, "spec")
    named = spec.get("storageClassName")
    return Claim(
        *place(item), text(item, "status", "phase"), named if isinstance(named, str) else None, text(spec, "volumeName")
    )
