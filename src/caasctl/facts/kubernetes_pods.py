"""Pods of the cluster with the warnings about them: what does not run, and why in the words of kubelet and scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from caasctl import kubectl
from caasctl.diagnosis import Line
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN
from caasctl.syntax.live.pods import Container, Event, Pod, parse_event, parse_pod, warning
from caasctl.syntax.live.shape import Item
from caasctl.syntax.live.why import Whose, of_system, why

MOST_PODS, MOST_EVENTS = 2000, 500
_EVENTS = ("events", "-A")
_TOO_LONG = "JSON"  # in the reason of a list that was cut, since it is more than is kept of a command's output
# Said as if all were well: by the node controller's allocator, the kubelet and the node controller.
_TELLING = ("CIDRNotAvailable", "CIDRAssignmentFailed", "SandboxChanged", "NodeNotReady")
_EVERY_START = ("InvalidDiskCapacity",)  # a kubelet says it once whenever it starts, of a healthy node too
_FIRST, _SEEN = 300, 4  # characters by which two messages are one; messages of one pod that are heard


@dataclass(frozen=True)
class LivePods:
    """asked: there is a kubeconfig. node: this host's name. whole: all pods were read; else those of this node, and with an
    administrator's kubeconfig those without a node. unread: why there are no events.

    events: warnings and what is as telling, the last ones first.
    """

    asked: bool = False
    node: str = ""
    whole: bool = True
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    unread: str = ""

    @property
    def here(self) -> bool:
        """Whether the name is a node's; else no pod can be told from those of other nodes."""
        return any(pod.node == self.node for pod in self.pods)

    def ours(self, node: str) -> bool:
        """Whether what is said of a node, or of none, is of this host."""
        return node in ("", self.node) or not self.here

    def pod(self, namespace: str, name: str) -> Pod | None:
        return next((pod for pod in self.pods if (pod.namespace, pod.name) == (namespace, name)), None)

    def about(self, pod: Pod) -> tuple[Event, ...]:
        """The warnings about a pod, not about an earlier one of its name."""
        found = (one for one in self.events if (one.kind, one.namespace, one.name) == ("Pod", pod.namespace, pod.name))
        return tuple(one for one in found if not (one.uid and pod.uid and one.uid != pod.uid))

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is said of this host's pods that are not well, and of what is no pod; what is over is not."""
        return (*self._of_pods(), *self._of_events())

    def _counts(self, pod: Pod) -> bool:
        """What a tenant's application does by itself tells nothing of the node."""
        reason = why(pod, self.about(pod))
        return reason is not None and (reason.whose is not Whose.APPLICATION or of_system(pod.namespace))

    def _of_pods(self) -> Iterator[Line]:
        for pod in self.pods:
            if self._counts(pod) and self.ours(pod.node):
                for text, when in tuple(dict.fromkeys(_said(pod)))[:_SEEN]:
                    yield Line("pod", f"pod {pod.full}", text, when)

    def _of_events(self) -> Iterator[Line]:
        ill = {(pod.namespace, pod.name) for pod in self.pods if self._counts(pod)}
        for one in self.events:
            of_pod = one.kind == "Pod"
            now = (one.namespace, one.name) in ill if of_pod else one.reason not in _EVERY_START
            if now and self.ours(one.node if of_pod or one.kind != "Node" else one.name):
                about = (
                    f"{one.kind.lower()} {one.namespace}/{one.name}"
                    if one.namespace
                    else f"{one.kind.lower()} {one.name}"
                )
                yield Line("event", f"event of {about}", f"{one.reason}: {one.message}", one.at)


def _said(pod: Pod) -> Iterator[tuple[str, str]]:
    """(message, when) of all that says why a pod is not ready."""
    if pod.reason or pod.message:
        yield f"{pod.reason}: {pod.message}", ""
    if pod.unplaced:
        yield pod.unplaced, pod.condition("PodScheduled").since
    for one in pod.containers:
        yield from _of_container(one)


def _of_container(one: Container) -> Iterator[tuple[str, str]]:
    if one.held:
        yield f"{one.waiting}: {one.message}", ""
    if one.end and one.end.code:
        yield f"{one.end.reason or 'Error'} (exit code {one.end.code}): {one.end.message}", one.end.at


def parse_pods(found: Iterable[Item], node: str) -> tuple[Pod, ...]:
    """At most MOST_PODS: those that are not well first, then this node's."""
    pods = [parse_pod(item) for item in found if item.get("kind") in ("Pod", None)]
    if len(pods) > MOST_PODS:
        pods.sort(key=lambda pod: (pod.well, pod.node not in ("", node)))
    return tuple(pods[:MOST_PODS])


def parse_events(found: Iterable[Item]) -> tuple[Event, ...]:
    """At most MOST_EVENTS, the last ones first; one that is repeated under other names once."""
    events = sorted(
        (parse_event(item) for item in found if warning(item) or item.get("reason") in _TELLING),
        key=lambda one: one.at,
        reverse=True,
    )
    once: dict[tuple[str, ...], Event] = {}
    for one in events:
        once.setdefault((one.kind, one.namespace, one.name, one.reason, one.message[:_FIRST]), one)
    return tuple(once.values())[:MOST_EVENTS]


def read_pods(host: Reader) -> LivePods:
    """Asks only on a node. Raises Unreadable."""
    conf, name = kubectl.kubeconfig_of(host), kubectl.node_name(host)
    if not conf:
        return LivePods()
    whole, found = _pods(host, conf, name)
    pods = parse_pods(found, name)
    if conf != ADMIN:
        return LivePods(True, name, whole, pods, unread="a kubelet may not see events")
    try:
        return LivePods(True, name, whole, pods, parse_events(_events(host, conf)))
    except Unreadable as unreadable:
        return LivePods(True, name, whole, pods, unread=unreadable.reason)


def _events(host: Reader, conf: str) -> tuple[Item, ...]:
    try:
        return kubectl.items(host, conf, *_EVENTS)
    except Unreadable as unreadable:
        if _TOO_LONG not in unreadable.reason:
            raise
    return kubectl.items(host, conf, *_EVENTS, "--field-selector", "type=Warning")


def _pods(host: Reader, conf: str, name: str) -> tuple[bool, tuple[Item, ...]]:
    """All of them; where they are more than can be read whole, this node's and those that have no node."""
    if conf != ADMIN:
        return False, kubectl.items(host, conf, *_of_node(name))
    try:
        return True, kubectl.items(host, conf, "pods", "-A")
    except Unreadable as unreadable:
        if _TOO_LONG not in unreadable.reason:
            raise
    return False, (*kubectl.items(host, conf, *_of_node(name)), *kubectl.items(host, conf, *_of_node("")))


def _of_node(name: str) -> tuple[str, ...]:
    return ("pods", "-A", "--field-selector", f"spec.nodeName={name}")


PROBES: tuple[Probe, ...] = (Probe(LivePods, read_pods),)
