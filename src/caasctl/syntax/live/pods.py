"""Pods: where they are, what their containers do or did last, and what they ask of devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.syntax.live.nodes import Condition, conditions
from caasctl.syntax.live.shape import Item, at, each, message, place, text, texts, when, whole

_KEPT = ("cdi.k8s.io/", "io.katacontainers.")
_GPUS = "NVIDIA_VISIBLE_DEVICES"
_ON_THE_WAY = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Ended:
    """How a run of a container ended. code: 128 + the signal's number where one ended it. at: UTC, ISO 8601."""

    code: int
    reason: str = ""
    message: str = ""
    at: str = ""


@dataclass(frozen=True)
class Container:
    """limits: of devices (names with a slash). gpus: its NVIDIA_VISIBLE_DEVICES, "" without. waiting, message: why it does
    not run, as the kubelet has it (CrashLoopBackOff). ended: now; last: how the run before ended.
    """

    name: str
    image: str = ""
    init: bool = False
    ready: bool = False
    running: bool = False
    restarts: int = 0
    limits: Mapping[str, str] = field(default_factory=dict)
    gpus: str = ""
    waiting: str = ""
    message: str = ""
    ended: Ended | None = None
    last: Ended | None = None

    @property
    def held(self) -> bool:
        """Waits for something that went wrong, not for its turn."""
        return bool(self.waiting) and self.waiting not in _ON_THE_WAY

    @property
    def end(self) -> Ended | None:
        return self.ended or self.last


@dataclass(frozen=True)
class Pod:
    """annotations: of CDI and Kata. claims: of its volumes. owner: as `ReplicaSet/web-7d9`, "" without. began: of the kubelet."""

    namespace: str
    name: str
    uid: str = ""
    node: str = ""
    phase: str = ""
    runtime_class: str = ""
    reason: str = ""
    message: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    conditions: tuple[Condition, ...] = ()
    claims: tuple[str, ...] = ()
    owner: str = ""
    pull_secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    host_network: bool = False
    began: str = ""
    leaving: bool = False

    @property
    def full(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def ready(self) -> bool:
        return self.condition("Ready").status == "True"

    @property
    def well(self) -> bool:
        """Ready, done, or on its way out."""
        return self.ready or self.phase == "Succeeded" or self.leaving

    @property
    def unplaced(self) -> str:
        """Why the scheduler found no node, in its words; "" where it did, or has not said."""
        placed = self.condition("PodScheduled")
        return placed.message or placed.reason if placed.status == "False" else ""

    def condition(self, kind: str) -> Condition:
        return next((one for one in self.conditions if one.kind == kind), Condition(kind))

    def limits(self) -> dict[str, str]:
        """Devices that its containers ask for."""
        return {key: value for one in self.containers for key, value in one.limits.items() if value != "0"}


def parse_pod(item: Item) -> Pod:
    namespace, name = place(item)
    owner = next(each(item, "metadata", "ownerReferences"), {})
    notes = texts(item, "metadata", "annotations")
    return Pod(
        namespace,
        name,
        text(item, "metadata", "uid"),
        text(item, "spec", "nodeName"),
        text(item, "status", "phase"),
        text(item, "spec", "runtimeClassName"),
        text(item, "status", "reason"),
        message(item, "status", "message"),
        {key: value for key, value in notes.items() if key.startswith(_KEPT)},
        tuple(_containers(item)),
        conditions(item),
        tuple(filter(None, (text(one, "persistentVolumeClaim", "claimName") for one in each(item, "spec", "volumes")))),
        f"{text(owner, 'kind')}/{text(owner, 'name')}" if owner else "",
        tuple(text(one, "name") for one in each(item, "spec", "imagePullSecrets")),
        texts(item, "metadata", "labels"),
        at(item, "spec").get("hostNetwork") is True,
        when(at(item, "status").get("startTime")),
        "deletionTimestamp" in at(item, "metadata"),
    )


def _containers(item: Item) -> Iterator[Container]:
    for kind, told in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        status = {text(one, "name"): one for one in each(item, "status", told)}
        for one in each(item, "spec", kind):
            yield _container(one, status.get(text(one, "name"), {}), init=kind != "containers")


def _container(spec: Item, status: Item, *, init: bool) -> Container:
    limits = texts(spec, "resources", "limits")
    return Container(
        text(spec, "name"),
        text(spec, "image"),
        init,
        status.get("ready") is True,
        "running" in at(status, "state"),
        whole(status, "restartCount"),
        {key: value for key, value in limits.items() if "/" in key},
        next((text(one, "value") for one in each(spec, "env") if one.get("name") == _GPUS), ""),
        text(status, "state", "waiting", "reason"),
        message(status, "state", "waiting", "message"),
        _ended(at(status, "state", "terminated")),
        _ended(at(status, "lastState", "terminated")),
    )


def _ended(item: Item) -> Ended | None:
    if not item:
        return None
    return Ended(whole(item, "exitCode"), text(item, "reason"), message(item, "message"), when(item.get("finishedAt")))


@dataclass(frozen=True)
class Event:
    """A warning about an object. node: whose kubelet says it, "" for others. times: how often. at: the last time, UTC."""

    kind: str
    namespace: str
    name: str
    reason: str
    message: str
    node: str = ""
    times: int = 1
    at: str = ""
    uid: str = ""


def parse_event(item: Item) -> Event:
    """Of events both as components write them now (eventTime, series) and as they did before (lastTimestamp, count)."""
    series, about = at(item, "series"), at(item, "involvedObject")
    component = text(item, "source", "component") or text(item, "reportingComponent")
    return Event(
        text(about, "kind"),
        text(about, "namespace") or ("" if text(about, "kind") == "Node" else text(item, "metadata", "namespace")),
        text(about, "name"),
        text(item, "reason"),
        message(item, "message"),
        text(item, "source", "host") or (text(item, "reportingInstance") if component == "kubelet" else ""),
        max(whole(item, "count"), whole(series, "count"), 1),
        when(series.get("lastObservedTime"), item.get("lastTimestamp"), item.get("eventTime"), item.get("firstTimestamp"),
             at(item, "metadata").get("creationTimestamp")),
        text(about, "uid"),
    )  # fmt: skip


def warning(item: Item) -> bool:
    return item.get("type") == "Warning"
