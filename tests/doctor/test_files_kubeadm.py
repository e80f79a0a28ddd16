"""kubeadm files that doctor is given: the field report's, before and after it was migrated, and each judgement both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lab.given import diagnosed, notes, root, roots

from caasctl.commands import Session
from caasctl.doctoring import Asked, examine

HOSTS = Path(__file__).resolve().parents[1] / "hosts"
# The field report shows the file as one side of a diff; the lines that it does not show are those that both sides have.
V1BETA3 = """\
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: v1.32.0
controlPlaneEndpoint: "10.254.192.244:6443"
apiServer:
  certSANs:
    - "10.254.192.244"
networking:
  podSubnet: "10.254.192.244/24"
  serviceSubnet: "10.254.192.244/24"
localAPIEndpoint:
  advertiseAddress: "10.254.192.244"
"""
MIGRATED = """\
apiVersion: kubeadm.k8s.io/v1beta4
bootstrapTokens:
- groups:
  - system:bootstrappers:kubeadm:default-node-token
  token: hw4taj.tacc97bn9dm2rdhz
  ttl: 24h0m0s
  usages:
  - signing
  - authentication
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 10.254.192.244
  bindPort: 6443
nodeRegistration:
  criSocket: unix:///var/run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
  imagePullSerial: true
  name: inst-5c3dw-san-jose-dev-a10-hypervisors-pool
  taints:
  - effect: NoSchedule
    key: node-role.kubernetes.io/control-plane
timeouts:
  controlPlaneComponentHealthCheck: 4m0s
  discovery: 5m0s
  etcdAPICall: 2m0s
  kubeletHealthCheck: 4m0s
  kubernetesAPICall: 1m0s
  tlsBootstrap: 5m0s
  upgradeManifests: 5m0s
---
apiServer:
  certSANs:
  - 10.254.192.244
apiVersion: kubeadm.k8s.io/v1beta4
caCertificateValidityPeriod: 87600h0m0s
certificateValidityPeriod: 8760h0m0s
certificatesDir: /etc/kubernetes/pki
clusterName: kubernetes
controlPlaneEndpoint: 10.254.192.244:6443
controllerManager: {}
dns: {}
encryptionAlgorithm: RSA-2048
etcd:
  local:
    dataDir: /var/lib/etcd
imageRepository: registry.k8s.io
kind: ClusterConfiguration
kubernetesVersion: v1.32.0
networking:
  dnsDomain: cluster.local
  podSubnet: 10.254.192.244/24
  serviceSubnet: 10.254.192.244/24
proxy: {}
scheduler: {}
"""
GOOD = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: 192.0.2.10}
nodeRegistration:
  taints: []
  criSocket: unix:///run/containerd/containerd.sock
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.36.4
controlPlaneEndpoint: 192.0.2.10:6443
networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
controllerManager:
  extraArgs:
  - {name: node-cidr-mask-size-ipv4, value: "24"}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
clusterDNS: [10.96.0.10]
"""


def test_a_file_that_is_right_has_no_root_and_no_note() -> None:
    found = diagnosed(GOOD)
    assert (found.roots, found.notes, found.undetermined) == ((), (), ())


def test_the_field_report_s_file_has_its_ranges_first() -> None:
    found = diagnosed(V1BETA3)
    assert [one.sign.id for one in found.roots] == ["network.file_ranges", "kubernetes.file_fields"]
    assert "kubernetes.file_api" in [one.sign.id for one in found.notes]
    ranges, fields = (one.sign.finding for one in found.roots)
    assert "overlap" in ranges.found
    assert "10.254.192.244, the node's own address" in ranges.found
    assert [seen.source for seen in ranges.evidence] == ["given:10", "given:9", "given:4"]
    assert fields.found == "localAPIEndpoint in ClusterConfiguration: it belongs to InitConfiguration"
    assert fields.evidence[0].source == "given:11"


def test_the_migrated_file_has_nothing_but_its_ranges_left() -> None:
    found = diagnosed(MIGRATED)
    assert [one.sign.id for one in found.roots] == ["network.file_ranges"]
    assert {one.sign.id for one in found.notes} == {"kubernetes.file_secrets", "kubernetes.file_taints"}
    assert "hw4taj" not in repr(found)


def test_on_the_field_report_s_host_its_kubelet_and_its_network_tell_as_well(tmp_path: Path) -> None:
    (tmp_path / "kubeadm.yaml").write_text(V1BETA3)
    session = Session("single-node", (), str(HOSTS / "a10-hybrid-docker-containerd"))
    report = examine(session, Asked(files=(str(tmp_path / "kubeadm.yaml"),)))
    names = [one.sign.id for one in report.diagnosis.roots]
    assert names[0] == "network.file_ranges"
    assert set(names[1:]) == {"kubernetes.file_fields", "kubernetes.file_version"}
    free = report.diagnosis.roots[0].follows[0].sign.finding
    version = next(one.sign.finding for one in report.diagnosis.roots if one.sign.id == "kubernetes.file_version")
    assert free.id == "network.file_ranges_free"
    assert "eno1 10.254.192.244/24" in free.found
    assert version.found == "v1.32.0: kubelet 1.33.3 is newer"
    assert report.exit_code == 1


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    "overlapping ranges": (changed("10.96.0.0/12", "10.244.128.0/20"), "network.file_ranges", "overlap"),
    "host bits": (changed("10.244.0.0/16", "10.244.0.1/16"), "network.file_ranges", "one machine"),
    "no CIDR": (changed("10.244.0.0/16", "pods"), "network.file_ranges", "pods: "),
    "too many services": (changed("10.96.0.0/12", "10.0.0.0/8"), "network.file_ranges", "2^24"),
    "a share that does not fit": (changed('"24"', '"12"'), "network.file_ranges", "/12 for each node"),
    "the node's address in the services": (changed("192.0.2.10:6443", "10.96.0.7:6443"), "network.file_ranges", "10.96.0.7"),
    "an old version": (changed("k8s.io/v1beta4\nkind: Cluster", "k8s.io/v1beta2\nkind: Cluster"), "kubernetes.file_api", "v1beta2"),
    "a version to come": (changed("k8s.io/v1beta4\nkind: Cluster", "k8s.io/v1\nkind: Cluster"), "kubernetes.file_api", "k8s.io/v1 "),
    "no version": (changed("apiVersion: kubelet.config.k8s.io/v1beta1\n", ""), "kubernetes.file_api", "not given"),
    "a kind of another group": (changed("kubelet.config.k8s.io/v1beta1", "kubeadm.k8s.io/v1beta4"), "kubernetes.file_api", "Kubelet"),
    "a misspelt field": (changed("controlPlaneEndpoint", "controlplaneEndpoint"), "kubernetes.file_fields", "controlplaneEndpoint"),
    "an unknown field below": (changed("advertiseAddress: 192", "advertisedAddress: 192"), "kubernetes.file_fields", "localAPIEndpoint.adv"),
    "a kubelet's field elsewhere": (changed("kubernetesVersion", "cgroupDriver: x\nkubernetesVersion"), "kubernetes.file_fields", "Kubelet"),
    "extraArgs as before": (
        changed('- {name: node-cidr-mask-size-ipv4, value: "24"}', '  node-cidr-mask-size-ipv4: "24"'),
        "kubernetes.file_fields", "extraArgs must be array",
    ),
    "a socket of Docker's": (changed("unix:///run/containerd/containerd", "unix:///var/run/dockershim"), "kubernetes.file_values", "dockershim"),
    "a socket by TCP": (changed("unix:///run/containerd/containerd.sock", "tcp://127.0.0.1"), "kubernetes.file_values", "scheme"),
    "an address of everybody": (changed("{advertiseAddress: 192.0.2.10}", "{advertiseAddress: 0.0.0.0}"), "kubernetes.file_values", "0.0.0.0"),
    "a DNS elsewhere": (changed("[10.96.0.10]", "[10.43.0.10]"), "kubernetes.file_values", "10.43.0.10"),
    "a token of another form": (
        changed("nodeRegistration:", "bootstrapTokens: [{token: SECRET-TOKEN}]\nnodeRegistration:"), "kubernetes.file_values", "bootstrapTokens[0]",
    ),
    "a tab": (changed("  taints: []", "\ttaints: []"), "os.file_parses", "a tab"),
    "a key twice": (GOOD.replace("cgroupDriver: systemd", "cgroupDriver: systemd\ncgroupDriver: systemd"), "os.file_parses", "line 20"),
    "an open bracket": (changed("taints: []", "taints: ["), "os.file_parses", "line"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "check", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_the_first_root(text: str, check: str, said: str) -> None:
    assert roots(text)[0] == check
    found = root(text, check)
    assert said in found.found
    assert found.fix
    assert found.evidence
    assert "SECRET" not in repr(found)


NOTED = {
    "the old version": (GOOD.replace("kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3"), "kubernetes.file_api"),
    "no Kubernetes version": (changed("kubernetesVersion: v1.36.4\n", ""), "kubernetes.file_version"),
    "a certificate key": (changed("nodeRegistration:", f"certificateKey: {'ab' * 32}\nnodeRegistration:"), "kubernetes.file_secrets"),
    "taints by default": (changed("  taints: []\n", ""), "kubernetes.file_taints"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "check"), NOTED.values(), ids=NOTED)
def test_what_works_but_is_worth_knowing_is_a_note(text: str, check: str) -> None:
    assert roots(text) == []
    assert notes(text) == [check]


def test_v1beta3_is_a_root_for_a_version_that_no_longer_reads_it() -> None:
    text = GOOD.replace("kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3").replace("v1.36.4", "v1.37.1")
    assert roots(text) == ["kubernetes.file_api"]


def test_v1beta3_may_have_what_v1beta4_has_no_more_but_not_what_is_new() -> None:
    old = changed('- {name: node-cidr-mask-size-ipv4, value: "24"}', '  node-cidr-mask-size-ipv4: "24"')
    old = old.replace("kubeadm.k8s.io/v1beta4", "kubeadm.k8s.io/v1beta3")
    assert roots(old) == []
    found = root(
        old.replace("kubernetesVersion", "certificateValidityPeriod: 10h\nkubernetesVersion"), "kubernetes.file_fields"
    )
    assert "v1beta4 has it" in found.found


JOIN = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    token: abcdef.0123456789abcdef
    apiServerEndpoint: 192.0.2.10:6443
    caCertHashes: ["sha256:00"]
"""


def test_a_join_needs_one_way_to_know_its_cluster() -> None:
    assert roots(JOIN) == []
    assert "neither" in root(JOIN.partition("discovery")[0], "kubernetes.file_values").found
    assert "caCertHashes" in root(JOIN.replace('    caCertHashes: ["sha256:00"]\n', ""), "kubernetes.file_values").found


def test_the_kubelet_s_driver_is_systemd_or_kubeadm_s_choice() -> None:
    assert roots(changed("cgroupDriver: systemd", "cgroupDriver: cgroupfs")) == ["kubernetes.file_cgroup_driver"]
    assert notes(changed("cgroupDriver: systemd\n", "")) == []
    assert notes("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n") == [
        "kubernetes.file_cgroup_driver"
    ]
