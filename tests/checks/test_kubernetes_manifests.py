"""Files in the folder of static pods: kubeadm's, copies, broken ones, and arguments that say something else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.checks.test_kubernetes_kubelet import judge, text

from caasctl.checks.kubernetes_manifests import manifests
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KubeadmFile
from caasctl.facts.kubernetes_static_pods import FOLDER, ManifestFile, ManifestFiles
from caasctl.facts.network import Address, Link, Links
from caasctl.formats import dump_json
from caasctl.model import Finding, Level

CLUSTER: dict[str, Any] = {
    "kind": "ClusterConfiguration", "kubernetesVersion": "v1.36.4", "clusterName": "kubernetes",
    "networking": {"serviceSubnet": "10.96.0.0/12", "podSubnet": "10.244.0.0/16"},
    "etcd": {"local": {"dataDir": "/var/lib/etcd"}},
    "apiServer": {"extraArgs": [{"name": "profiling", "value": "false"}]},
    "controllerManager": {"extraArgs": {"node-cidr-mask-size": "25"}},
}  # fmt: skip
LINKS = Links((Link("eth0", addresses=(Address("192.0.2.2", 24), Address("2001:db8::1", 64))),))


def file(
    pod: str, *arguments: str, name: str = "", version: str = "1.36.4", missing: tuple[tuple[str, str], ...] = ()
) -> ManifestFile:
    pairs = tuple((key, value) for key, _, value in (argument.partition("=") for argument in arguments))
    return ManifestFile(f"{FOLDER}/{name or f'{pod}.yaml'}", "", pod, version, pairs, missing)


API = file("kube-apiserver", "service-cluster-ip-range=10.96.0.0/12", "advertise-address=192.0.2.2", "profiling=false")
MANAGER = file(
    "kube-controller-manager",
    "service-cluster-ip-range=10.96.0.0/12",
    "cluster-cidr=10.244.0.0/16",
    "node-cidr-mask-size=25",
)
ETCD = file("etcd", "data-dir=/var/lib/etcd", version="3.6.5-0")


def found(*files: ManifestFile, cluster: dict[str, Any] | None = None) -> list[Finding]:
    api = ClusterApi(asked=True, answers=True, configuration=dump_json(CLUSTER if cluster is None else cluster))
    return judge(manifests, ManifestFiles(files), api, LINKS)


def one(*files: ManifestFile) -> Finding:
    (only,) = found(*files)
    return only


def test_manifests_as_kubeadm_writes_them_pass() -> None:
    assert [(one.level, one.found) for one in found(API, MANAGER, ETCD)] == [(Level.PASS, "3 manifests")]
    assert judge(manifests, ManifestFiles()) == []


def test_a_copy_is_run_as_well() -> None:
    bad = one(API, file("kube-apiserver", name="kube-apiserver.yaml.bak"))
    assert (bad.level, text(bad)) == (Level.FAIL, f"mv {FOLDER}/kube-apiserver.yaml.bak /root/")
    assert one(file("kube-apiserver", name="0-old"), API).subject == f"{FOLDER}/0-old"


def test_a_file_that_is_no_pod_is_skipped_by_the_kubelet() -> None:
    bad = one(API, ManifestFile(f"{FOLDER}/notes", "is no manifest of a pod"))
    assert (bad.level, bad.found) == (Level.FAIL, f"{FOLDER}/notes is no manifest of a pod")


@pytest.mark.parametrize(
    ("bad", "said"),
    [(file("kube-apiserver", "service-cluster-ip-range=10.97.0.0/12"), "networking.serviceSubnet: 10.96.0.0/12 in kubeadm-config"),
     (file("kube-apiserver", "profiling=true"), "extraArgs: false in kubeadm-config"),
     (file("kube-controller-manager", "cluster-cidr=10.0.0.0/16"), "networking.podSubnet: 10.244.0.0/16"),
     (file("kube-controller-manager", "node-cidr-mask-size=24"), "extraArgs: 25 in kubeadm-config"),
     (file("etcd", "data-dir=/data"), "etcd.local.dataDir: /var/lib/etcd"),
     (file("kube-apiserver", "advertise-address=192.0.2.9"), "--advertise-address=192.0.2.9 is no address of this host"),
     (file("etcd", "data-dir=/var/lib/etcd", "data-dir=/var/lib/etcd"), "--data-dir is given 2 times: /var/lib/etcd, /var/lib/etcd"),
     (file("etcd", missing=(("cert-file", "/etc/kubernetes/pki/x"),)), "--cert-file=/etc/kubernetes/pki/x: there is no such file")],
)  # fmt: skip
def test_what_differs_or_is_not_there_is_named(bad: ManifestFile, said: str) -> None:
    finding = one(bad)
    assert finding.level is Level.FAIL
    assert said in finding.found


def test_another_version_and_a_size_that_kubeadm_does_not_know_are_warned_of() -> None:
    assert (
        one(file("kube-scheduler", version="1.35.0")).level,
        one(file("kube-scheduler", version="1.35.0")).wanted,
    ) == (Level.WARN, "1.36.4")
    assert text(one(file("kube-scheduler", version="1.35.0"))) == "kubeadm upgrade apply v1.36.4 --force"
    assert text(one(file("kube-scheduler", version="1.36.10"))) == "kubeadm upgrade apply v1.36.10 --force"
    (size,) = found(file("kube-controller-manager", "node-cidr-mask-size=24"), cluster={"kubernetesVersion": "v1.36.4"})
    assert (size.level, size.found.endswith("not in kubeadm-config")) == (Level.WARN, True)


def test_without_an_api_server_caasctl_s_own_file_says_it() -> None:
    files = ManifestFiles((file("etcd", "data-dir=/data"),))
    assert judge(manifests, files, KubeadmFile((CLUSTER,)))[0].level is Level.FAIL
    assert judge(manifests, files)[0].found == "1 manifests, no configuration to compare them with"


@pytest.mark.parametrize(
    "cluster", [[], {"networking": 1, "etcd": [], "apiServer": {"extraArgs": [1, {}]}}, {"kubernetesVersion": None}]
)
def test_a_configuration_of_another_shape_breaks_nothing(cluster: Any) -> None:
    assert {one.level for one in found(API, MANAGER, ETCD, cluster=cluster)} <= {Level.PASS, Level.WARN}


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert one(file("kube-apiserver", "advertise-address=2001:db8:0::1")).level is Level.PASS


def test_arguments_that_may_stand_twice_may() -> None:
    assert one(file("kube-apiserver", "service-account-issuer=a", "service-account-issuer=b")).level is Level.PASS
