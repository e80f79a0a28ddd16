"""Phase cluster on a node of stand-ins, with a real kubectl: applied, again, drifted, others', killed, undone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import ADMIN, Host, Programs
from tests.cluster.test_init_node import CONVERGED, FAILED, SET, init, said

from caasctl.syntax.kubeadm import OBJECTS, TENANTS

pytestmark = [pytest.mark.root, pytest.mark.slow]
IMAGE = "registry.example/plugin@sha256:" + "a" * 64
KATA = ("--set", "runtimes=[runc, kata-qemu, kata-clh]")
GPU = (
    "--set",
    "runtimes=[runc, kata-qemu, kata-clh, kata-qemu-nvidia-gpu]",
    "--set",
    f"gpu.devicePlugin.image={IMAGE}",
)
KUBECTL = f"kubectl --kubeconfig {ADMIN}"


@pytest.fixture(scope="module")
def node(found: Programs) -> Iterator[Host]:
    """As `init-node` leaves it without handlers of Kata, which these nodes cannot have. One for all: the last test resets it."""
    host = Host(found)
    done = init(host)
    assert done.returncode == CONVERGED, said(done)
    yield host
    host.close()


def cluster(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.caasctl("init-node", "--yes", "--phase", "cluster", *words)


def classes(host: Host) -> dict[str, str]:
    return {one["metadata"]["name"]: one["handler"] for one in host.get("runtimeclasses")["items"]}


def labels(host: Host) -> set[str]:
    return {key for key in host.get("nodes")["items"][0]["metadata"]["labels"] if key.startswith("caasctl.io/")}


def test_objects_come_stay_go_with_the_profile_and_are_undone(node: Host) -> None:
    assert classes(node) == {}
    assert not node.path(OBJECTS).exists()
    assert "default-deny" in node.text(TENANTS)
    first = cluster(node, *GPU)
    assert first.returncode == CONVERGED, said(first)
    assert classes(node) == {name: name for name in ("kata-clh", "kata-qemu", "kata-qemu-nvidia-gpu")}
    assert labels(node) == {f"caasctl.io/{name}" for name in classes(node)}
    tried = node.sh(
        f"{KUBECTL} -n default apply --dry-run=client -f {TENANTS}; {KUBECTL} apply --dry-run=client -f {OBJECTS}"
    )
    assert tried.count("(dry run)") == 4 + 5
    (pod,) = node.get("pods", "-n", "caasctl-gpu")["items"]
    assert pod["spec"]["containers"][0]["image"] == IMAGE
    calls = len(node.calls())
    second = cluster(node, *GPU)
    assert "Converged: nothing had to change" in said(second)
    assert [call for call in node.calls()[calls:] if not call.startswith("systemctl ")] == []
    less = cluster(node, *KATA)
    assert less.returncode == CONVERGED, said(less)
    assert sorted(classes(node)) == ["kata-clh", "kata-qemu"]
    assert "caasctl-gpu" not in {one["metadata"]["name"] for one in node.get("namespaces")["items"]}
    assert labels(node) == {"caasctl.io/kata-clh", "caasctl.io/kata-qemu"}
    back = node.caasctl("undo", "--yes")
    assert back.returncode == 0, said(back)
    assert len(classes(node)) == 3
    assert node.get("daemonsets", "-n", "caasctl-gpu")["items"]
    assert len(labels(node)) == 3
    assert "Converged: nothing had to change" in said(cluster(node, *GPU))
    back = node.caasctl("undo", "--yes")
    assert back.returncode == 0, said(back)
    assert (classes(node), labels(node)) == ({}, set())
    assert not node.path(OBJECTS).exists()


def test_a_field_that_somebody_changed_is_shown_with_his_name_and_put_right(node: Host) -> None:
    assert cluster(node, *KATA).returncode == CONVERGED
    part = json.dumps({"overhead": {"podFixed": {"memory": "2Gi"}}})
    node.sh(f"{KUBECTL} patch runtimeclass kata-qemu --type=merge --field-manager=somebody -p '{part}'")
    node.sh(f"{KUBECTL} label runtimeclass kata-qemu team=a")
    planned = said(node.caasctl("init-node", "--dry-run", "--phase", "cluster", *KATA))
    assert "overhead.podFixed.memory: '2Gi', wanted '320Mi'" in planned
    assert "also written by somebody, kubectl-label" in planned
    done = cluster(node, *KATA)
    assert done.returncode == CONVERGED, said(done)
    found = node.get("runtimeclass", "kata-qemu")
    assert found["overhead"]["podFixed"]["memory"] == "320Mi"
    assert found["metadata"]["labels"]["team"] == "a"
    assert "Converged: nothing had to change" in said(cluster(node, *KATA))


def test_what_another_tool_made_under_the_same_name_is_refused_and_stays(node: Host) -> None:
    assert cluster(node, *SET).returncode == CONVERGED
    node.write("/root/theirs.yaml", json.dumps({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata-qemu"},
                                                "handler": "kata-qemu-runtime-rs"}))  # fmt: skip
    node.sh(f"{KUBECTL} apply --server-side --field-manager=kata-deploy -f /root/theirs.yaml")
    done = cluster(node, *KATA)
    assert done.returncode == 1, said(done)
    assert "kubectl delete runtimeclass kata-qemu" in said(done)
    assert classes(node) == {"kata-qemu": "kata-qemu-runtime-rs"}
    node.sh(f"{KUBECTL} delete runtimeclass kata-qemu")
    assert cluster(node, *KATA).returncode == CONVERGED


def test_a_namespace_with_a_pull_secret_is_adopted_and_stays_with_it(node: Host) -> None:
    assert cluster(node, *SET).returncode == CONVERGED
    made = [{"kind": "Namespace", "metadata": {"name": "caasctl-gpu"}}]
    made += [
        {"kind": kind, "metadata": {"name": name, "namespace": "caasctl-gpu"}}
        for kind, name in (("Secret", "nvcr"), ("ConfigMap", "theirs"))
    ]
    node.write("/root/made.json", "\n".join(json.dumps({"apiVersion": "v1", **one}) for one in made))
    node.sh(f"{KUBECTL} create -f /root/made.json")
    refused = cluster(node, *GPU)
    assert refused.returncode == 1, said(refused)
    assert "there is a namespace caasctl-gpu in this cluster that is not caasctl's" in said(refused)
    node.sh(f"{KUBECTL} -n caasctl-gpu delete configmap theirs")
    done = cluster(node, *GPU, "--set", "gpu.devicePlugin.imagePullSecrets=[nvcr]")
    assert done.returncode == CONVERGED, said(done)
    assert node.get("namespace", "caasctl-gpu")["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "caasctl"
    without = cluster(node, *KATA)
    assert without.returncode == CONVERGED, said(without)
    assert node.get("daemonsets", "-n", "caasctl-gpu")["items"] == []
    assert [one["metadata"]["name"] for one in node.get("secrets", "-n", "caasctl-gpu")["items"]] == ["nvcr"]
    assert "Converged: nothing had to change" in said(cluster(node, *KATA))
    node.sh(f"{KUBECTL} -n caasctl-gpu delete secret nvcr")
    assert cluster(node, *KATA).returncode == CONVERGED
    assert "caasctl-gpu" not in {one["metadata"]["name"] for one in node.get("namespaces")["items"]}


def test_a_plugin_that_does_not_start_says_why_and_the_next_run_waits_on(node: Host) -> None:
    node.fail("image", "registry.example/plugin")
    process = node.start(sys.executable, "-m", "caasctl", "init-node", "--yes", "--phase", "cluster", *GPU)
    node.until(f"{KUBECTL} -n caasctl-gpu get pods -o json | grep -q ErrImagePull")
    assert process.poll() is None
    node.kill(process)
    planned = said(node.caasctl("init-node", "--dry-run", "--phase", "cluster", *GPU))
    assert "-0/1 ready" in planned
    assert len(classes(node)) == 3
    node.mend("image")
    done = cluster(node, *GPU)
    assert done.returncode == CONVERGED, said(done)


def test_other_groups_roll_the_plugin(node: Host) -> None:
    assert cluster(node, *GPU).returncode == CONVERGED
    (first,) = node.get("pods", "-n", "caasctl-gpu")["items"]
    node.sh(f"{KUBECTL} -n caasctl-gpu patch ds sandbox-device-plugin --type=json --field-manager=caasctl -p "
            """'[{"op": "replace", "path": "/spec/template/metadata/annotations/caasctl.io~1bound", "value": "others"}]'""")  # fmt: skip
    planned = said(node.caasctl("init-node", "--dry-run", "--phase", "cluster", *GPU))
    assert "spec.template.metadata.annotations.caasctl.io/bound: 'others', wanted 'none'" in planned
    assert cluster(node, *GPU).returncode == CONVERGED
    (second,) = node.get("pods", "-n", "caasctl-gpu")["items"]
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


@pytest.mark.parametrize("at", ["cluster:labels", "cluster:objects", "file:"])
def test_killed_at_a_change_the_next_run_goes_on(node: Host, at: str) -> None:
    assert cluster(node, *SET).returncode == CONVERGED
    node.path(TENANTS).unlink()
    process = node.start(sys.executable, "-m", "caasctl", "init-node", "--yes", "--phase", "cluster", *KATA)
    assert process.stderr
    assert any(f"cluster: {at}" in line for line in process.stderr)
    node.kill(process)
    node.until("flock -n /run/caasctl/lock true")
    done = cluster(node, *KATA)
    assert done.returncode == CONVERGED, said(done)
    assert sorted(classes(node)) == ["kata-clh", "kata-qemu"]
    assert "Converged: nothing had to change" in said(cluster(node, *KATA))


def test_without_a_cluster_it_says_so(new_host: NewHost) -> None:
    host = new_host()
    done = cluster(host, *KATA)
    assert done.returncode == FAILED
    assert "this host is in no cluster yet" in said(done)


def test_a_silent_api_server_stops_it_before_a_change(node: Host) -> None:
    node.sh("systemctl stop kubelet; mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/away")
    node.sh("kill $(grep -o '\"pid\": [0-9]*' /run/standin-pods/kube-apiserver.json | cut -d: -f2)")
    done = cluster(node, *KATA)
    assert done.returncode == FAILED
    assert "cannot be looked at" in said(done)
    assert "refused" in said(done)
    node.sh("mv /root/away /etc/kubernetes/manifests/kube-apiserver.yaml; systemctl start kubelet")
    node.until(f"{KUBECTL} get nodes")


def test_a_reset_takes_the_files_with_it(node: Host) -> None:
    assert cluster(node, *KATA).returncode == CONVERGED
    done = node.caasctl("reset", "--yes")
    assert done.returncode == 0, said(done)
    assert not node.path("/etc/kubernetes/caasctl").exists()
    done = init(node, *SET)
    assert done.returncode == CONVERGED, said(done)
