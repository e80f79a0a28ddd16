"""Whether the cluster's network is up, by what `kubectl get -o json` prints of nodes, workloads and pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable

Item = Mapping[str, Any]
READY = "ready"
_HELM_NAME = "meta.helm.sh/release-name"
_MANAGER = "app.kubernetes.io/managed-by"
_MAX_SAID = 300  # characters of a container's message


@dataclass(frozen=True)
class Agent:
    """The daemonset kube-system/cilium. release: the Helm release that it belongs to, "" where it is not Helm's."""

    image: str = ""
    release: str = ""


def parse_items(text: str, what: str) -> tuple[Item, ...]:
    """The objects of a list, or the one object; none where kubectl printed nothing. Raises Unreadable."""
    if not text.strip():
        return ()
    try:
        data = formats.parse_json(text, what)
        items = tuple(data.get("items", [data]))
    except (formats.FormatError, TypeError, AttributeError) as error:
        raise Unreadable(what, "is not the JSON of kubectl") from error
    if not all(isinstance(item, dict) and isinstance(item.get("metadata"), dict) for item in items):
        raise Unreadable(what, "is not the JSON of kubectl")
    return items


def agent(workloads: tuple[Item, ...]) -> Agent | None:
    """The daemonset that runs Cilium's agents, whoever made it; None where there is none."""
    found = _named(workloads, "DaemonSet", "cilium")
    if found is None:
        return None
    notes, labels = (found["metadata"].get(key) or {} for key in ("annotations", "labels"))
    release = str(notes.get(_HELM_NAME, "")) or ("cilium" if labels.get(_MANAGER) == "Helm" else "")
    containers = _at(found, "spec", "template", "spec").get("containers") or [{}]
    return Agent(str(containers[0].get("image", "")), release)


def obstacle(nodes: tuple[Item, ...], workloads: tuple[Item, ...], address: str) -> str:
    """What is not up yet, the first thing on the way to a working node; "" once all is. address: this node's."""
    return next(_obstacles(nodes, workloads, address), "")


def _obstacles(nodes: tuple[Item, ...], workloads: tuple[Item, ...], address: str) -> Iterator[str]:
    cilium = _named(workloads, "DaemonSet", "cilium")
    if cilium is None:
        yield "no daemonset cilium"
        return
    yield from _daemonset(cilium, alone=len(nodes) <= 1)
    yield from _deployment(workloads, "cilium-operator", required=True)
    for node in _own(nodes, address):
        ready = _condition(node, "Ready")
        if ready.get("status") != "True":
            yield f"node {_name(node)} not ready: {_short(ready.get('message') or 'its kubelet has not said why')}"
    yield from _deployment(workloads, "coredns", required=False)


def _daemonset(found: Item, *, alone: bool) -> Iterator[str]:
    """Of one node all is asked; of several a node that is away must not hold this one up."""
    status, generation = _at(found, "status"), _at(found, "metadata").get("generation", 0)
    wanted, ready = _number(status, "desiredNumberScheduled"), _number(status, "numberReady")
    if _number(status, "observedGeneration") < _whole(generation) or not wanted:
        yield f"{_name(found)} is being placed"
    elif _number(status, "updatedNumberScheduled") < (wanted if alone else 1):
        yield f"{_name(found)} {_number(status, 'updatedNumberScheduled')}/{wanted} renewed"
    elif ready < (wanted if alone else 1):
        yield f"{_name(found)} {ready}/{wanted} ready"


def _deployment(workloads: tuple[Item, ...], name: str, *, required: bool) -> Iterator[str]:
    found = _named(workloads, "Deployment", name)
    if found is None:
        if required:
            yield f"no deployment {name}"
        return
    status, wanted = _at(found, "status"), _whole(_at(found, "spec").get("replicas", 1))
    if wanted and not _number(status, "availableReplicas"):
        yield f"{name} 0/{wanted} available"


def ready_here(pods: tuple[Item, ...], nodes: tuple[Item, ...], address: str) -> bool:
    """Whether each agent on this node is ready; True where none can be told from the others."""
    names = {_name(node) for node in _own(nodes, address)}
    agents = [pod for pod in pods if _label(pod) == "cilium" and _at(pod, "spec").get("nodeName") in names]
    return all(_condition(pod, "Ready").get("status") == "True" for pod in agents)


def trouble(pods: tuple[Item, ...]) -> str:
    """Why a pod of Cilium or of the cluster's DNS does not run, in the kubelet's words; "" where none says."""
    order = {"cilium": 0, "io.cilium/app": 1, "kube-dns": 2}
    ours = sorted((pod for pod in pods if _label(pod) in order), key=lambda pod: order[_label(pod)])
    return next((f"{_name(pod)}: {said}" for pod in ours if (said := _trouble(pod))), "")


def _label(pod: Item) -> str:
    labels = _at(pod, "metadata", "labels")
    return "io.cilium/app" if "io.cilium/app" in labels else str(labels.get("k8s-app", ""))


def _trouble(pod: Item) -> str:
    status = _at(pod, "status")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting, ended = _at(container, "state", "waiting"), _at(container, "lastState", "terminated")
        reason = str(waiting.get("reason", ""))
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            said = waiting.get("message") or ended.get("message") or ""
            return _short(f"{reason} {said}".strip())
    placed = _condition(pod, "PodScheduled")
    return _short(f"not placed: {placed.get('message', '')}") if placed.get("status") == "False" else ""


def _own(nodes: tuple[Item, ...], address: str) -> tuple[Item, ...]:
    """The node with the address; where none says so, the only one there is."""
    own = tuple(
        node for node in nodes if address in {a.get("address") for a in _at(node, "status").get("addresses", ())}
    )
    return own or (nodes if len(nodes) == 1 else ())


def _named(items: tuple[Item, ...], kind: str, name: str) -> Item | None:
    return next((item for item in items if item.get("kind") == kind and _name(item) == name), None)


def _name(item: Item) -> str:
    return str(_at(item, "metadata").get("name", ""))


def _condition(item: Item, kind: str) -> Item:
    conditions = _at(item, "status").get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def _at(item: Item, *path: str) -> Item:
    for key in path:
        found = item.get(key)
        item = found if isinstance(found, Mapping) else {}
    return item


def _number(status: Item, key: str) -> int:
    return _whole(status.get(key))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _short(text: str) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= _MAX_SAID else f"{flat[: _MAX_SAID - 3]}..."
