"""Whether a cluster's network is up, by objects as kubectl prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from caasctl.model import Unreadable
from caasctl.syntax.cluster_health import Agent, Item, agent, obstacle, parse_items, ready_here, trouble

ADDRESS = "192.0.2.10"


def node(name: str = "cp1", address: str = ADDRESS, ready: str = "True", said: str = "") -> Item:
    status = {"addresses": [{"type": "InternalIP", "address": address}],
              "conditions": [{"type": "Ready", "status": ready, "message": said}]}  # fmt: skip
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


def daemonset(
    *, wanted: int = 1, renewed: int = 1, ready: int = 1, generation: int = 1, seen: int = 1, **meta: Any
) -> Item:
    status = {
        "desiredNumberScheduled": wanted,
        "updatedNumberScheduled": renewed,
        "numberReady": ready,
        "observedGeneration": seen,
    }
    spec = {"template": {"spec": {"containers": [{"image": "quay.io/cilium/cilium:v1.20.5"}]}}}
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "cilium", "generation": generation, **meta},
        "spec": spec,
        "status": status,
    }


def deployment(name: str, available: int = 1, replicas: int = 1) -> Item:
    status = {"availableReplicas": available} if available else {}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas}, "status": status}


GOOD = (daemonset(), deployment("cilium-operator"), deployment("coredns"))


@pytest.mark.parametrize(
    ("nodes", "workloads", "said"),
    [
        ((node(),), GOOD, ""),
        ((node(),), GOOD[:2], ""),
        ((node(),), (), "no daemonset cilium"),
        ((node(),), (daemonset(seen=1, generation=2), *GOOD[1:]), "cilium is being placed"),
        ((node(),), (daemonset(wanted=0), *GOOD[1:]), "cilium is being placed"),
        ((node(),), (daemonset(renewed=0), *GOOD[1:]), "cilium 0/1 renewed"),
        ((node(),), (daemonset(ready=0), *GOOD[1:]), "cilium 0/1 ready"),
        ((node(), node("w1", "192.0.2.11")), (daemonset(wanted=2, renewed=1), *GOOD[1:]), ""),
        ((node(), node("w1", "192.0.2.11", "Unknown")), (daemonset(wanted=2), *GOOD[1:]), ""),
        ((node(),), (GOOD[0], GOOD[2]), "no deployment cilium-operator"),
        ((node(),), (GOOD[0], deployment("cilium-operator", 0), GOOD[2]), "cilium-operator 0/1 available"),
        ((node(),), (GOOD[0], deployment("cilium-operator", 1, 2), GOOD[2]), ""),
        ((node(ready="False", said="no CNI"),), GOOD, "node cp1 not ready: no CNI"),
        ((node(address="192.0.2.99", ready="False"),), GOOD, "node cp1 not ready: its kubelet has not said why"),
        ((node(),), (*GOOD[:2], deployment("coredns", 0, 2)), "coredns 0/2 available"),
    ],
)
def test_the_first_thing_that_is_not_up(nodes: tuple[Item, ...], workloads: tuple[Item, ...], said: str) -> None:
    assert obstacle(nodes, workloads, ADDRESS) == said


def test_whose_the_agents_are() -> None:
    image = "quay.io/cilium/cilium:v1.20.5"
    assert agent(()) is None
    assert agent((daemonset(),)) == Agent(image, "")
    assert agent((daemonset(annotations={"meta.helm.sh/release-name": "net"}),)) == Agent(image, "net")
    assert agent((daemonset(labels={"app.kubernetes.io/managed-by": "Helm"}),)) == Agent(image, "cilium")


def pod(name: str, on: str = "cp1", ready: str = "True", **more: Any) -> Item:
    status = {"conditions": [{"type": "Ready", "status": ready}, *more.pop("conditions", ())], **more}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"k8s-app": "cilium"}},
        "spec": {"nodeName": on},
        "status": status,
    }


def test_of_several_nodes_the_agent_on_this_one_counts() -> None:
    nodes = (node(), node("w1", "192.0.2.11"))
    assert ready_here((pod("a"), pod("b", on="w1", ready="False")), nodes, ADDRESS)
    assert not ready_here((pod("a", ready="False"), pod("b", on="w1")), nodes, ADDRESS)


def test_why_a_pod_does_not_run_in_the_kubelet_s_words() -> None:
    pulling = {"name": "config", "state": {"waiting": {"reason": "ErrImagePull", "message": "dial tcp:\n i/o timeout"}}}
    assert trouble((pod("a", initContainerStatuses=[pulling]),)) == "a: ErrImagePull dial tcp: i/o timeout"
    crashed = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"message": "no bpffs"}},
    }
    assert trouble((pod("a", containerStatuses=[crashed]),)) == "a: CrashLoopBackOff no bpffs"
    begun = {"state": {"waiting": {"reason": "PodInitializing"}}}
    assert trouble((pod("a", containerStatuses=[begun]),)) == ""
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    assert trouble((pod("a", conditions=[unplaced]),)) == "a: not placed: 0/1 nodes are available"
    assert len(trouble((pod("a", initContainerStatuses=[{"state": {"waiting": {"reason": "x" * 999}}}]),))) < 310


def test_lists_single_objects_and_nothing() -> None:
    assert parse_items("", "kubectl get") == ()
    assert parse_items(json.dumps(node()), "kubectl get") == (node(),)
    assert parse_items(json.dumps({"kind": "List", "items": [node()]}), "kubectl get") == (node(),)


@pytest.mark.parametrize(
    "text", ["{", "3", "[1]", '{"items": 3}', '{"items": [1]}', '{"items": [{"metadata": 1}]}', "{}"]
)
def test_what_is_no_json_of_kubectl_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="kubectl"):
        parse_items(text, "kubectl get")
