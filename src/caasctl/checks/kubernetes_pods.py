"""Pods that do not run: those of the cluster itself, and tenants' as far as the node is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, Level, check, failed, passed
from caasctl.needs.live import pods_here
from caasctl.profile import NodeProfile
from caasctl.syntax.live.pods import Pod
from caasctl.syntax.live.why import Whose, Why, of_system, why

_CILIUM = {"k8s-app": ("cilium", "cilium-envoy"), "io.cilium/app": ("operator",), "name": ("cilium-operator",)}
_SHOWN = 300  # characters of a message; what varies in it stands at its end
_MANY = 10


@check(
    "kubernetes.system_pods",
    "The pods of Kubernetes and of its operators run",
    reads=(LivePods,),
    why="Without them a cluster has no names (CoreDNS), no devices (device plugins) and no handlers (kata-deploy), and other pods fail"
    " for reasons that do not name them.",
    fix="`kubectl describe pod` and `kubectl logs --previous` of the pod; what the node lacks is named by other checks.",
    source="https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
)
def system_pods(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of `kubectl get pods` and events: pods of kube-system and operators' namespaces on this node, or on none."""
    if facts[LivePods].asked:
        among = [pod for pod in pods_here(facts) if of_system(pod.namespace) and not _of_cilium(pod)]
        yield from _judged(among, facts, failing=tuple(Whose))


@check(
    "kubernetes.pods",
    "Tenants' pods start, as far as the node is to blame",
    reads=(LivePods,),
    why="The node takes a pod and then cannot run it: no sandbox, no volume, no device, no way to the registry.",
    fix="`caasctl doctor pod/NAME -n NAMESPACE` follows one pod's start to where it breaks.",
    source="https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
)
def pods(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of `kubectl get pods` and events: pods of other namespaces on this node, or on none. An application that ends by itself is no
    failure.
    """
    if facts[LivePods].asked:
        yield from _judged(_of_tenants(facts), facts, failing=(Whose.NODE,))


@check(
    "kubernetes.pods_own",
    "Tenants' pods ask for what there is",
    reads=(LivePods,),
    why="An image with a typing error, a Secret that nobody made or more CPU than there is keep a pod from starting on any node.",
    fix="Mend the pod's definition, or bring what it asks for.",
    source="https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
)
def pods_own(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """What kubernetes.pods looks at: images, commands, Secrets, ConfigMaps, claims, limits and selectors that pods name."""
    if facts[LivePods].asked:
        for finding in _judged(_of_tenants(facts), facts, failing=(Whose.AUTHOR,)):
            if finding.level is Level.FAIL:
                yield replace(finding, level=Level.WARN)
            elif not finding.subject:
                yield finding


def _of_tenants(facts: Facts) -> list[Pod]:
    return [pod for pod in pods_here(facts) if not of_system(pod.namespace)]


def _of_cilium(pod: Pod) -> bool:
    """cilium.running judges these."""
    return any(pod.labels.get(key) in names for key, names in _CILIUM.items())


def _judged(among: list[Pod], facts: Facts, *, failing: tuple[Whose, ...]) -> Iterator[Finding]:
    """One finding for the replicas that fail alike; one that says so for an application that ended by itself."""
    found: dict[tuple[str, ...], list[tuple[Pod, Why]]] = {}
    for pod in among:
        reason = why(pod, facts[LivePods].about(pod))
        if reason and reason.whose is not Whose.WAITING:
            key = (pod.namespace, pod.owner or pod.name, reason.whose, reason.stage, reason.cause)
            found.setdefault(key, []).append((pod, reason))
    for group in list(found.values())[:_MANY]:
        if group[0][1].whose in failing:
            yield _failed(group)
        elif group[0][1].whose is Whose.APPLICATION:
            yield _by_itself(group)
    if among and not found:
        waiting = sum(not pod.well for pod in among)
        yield passed(f"{len(among) - waiting} run or are done" + (f", {waiting} are being started" if waiting else ""))


def _failed(group: list[tuple[Pod, Why]]) -> Finding:
    pod, reason = group[0]
    more = f" (and {len(group) - 1} more of {pod.owner})" if len(group) > 1 else ""
    return failed(
        f"{reason.said[:_SHOWN]}{more}",
        wanted="running",
        subject=pod.full,
        cause=reason.cause,
        fix=Fix(reason.fix or f"kubectl -n {pod.namespace} describe pod {pod.name}"),
        evidence=(Evidence(f"pod {pod.full}", reason.said),),
    )


def _by_itself(group: list[tuple[Pod, Why]]) -> Finding:
    pod, reason = group[0]
    return passed(
        f"not the node's matter: {reason.said[:_SHOWN]}; its own log says why: {reason.fix}", subject=pod.full
    )


CHECKS: tuple[Check, ...] = (system_pods, pods, pods_own)
