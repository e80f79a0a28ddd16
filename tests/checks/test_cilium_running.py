"""Cilium's agent and operator, seen running and not."""

from __future__ import annotations

from dataclasses import replace

from caasctl.checks import cilium_running
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.nodes import Condition, Node
from caasctl.syntax.live.others import Workload
from caasctl.syntax.live.pods import Container, Ended, Pod

READY = (Condition("Ready", "True"),)
AGENTS = Workload("DaemonSet", "kube-system", "cilium", 1, 1)
OPERATOR = Workload("Deployment", "kube-system", "cilium-operator", 1, 1)
NODE = Node("node1", READY)
OBJECTS = LiveObjects(asked=True, name="node1", nodes=(NODE,), workloads=(AGENTS, OPERATOR))
AGENT = Pod("kube-system", "cilium-x", "u1", "node1", "Running", labels={"k8s-app": "cilium"}, conditions=READY)
SECOND = Pod("kube-system", "cilium-operator-b", "u2", "", "Pending", labels={"io.cilium/app": "operator", "name": "cilium-operator"},
             conditions=(Condition("PodScheduled", "False", "Unschedulable",
                                   "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."),))  # fmt: skip
FIRST = replace(SECOND, name="cilium-operator-a", node="node1", conditions=READY)


def judge(objects: LiveObjects, *pods: Pod) -> list[Finding]:
    return list(findings(cilium_running.running, Facts([objects, LivePods(True, "node1", True, pods)]), load()))


def test_an_agent_and_an_operator_that_are_ready_pass() -> None:
    agent, operator = judge(OBJECTS, AGENT, FIRST)
    assert (agent.level, operator.level, operator.found) == (Level.PASS, Level.PASS, "1 of 1 ready")
    assert judge(LiveObjects(), AGENT) == judge(replace(OBJECTS, whole=False), AGENT) == []


def test_without_cilium_a_node_that_is_not_ready_lacks_it_and_one_that_is_has_another_network() -> None:
    objects = replace(OBJECTS, workloads=())
    waits = replace(objects, nodes=(Node("node1", (Condition("Ready", "False"),)),))
    assert judge(waits) == judge(objects) == []

    def installed(found: LiveObjects) -> list[Finding]:
        return list(findings(cilium_running.installed, Facts([found]), load()))

    assert [one.level for one in installed(OBJECTS)] == [Level.PASS]
    assert installed(objects) == installed(LiveObjects()) == installed(replace(waits, whole=False)) == []
    assert [(one.level, one.found) for one in installed(waits)] == [(Level.FAIL, "no DaemonSet cilium")]


def test_an_agent_that_crashes_says_where_its_log_is() -> None:
    crash = Container("cilium-agent", waiting="CrashLoopBackOff", restarts=5, last=Ended(1, "Error"))
    agent, _ = judge(OBJECTS, replace(AGENT, conditions=(), containers=(crash,)), FIRST)
    assert agent.level is Level.FAIL
    assert agent.fix
    assert agent.fix.text == "kubectl -n kube-system logs cilium-x -c cilium-agent --previous"
    none, _ = judge(OBJECTS, replace(AGENT, node="node2"), FIRST)
    assert none.found == "no agent on node1"


def test_a_second_operator_on_a_single_node_has_no_ports_and_does_no_harm() -> None:
    _, operator = judge(replace(OBJECTS, workloads=(AGENTS, replace(OPERATOR, wanted=2))), AGENT, FIRST, SECOND)
    assert (operator.level, operator.found[:13]) == (Level.WARN, "1 of 2 ready:")
    assert "didn't have free ports" in operator.found
    assert operator.fix
    assert operator.fix.text == "kubectl -n kube-system scale deployment cilium-operator --replicas=1"


def test_without_an_operator_nodes_get_no_addresses() -> None:
    _, gone = judge(replace(OBJECTS, workloads=(AGENTS,)), AGENT)
    assert (gone.level, gone.found) == (Level.FAIL, "no Deployment cilium-operator")
    _, ill = judge(replace(OBJECTS, workloads=(AGENTS, replace(OPERATOR, ready=0))), AGENT, SECOND)
    assert (ill.level, ill.found[:18]) == (Level.FAIL, "cilium-operator-b:")
    _, no_pod = judge(replace(OBJECTS, workloads=(AGENTS, replace(OPERATOR, ready=0))), AGENT)
    assert no_pod.found == "0 of 1 ready"
