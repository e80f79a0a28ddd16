"""What a drain makes of pods: which it moves, what they leave behind, and which budgets hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import Enum
from typing import Any

from caasctl.frozen import dataclass
from caasctl.syntax.live.shape import Item, at, each, place, text, texts, whole

_MIRROR = "kubernetes.io/config.mirror"
_CLOSED = "node.kubernetes.io/unschedulable"


class Kind(str, Enum):
    """How a drain treats a pod, as kubectl's filters have it."""

    MIRROR = "mirror"  # of a static pod: stays
    DAEMON = "daemon"  # of a DaemonSet: stays
    DONE = "done"  # has ended
    BARE = "bare"  # nobody makes it again
    OWNED = "owned"


@dataclass(frozen=True)
class Moved:
    """A pod on a node. scratch: its emptyDir volumes. paths: of the host, that it writes or reads. claims: of its volumes.

    returns: it tolerates a node that is closed for pods, so that its like may come back there, as Cilium's operator does.
    """

    namespace: str
    name: str
    kind: Kind
    owner: str = ""
    scratch: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = False
    returns: bool = False

    @property
    def full(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def goes(self) -> bool:
        """Whether a drain takes it away."""
        return self.kind in (Kind.DONE, Kind.BARE, Kind.OWNED)


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget. selector: None selects nothing. allowed: disruptions now; healthy of wanted pods are there."""

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int = 0
    healthy: int = 0
    wanted: int = 0
    always: bool = False  # unhealthyPodEvictionPolicy: AlwaysAllow

    @property
    def full(self) -> str:
        return f"{self.namespace}/{self.name}"

    def selects(self, pod: Moved) -> bool:
        return pod.namespace == self.namespace and self.selector is not None and matches(self.selector, pod.labels)

    def holds(self, pod: Moved) -> bool:
        """Whether the API server would refuse to evict the pod now."""
        if not pod.goes or pod.kind is Kind.DONE or not self.selects(pod) or self.allowed > 0:
            return False
        return pod.ready or not (self.always or self.healthy >= self.wanted > 0)


def parse_pod(item: Item) -> Moved:
    namespace, name = place(item)
    owner = next((one for one in each(item, "metadata", "ownerReferences") if one.get("controller") is True), {})
    volumes = tuple(each(item, "spec", "volumes"))
    ready = any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in each(item, "status", "conditions")
    )
    return Moved(
        namespace,
        name,
        _kind(item, owner),
        f"{text(owner, 'kind')}/{text(owner, 'name')}" if owner else "",
        tuple(text(one, "name") for one in volumes if "emptyDir" in one),
        tuple(text(one, "hostPath", "path") for one in volumes if "hostPath" in one),
        tuple(filter(None, (text(one, "persistentVolumeClaim", "claimName") for one in volumes))),
        texts(item, "metadata", "labels"),
        ready,
        any(_tolerates_all(one) for one in each(item, "spec", "tolerations")),
    )


def _tolerates_all(toleration: Item) -> bool:
    key, effect = text(toleration, "key"), text(toleration, "effect")
    return effect in ("", "NoSchedule") and (key == _CLOSED or (not key and toleration.get("operator") == "Exists"))


def left(pods: Iterable[Moved], *, closed: bool) -> tuple[Moved, ...]:
    """What a drain would still move. closed: the node takes no pods, so that those which are there and return have come back."""
    return tuple(pod for pod in pods if pod.goes and not (closed and pod.returns))


def _kind(item: Item, owner: Item) -> Kind:
    if _MIRROR in at(item, "metadata", "annotations"):
        return Kind.MIRROR
    if text(item, "status", "phase") in ("Succeeded", "Failed"):
        return Kind.DONE
    if not owner:
        return Kind.BARE
    return Kind.DAEMON if owner.get("kind") == "DaemonSet" else Kind.OWNED


def parse_budget(item: Item) -> Budget:
    spec = at(item, "spec")
    selector = spec.get("selector")
    return Budget(
        *place(item),
        selector if isinstance(selector, Mapping) else None,
        whole(item, "status", "disruptionsAllowed"),
        whole(item, "status", "currentHealthy"),
        whole(item, "status", "desiredHealthy"),
        text(spec, "unhealthyPodEvictionPolicy") == "AlwaysAllow",
    )


def local_claims(items: tuple[Item, ...]) -> frozenset[tuple[str, str]]:
    """(namespace, name) of claims whose volume lies on a node's own disk, of a list of PersistentVolumes."""
    found = (at(one, "spec", "claimRef") for one in items if at(one, "spec").keys() & {"local", "hostPath"})
    return frozenset((text(one, "namespace"), text(one, "name")) for one in found if one)


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector of the API; one without terms selects all."""
    if any(labels.get(key) != value for key, value in texts(selector, "matchLabels").items()):
        return False
    return all(_met(term, labels) for term in each(selector, "matchExpressions"))


def _met(term: Item, labels: Mapping[str, str]) -> bool:
    key, operator, values = text(term, "key"), term.get("operator"), term.get("values")
    among = labels.get(key) in (values if isinstance(values, list) else ())
    known = {"In": among, "NotIn": not among, "Exists": key in labels, "DoesNotExist": key not in labels}
    return known.get(str(operator), True)  # one that is not known: the budget counts
