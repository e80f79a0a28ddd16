"""What the phase desires by role, and that it does not depend on what it brings about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl import profile_load
from caasctl.facts.kubernetes import Cluster, EtcdData, StaticPods
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.os import Cpu, Memory
from caasctl.facts.os_system import Hostname
from caasctl.facts.os_users import User, Users
from caasctl.model import CaasError, Facts
from caasctl.phases.kubeadm import PHASE
from caasctl.profile import Join, NodeProfile
from caasctl.protocol import Resource
from caasctl.resources.files import owned_files
from caasctl.resources.kubeadm.begin import KubeadmInit, KubeadmJoin
from caasctl.resources.kubeadm.kubeconfig import Kubeconfig
from caasctl.syntax import kubeadm

KNOWN = (
    Cpu("", 8, frozenset()), Memory(32 * 1024 * 1024, 0), Resolvers(("192.0.2.53",)), Hostname("n1"),
    Links((Link("eth0", addresses=(Address("192.0.2.7", 24),)),)), Users((User("ann", 1000, 1001, "/home/ann"),)),
    Routes((Route("0.0.0.0/0", "192.0.2.1", "eth0"), Route("192.0.2.0/24", dev="eth0"))),
)  # fmt: skip
JOIN = Join("192.0.2.1:6443", "abcdef.0123456789abcdef", ("sha256:" + "a" * 64,), certificate_key="b" * 64)


def profile(name: str = "single-node", *settings: str, join: Join | None = None) -> NodeProfile:
    return replace(profile_load.load(name, settings), join=join)


def desired(wanted: NodeProfile, *more: object) -> list[Resource]:
    return list(PHASE.desired(Facts([*KNOWN, *more]), wanted))


def names(wanted: NodeProfile) -> list[str]:
    return [resource.name for resource in desired(wanted)]


@pytest.mark.parametrize("name", ["single-node", "control-plane"])
def test_a_node_that_begins_a_cluster_makes_the_key_before_it(name: str) -> None:
    assert names(profile(name)) == [
        "proxy:kubelet",
        "unit:kubelet.service",
        "key:/etc/kubernetes/caasctl/encryption.yaml",
        "kubeadm:init",
        "kubeconfig:/root/.kube/config",
    ]


def test_a_worker_that_is_not_joining_has_its_kubelet_enabled_and_nothing_else() -> None:
    assert names(profile("worker")) == ["proxy:kubelet", "unit:kubelet.service"]


def test_a_worker_that_joins_has_its_own_part_of_the_kubelets_configuration() -> None:
    assert names(profile("worker", join=JOIN)) == ["proxy:kubelet", "unit:kubelet.service", "kubeadm:join"]
    join = desired(profile("worker", join=JOIN))[-1]
    assert isinstance(join, KubeadmJoin)
    assert [file.path for file in join.members] == [kubeadm.KUBELET_PATCH]
    assert (join.node, join.ca_hashes) == ("n1", JOIN.ca_hashes)


def test_a_control_plane_that_joins_makes_no_key_and_has_the_files_of_its_api_server() -> None:
    """Whatever its own profile says: the cluster's configuration tells its API server what to mount."""
    assert names(profile("control-plane", join=JOIN)) == [
        "proxy:kubelet",
        "unit:kubelet.service",
        "kubeadm:join",
        "kubeconfig:/root/.kube/config",
    ]
    wanted = profile("control-plane", "kubernetes.auditLog=false", join=JOIN)
    (join,) = [each for each in desired(wanted) if isinstance(each, KubeadmJoin)]
    assert [file.path for file in join.members] == [kubeadm.KUBELET_PATCH, kubeadm.AUDIT_POLICY, kubeadm.ADMISSION]


def test_no_secret_of_a_join_is_in_what_is_desired() -> None:
    shown = repr(desired(profile("control-plane", join=JOIN)))
    assert JOIN.token not in shown
    assert JOIN.certificate_key not in shown


def test_all_files_are_for_root_and_the_first_document_begins_without_a_separator() -> None:
    (init,) = [each for each in desired(profile()) if isinstance(each, KubeadmInit)]
    files = owned_files(init)
    assert {file.mode for file in files} == {0o600}
    assert [file.path for file in files] == [kubeadm.CONFIG, kubeadm.AUDIT_POLICY, kubeadm.ADMISSION]
    assert all("apiVersion:" in part for part in files[0].text.split("---\n"))  # kubeadm takes each for a document
    assert len(files[0].text.split("---\n")) == 3


def test_what_is_switched_off_is_not_brought() -> None:
    wanted = profile("single-node", "kubernetes.auditLog=false", "kubernetes.encryptSecrets=false")
    assert "key:/etc/kubernetes/caasctl/encryption.yaml" not in names(wanted)
    paths = [
        file.path for resource in desired(wanted) for file in owned_files(resource) if resource.name != "proxy:kubelet"
    ]
    assert paths == [kubeadm.CONFIG, kubeadm.ADMISSION]


def test_a_user_gets_the_kubeconfig_in_his_home() -> None:
    found = [
        each for each in desired(profile("single-node", "kubernetes.kubeconfigFor=ann")) if isinstance(each, Kubeconfig)
    ]
    assert [(each.path, each.uid, each.gid) for each in found] == [
        ("/root/.kube/config", 0, 0),
        ("/home/ann/.kube/config", 1000, 1001),
    ]
    with pytest.raises(CaasError, match="there is no user bob"):
        desired(profile("single-node", "kubernetes.kubeconfigFor=bob"))


def test_the_same_is_desired_before_and_after() -> None:
    before = desired(profile())
    after = desired(profile(), Cluster(admin_conf=True, kubelet_conf=True, ca=True), StaticPods(("kube-apiserver.yaml",)),
                    EtcdData(present=True))  # fmt: skip
    assert before == after


def test_the_addons_are_those_of_kubeadm() -> None:
    for settings, wanted in (((), ("coredns",)), (("cilium.kubeProxyReplacement=false",), ("coredns", "kube-proxy"))):
        (init,) = [one for one in desired(profile("single-node", *settings)) if isinstance(one, KubeadmInit)]
        assert init.addons == wanted
