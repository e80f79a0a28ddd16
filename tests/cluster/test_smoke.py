"""caasctl smoke on a node of stand-ins: its script really run, by a busybox; guests of Kata stood in for."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.host import ADMIN, Host, Programs
from tests.cluster.test_cluster import GPU, KATA, cluster
from tests.cluster.test_init_node import CONVERGED, init, said
from tests.cluster.test_interrupts import inside

pytestmark = [pytest.mark.root, pytest.mark.slow]
KUBECTL = f"kubectl --kubeconfig {ADMIN}"
PROVEN, FAILED, BROKEN, BUSY, STOPPED = 0, 1, 3, 6, 130


@pytest.fixture(scope="module")
def node(found: Programs) -> Iterator[Host]:
    host = Host(found)
    done = init(host)
    assert done.returncode == CONVERGED, said(done)
    assert cluster(host, *GPU).returncode == CONVERGED
    host.put("handlers", "runc kata-qemu kata-clh kata-qemu-nvidia-gpu")
    yield host
    host.close()


@pytest.fixture(autouse=True)
def clean(node: Host) -> Iterator[None]:
    yield
    node.sh("rm -f /var/lib/standin/fail/* /var/lib/standin/set/resources /var/lib/standin/set/functions")
    assert spaces(node) == []
    assert not node.path("/run/caasctl/stage/smoke").exists()


def spaces(host: Host) -> list[str]:
    return [one["metadata"]["name"] for one in host.get("namespaces")["items"] if "smoke" in one["metadata"]["name"]]


def smoke(host: Host, *words: str) -> tuple[subprocess.CompletedProcess[str], dict[tuple[str, str], Any]]:
    done = host.caasctl("smoke", *KATA, *words, "-o", "json")
    found = json.loads(done.stdout)["results"] if done.stdout else []
    return done, {(one["id"], one["subject"]): one for one in found}


def levels(found: dict[tuple[str, str], Any], subject: str) -> dict[str, str]:
    return {name: one["level"] for (name, about), one in found.items() if about == subject}


def test_each_handler_proves_its_kernel_the_names_and_the_service_network(node: Host) -> None:
    done, found = smoke(node)
    assert done.returncode == PROVEN, said(done)
    every = dict.fromkeys(("smoke.kernel", "smoke.names", "smoke.runs", "smoke.service_network"), "pass")
    assert all(levels(found, handler) == every for handler in ("runc", "kata-qemu", "kata-clh"))
    release = os.uname().release
    assert found["smoke.kernel", "runc"]["found"] == f"{release}, the host's"
    assert found["smoke.kernel", "kata-qemu"]["found"].endswith(f"a kernel of its own (host: {release})")
    assert found["smoke.storage", ""]["level"] == "warn"
    text = node.caasctl("smoke", *KATA)
    assert "Every pod proved what it was to prove" in said(text)
    assert "read-only" not in text.stdout


def test_a_gpu_is_seen_in_the_guest_or_it_is_said_that_it_is_not(node: Host) -> None:
    done, found = smoke(node, *GPU, "--gpu")
    assert done.returncode == FAILED
    assert found["smoke.resources", ""]["found"] == "nothing of nvidia.com"
    node.put("resources", "nvidia.com/pgpu 2\nnvidia.com/nvswitch 4\n")
    node.put("functions", "330")
    node.until(f"{KUBECTL} get nodes -o json | grep -q pgpu")
    done, found = smoke(node, *GPU, "--gpu")
    assert done.returncode == PROVEN, said(done)
    assert found["smoke.gpu", "nvidia.com/pgpu"]["found"] == "0000:01:00.0 [10de:2331]"
    node.fail("no-gpu-in-guest", "yes")
    done, found = smoke(node, *GPU, "--gpu")
    assert done.returncode == FAILED
    assert found["smoke.gpu", "nvidia.com/pgpu"]["level"] == "fail"
    assert "GPUs were not tried" in said(node.caasctl("smoke", *GPU))


@pytest.mark.parametrize(
    ("name", "text", "failing", "words"),
    [
        ("no-guest", "yes", {"smoke.kernel"}, "shares? the host's kernel"),
        ("names", "yes", {"smoke.names"}, "CoreDNS does not answer"),
        ("service-network", "10.1.0.77", {"smoke.service_network"}, "hostNamespaceOnly"),
    ],
)
def test_what_is_not_proven_fails_with_its_cause(
    node: Host, name: str, text: str, failing: set[str], words: str
) -> None:
    node.fail(name, text)
    done, found = smoke(node)
    assert done.returncode == FAILED, said(done)
    assert {key for key, level in levels(found, "kata-qemu").items() if level == "fail"} == failing
    assert any(re.search(words, one["cause"]) for one in found.values())


def test_a_sandbox_a_pull_and_a_class_that_fail_are_said_in_words(node: Host) -> None:
    node.fail("sandbox", "kata-clh failed to create containerd task: failed to create shim task: host system doesn't support vsock: "
              "stat /dev/vhost-vsock: no such file or directory")  # fmt: skip
    node.sh(f"{KUBECTL} delete runtimeclass kata-qemu")
    done, found = smoke(node)
    assert done.returncode == FAILED
    clh, qemu = found["smoke.runs", "kata-clh"], found["smoke.runs", "kata-qemu"]
    assert clh["found"] == "a kernel module of KVM's guests is missing"
    assert "stat /dev/vhost-vsock" in clh["cause"]
    assert qemu["found"] == "there is no RuntimeClass kata-qemu in the cluster"
    assert levels(found, "runc")["smoke.runs"] == "pass"
    assert cluster(node, *GPU).returncode == CONVERGED
    node.fail("image", "mirror.example/busybox")
    done, found = smoke(node, "--image", "mirror.example/busybox:1", "--set", "runtimes=[runc]")
    assert done.returncode == FAILED
    assert found["smoke.runs", "runc"]["found"] == "the registry's name cannot be resolved"
    assert "--image" in found["smoke.runs", "runc"]["fix"]["text"]


def test_a_node_without_the_label_and_gpus_that_are_taken(node: Host) -> None:
    node.put("resources", "nvidia.com/pgpu 1\n")
    node.until(f"{KUBECTL} get nodes -o json | grep -q pgpu")
    node.sh(f"{KUBECTL} label node node1 caasctl.io/kata-clh-")
    node.write(
        "/root/tenant.yaml", json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant"}})
    )
    taken = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs", "namespace": "tenant"},
             "spec": {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/pgpu": "1"}}}]}}  # fmt: skip
    node.write("/root/taken.yaml", json.dumps(taken))
    node.sh(f"{KUBECTL} create -f /root/tenant.yaml -f /root/taken.yaml")
    node.until(f"{KUBECTL} -n tenant get pod theirs -o json | grep -q nodeName")
    done, found = smoke(node, *GPU, "--gpu")
    assert done.returncode == FAILED
    assert found["smoke.runs", "kata-clh"]["found"] == "no node has the labels that the pod asks for"
    fix = found["smoke.runs", "kata-clh"]["fix"]["text"]
    assert f"`caasctl init-node {shlex.join([*KATA, *GPU])} --phase cluster`" in fix
    assert found["smoke.runs", "nvidia.com/pgpu"]["level"] == "unknown"
    assert cluster(node, *GPU).returncode == CONVERGED
    done, found = smoke(node, *GPU, "--gpu")
    assert done.returncode == BUSY, said(done)
    node.sh(f"{KUBECTL} delete namespace tenant")


def test_ctrl_c_takes_the_pods_away_and_so_does_the_next_run_after_a_kill(node: Host) -> None:
    node.fail("names", "yes")
    process = node.start(sys.executable, "-m", "caasctl", "smoke", *KATA)
    node.until(f"{KUBECTL} get pods -A -l caasctl.io/smoke=true -o json | grep -q Running")
    os.kill(inside(process), signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == STOPPED, out + err
    assert "stopping: the pods are taken away" in err
    assert spaces(node) == []
    process = node.start(sys.executable, "-m", "caasctl", "smoke", *KATA)
    node.until(f"{KUBECTL} get pods -A -l caasctl.io/smoke=true -o json | grep -q Running")
    node.kill(process)
    left = spaces(node)
    assert len(left) == 1
    node.mend("names")
    node.until("flock -n /run/caasctl/lock true", 60)
    done, _ = smoke(node)
    assert done.returncode == PROVEN, said(done)
    assert f"takes away what an earlier run left: {left[0]}" in done.stderr


def test_a_pod_that_somebody_deletes_is_not_proven_and_another_nodes_run_is_left_alone(node: Host) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "smoke-of-node2", "labels": {"caasctl.io/smoke": "node2"}},
    }
    node.write("/root/theirs.json", json.dumps(theirs))
    node.sh(f"{KUBECTL} create -f /root/theirs.json")
    node.fail("names", "yes")
    process = node.start(sys.executable, "-m", "caasctl", "smoke", "--set", "runtimes=[runc, kata-qemu]", "-o", "json")
    node.until(f"{KUBECTL} get pods -A -l caasctl.io/smoke=true -o json | grep -q Running")
    node.sh(f"{KUBECTL} -n {spaces(node)[0]} delete pod kata-qemu --wait=false")
    node.mend("names")
    out, err = process.communicate(timeout=90)
    assert process.returncode == FAILED, out + err
    found = {(one["id"], one["subject"]): one for one in json.loads(out)["results"]}
    assert found["smoke.runs", "kata-qemu"]["found"] == "somebody took its pod away"
    assert levels(found, "runc")["smoke.runs"] == "pass"
    assert spaces(node) == ["smoke-of-node2"]
    node.sh(f"{KUBECTL} delete namespace smoke-of-node2")


def test_the_namespace_goes_though_the_files_do_not(node: Host) -> None:
    stage = "/run/caasctl/stage/smoke"
    node.fail("names", "yes")
    process = node.start(sys.executable, "-m", "caasctl", "smoke", "--set", "runtimes=[runc]")
    node.until(f"{KUBECTL} get pods -A -l caasctl.io/smoke=true -o json | grep -q Running")
    node.sh(f"mount -t tmpfs none {stage}")
    node.mend("names")
    out, err = process.communicate(timeout=90)
    assert process.returncode != PROVEN, out + err
    assert spaces(node) == []
    node.sh(f"umount {stage}; rm -r {stage}")


def test_an_api_server_that_goes_away_is_said_with_what_stays(node: Host) -> None:
    node.fail("names", "yes")
    process = node.start(sys.executable, "-m", "caasctl", "smoke", *KATA)
    node.until(f"{KUBECTL} get pods -A -l caasctl.io/smoke=true -o json | grep -q Running")
    node.sh("mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/away")
    node.until(f"! {KUBECTL} get nodes", 20)
    _, err = process.communicate(timeout=100)
    assert process.returncode == BROKEN, err
    assert "kubectl delete namespace caasctl-smoke-" in err
    node.sh("mv /root/away /etc/kubernetes/manifests/kube-apiserver.yaml")
    node.until(f"{KUBECTL} get nodes", 30)
    node.mend("names")
    assert smoke(node, "--set", "runtimes=[runc]")[0].returncode == PROVEN


def test_where_there_is_no_cluster_it_says_so(found: Programs) -> None:
    host = Host(found)
    try:
        done = host.caasctl("smoke")
        assert done.returncode == FAILED
        assert "this host is in no cluster yet" in said(done)
        assert host.calls("kubectl") == []
        host.write("/etc/kubernetes/kubelet.conf", "")
        worker = host.caasctl("smoke")
        assert worker.returncode == FAILED
        assert "smoke proves control planes only, and this host is a worker" in said(worker)
    finally:
        host.close()
