"""systemd's services, the API server's own health, static pods' files, and whose virtual machine holds a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.facts.test_kubernetes_node import bundle, tree

from caasctl.facts import gpu_vfio, kubernetes_readyz, kubernetes_static_pods, os_services
from caasctl.facts.kubernetes_readyz import ApiHealth
from caasctl.facts.kubernetes_static_pods import FOLDER, ManifestFile
from caasctl.facts.os_services import Service
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.syntax.kubeadm import ADMIN

SHOWN = """\
Result=start-limit-hit
NRestarts=5
ExecMainCode=1
ExecMainStatus=1
Id=containerd.service
LoadState=loaded
ActiveState=failed
SubState=failed
ActiveEnterTimestampMonotonic=0

Result=success
NRestarts=2
ExecMainCode=2
ExecMainStatus=9
Id=kubelet.service
LoadState=loaded
ActiveState=active
SubState=running
ActiveEnterTimestampMonotonic=93000123
"""


# -- services ----------------------------------------------------------------------------------------------------------
def test_each_service_is_told_apart() -> None:
    found = os_services.parse(SHOWN)
    assert found.get("containerd.service") == Service("loaded", "failed", "failed", "start-limit-hit", 5, 1)
    assert found.get("kubelet.service") == Service(
        "loaded", "active", "running", "success", 2, 9, signalled=True, active_at_s=93
    )
    assert found.get("other.service").load == "not-found"
    assert os_services.parse("").known == os_services.parse("what?").known == {}
    assert os_services.parse("Id=x\nNRestarts=many").get("x") == Service()


def test_a_host_without_systemd_is_unreadable(tmp_path: Path) -> None:
    show = list(os_services.SHOW)
    assert (
        os_services.read(bundle(tmp_path / "a", {}, [{"argv": show, "stdout": SHOWN}])).get("kubelet.service").restarts
        == 2
    )
    answers: tuple[tuple[dict[str, Any], str], ...] = (
        ({"rc": 127, "missing": True}, "no systemd"),
        ({"rc": 1, "stderr": "Failed to connect to bus"}, "to bus"),
        ({}, "did not say"),
    )
    for at, (answer, why) in enumerate(answers):
        with pytest.raises(Unreadable, match=why):
            os_services.read(bundle(tmp_path / str(at), {}, [{"argv": show, **answer}]))


# -- the API server ----------------------------------------------------------------------------------------------------
VERBOSE = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: not finished\nreadyz check failed\n"
QUOTED = (
    'Error from server (InternalError): an error on the server ("[+]ping ok\\n[+]log ok\\n[-]etcd failed: reason withheld'
    '\\n[+]informer-sync ok\\nreadyz check failed") has prevented the request from succeeding'
)


def test_the_failing_parts_are_named_as_they_are_and_in_kubectl_s_error() -> None:
    assert kubernetes_readyz.parse(VERBOSE) == (
        ("etcd", "reason withheld"),
        ("poststarthook/rbac/bootstrap-roles", "not finished"),
    )
    assert kubernetes_readyz.parse(QUOTED) == (("etcd", "reason withheld"),)
    assert kubernetes_readyz.parse("") == kubernetes_readyz.parse("[+]ping ok") == ()


def test_health_is_asked_for_where_there_is_an_admin(tmp_path: Path) -> None:
    ask = list(kubernetes_readyz.ASK)
    assert kubernetes_readyz.read(LiveHost(str(tmp_path))) == ApiHealth()
    answers: tuple[tuple[dict[str, Any], ApiHealth], ...] = (
        ({"stdout": "[+]ping ok\nreadyz check passed\n"}, ApiHealth(asked=True)),
        ({"rc": 1, "stderr": QUOTED}, ApiHealth(asked=True, failing=(("etcd", "reason withheld"),))),
        ({"rc": 1, "stderr": "The connection to the server 192.0.2.2:6443 was refused"}, ApiHealth()),
    )  # fmt: skip
    for at, (answer, found) in enumerate(answers):
        assert kubernetes_readyz.read(bundle(tmp_path / str(at), {ADMIN: ""}, [{"argv": ask, **answer}])) == found
    refusals: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("x", {"rc": 127, "missing": True}, "no kubectl"),
        ("y", {"rc": 1, "stderr": "permission denied"}, "root"),
    )
    for name, answer, why in refusals:
        with pytest.raises(Unreadable, match=why):
            kubernetes_readyz.read(bundle(tmp_path / name, {ADMIN: ""}, [{"argv": ask, **answer}]))


# -- static pods -------------------------------------------------------------------------------------------------------
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - command:
    - kube-apiserver
    - --service-cluster-ip-range=10.96.0.0/12
    - --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
    - --client-ca-file=/etc/kubernetes/pki/ca.crt
    - --audit-log-path=/var/log/elsewhere/audit.log
    - --audit-policy-file=/inside/policy.yaml
    - --v=2
    - --v=4
    - --anonymous
    image: registry.k8s.io/kube-apiserver:v1.36.4@sha256:aa
    name: kube-apiserver
    volumeMounts:
    - {mountPath: /etc/kubernetes/pki, name: k8s-certs, readOnly: true}
    - {mountPath: /inside, name: other}
  volumes:
  - {name: k8s-certs, hostPath: {path: /etc/kubernetes/pki, type: DirectoryOrCreate}}
  - {name: other, hostPath: {path: /outside}}
"""


def test_every_file_that_the_kubelet_reads_is_read(tmp_path: Path) -> None:
    files = {f"{FOLDER}/kube-apiserver.yaml": POD, f"{FOLDER}/kube-apiserver.yaml.bak": POD, f"{FOLDER}/.kube-apiserver.yaml.swp": "x",
             f"{FOLDER}/notes": "a: b", f"{FOLDER}/sub/x.yaml": POD, "/etc/kubernetes/pki/ca.crt": ""}  # fmt: skip
    found = kubernetes_static_pods.read(tree(tmp_path, files)).files
    assert [(file.path.rpartition("/")[2], file.problem) for file in found] == [
        ("kube-apiserver.yaml", ""), ("kube-apiserver.yaml.bak", ""), ("notes", "is no manifest of a pod"),
    ]  # fmt: skip
    assert (found[0].pod, found[0].version, found[0].values("v")) == ("kube-apiserver", "1.36.4", ("2", "4"))
    assert found[0].values("anonymous") == ("true",)
    assert found[0].missing == (("tls-cert-file", "/etc/kubernetes/pki/apiserver.crt"),)
    assert kubernetes_static_pods.read(LiveHost(str(tmp_path / "none"))).files == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is empty"), ("a: [", "is not valid YAML"), ("kind: Pod", "is no manifest of a pod"), ("- 1", "is no manifest of a pod"),
     ("kind: Pod\nmetadata: {name: 1}\nspec: {containers: [{}]}", "is no manifest of a pod")],
)  # fmt: skip
def test_what_is_no_pod_says_why(text: str, problem: str) -> None:
    (file, mounted) = kubernetes_static_pods.parse(text, "/x")
    assert problem in file.problem
    assert (file.pod, mounted) == ("", ())


def test_a_file_that_is_no_text_is_no_pod(tmp_path: Path) -> None:
    host = tree(tmp_path, {f"{FOLDER}/x.yaml": ""})
    (tmp_path / FOLDER.lstrip("/") / "x.yaml").write_bytes(b"\xff")
    (file,) = kubernetes_static_pods.read(host).files
    assert file == ManifestFile(f"{FOLDER}/x.yaml", "is not UTF-8 (byte 0 is 0xff)")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["kind", "metadata", "name", "spec", "containers", "command", "volumes", "hostPath", "path",
                                       "volumeMounts", "mountPath", "image"]), inner),
    max_leaves=15,
)  # fmt: skip


@given(st.text() | ANY.map(lambda data: json.dumps({"kind": "Pod", "metadata": {"name": "x"}, "spec": data})))
def test_whatever_comes_it_is_a_pod_or_none(text: str) -> None:
    kubernetes_static_pods.parse(text, "/x")
    os_services.parse(text)
    kubernetes_readyz.parse(text)
    gpu_vfio.parse_sandbox(text)
    gpu_vfio.parse_state(text)


# -- holders -----------------------------------------------------------------------------------------------------------
ID = "c9a80c0d59849" + "0" * 51


@pytest.mark.parametrize(
    ("cmdline", "sandbox"),
    [(f"/opt/kata/bin/qemu-system-x86_64\0-name\0sandbox-{ID},debug-threads=on\0", ID),
     (f"/opt/kata/bin/cloud-hypervisor\0--api-socket\0/run/vc/vm/{ID}/clh-api.sock\0", ID),
     (f"/opt/kata/bin/containerd-shim-kata-v2\0-namespace\0k8s.io\0-id\0{ID}\0", ID),
     (f"/opt/kata/bin/firecracker\0--api-sock\0/run/kata/{ID}/root/fc.sock\0", ID),
     ("/usr/bin/qemu-system-x86_64\0-name\0guest=win11,debug-threads=on\0", ""), ("", "")],
)  # fmt: skip
def test_whose_virtual_machine_it_is(cmdline: str, sandbox: str) -> None:
    assert gpu_vfio.parse_sandbox(cmdline) == sandbox


def test_a_holder_is_known_with_its_pod_and_state(tmp_path: Path) -> None:
    host = tree(tmp_path, {"/dev/vfio/25": "", "/dev/vfio/vfio": "", "/proc/77/comm": "qemu-system-x86\n",
                           "/proc/77/stat": "77 (qemu) x) D 1 77", "/proc/77/cmdline": f"qemu\0-name\0sandbox-{ID},x\0"})  # fmt: skip
    (tmp_path / "proc/77/fd").mkdir()
    (tmp_path / "proc/77/fd/11").symlink_to("/dev/vfio/25")
    (holder,) = gpu_vfio.PROBES[0].read(host).holders  # type: ignore[attr-defined]
    assert (holder.pid, holder.node, holder.sandbox, holder.state) == (77, "/dev/vfio/25", ID, "D")
