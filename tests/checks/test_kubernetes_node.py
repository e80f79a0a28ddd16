"""The node's conditions, seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import DOCTOR_CHECKS
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.network import Address, Link, Links
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.nodes import Condition, Node

READY = Condition("Ready", "True", "KubeletReady", "kubelet is posting ready status", "2026-08-15T10:03:05Z")
NODE = Node("node1", (Condition("DiskPressure", "False"), READY), (("InternalIP", "192.0.2.10"),))
NO_CNI = Condition(
    "Ready", "False", "KubeletNotReady",
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error:"
    " cni plugin not initialized", "2026-08-15T10:00:00Z")  # fmt: skip
LINKS = Links((Link("eth0", addresses=(Address("192.0.2.10", 24),)),))


def judge(
    check_id: str, *nodes: Node, name: str = "node1", links: Links | None = None, asked: bool = True
) -> list[Finding]:
    (check,) = (check for check in DOCTOR_CHECKS if check.id == check_id)
    known: list[object] = [LiveObjects(asked, True, name, nodes)]
    return list(findings(check, Facts([*known, links] if links else known), load()))


def test_a_ready_node_passes_and_before_there_is_a_cluster_there_is_nothing_to_say() -> None:
    for name in ("kubernetes.node_ready", "kubernetes.node_pressure"):
        assert [one.level for one in judge(name, NODE)] == [Level.PASS]
        assert judge(name, asked=False) == []


@pytest.mark.parametrize(
    ("condition", "cause", "fix"),
    [
        (NO_CNI, "no network plugin", "caasctl init-node --phase cilium"),
        (Condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."), "kubelet does not run", "systemctl status kubelet"),
        (Condition("Ready", "False", "KubeletNotReady", "[container runtime is down, PLEG is not healthy: pleg was last seen active 4m ago]"),
         "containerd does not answer", "systemctl status containerd"),
        (Condition("Ready", "False", "KubeletNotReady", "something new"), "has a taint", "journalctl -u kubelet"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_ready_says_why(condition: Condition, cause: str, fix: str) -> None:
    (found,) = judge("kubernetes.node_ready", replace(NODE, conditions=(condition,)))
    assert (found.level, found.subject) == (Level.FAIL, "node1")
    assert condition.message in found.found
    assert cause in found.cause
    assert found.fix
    assert fix in found.fix.text


def test_a_node_without_its_network_is_not_ready() -> None:
    network = Condition("NetworkUnavailable", "True", "NoRouteCreated", "Node created without a route")
    (found,) = judge("kubernetes.node_ready", replace(NODE, conditions=(READY, network)))
    assert found.level is Level.FAIL
    assert "NoRouteCreated" in found.found


def test_this_host_is_found_by_its_address_where_its_name_is_another() -> None:
    other = replace(NODE, name="node2", addresses=(("InternalIP", "192.0.2.11"),), conditions=(NO_CNI,))
    assert judge("kubernetes.node_ready", other, NODE, name="host1", links=LINKS)[0].level is Level.PASS
    (found,) = judge("kubernetes.node_ready", other, name="host1", links=LINKS)
    assert found.level is Level.FAIL
    assert found.found == "no node host1: the cluster has node2"
    assert judge("kubernetes.node_ready", name="host1")[0].found == "no node host1: the cluster has none"


def test_pressure_and_a_cordon_are_said_by_themselves() -> None:
    disk = Condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure")
    pressed = judge("kubernetes.node_pressure", replace(NODE, conditions=(disk, READY), closed=True))
    assert [(one.level, one.subject) for one in pressed] == [(Level.FAIL, "DiskPressure"), (Level.WARN, "node1")]
    assert pressed[0].fix
    assert "df -h" in pressed[0].fix.text
    assert judge("kubernetes.node_pressure", name="host1") == []
