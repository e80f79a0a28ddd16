"""Certificates, kubeconfigs, the kubelet's unit, leftovers, kubeadm's file, the clock, and Cilium as kubectl shows it."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.test_x509 import API_SERVER, CA

from caasctl.bundle import BundleHost
from caasctl.facts import (
    cilium,
    kubernetes_certificates,
    kubernetes_config,
    kubernetes_kubelet,
    kubernetes_leftovers,
    kubernetes_tools,
    os_clock,
)
from caasctl.facts.cilium import CiliumLive, NodeRanges
from caasctl.facts.kubernetes_kubelet import KubeletService
from caasctl.host import LiveHost
from caasctl.model import Unreadable

SPKI = "d8285427509aa4800a50e60c5ecf985692494ecd928cfed166face89f1549b17"


def tree(top: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        (top / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (top / path.lstrip("/")).write_text(text)
    return LiveHost(str(top))


def bundle(top: Path, files: dict[str, str], commands: list[dict[str, Any]]) -> BundleHost:
    tree(top / "root", {"/etc/here": "", **files})
    (top / "manifest.json").write_text(json.dumps({"schemaVersion": 1}))
    (top / "commands.json").write_text(
        json.dumps([{"rc": 0, "stdout": "", "stderr": "", **entry} for entry in commands])
    )
    return BundleHost(str(top))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ADMIN = f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded(CA)}
    server: https://192.0.2.2:6443
  name: kubernetes
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {encoded(API_SERVER)}
    client-key-data: {encoded("a private key")}
"""
KUBELET = f"""clusters:
- cluster:
    certificate-authority-data: {encoded(CA)}
    server: "https://192.0.2.2:6443"
users:
- user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
"""


def test_certificates_of_the_folder_and_what_is_none(tmp_path: Path) -> None:
    pki = kubernetes_certificates.PKI
    files = {f"{pki}/ca.crt": CA, f"{pki}/ca.key": "x", f"{pki}/etcd/ca.crt": "", f"{pki}/etcd/server.crt": API_SERVER}
    found = kubernetes_certificates.read_certificates(tree(tmp_path, files))
    assert found.ca_key
    authority = found.at(f"{pki}/ca.crt")
    assert authority
    assert authority.spki_sha256 == SPKI
    assert [(one.path, bool(one.broken)) for one in found.found if one.broken] == [(f"{pki}/etcd/ca.crt", True)]
    assert kubernetes_certificates.read_certificates(tree(tmp_path / "none", {"/x": ""})).found == ()


def test_kubeconfigs_without_their_keys() -> None:
    """On this machine's grep and sed, as a node has them."""
    lines = "".join(f"/etc/kubernetes/admin.conf:{line}\n" for line in ADMIN.splitlines() if "key-data" not in line)
    found = kubernetes_certificates.parse_lines(lines)["/etc/kubernetes/admin.conf"]
    assert found["server"] == "https://192.0.2.2:6443"
    assert "client-key-data" not in found
    assert kubernetes_certificates.parse_lines("") == {}
    assert kubernetes_certificates.parse_lines("grep: x: y\nserver\n") == {}


def test_kubeconfigs_of_a_node(tmp_path: Path) -> None:
    admin, kubelet = "/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"
    pattern = "^[ -]*(server|certificate-authority-data|client-certificate-data|client-certificate):"
    said = "".join(
        f"{path}:{line}\n" for path, text in ((admin, ADMIN), (kubelet, KUBELET)) for line in text.splitlines()
        if ": " in line and "key" not in line
    )  # fmt: skip
    rotated = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    host = bundle(tmp_path, {admin: "", kubelet: ""}, [
        {"argv": ["grep", "-sHE", pattern, admin, kubelet], "stdout": said},
        {"argv": ["sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", rotated], "stdout": API_SERVER},
    ])  # fmt: skip
    found = kubernetes_certificates.read_kubeconfigs(host).found
    assert (found[admin].server, found[admin].ca, found[admin].rotated) == ("https://192.0.2.2:6443", SPKI, False)
    assert found[kubelet].rotated
    client = found[kubelet].client
    assert client
    assert client.path == rotated


def test_the_commands_take_no_private_key(tmp_path: Path) -> None:
    """The same grep and sed on real files, through the machine's own programs."""
    conf, pem = tmp_path / "admin.conf", tmp_path / "client.pem"
    conf.write_text(ADMIN)
    pem.write_text(API_SERVER + "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n")
    pattern = "^[ -]*(server|certificate-authority-data|client-certificate-data|client-certificate):"
    said = LiveHost("/").query("grep", "-sHE", pattern, str(conf), str(tmp_path / "none")).stdout
    assert encoded("a private key") not in said
    assert kubernetes_certificates.parse_lines(said)[str(conf)]["server"] == "https://192.0.2.2:6443"
    said = LiveHost("/").query("sed", "-n", "/BEGIN CERTIFICATE/,/END CERTIFICATE/p", str(pem)).stdout
    assert said == API_SERVER


def test_kubeconfigs_that_cannot_be_read_and_none(tmp_path: Path) -> None:
    pattern = "^[ -]*(server|certificate-authority-data|client-certificate-data|client-certificate):"
    argv = ["grep", "-sHE", pattern, "/etc/kubernetes/admin.conf"]
    host = bundle(tmp_path / "a", {"/etc/kubernetes/admin.conf": ""}, [{"argv": argv, "rc": 2}])
    with pytest.raises(Unreadable, match="permission denied"):
        kubernetes_certificates.read_kubeconfigs(host)
    assert kubernetes_certificates.read_kubeconfigs(bundle(tmp_path / "b", {}, [])).found == {}
    assert kubernetes_certificates._embedded("%%", "x").broken == "is not base64 of a certificate"


DROP_IN = """[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/x"
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS \\
  --v_module=x=1 $KUBELET_EXTRA_ARGS
"""


def test_the_kubelet_s_flags_in_the_order_of_systemd(tmp_path: Path) -> None:
    below, over = "/usr/lib/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d"
    host = tree(tmp_path, {
        below: "[Service]\nExecStart=/usr/bin/kubelet --network-plugin=cni\n",
        f"{below}.d/10-kubeadm.conf": "[Service]\nExecStart=/usr/bin/kubelet --hidden\n",
        f"{over}/10-kubeadm.conf": DROP_IN,
        f"{over}/note.txt": "--no-drop-in",
        "/etc/default/kubelet": '# --commented=1\nKUBELET_EXTRA_ARGS="--node-ip 192.0.2.2 --container_runtime=remote"\n',
    })  # fmt: skip
    found = kubernetes_kubelet.read_flags(host).flags
    names = ["bootstrap-kubeconfig", "kubeconfig", "v-module", "node-ip", "container-runtime"]
    assert [flag for _, flag in found] == names
    assert {path for path, _ in found} == {f"{over}/10-kubeadm.conf", "/etc/default/kubelet"}
    assert kubernetes_kubelet.read_flags(tree(tmp_path / "none", {"/x": ""})).flags == ()
    (tmp_path / "etc/systemd/system/kubelet.service").symlink_to("/dev/null")
    assert kubernetes_kubelet.read_flags(host).flags == found  # masked: its drop-ins are read all the same


def test_how_the_kubelet_s_service_stands() -> None:
    shown = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=412\nUnitFileState=enabled\n"
    found = kubernetes_kubelet.parse_show(shown)
    assert found == KubeletService("loaded", "activating", "auto-restart", 412, "enabled")
    assert found.crashing
    assert kubernetes_kubelet.parse_show("LoadState=not-found\nNRestarts=[not set]\n") == KubeletService("not-found")
    for broken in ("", "x"):
        with pytest.raises(Unreadable):
            kubernetes_kubelet.parse_show(broken)


def test_what_caasctl_s_own_record_says_it_began(tmp_path: Path) -> None:
    runs = kubernetes_leftovers.RUNS
    entry = '{"resource": "%s"}'
    host = tree(tmp_path, {
        f"{runs}/1/0001.json": entry % "file:/etc/x",
        f"{runs}/1/0002.json": entry % "kubeadm:init",
        f"{runs}/1/0002-0.before": "not json",
        f"{runs}/2/0001.json": entry % "kubeadm:join",
        f"{runs}/2/undone": "",
    })  # fmt: skip
    assert kubernetes_leftovers.read_begun(host).resources == ("kubeadm:init",)
    assert kubernetes_leftovers.read_begun(tree(tmp_path / "none", {"/x": ""})).resources == ()
    with pytest.raises(Unreadable):
        kubernetes_leftovers.read_begun(tree(tmp_path, {f"{runs}/3/0001.json": "{"}))


def test_cni_files_that_containerd_would_read(tmp_path: Path) -> None:
    names = ("05-cilium.conflist", "10-flannel.conflist.cilium_bak", "99-loopback.conf", "README")
    host = tree(tmp_path, {f"/etc/cni/net.d/{name}": "" for name in names})
    assert kubernetes_leftovers.read_cni_files(host).names == ("05-cilium.conflist", "99-loopback.conf")
    assert kubernetes_leftovers.read_cni_files(tree(tmp_path / "none", {"/x": ""})).names == ()


def test_documents_of_kubeadm_s_file(tmp_path: Path) -> None:
    text = (
        '# ours\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\nkind: "X"\nspec:\n  kind: Y\n'
    )
    host = tree(tmp_path, {kubernetes_config.KUBEADM_FILE: text})
    found = kubernetes_config.read_kubeadm_file(host)
    assert found.documents == (("kubeadm.k8s.io/v1beta4", "InitConfiguration"), ("", "X"))
    assert kubernetes_config.read_kubeadm_file(tree(tmp_path / "none", {"/x": ""})).documents == ()
    for broken in ("", "[1, 2]", "kind: [", "kind: X\nkind: Y\n"):
        with pytest.raises(Unreadable):
            kubernetes_config.read_kubeadm_file(tree(tmp_path / "broken", {kubernetes_config.KUBEADM_FILE: broken}))


def test_the_host_s_own_time() -> None:
    found = os_clock.parse_clock("cpu 1 2\nbtime 1795600000\n", "123.45 200.00\n")
    assert (found.up_s, found.settles) == (123, True)
    assert found.now == datetime.fromtimestamp(1795600123, timezone.utc)
    for stat, uptime in (("", ""), ("btime x\n", "1.0 2.0\n"), ("btime 1\n", "")):
        with pytest.raises(Unreadable):
            os_clock.parse_clock(stat, uptime)
    now = datetime.now(timezone.utc)
    assert abs(os_clock.read_clock(LiveHost("/")).now - now).total_seconds() < 5


def test_the_distribution_s_programs(tmp_path: Path) -> None:
    host = tree(tmp_path, {"/usr/sbin/ip": "", "/usr/local/bin/tc": "", "/usr/bin/mount": ""})
    paths = {"ip": "/usr/sbin/ip", "tc": "/usr/local/bin/tc", "mount": "/usr/bin/mount"}
    assert kubernetes_tools.read_host_tools(host).paths == paths


def test_packages_that_a_repository_excludes_are_held() -> None:
    repository = "[kubernetes]\nenabled=1\nexclude=kubelet, kubeadm kubectl cri-tools\n"
    found = kubernetes_tools.parse_rpm("kubelet 1.36.4-1\nrunc 1.1-1\n", "", repository)
    assert found.held == {"kubelet"}


CONFIG_MAP = {
    "kind": "ConfigMap",
    "data": {"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.244.0.0/16", "x": "y"},
}
DAEMON_SET = {
    "kind": "DaemonSet",
    "metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "cilium"}},
    "spec": {"template": {"spec": {"containers": [
        {"name": "cilium-agent", "image": f"quay.io/cilium/cilium:v1.20.5@sha256:{'0' * 64}"}]}}},
}  # fmt: skip


def test_cilium_as_kubectl_shows_it() -> None:
    found = cilium.parse(json.dumps({"kind": "List", "items": [CONFIG_MAP, DAEMON_SET]}))
    assert (found.installed, found.version, found.release) == (True, "1.20.5", "cilium")
    assert found.config == {"ipam": "cluster-pool", "cluster-pool-ipv4-cidr": "10.244.0.0/16"}
    assert cilium.parse("") == CiliumLive(asked=True)
    assert cilium.parse(json.dumps(CONFIG_MAP)).installed is False
    by_hand = {**DAEMON_SET, "metadata": {"annotations": {"meta.helm.sh/release-name": "cilium"}}}
    assert cilium.parse(json.dumps(by_hand)).release == ""
    for broken in ("x", "[]", '{"items": [{}]}', '{"items": [{"kind": "DaemonSet"}]}'):
        with pytest.raises(Unreadable):
            cilium.parse(broken)


def test_nodes_and_their_ranges() -> None:
    said = "Node node-1 10.244.0.0/24  \nNode node-2  \nCiliumNode node-1  10.244.3.0/24 fd00::/120\n\n"
    ranges = (NodeRanges("node-1", ("10.244.0.0/24",), ("10.244.3.0/24", "fd00::/120")), NodeRanges("node-2"))
    assert cilium.parse_nodes(said) == ranges
    assert cilium.parse_nodes("") == ()


def test_cilium_is_asked_for_only_where_there_is_a_cluster(tmp_path: Path) -> None:
    admin = {"/etc/kubernetes/admin.conf": ""}
    assert cilium.read_live(bundle(tmp_path / "a", {}, [])) == CiliumLive()
    answer = {"argv": list(cilium.ASK), "stdout": json.dumps({"items": [DAEMON_SET]})}
    nodes = {"argv": list(cilium.ASK_NODES), "stdout": "Node node-1 10.244.0.0/24\n"}
    assert cilium.read_live(bundle(tmp_path / "b", admin, [answer, nodes])).nodes[0].name == "node-1"
    silent = {"argv": list(cilium.ASK), "rc": 1, "stderr": "connection refused"}
    assert cilium.read_live(bundle(tmp_path / "c", admin, [silent])) == CiliumLive()
    for lost in ({"rc": 127, "missing": True}, {"rc": 1, "stderr": "open admin.conf: permission denied"}):
        with pytest.raises(Unreadable):
            cilium.read_live(bundle(tmp_path / str(lost["rc"]), admin, [{"argv": list(cilium.ASK), **lost}]))
