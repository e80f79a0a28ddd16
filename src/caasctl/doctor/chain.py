"""A pod's start, link by link, up to the first that is broken: what `caasctl doctor pod/NAME` follows."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.diagnosis import Link
from caasctl.doctor.chain_devices import device_steps
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, Level, UsageError
from caasctl.needs.live import Step, fits, node_of, runtime_steps
from caasctl.profile import NodeProfile
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.live.pods import Event, Pod
from caasctl.syntax.live.why import Stage, Whose, Why, why

ID, TITLE = "kubernetes.pod", "The pod starts and is ready"
_SHOWN = 600  # characters of a message
# What the kubelet does with a pod, in its order: admission, volumes, sandbox, images, containers, probes.
_STAGES = (Stage.ADMITTED, Stage.VOLUMES, Stage.SANDBOX, Stage.IMAGE, Stage.STARTED, Stage.READY)
_OWN = {
    Whose.APPLICATION: "This is the application's own matter, not the node's.",
    Whose.AUTHOR: "This is a matter of the pod's own definition, not the node's.",
}


def pod_name(text: str) -> str:
    """NAME of `pod/NAME` or `NAME`. Raises UsageError for what names another kind, or nothing."""
    kind, slash, name = text.rpartition("/")
    if (slash and kind not in ("pod", "pods", "po")) or not name or "/" in kind:
        raise UsageError(
            f"{text!r} names no pod",
            cause="doctor follows the start of one pod: it takes pod/NAME or NAME",
            fix="name one of its pods: `kubectl get pods -A` lists them; then caasctl doctor pod/NAME -n NAMESPACE",
        )
    return name


def pod_chain(facts: Facts, profile: NodeProfile, namespace: str, name: str) -> tuple[tuple[Link, ...], Finding | None]:
    """The links that apply, the last one broken where one is; and what is to be done about that one."""
    steps: list[Step] = []
    for step in _steps(facts, profile, namespace, name):
        steps.append(step)
        if step.broken:
            break
    links = tuple(Link(step.name, step.found[:_SHOWN], step.broken, step.unknown) for step in steps)
    return links, _finding(steps[-1], facts, namespace, name) if steps[-1].broken else None


def _finding(last: Step, facts: Facts, namespace: str, name: str) -> Finding:
    pods = facts.get(LivePods)
    pod = pods.pod(namespace, name) if pods else None
    runs = "it runs now, and would not start again: " if pod and pod.ready else ""
    return Finding(
        Level.WARN if runs else Level.FAIL,
        f"{runs}{last.name}: {last.found}"[:_SHOWN],
        wanted="ready",
        subject=f"{namespace}/{name}",
        cause=last.cause or f"A pod's start ends at its first broken link: {last.name}.",
        fix=_fix(last.fix or f"kubectl -n {namespace} describe pod {name}"),
        fixed_by="",
        evidence=tuple(_evidence(pods.about(pod))) if pods and pod else (),
        id=ID,
        title=TITLE,
        topic="kubernetes",
    )


def _fix(text: str) -> Fix:
    return Fix(text, FixKind.EDIT if "`" in text else FixKind.COMMAND)


def _evidence(events: tuple[Event, ...]) -> Iterator[Evidence]:
    for one in events[:3]:
        yield Evidence(f"event {one.at}".strip(), f"{one.reason}: {one.message}"[:_SHOWN])


def _steps(facts: Facts, profile: NodeProfile, namespace: str, name: str) -> Iterator[Step]:
    pods = facts.get(LivePods)
    if pods is None or not pods.asked:
        unread = facts.unread().get(LivePods, "this host is no node of a cluster: there is no kubeconfig")
        yield Step("pod", f"could not be asked for: {unread}", unknown=True)
        return
    pod = pods.pod(namespace, name)
    if pod is None:
        yield _no_pod(pods, namespace, name)
        return
    yield Step("pod", f"{pod.full}, {pod.phase or 'no phase yet'}" + (f", of {pod.owner}" if pod.owner else ""))
    node, events = node_of(facts), pods.about(pod)
    reason = why(pod, events)
    yield from _placed(facts, profile, pod, reason, node)
    if not pod.node:
        return
    here = node is None or pod.node == node.name
    if here:
        yield from _runtime(facts, pod, node)
        yield from device_steps(facts, profile, pod, node)
    yield from _claims(facts, pod)
    yield from _started(pod, reason)


def _no_pod(pods: LivePods, namespace: str, name: str) -> Step:
    if not pods.whole:
        return Step(
            "pod", f"no {namespace}/{name} on this node; of other nodes' pods not all could be read", unknown=True
        )
    elsewhere = [pod.namespace for pod in pods.pods if pod.name == name]
    near = [pod.full for pod in pods.pods if pod.namespace == namespace and pod.name.startswith(name)]
    hint = (
        f"one of that name is in {', '.join(elsewhere)}"
        if elsewhere
        else f"there is {', '.join(near[:5])}"
        if near
        else ""
    )
    return Step("pod", f"no pod {name} in namespace {namespace}" + (f": {hint}" if hint else ""), broken=True, cause=hint or "It was never made, or is gone.",
                fix=f"caasctl doctor pod/{name} -n {elsewhere[0]}" if elsewhere else f"kubectl -n {namespace} get pods,events")  # fmt: skip


def _placed(facts: Facts, profile: NodeProfile, pod: Pod, reason: Why | None, node: Node | None) -> Iterator[Step]:
    if not pod.node:
        yield _unplaced(facts, profile, pod, reason, node)
    elif node and pod.node != node.name:
        yield Step("scheduled", f"to {pod.node}")
        yield Step(
            "node",
            f"{pod.node}, not this host ({node.name}): what lies on that host is not seen from here",
            unknown=True,
        )
    else:
        yield Step("scheduled", f"to {pod.node}" + (", this host" if node else ""))


def _unplaced(facts: Facts, profile: NodeProfile, pod: Pod, reason: Why | None, node: Node | None) -> Step:
    """Where it is for want of a device, why the node has none to give is the cause that helps."""
    if reason is None or not pod.unplaced:
        return Step("scheduled", "not yet: the scheduler has said nothing of it", unknown=True)
    cause, fix = reason.cause, reason.fix
    if "insufficient" in pod.unplaced.lower():
        device = next((step for step in device_steps(facts, profile, pod, node) if step.broken), None)
        cause, fix = (f"{device.name}: {device.found}. {device.cause}", device.fix) if device else (cause, fix)
    claim = next((step for step in _claims(facts, pod) if step.broken), None)
    if claim and "persistentvolumeclaim" in pod.unplaced.lower():
        cause, fix = f"{claim.found}. {claim.cause}", claim.fix
    return Step("scheduled", pod.unplaced, broken=True, cause=cause, fix=fix)


def _runtime(facts: Facts, pod: Pod, node: Node | None) -> Iterator[Step]:
    objects = facts.get(LiveObjects)
    if not pod.runtime_class:
        return
    one = objects.runtime_class(pod.runtime_class) if objects else None
    if objects is None or not objects.asked:
        yield Step("RuntimeClass", pod.runtime_class, unknown=True)
    elif one is None:
        have = ", ".join(each.name for each in objects.classes) or "none"
        yield Step("RuntimeClass", f"no {pod.runtime_class}, only {have}", broken=True,
                   cause=f'The kubelet cannot start it: `RuntimeClass "{pod.runtime_class}" not found`.', fix="caasctl init-node --phase cluster")  # fmt: skip
    elif not fits(one, node):
        labels = ",".join(f"{key}={value}" for key, value in one.selector.items())
        yield Step("RuntimeClass", f"{one.name} is for nodes with {labels}, which this one has not", broken=True,
                   cause="The node does not have what the class leads to, by its labels.", fix=f"kubectl label node {pod.node} {labels.replace(',', ' ')}")  # fmt: skip
    else:
        yield Step("RuntimeClass", f"{one.name}, handler {one.handler}")
        yield from runtime_steps(facts, one.handler)


def _claims(facts: Facts, pod: Pod) -> Iterator[Step]:
    objects = facts.get(LiveObjects)
    if not pod.claims:
        return
    if objects is None or not objects.whole:
        yield Step("volumes bound", f"claims {', '.join(pod.claims)} could not be looked at", unknown=True)
        return
    claims = {one.name: one for one in objects.claims if one.namespace == pod.namespace}
    for name in pod.claims:
        claim = claims.get(name)
        if claim is None:
            yield Step("volumes bound", f"no PersistentVolumeClaim {name} in {pod.namespace}", broken=True,
                       cause="The pod waits for a claim that nobody made.", fix=f"kubectl -n {pod.namespace} get pvc; make it, or mend the name")  # fmt: skip
        elif claim.phase != "Bound":
            have = ", ".join(f"{one.name}{' (default)' if one.default else ''}" for one in objects.storage) or "none"
            asks = (
                "names no StorageClass"
                if claim.storage_class is None
                else f"names StorageClass {claim.storage_class or 'none at all'}"
            )
            yield Step("volumes bound", f"PersistentVolumeClaim {name} is {claim.phase or 'not bound'}", broken=True,
                       cause=f"It {asks}; the cluster has {have}.", fix=f"kubectl -n {pod.namespace} describe pvc {name}")  # fmt: skip
    yield Step("volumes bound", ", ".join(pod.claims))


def _started(pod: Pod, reason: Why | None) -> Iterator[Step]:
    """The stages that the kubelet has done, and the one where it stands."""
    if reason is None:
        yield Step("sandbox created", "yes")
        yield Step("containers started", ", ".join(one.name for one in pod.containers) or "yes")
        yield Step("ready", "done" if pod.phase == "Succeeded" else "is being removed" if pod.leaving else "yes")
        return
    at = _STAGES.index(reason.stage) if reason.stage in _STAGES else 0
    for stage in _STAGES[:at]:
        if not (stage is Stage.VOLUMES and not pod.claims) and stage is not Stage.ADMITTED:
            yield Step(stage.value, "yes")
    if reason.whose is Whose.WAITING:
        yield Step(reason.stage.value, f"{reason.said}: no warning says why it is not yet", unknown=True)
    else:
        own = _OWN.get(reason.whose, "")
        yield Step(
            reason.stage.value,
            reason.said,
            broken=True,
            cause=" ".join(filter(None, (reason.cause, own))),
            fix=reason.fix,
        )
