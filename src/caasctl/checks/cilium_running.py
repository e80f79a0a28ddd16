"""Cilium's agent on this node and its operator, as they run now."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, check, failed, passed, warned
from caasctl.needs.live import node_of
from caasctl.profile import NodeProfile
from caasctl.syntax.live.pods import Pod
from caasctl.syntax.live.why import why

_NAMESPACE, _AGENT, _OPERATOR = "kube-system", "cilium", "cilium-operator"
_INSTALL = "caasctl init-node --phase cilium"
_PORTS = "have free ports"


@check(
    "cilium.installed",
    "The cluster has a network for pods",
    reads=(LiveObjects,),
    why="kubeadm brings none: until Cilium is installed nodes stay NotReady (`cni plugin not initialized`), and CoreDNS Pending.",
    fix="caasctl init-node --phase cilium",
    source="https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#pod-network",
)
def installed(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """DaemonSet cilium in kube-system; a node that is ready without it has the network of another plugin."""
    objects = facts[LiveObjects]
    if not objects.asked or not objects.whole:
        return
    node = node_of(facts)
    if objects.workload("DaemonSet", _NAMESPACE, _AGENT):
        yield passed("DaemonSet cilium")
    elif node is None or node.ready.status != "True":
        yield failed("no DaemonSet cilium", wanted="Cilium", fix=Fix(_INSTALL))


@check(
    "cilium.running",
    "Cilium's agent on this node and its operator run",
    reads=(LiveObjects, LivePods),
    why="Without its agent a node has no network for pods (`cni plugin not initialized`, the taint node.cilium.io/agent-not-ready);"
    " without the operator nodes get no addresses.",
    fix="The agent's log says what it misses: kubectl -n kube-system logs ds/cilium -c cilium-agent.",
    source="https://docs.cilium.io/en/stable/operations/troubleshooting/",
)
def running(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """DaemonSet cilium and Deployment cilium-operator in kube-system, their pods and the warnings about them."""
    objects = facts[LiveObjects]
    if not objects.asked or not objects.whole:
        return
    node = node_of(facts)
    if objects.workload("DaemonSet", _NAMESPACE, _AGENT) is None:
        return  # cilium.installed says so
    yield from _agent(facts, node.name if node else "")
    yield from _operator(facts)


def _agent(facts: Facts, node: str) -> Iterator[Finding]:
    agents = [
        pod for pod in facts[LivePods].pods if pod.namespace == _NAMESPACE and pod.labels.get("k8s-app") == _AGENT
    ]
    here = [pod for pod in agents if not node or pod.node in ("", node)]
    ill = next((pod for pod in here if not pod.well), None)
    if ill:
        yield _failed(ill, "agent", facts)
    elif not here:
        yield failed(f"no agent on {node}", wanted="an agent on each node", subject="agent",
                     cause="The DaemonSet does not place one here: a nodeSelector, a taint, or the controller manager does not run.",
                     fix=Fix("kubectl -n kube-system describe daemonset cilium"))  # fmt: skip
    else:
        yield passed(f"{here[0].name} is ready", subject="agent")


def _operator(facts: Facts) -> Iterator[Finding]:
    found = facts[LiveObjects].workload("Deployment", _NAMESPACE, _OPERATOR)
    if found is None:
        yield failed("no Deployment cilium-operator", wanted="an operator", subject="operator", fix=Fix(_INSTALL))
        return
    ill = [pod for pod in facts[LivePods].pods if _is_operator(pod) and not pod.well]
    idle = next((pod for pod in ill if _PORTS in pod.unplaced), None)
    if found.ready and idle:
        yield warned(f"{found.ready} of {found.wanted} ready: {idle.unplaced[:200]}", wanted="as many replicas as nodes that can have one",
                     subject="operator", fix=Fix(f"kubectl -n kube-system scale deployment cilium-operator --replicas={found.ready}"),
                     cause="Each replica takes ports of its host: a second one finds no place on a single node. The first does the work.",
                     evidence=(Evidence(f"pod {idle.full}", idle.unplaced),))  # fmt: skip
    elif found.ready < max(found.wanted, 1):
        first = next(iter(ill), None)
        yield _failed(first, "operator", facts) if first else failed(
            f"{found.ready} of {found.wanted} ready", wanted=f"{max(found.wanted, 1)}", subject="operator",
            fix=Fix("kubectl -n kube-system describe deployment cilium-operator"))  # fmt: skip
    else:
        yield passed(f"{found.ready} of {found.wanted} ready", subject="operator")


def _is_operator(pod: Pod) -> bool:
    return pod.namespace == _NAMESPACE and "operator" in (
        pod.labels.get("io.cilium/app"),
        pod.labels.get("name", "").removeprefix("cilium-"),
    )


def _failed(pod: Pod, subject: str, facts: Facts) -> Finding:
    reason = why(pod, facts[LivePods].about(pod))
    said, fix = (reason.said, reason.fix) if reason else ("is not ready", "")
    return failed(f"{pod.name}: {said[:300]}", wanted="ready", subject=subject, cause=reason.cause if reason else "",
                  fix=Fix(fix or f"kubectl -n {pod.namespace} describe pod {pod.name}"), evidence=(Evidence(f"pod {pod.full}", said),))  # fmt: skip


CHECKS: tuple[Check, ...] = (installed, running)
