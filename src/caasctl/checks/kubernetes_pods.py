"""Pods that do not run: those of the cluster itself, and tenants' as far as the node is to blame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, Level, check, failed, passed
from caasctl.needs.live import pods_here
from caasctl.profile import NodeProfile
from caasctl.syntax.live.pods import Pod
from caasctl.syntax.live.why import Whose, Why, why

_SYSTEM = re.compile(
    r"(kube-.*|.*-system|.*-operator|caasctl.*|nvidia.*|kata.*|cilium.*|node-feature-discovery|local-path-storage)"
)
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
        yield from _judged(
            [pod for pod in pods_here(facts) if _of_system(pod) and not _of_cilium(pod)], facts, all_count=True
        )


@check(
    "kubernetes.pods",
    "Tenants' pods start, as far as the node is to blame",
    reads=(LivePods,),
    why="The node takes a pod and then cannot run it: no sandbox, no volume, no device, no way to the registry.",
    fix="`caasctl doctor pod/NAME -n NAMESPACE` follows one pod's start to where it breaks.",
    source="https://kubernetes.io/docs/tasks/debug/debug-application/debug-pods/",
)
def pods(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of `kubectl get pods` and events: pods of other namespaces on this node, or on none. What ended by itself, or asks for what is not there, is a warning."""
    if facts[LivePods].asked:
        yield from _judged([pod for pod in pods_here(facts) if not _of_system(pod)], facts, all_count=False)


def _of_system(pod: Pod) -> bool:
    return _SYSTEM.fullmatch(pod.namespace) is not None


def _of_cilium(pod: Pod) -> bool:
    """cilium.running judges these."""
    return any(pod.labels.get(key) in names for key, names in _CILIUM.items())


def _judged(among: list[Pod], facts: Facts, *, all_count: bool) -> Iterator[Finding]:
    """One finding for the replicas that fail alike."""
    found: dict[tuple[str, ...], list[tuple[Pod, Why]]] = {}
    for pod in among:
        reason = why(pod, facts[LivePods].about(pod))
        if reason and reason.whose is not Whose.WAITING:
            key = (pod.namespace, pod.owner or pod.name, reason.whose, reason.stage, reason.cause)
            found.setdefault(key, []).append((pod, reason))
    for group in list(found.values())[:_MANY]:
        yield _finding(group, all_count=all_count)
    if among and not found:
        waiting = sum(not pod.well for pod in among)
        yield passed(f"{len(among) - waiting} run or are done" + (f", {waiting} are being started" if waiting else ""))


def _finding(group: list[tuple[Pod, Why]], *, all_count: bool) -> Finding:
    pod, reason = group[0]
    more = f" (and {len(group) - 1} more of {pod.owner})" if len(group) > 1 else ""
    ours = reason.whose is Whose.NODE or all_count
    words = {Whose.APPLICATION: "the application's own: ", Whose.AUTHOR: "the pod's own: "}.get(reason.whose, "")
    finding = failed(
        f"{'' if ours else words}{reason.said[:_SHOWN]}{more}",
        wanted="running",
        subject=pod.full,
        cause=reason.cause,
        fix=Fix(reason.fix or f"kubectl -n {pod.namespace} describe pod {pod.name}"),
        evidence=(Evidence(f"pod {pod.full}", reason.said),),
    )
    return finding if ours else replace(finding, level=Level.WARN)


CHECKS: tuple[Check, ...] = (system_pods, pods)
