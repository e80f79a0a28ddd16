"""Pods that do not run, and whose matter that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import DOCTOR_CHECKS
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.nodes import Condition
from caasctl.syntax.live.pods import Container, Ended, Event, Pod

APP = Container("app", "docker.io/library/busybox:1.37")
POD = Pod("tenant-a", "web-1", "u1", "node1", "Pending", containers=(APP,), owner="ReplicaSet/web-7d9c8b6f5")
READY = (Condition("Ready", "True"),)
BACK_OFF = 'Back-off pulling image "busybox:nope": ErrImagePull: '


def judge(check_id: str, *pods: Pod, events: tuple[Event, ...] = (), asked: bool = True) -> list[Finding]:
    (check,) = (check for check in DOCTOR_CHECKS if check.id == check_id)
    return list(findings(check, Facts([LivePods(asked, "node1", True, pods, events)]), load()))


def waiting(reason: str, message: str = "", **more: object) -> Pod:
    return replace(POD, containers=(replace(APP, waiting=reason, message=message, **more),))  # type: ignore[arg-type]


def event(reason: str, message: str, pod: Pod = POD) -> Event:
    return Event("Pod", pod.namespace, pod.name, reason, message, "node1")


def unplaced(message: str) -> Pod:
    return replace(POD, node="", conditions=(Condition("PodScheduled", "False", "Unschedulable", message),))


def test_pods_that_run_or_are_done_or_leave_or_begin_are_well() -> None:
    pods = (
        replace(POD, conditions=READY),
        replace(POD, phase="Succeeded"),
        replace(POD, leaving=True),
        waiting("ContainerCreating"),
    )
    (found,) = judge("kubernetes.pods", *pods)
    assert judge("kubernetes.pods_own", *pods) == [
        replace(found, id="kubernetes.pods_own", title="Tenants' pods ask for what there is")
    ]
    assert (found.level, found.found) == (Level.PASS, "3 run or are done, 1 are being started")
    for name in ("kubernetes.pods", "kubernetes.pods_own", "kubernetes.system_pods"):
        assert judge(name) == judge(name, *pods, asked=False) == []


NODES = {
    "sandbox": (POD, event("FailedCreatePodSandBox", 'no runtime for "kata-qemu" is configured'), "sandbox"),
    "mount": (POD, event("FailedMount", "MountVolume.SetUp failed for volume: rpc error"), "mount a volume"),
    "account": (POD, event("FailedMount", 'configmap "kube-root-ca.crt" not found'), "controller manager"),
    "registry": (waiting("ImagePullBackOff", BACK_OFF + "dial tcp: lookup docker.io: no such host"), None, "does not reach the registry"),
    "registry in the event": (waiting("ImagePullBackOff", "Back-off pulling image"), event("Failed", "Failed to pull image: i/o timeout"), "does not reach the registry"),
    "certificate": (waiting("ErrImagePull", "x509: certificate signed by unknown authority"), None, "does not trust"),
    "disk": (waiting("ErrImagePull", "write /var/lib/containerd: no space left on device"), None, "disk is full"),
    "runtime": (waiting("RunContainerError", "failed to create shim task: Creating watcher returned error"), None, "could not start"),
    "shim": (waiting("CrashLoopBackOff", "", restarts=2, last=Ended(128, "StartError", "failed to create shim task")), None, "could not start"),
    "admission": (replace(POD, phase="Failed", reason="UnexpectedAdmissionError", message="no healthy devices present"), None, "did not take"),
    "evicted": (replace(POD, phase="Failed", reason="Evicted", message="low on resource: ephemeral-storage"), None, "ran short"),
    "not ready": (unplaced("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."), None, "No node is ready"),
    "devices": (unplaced("0/1 nodes are available: 1 Insufficient nvidia.com/pgpu."), None, "device plugin"),
    "control plane": (unplaced("1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }."), None, "only node"),
    "new": (waiting("SomethingNew", "of 2030"), None, "cannot run it"),
}  # fmt: skip


@pytest.mark.parametrize(("pod", "about", "cause"), NODES.values(), ids=NODES)
def test_what_the_node_cannot_do_fails(pod: Pod, about: Event | None, cause: str) -> None:
    (found,) = judge("kubernetes.pods", pod, events=(about,) if about else ())
    assert (found.level, found.subject) == (Level.FAIL, "tenant-a/web-1")
    assert cause in found.cause
    assert found.fix


OWN = {
    "no image": (waiting("ImagePullBackOff", BACK_OFF + "docker.io/library/busybox:nope: not found"), "ImagePullBackOff", "busybox"),
    "no name": (waiting("InvalidImageName", "couldn't parse image name"), "InvalidImageName", "mend the image's name"),
    "no secret": (waiting("CreateContainerConfigError", 'secret "db" not found'), "CreateContainerConfigError", "get secrets"),
    "no program": (waiting("CrashLoopBackOff", "", restarts=3, last=Ended(128, "StartError", 'exec: "serve": executable file not found in $PATH: unknown')),
                   "StartError", "command and args"),
    "no CPU": (unplaced("0/1 nodes are available: 1 Insufficient cpu."), "0/1 nodes", "resources.requests"),
    "no volume": (unplaced("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."), "0/1", "get storageclass"),
    "no node": (unplaced("1 node(s) didn't match Pod's node affinity/selector."), "1 node(s)", "nodeSelector"),
}  # fmt: skip


@pytest.mark.parametrize(("pod", "said", "fix"), OWN.values(), ids=OWN)
def test_what_the_pod_asks_for_wrongly_is_no_failure_of_the_node(pod: Pod, said: str, fix: str) -> None:
    assert judge("kubernetes.pods", pod) == []
    (found,) = judge("kubernetes.pods_own", pod)
    assert found.level is Level.WARN
    assert found.found.startswith(said)
    assert found.fix
    assert fix in found.fix.text


def test_an_application_that_ends_by_itself_is_said_with_where_its_log_is() -> None:
    crash = waiting("CrashLoopBackOff", "back-off 5m0s", restarts=14, last=Ended(1, "Error"))
    (found,) = judge("kubernetes.pods", crash)
    assert (found.level, found.subject) == (Level.PASS, "tenant-a/web-1")
    assert found.found == (
        "not the node's matter: container app started and ended by itself with exit code 1, 14 times; its own log says why:"
        " kubectl -n tenant-a logs web-1 -c app --previous"
    )
    assert judge("kubernetes.pods_own", crash) == []
    (memory,) = judge("kubernetes.pods", waiting("CrashLoopBackOff", "", restarts=3, last=Ended(137, "OOMKilled")))
    assert "container app took more memory than its limit (OOMKilled), 3 times" in memory.found


def test_between_two_crashes_it_is_no_other_matter_and_a_missing_secret_of_a_volume_is_the_pods_own() -> None:
    again = replace(POD, phase="Running", containers=(replace(APP, running=True, restarts=3, last=Ended(2, "Error")),))
    assert "exit code 2, 3 times" in judge("kubernetes.pods", again)[0].found
    mount = (event("FailedMount", 'MountVolume.SetUp failed: secret "tls" not found'),)
    assert judge("kubernetes.pods", POD, events=mount) == []
    assert judge("kubernetes.pods_own", POD, events=mount)[0].level is Level.WARN
    probe = replace(POD, phase="Running", containers=(replace(APP, running=True),))
    (found,) = judge("kubernetes.pods", probe, events=(event("Unhealthy", "Readiness probe failed: HTTP 503"),))
    assert found.level is Level.PASS
    assert "Unhealthy: Readiness probe failed: HTTP 503" in found.found


def test_a_pod_of_the_system_fails_whosever_matter_it_is_and_cilium_has_a_check_of_its_own() -> None:
    crash = replace(waiting("CrashLoopBackOff", "", restarts=9, last=Ended(1, "Error")), namespace="gpu-operator")
    (found,) = judge("kubernetes.system_pods", crash)
    assert (found.level, found.subject) == (Level.FAIL, "gpu-operator/web-1")
    agent = replace(crash, namespace="kube-system", labels={"k8s-app": "cilium"})
    operator = replace(agent, labels={"io.cilium/app": "operator", "name": "cilium-operator"})
    assert judge("kubernetes.system_pods", agent, operator) == []
    assert judge("kubernetes.pods", crash) == []


def test_replicas_that_fail_alike_are_one_finding_and_other_nodes_pods_are_not_this_hosts() -> None:
    other = replace(POD, name="web-2", uid="u2")
    away = replace(POD, name="web-3", node="node2")
    events = tuple(event("FailedCreatePodSandBox", f"sandbox of {pod.name}", pod) for pod in (POD, other, away))
    (found,) = judge("kubernetes.pods", POD, other, away, events=events)
    assert found.found.endswith("(and 1 more of ReplicaSet/web-7d9c8b6f5)")
