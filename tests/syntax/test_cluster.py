"""Whose an object is and which fields of it are ours; why a pod does not run; what kubectl and smoke's pods say."""

from __future__ import annotations

from typing import Any

import pytest

from caasctl.model import Level
from caasctl.syntax.cluster import kubectl, smoke
from caasctl.syntax.cluster.owned import differences, is_ours, part, writers
from caasctl.syntax.cluster.pods import refused, trouble

WANTED: dict[str, Any] = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "kata-qemu", "labels": {"app.kubernetes.io/managed-by": "caasctl"}},
    "handler": "kata-qemu",
    "overhead": {"podFixed": {"memory": "320Mi", "cpu": "250m"}},
}


def live(**more: Any) -> dict[str, Any]:
    """As `kubectl get --show-managed-fields` prints it."""
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}}, "f:handler": {},
              "f:overhead": {"f:podFixed": {"f:memory": {}, "f:cpu": {}}}}  # fmt: skip
    entry = {"manager": "caasctl", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}
    meta = {"uid": "1", "resourceVersion": "7", **WANTED["metadata"], "managedFields": [entry]}
    return {**WANTED, "metadata": meta, **more}


def test_what_the_api_server_adds_is_no_difference() -> None:
    assert is_ours(live())
    assert differences(live(), WANTED) == ()
    assert part(live(), WANTED) == WANTED


def test_a_changed_a_missing_and_a_field_that_is_no_longer_wanted_differ() -> None:
    changed = live(overhead={"podFixed": {"memory": "2Gi", "cpu": "250m"}})
    assert differences(changed, WANTED) == ("overhead.podFixed.memory: '2Gi', wanted '320Mi'",)
    missing = live(overhead={"podFixed": {"cpu": "250m"}})
    assert differences(missing, WANTED) == ("overhead.podFixed.memory: not there, wanted '320Mi'",)
    less = {**WANTED, "overhead": {"podFixed": {"cpu": "250m"}}}
    assert differences(live(), less) == ("overhead.podFixed.memory: '320Mi', no longer wanted",)


def test_what_others_added_stays_theirs() -> None:
    labelled = live()
    labelled["metadata"]["labels"] = {**labelled["metadata"]["labels"], "team": "a"}
    labelled["metadata"]["managedFields"].append(
        {"manager": "kubectl-label", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}}
    )
    labelled["metadata"]["managedFields"].append({"manager": "kubelet", "subresource": "status", "fieldsV1": {}})
    assert differences(labelled, WANTED) == ()
    assert writers(labelled) == ("kubectl-label",)


def test_an_object_without_our_mark_is_somebody_elses() -> None:
    theirs = {
        "kind": "RuntimeClass",
        "metadata": {"name": "kata-qemu", "managedFields": [{"manager": "helm"}]},
        "handler": "kata-qemu",
    }
    assert not is_ours(theirs)
    assert writers(theirs) == ("helm",)
    assert is_ours({"metadata": {"name": "x", "labels": {"app.kubernetes.io/managed-by": "caasctl"}}})


def test_lists_are_told_apart_by_their_keys() -> None:
    def pod(*containers: dict[str, Any]) -> dict[str, Any]:
        return {"kind": "DaemonSet", "metadata": {"name": "x"}, "spec": {"containers": list(containers)}}

    mounts = [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]
    wanted = pod({"name": "one", "image": "i", "volumeMounts": mounts})
    there = pod({"name": "side", "image": "s"}, {"name": "one", "image": "i", "terminationMessagePath": "/dev/termination-log",
                                                 "volumeMounts": [*reversed(mounts), {"name": "t", "mountPath": "/t"}]})  # fmt: skip
    assert differences(there, wanted) == ()
    other = pod({"name": "one", "image": "other", "volumeMounts": mounts[:1]})
    assert differences(other, wanted) == (
        "spec.containers[one].image: 'other', wanted 'i'",
        "spec.containers[one].volumeMounts[/b].mountPath: not there, wanted '/b'",
        "spec.containers[one].volumeMounts[/b].name: not there, wanted 'a'",
    )


def pod(**status: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "kata-qemu", "uid": "u1"}, "status": {"phase": "Pending", **status}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return pod(containerStatuses=[{"name": "smoke", "state": {"waiting": {"reason": reason, "message": message}}}])


def event(reason: str, message: str, at: str = "2026-11-26T00:00:01Z", uid: str = "u1") -> dict[str, Any]:
    return {"kind": "Event", "metadata": {"name": "e"}, "type": "Warning", "reason": reason, "message": message,
            "lastTimestamp": at, "involvedObject": {"uid": uid}}  # fmt: skip


SANDBOX = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to "
CASES = (
    (waits("ErrImagePull", 'failed to resolve reference "r.example/x:1": dial tcp: lookup r.example on 192.0.2.1:53: no such host'), (), "name cannot be resolved"),
    (waits("ImagePullBackOff", 'Back-off pulling image "x"'), (), "the image cannot be pulled"),
    (waits("ErrImagePull", "429 Too Many Requests - toomanyrequests"), (), "limits pulls"),
    (pod(), (event("FailedCreatePodSandBox", SANDBOX + 'get sandbox runtime: no runtime for "kata-qemu" is configured'),), "containerd has no handler kata-qemu"),
    (pod(), (event("FailedCreatePodSandBox", SANDBOX + "create containerd task: failed to create shim task: host system doesn't support vsock: stat /dev/vhost-vsock: no such file"),), "kernel module"),
    (pod(), (event("FailedCreatePodSandBox", SANDBOX + "start sandbox: timed out connecting to vsock 12:1024"),), "did not boot in time"),
    (pod(), (event("FailedCreatePodSandBox", SANDBOX + "x: group 12 is not viable"),), "not on vfio-pci"),
    (pod(), (event("FailedCreatePodSandBox", SANDBOX + "create containerd task: failed to create shim task: something new"),), "shim does not start"),
    (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}]), (), "no node has the labels"),
    (pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 node(s) had untolerated taint {x: y}."}]), (), "taint"),
    (waits("CreateContainerConfigError", "something nobody knows"), (), "it does not start"),
)  # fmt: skip


@pytest.mark.parametrize(("item", "events", "words"), CASES)
def test_a_pod_that_does_not_run_says_why(item: dict[str, Any], events: tuple[dict[str, Any], ...], words: str) -> None:
    found = trouble(item, events)
    assert found
    assert words in found.problem
    assert found.cause
    assert found.fix
    assert not found.busy
    assert "{" not in found.problem + found.fix.replace("{x: y}", "")


def test_what_is_taken_by_others_is_busy() -> None:
    said = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/pgpu.",
    }
    found = trouble(pod(conditions=[said]), ())
    assert found
    assert found.busy
    assert "no nvidia.com/pgpu is free" in found.problem


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ("1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }", "has a taint"),
        ("1 node(s) were unschedulable", "is cordoned"),
        ("1 Insufficient cpu", "not enough cpu"),
    ],
)
def test_what_keeps_this_node_out_is_said_and_not_that_the_others_have_another_name(here: str, words: str) -> None:
    others = "2 node(s) didn't match Pod's node affinity/selector"
    said = event("FailedScheduling", f"0/3 nodes are available: {here}, {others}.")
    found = trouble(pod(), (said,))
    assert found
    assert words in found.problem
    alone = trouble(pod(), (event("FailedScheduling", f"0/3 nodes are available: 3 {others[2:]}."),))
    assert alone
    assert "no node has the labels" in alone.problem


def test_a_pod_that_only_takes_its_time_has_no_trouble() -> None:
    assert trouble(waits("ContainerCreating"), (event("FailedMount", "x", uid="other"),)) is None
    assert trouble({"kind": "Pod", "metadata": {"name": "x"}}, ()) is None


def test_the_newest_event_counts() -> None:
    old = event("FailedScheduling", "1 Insufficient memory", "2026-11-26T00:00:01Z")
    new = event("FailedCreatePodSandBox", 'no runtime for "x" is configured', "2026-11-26T00:00:09Z")
    found = trouble(pod(), (new, old))
    assert found
    assert "no handler x" in found.problem


def test_why_a_pod_had_no_node_is_past_once_it_has_one() -> None:
    old = event("FailedScheduling", "1 Insufficient nvidia.com/pgpu")
    assert trouble(pod(), (old,))
    assert trouble(pod(conditions=[{"type": "PodScheduled", "status": "True"}]), (old,)) is None


def test_what_an_event_says_moves_when_it_is_said_again_and_a_state_does_not() -> None:
    first = event("FailedCreatePodSandBox", "group 12 is not viable", "2026-11-26T00:00:01Z")
    later = {**first, "lastTimestamp": "2026-11-26T00:00:13Z"}
    again = {**later, "count": 3}
    seen = [found.said_at for each in (first, later, again) if (found := trouble(pod(), (each,)))]
    assert len(set(seen)) == 3
    state = trouble(waits("ErrImagePull", "x"), (first,))
    assert state
    assert state.said_at == ""


def test_a_refused_pod_says_why() -> None:
    assert (
        "no RuntimeClass kata-qemu"
        in refused('pods "x" is forbidden: pod rejected: RuntimeClass "kata-qemu" not found').problem
    )
    assert refused("something else").cause == "something else"


@pytest.mark.parametrize(
    ("text", "problem", "fix"),
    [
        ('error: Apply failed with 1 conflict: conflict with "kubectl-edit" using node.k8s.io/v1: .handler\nPlease review', "belong to kubectl-edit", "kubectl-edit"),
        ("The connection to the server 10.1.0.5:6443 was refused - did you specify the right host or port?", "does not answer", "crictl"),
        ("Unable to connect to the server: dial tcp 10.1.0.5:6443: connect: connection refused", "does not answer", "crictl"),
        ('Error from server (Forbidden): daemonsets.apps "x" is forbidden: unable to create new content in namespace y because it is being terminated', "being deleted", "wait"),
        ('Error from server (InternalError): admission webhook "v.example" denied the request: no', "the webhook v.example", "v.example"),
        ("", "kubectl failed", "mend"),
    ],
)  # fmt: skip
def test_what_the_api_server_refuses_is_said_with_a_way_on(text: str, problem: str, fix: str) -> None:
    told = kubectl.refusal(text)
    assert problem in told.problem
    assert fix in told.fix
    assert told.cause


HOST = smoke.Host("6.12.1", "aaaa")
GOOD = "kernel 6.18.35\nboot bbbb\nnames ok\napi ok\npci 0000:00:00.0 0x8086 0x060000 0x29c0\nend\n"


def levels(handler: str, text: str, resource: str = "") -> dict[str, Level]:
    return {one.id: one.level for one in smoke.proven(handler, resource, text, HOST)}


def test_a_guest_has_another_boot_id_and_runc_the_hosts() -> None:
    assert set(levels("kata-qemu", GOOD).values()) == {Level.PASS}
    assert levels("runc", GOOD)["smoke.kernel"] is Level.FAIL
    hosts = GOOD.replace("bbbb", "aaaa")
    assert set(levels("runc", hosts).values()) == {Level.PASS}
    assert levels("kata-qemu", hosts)["smoke.kernel"] is Level.FAIL
    same_version = GOOD.replace("6.18.35", "6.12.1")
    assert levels("kata-qemu", same_version)["smoke.kernel"] is Level.PASS
    unread = GOOD.replace("boot bbbb", "boot")
    assert levels("kata-qemu", unread)["smoke.kernel"] is Level.PASS
    assert levels("kata-qemu", unread.replace("6.18.35", "6.12.1"))["smoke.kernel"] is Level.FAIL
    assert levels("kata-qemu", "names ok\napi ok\nend\n")["smoke.kernel"] is Level.FAIL


def test_names_network_and_gpus_are_told_apart() -> None:
    broken = GOOD.replace("names ok", "names failed ;; connection timed out").replace(
        "api ok", "api failed nc: refused"
    )
    found = {one.id: one for one in smoke.proven("kata-qemu", "", broken, HOST)}
    assert found["smoke.names"].found == "failed ;; connection timed out"
    assert found["smoke.service_network"].level is Level.FAIL
    assert levels("kata-qemu-nvidia-gpu", GOOD, "nvidia.com/pgpu")["smoke.gpu"] is Level.FAIL
    card = GOOD.replace("end\n", "pci 0000:01:00.0 0x10de 0x030200 0x2331\nend\n")
    assert levels("kata-qemu-nvidia-gpu", card, "nvidia.com/pgpu")["smoke.gpu"] is Level.PASS
    for domain, level in (("amd.com", Level.PASS), ("example.com", Level.PASS), ("nvidia.com", Level.FAIL)):
        amd = GOOD.replace("end\n", "pci 0000:01:00.0 0x1002 0x120000 0x74a1\nend\n")
        assert levels("kata-qemu-nvidia-gpu", amd, f"{domain}/gpu")["smoke.gpu"] is level
    switch = GOOD.replace("end\n", "pci 0000:01:00.0 0x10de 0x068000 0x22a3\nend\n")
    assert levels("kata-qemu-nvidia-gpu", switch, "nvidia.com/pgpu")["smoke.gpu"] is Level.FAIL


@pytest.mark.parametrize("text", ["", "kernel 6.18.35\nboot bbbb\n", "sh: nslookup: not found\n"])
def test_a_pod_that_ended_early_proves_nothing(text: str) -> None:
    assert levels("kata-qemu", text) == {"smoke.runs": Level.FAIL}
