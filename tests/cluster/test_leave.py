"""caasctl leave on a node of stand-ins: kubectl is the real one, and the cluster lives on at another address after the node has left."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from tests.cluster.documents import CLUSTER, INIT, KUBELET, changed
from tests.cluster.host import ADMIN, Host
from tests.cluster.test_init_node import CONVERGED, init, said
from tests.cluster.test_kubeadm import begun

from caasctl.syntax import kubeadm

pytestmark = [pytest.mark.root, pytest.mark.slow]
DONE, REFUSED, USAGE, FAILED, UNDETERMINED = 0, 1, 2, 3, 6
ELSEWHERE, PORT = "/opt/elsewhere", 7443
OTHER = f"{ELSEWHERE}/admin.conf"
PLANE = {"node-role.kubernetes.io/control-plane": ""}
READY = [{"type": "Ready", "status": "True"}]
FLAGS = ("--force", "--delete-emptydir-data")


def manifest(kind: str, name: str, **more: Any) -> dict[str, Any]:
    version = {"PodDisruptionBudget": "policy/v1"}.get(kind, "v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **more.pop("metadata", {})}, **more}


def pod(name: str, *, owner: str = "ReplicaSet", node: str = "node1", **spec: Any) -> dict[str, Any]:
    """One that runs, of an owner that makes it again."""
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": name, "uid": name, "controller": True}] if owner else []
    return manifest("Pod", name, metadata={"namespace": "default", "labels": {"app": name}, "ownerReferences": owners},
                    spec={"nodeName": node, "containers": [{"name": "c", "image": "example.com/c:1"}], **spec},
                    status={"phase": "Running", "conditions": READY})  # fmt: skip


def budget(name: str, app: str) -> dict[str, Any]:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
    return manifest("PodDisruptionBudget", name, metadata={"namespace": "default"}, spec=spec,
                    status={"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1})  # fmt: skip


def plane(name: str, *, ready: bool = True) -> list[dict[str, Any]]:
    """Another control plane with its etcd."""
    labels = {"component": "etcd", "tier": "control-plane"}
    etcd = pod(f"etcd-{name}", owner="", node=name)
    etcd["metadata"] |= {
        "namespace": "kube-system",
        "labels": labels,
        "annotations": {"kubernetes.io/config.mirror": "x"},
    }
    etcd["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
    return [manifest("Node", name, metadata={"labels": PLANE}, spec={}, status={"conditions": READY}), etcd]


def make(host: Host, *objects: dict[str, Any]) -> None:
    host.write("/root/objects.yaml", yaml.safe_dump_all(objects))
    host.sh(f"kubectl --kubeconfig {OTHER} create -f /root/objects.yaml")


def get(host: Host, *words: str) -> Any:
    return json.loads(host.sh(f"kubectl --kubeconfig {OTHER} get {' '.join(words)} -o json"))["items"]


def names(host: Host, *words: str) -> set[str]:
    return {one["metadata"]["name"] for one in get(host, *words)}


def elsewhere(host: Host) -> None:
    """The cluster's API on another control plane: a server of its own over a copy of what etcd has, known by a kubeconfig of its own."""
    host.sh(f"mkdir -p {ELSEWHERE} && cp -r /etc/kubernetes/pki /etc/kubernetes/caasctl {ELSEWHERE}/")
    host.sh(
        f"cp /var/lib/etcd/member/standin.json {ELSEWHERE}/store.json; sed 's/:6443/:{PORT}/' {ADMIN} > {OTHER}; chmod 600 {OTHER}"
    )
    pid = json.loads(host.text("/run/standin-pods/kube-apiserver.json"))["pid"]
    runs = host.path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    words = [
        word.replace("/etc/kubernetes/", f"{ELSEWHERE}/")
        for word in runs
        if not word.startswith(("--secure-port", "--audit"))
    ]
    host.background("env", f"STANDIN_STORE={ELSEWHERE}/store.json", *words, f"--secure-port={PORT}")
    host.until(f"kubectl --kubeconfig {OTHER} get --raw /readyz")


def joined_plane(host: Host) -> None:
    """This node as one of several control planes, begun with a file of caasctl's: its administrator speaks to the endpoint that all share."""
    host.write(
        kubeadm.ADMISSION,
        json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": []}),
    )
    host.write(kubeadm.CONFIG, "# written by caasctl\n")
    admission = {"name": "admission-control-config-file", "value": kubeadm.ADMISSION}
    volume = {
        "name": "admission",
        "hostPath": kubeadm.ADMISSION,
        "mountPath": kubeadm.ADMISSION,
        "readOnly": True,
        "pathType": "File",
    }
    begun(host, INIT, changed(CLUSTER, "apiServer", {"extraArgs": [admission], "extraVolumes": [volume]}), KUBELET)
    shared(host)


def shared(host: Host) -> None:
    elsewhere(host)
    host.sh(f"cp {OTHER} {ADMIN}")


def worker(host: Host) -> None:
    """This node as a worker of the cluster that is elsewhere: no static pods, no administrator."""
    joined_plane(host)
    host.sh(
        f"rm {ADMIN} /etc/kubernetes/manifests/*; sed -i 's/:6443/:{PORT}/' /etc/kubernetes/kubelet.conf; systemctl restart kubelet"
    )
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        host.sh(f"kubectl --kubeconfig {OTHER} delete pod -n kube-system {name}-node1 --ignore-not-found")


def leave(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.caasctl("leave", "--yes", "--timeout", "20s", *words)


def untouched(host: Host) -> None:
    assert host.path("/etc/kubernetes/kubelet.conf").exists()
    assert host.calls("kubeadm reset") == []
    (node,) = [one for one in get(host, "nodes") if one["metadata"]["name"] == "node1"]
    assert not node["spec"].get("unschedulable")


def gone(host: Host) -> None:
    """Nothing of the node is left, here and in its cluster."""
    assert not host.path("/etc/kubernetes/kubelet.conf").exists()
    assert not host.path("/run/caasctl/leave").exists()
    assert "node1" not in names(host, "nodes")


def test_a_control_plane_moves_its_pods_and_leaves_with_its_node_object(host: Host) -> None:
    done = init(host)
    assert done.returncode == CONVERGED, said(done)
    shared(host)
    make(
        host,
        *plane("node2"),
        *plane("node3"),
        pod("web"),
        pod("scratch", volumes=[{"name": "tmp", "emptyDir": {}}]),
        pod("bare", owner=""),
    )
    for words, told in (((), "default/bare"), (("--force",), "default/scratch (tmp)")):
        refused = leave(host, *words)
        assert refused.returncode == REFUSED, said(refused)
        assert told in said(refused)
    untouched(host)
    planned = host.caasctl("leave", "--dry-run", *FLAGS)
    assert planned.returncode == DONE, said(planned)
    assert "default/web" in said(planned)
    assert "Take this node out of the load balancer" in said(planned)
    untouched(host)
    done = leave(host, *FLAGS)
    assert done.returncode == DONE, said(done)
    assert "No return pods that nobody makes again: default/bare; emptyDir volumes of default/scratch" in said(done)
    assert "Left the cluster" in said(done)
    assert names(host, "pods") == set()
    gone(host)
    again = leave(host)
    assert again.returncode == REFUSED
    assert "this host is in no cluster" in said(again)


def test_a_control_plane_that_the_cluster_cannot_spare_stays(host: Host) -> None:
    joined_plane(host)
    cases: tuple[tuple[list[dict[str, Any]], str], ...] = (
        ([], "this is the last control plane"),
        (plane("node2", ready=False), "etcd would lose its quorum"),
        ([*plane("node2"), *plane("node3", ready=False)], "not ready: node3"),
    )
    for others, told in cases:
        if others:
            make(host, *others)
        done = leave(host, *FLAGS)
        assert done.returncode == REFUSED, said(done)
        assert told in said(done)
        untouched(host)
        if others:
            host.sh(f"kubectl --kubeconfig {OTHER} delete -f /root/objects.yaml")


def test_a_budget_that_allows_nothing_is_said_before_and_holds_the_drain_until_its_time_is_up(host: Host) -> None:
    joined_plane(host)
    make(host, *plane("node2"), pod("web"), budget("web-stays", "web"))
    planned = host.caasctl("leave", "--dry-run")
    assert "The budget default/web-stays would hold default/web" in said(planned)
    begun = time.monotonic()
    done = host.caasctl("leave", "--yes", "--timeout", "8s")
    assert done.returncode == FAILED, said(done)
    assert time.monotonic() - begun < 300  # by far less than the ten minutes that a drain has by itself
    assert "default/web could not be moved in 8 s" in said(done)
    assert "kubectl uncordon node1" in said(done)
    assert host.calls("kubeadm reset") == []
    host.sh(f"kubectl --kubeconfig {OTHER} delete pdb web-stays")
    done = leave(host)
    assert done.returncode == DONE, said(done)
    gone(host)


def test_a_worker_is_drained_by_an_administrator_or_from_a_control_plane(host: Host) -> None:
    worker(host)
    make(host, pod("web"))
    done = leave(host)
    assert done.returncode == REFUSED, said(done)
    assert "on a control plane: `kubectl drain node1 --ignore-daemonsets`" in said(done)
    untouched(host)
    host.sh(f"kubectl --kubeconfig {OTHER} drain node1 --ignore-daemonsets")
    done = leave(host)
    assert done.returncode == DONE, said(done)
    assert "`kubectl delete node node1`" in said(done)
    assert not host.path("/etc/kubernetes/kubelet.conf").exists()
    assert "node1" in names(host, "nodes")


def test_a_worker_with_an_administrators_kubeconfig_is_gone_from_the_cluster(host: Host) -> None:
    worker(host)
    make(host, pod("web"))
    assert leave(host, "--kubeconfig", "/root/none").returncode == USAGE
    done = leave(host, "--kubeconfig", OTHER)
    assert done.returncode == DONE, said(done)
    gone(host)


def killed(host: Host, done: set[str]) -> str:
    """Runs leave and kills it when it begins a change that is not in `done`; "" where it comes to its end."""
    process = host.start(sys.executable, "-m", "caasctl", "leave", "--yes", "--timeout", "20s")
    assert process.stderr
    told = ""
    for line in process.stderr:
        told += line
        phase, _, change = line.strip().partition(": ")
        if phase.startswith(("reset-", "leave-")) and " " not in change and change and change not in done:
            host.kill(process)
            return change
    _, err = process.communicate()
    # One that was killed at its very last change may have made it: then there is no cluster to leave any more
    assert process.returncode == DONE or ("leave:forgotten" in done and "in no cluster" in told + err), (
        done,
        told + err,
    )
    return ""


def test_killed_at_every_change_the_same_command_goes_on(host: Host) -> None:
    joined_plane(host)
    make(host, *plane("node2"), pod("web"))
    done: set[str] = set()
    while change := killed(host, done):
        done.add(change)
        deadline = time.monotonic() + 60
        while host.run("flock", "-n", "/run/caasctl/lock", "true").returncode:  # a program that it had started goes on
            assert time.monotonic() < deadline, change
            time.sleep(0.2)
    assert {"leave:record", "drain:node1", "kubeadm:reset", "node:node1", "leave:forgotten"} <= done
    gone(host)


@pytest.mark.parametrize("at", ["remove-etcd-member", ADMIN])
def test_a_kubeadm_that_dies_while_it_resets_is_run_again(host: Host, at: str) -> None:
    joined_plane(host)
    make(host, *plane("node2"))
    host.fail("kubeadm-kill", at)
    assert leave(host).returncode == FAILED
    done = leave(host)
    assert done.returncode == DONE, said(done)
    gone(host)


def test_a_silent_api_server_keeps_a_control_plane_and_lets_a_worker_go_undrained(host: Host) -> None:
    joined_plane(host)
    host.sh(f"sed -i 's/:{PORT}/:7999/' {ADMIN}")
    done = leave(host, "--no-drain")
    assert done.returncode == REFUSED, said(done)
    assert "the API server does not answer" in said(done)
    host.sh(f"rm {ADMIN} /etc/kubernetes/manifests/*; sed -i 's/:6443/:7999/' /etc/kubernetes/kubelet.conf")
    done = leave(host)
    assert done.returncode == REFUSED, said(done)
    assert "--no-drain" in said(done)
    done = leave(host, "--no-drain")
    assert done.returncode == DONE, said(done)
    assert "kubectl delete node node1" in said(done)


def test_a_cluster_that_is_gone_when_the_node_object_is_to_go_is_said_with_the_command(host: Host) -> None:
    joined_plane(host)
    make(host, *plane("node2"))
    host.sh(f"sed -i 's/:{PORT}/:6443/' {ADMIN}")  # an endpoint that leads to this node itself
    make_here = shlex.quote(f"kubectl --kubeconfig {ADMIN} create -f /root/objects.yaml")
    host.sh(f"sh -c {make_here}")
    done = leave(host, *FLAGS)
    assert done.returncode == FAILED, said(done)
    assert "kubectl delete node node1" in said(done)
    assert not host.path("/etc/kubernetes/kubelet.conf").exists()


def test_a_host_that_is_not_the_node_of_its_name_is_refused_before_anything_is_counted_by_it(host: Host) -> None:
    joined_plane(host)
    make(host, *plane("node2"))
    told = {"status": {"nodeInfo": {"bootID": "0-another"}}}
    host.sh(f"kubectl --kubeconfig {OTHER} patch node node1 --type merge -p {shlex.quote(json.dumps(told))}")
    done = leave(host, *FLAGS)
    assert done.returncode == REFUSED, said(done)
    assert "is another machine" in said(done)
    assert "its boot ID is 0-another" in said(done)
    untouched(host)
    host.sh(f"kubectl --kubeconfig {OTHER} delete node node1")
    done = leave(host, *FLAGS)
    assert done.returncode == REFUSED, said(done)
    assert "has no node node1" in said(done)
    assert host.calls("kubeadm reset") == []


def test_a_drain_that_fails_leaves_no_copy_of_credentials_and_the_copy_needs_no_other_file(host: Host) -> None:
    worker(host)
    flat = json.loads(host.sh(f"kubectl --kubeconfig {OTHER} config view --raw --flatten -o json"))
    (user,) = flat["users"]
    for key in ("client-certificate", "client-key"):
        host.write(f"{ELSEWHERE}/{key}", base64.b64decode(user["user"].pop(f"{key}-data")).decode())
        user["user"][key] = key
    host.write(f"{ELSEWHERE}/relative.conf", yaml.safe_dump(flat))
    make(host, pod("web"), budget("web-stays", "web"))
    assert (
        host.caasctl("leave", "--yes", "--timeout", "5s", "--kubeconfig", f"{ELSEWHERE}/relative.conf").returncode
        == FAILED
    )
    assert not host.path("/run/caasctl/leave").exists()
    host.sh(f"kubectl --kubeconfig {OTHER} delete pdb web-stays")
    done = leave(host, "--kubeconfig", f"{ELSEWHERE}/relative.conf")
    assert done.returncode == DONE, said(done)
    gone(host)


def test_a_host_that_is_in_no_cluster_is_refused(host: Host) -> None:
    done = leave(host)
    assert done.returncode == REFUSED, said(done)
    assert "this host is in no cluster" in said(done)
    for words in (("--timeout", "soon"), ("--timeout", "0s"), ("--kubeconfig", "")):
        assert host.caasctl("leave", "--yes", *words).returncode == USAGE
