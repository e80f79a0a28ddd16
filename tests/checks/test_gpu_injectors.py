"""Pods that name a GPU once, and twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import gpu_injectors
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.nodes import Condition
from caasctl.syntax.live.pods import Container, Pod

LIMIT = Container("cuda", limits={"nvidia.com/pgpu": "1"})
NOTE = {"cdi.k8s.io/gpu": "nvidia.com/pgpu=0"}
POD = Pod("default", "cuda", runtime_class="kata-qemu", node="node1")


def judge(*pods: Pod, asked: bool = True) -> list[Finding]:
    return list(findings(gpu_injectors.two_injectors, Facts([LivePods(asked, "node1", True, pods)]), load()))


def test_one_way_passes_whichever_it_is() -> None:
    by_limit, by_note = replace(POD, containers=(LIMIT,)), replace(POD, annotations=NOTE)
    others = replace(POD, annotations={"cdi.k8s.io/nic": "example.com/nic=0"}, containers=(LIMIT,))
    (found,) = judge(by_limit, by_note, others, POD)
    assert (found.level, found.found) == (Level.PASS, "3 pods with devices")
    assert judge(POD) == judge(by_limit, asked=False) == []


@pytest.mark.parametrize(
    ("pod", "said", "fix"),
    [
        (replace(POD, annotations=NOTE, containers=(LIMIT,)), "annotation cdi.k8s.io/gpu: nvidia.com/pgpu=0, and limit nvidia.com/pgpu: 1",
         "take the annotation cdi.k8s.io/gpu out of pod default/cuda"),
        (replace(POD, annotations=NOTE, containers=(replace(LIMIT, limits={"nvidia.com/GA102GL_A10": "1"}),), owner="Job/cuda"),
         "and limit nvidia.com/GA102GL_A10: 1", "out of Job/cuda in default"),
        (replace(POD, containers=(replace(LIMIT, gpus="all"),)), "NVIDIA_VISIBLE_DEVICES=all in container cuda, and nvidia.com/pgpu: 1",
         "take NVIDIA_VISIBLE_DEVICES out of container cuda"),
    ],
)  # fmt: skip
def test_two_ways_fail_and_are_a_warning_where_the_pod_runs(pod: Pod, said: str, fix: str) -> None:
    (found,) = judge(pod)
    assert (found.level, found.subject) == (Level.FAIL, "default/cuda")
    assert said in found.found
    assert found.fix
    assert fix in found.fix.text
    assert judge(replace(pod, conditions=(Condition("Ready", "True"),)))[0].level is Level.WARN


def test_the_hosts_own_driver_wants_the_variable() -> None:
    plain = replace(POD, runtime_class="nvidia", containers=(replace(LIMIT, gpus="all"),))
    void = replace(POD, containers=(replace(LIMIT, gpus="void"),))
    assert [one.level for one in judge(plain, void)] == [Level.PASS]
