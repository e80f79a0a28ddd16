"""Checks of Kubernetes' programs, versions and ports, each seen passing and failing."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from caasctl.checks import kubernetes, kubernetes_ports
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_tools import HostTools, Packages, Tools
from caasctl.facts.network_ports import Listener, Listeners
from caasctl.facts.os_clock import Clock
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

TRIO = ("kubelet", "kubeadm", "kubectl")
ALL = (*TRIO, "helm", "crictl")
HOST_TOOLS = ("mount", "losetup", "ip", "iptables", "nsenter", "ethtool", "tc")


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def tools(*names: str, version: str = "1.36.4", **versions: str) -> Tools:
    return Tools({name: versions.get(name, version) for name in names}, {name: f"/usr/bin/{name}" for name in names})


def packages(manager: str = "dpkg", held: tuple[str, ...] = TRIO) -> Packages:
    return Packages(dict.fromkeys(TRIO, "1.36.4-1.1"), frozenset(held), manager)


def on_path(*names: str) -> HostTools:
    return HostTools({name: f"/usr/bin/{name}" for name in names})


def test_programs_that_are_there_and_held_pass() -> None:
    found = one(kubernetes.packages, tools(*ALL), packages())
    assert (found.level, found.found) == (Level.PASS, "kubelet 1.36.4, kubeadm 1.36.4, kubectl 1.36.4")


def test_missing_programs_fail_with_the_lines_of_their_own_repository() -> None:
    found, helm = judge(kubernetes.packages, tools("kubectl"), Packages(manager="dpkg"))
    assert (found.level, found.found) == (Level.FAIL, "not installed: kubelet, kubeadm")
    assert "'URIs: https://pkgs.k8s.io/core:/stable:/v1.36/deb/' 'Suites: /'" in text(found)
    assert text(found).index("= FINGERPRINT_FROM_SOMEBODY") < text(found).index("apt-get install")
    assert "'kubelet=1.36.4-*' 'kubeadm=1.36.4-*' 'kubectl=1.36.4-*' cri-tools" in text(found)
    assert (helm.level, helm.subject) == (Level.FAIL, "helm")


def test_missing_programs_on_an_rpm_host_and_on_one_without_packages() -> None:
    found, _ = judge(kubernetes.packages, tools(), Packages(manager="rpm"))
    assert "dnf install -y --disableexcludes=kubernetes kubelet-1.36.4 kubeadm-1.36.4 kubectl-1.36.4" in text(found)
    assert "baseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/" in text(found)
    found, _ = judge(kubernetes.packages, tools(), Packages())
    assert "https://pkgs.k8s.io/core:/stable:/v1.36/" in text(found)


def test_a_worker_needs_no_helm_but_kubectl_which_tells_that_it_joined() -> None:
    found = one(kubernetes.packages, tools("kubelet", "kubeadm", "kubectl", "crictl"), packages(), named="worker")
    assert found.level is Level.PASS
    found = one(kubernetes.packages, tools("kubelet", "kubeadm", "crictl"), packages(), named="worker")
    assert (found.level, found.found) == (Level.FAIL, "not installed: kubectl")


def test_a_program_older_than_the_node_s_cluster_is_for_upgrade() -> None:
    live = ControlPlane({}, {"kube-apiserver": "1.36.1"})
    found = judge(kubernetes.skew, tools(*TRIO, version="1.33.2"), live, packages())
    assert all(text(each).startswith("caasctl upgrade") for each in found if each.subject in ("kubeadm", "kubectl"))


@pytest.mark.parametrize(
    ("manager", "command"), [("dpkg", "apt-mark hold kubeadm"), ("rpm", "dnf versionlock add kubeadm")]
)
def test_a_package_that_is_not_held_warns(manager: str, command: str) -> None:
    _, found = judge(kubernetes.packages, tools(*ALL), packages(manager, held=("kubelet", "kubectl")))
    assert (found.level, found.subject, text(found)) == (Level.WARN, "hold", command)


def test_programs_that_are_no_packages_cannot_be_held() -> None:
    assert one(kubernetes.packages, tools(*ALL), Packages(manager="dpkg")).level is Level.PASS


def test_crictl_missing_warns() -> None:
    _, found = judge(kubernetes.packages, tools(*TRIO, "helm"), packages())
    assert (found.level, found.subject, text(found)) == (Level.WARN, "cri-tools", "apt-get install -y cri-tools")
    _, found = judge(kubernetes.packages, tools(*TRIO, "helm"), packages("rpm"))
    assert text(found) == "dnf install -y --disableexcludes=kubernetes cri-tools"


def test_the_distribution_s_programs_pass() -> None:
    assert one(kubernetes.tools, on_path(*HOST_TOOLS), packages()).level is Level.PASS


@pytest.mark.parametrize(
    ("version", "missing", "level"),
    [
        ("v1.36.4", "losetup", Level.FAIL),
        ("v1.36.4", "iptables", Level.WARN),
        ("v1.32.1", "iptables", Level.FAIL),
        ("v1.32.1", "losetup", Level.PASS),
        ("v1.31.9", "conntrack", Level.FAIL),
        ("v1.32.1", "conntrack", Level.PASS),
        ("v1.31.9", "socat", Level.WARN),
    ],
)
def test_a_program_is_missed_as_that_version_of_kubeadm_misses_it(version: str, missing: str, level: Level) -> None:
    there = on_path(*({*HOST_TOOLS, "conntrack", "socat", "ebtables"} - {missing}))
    found = one(kubernetes.tools, there, packages(), settings=(f"kubernetes.version={version}",))
    assert found.level is level
    assert level is Level.PASS or found.found == f"not found: {missing}"


def test_the_fix_names_packages() -> None:
    found, _ = judge(kubernetes.tools, on_path(), packages("rpm"))
    assert text(found) == "dnf install -y util-linux"
    _, useful = judge(kubernetes.tools, on_path(), packages())
    assert text(useful) == "apt-get install -y iproute2 iptables util-linux ethtool"


def at(year: int, month: int) -> Clock:
    return Clock(datetime(year, month, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize(
    ("version", "level", "said"),
    [
        ("v1.36.4", Level.PASS, "v1.36.4, maintained until 2027-06-28"),
        ("v1.34.2", Level.WARN, "v1.34.2: end of life 2026-10-27"),
        ("v1.30.1", Level.FAIL, "v1.30.1"),
        ("v1.38.0", Level.WARN, "v1.38.0"),
    ],
)
def test_maintained_versions(version: str, level: Level, said: str) -> None:
    for facts in ((), (at(1970, 1),), (at(2026, 12),)):  # a clock that is behind proves nothing
        found = one(kubernetes.supported, *facts, settings=(f"kubernetes.version={version}",))
        assert (found.level, found.found) == (level, said)


def test_time_passes_for_a_version_too() -> None:
    assert one(kubernetes.supported, at(2027, 7)).level is Level.WARN


def test_programs_of_the_profile_s_version_pass_and_none_says_nothing() -> None:
    found = one(kubernetes.skew, tools(*TRIO), ControlPlane())
    assert found.found == "kubelet 1.36.4, kubeadm 1.36.4, kubectl 1.36.4; the profile: 1.36"
    assert judge(kubernetes.skew, Tools(), ControlPlane()) == []


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("kubelet", "1.37.0", Level.FAIL),
        ("kubelet", "1.33.3", Level.PASS),
        ("kubelet", "1.32.0", Level.FAIL),
        ("kubeadm", "1.37.1", Level.PASS),
        ("kubeadm", "1.35.9", Level.FAIL),
        ("kubeadm", "1.38.0", Level.FAIL),
        ("kubectl", "1.35.0", Level.PASS),
        ("kubectl", "1.34.0", Level.WARN),
        ("kubectl", "", Level.PASS),
    ],
)
def test_which_versions_go_together(name: str, version: str, level: Level) -> None:
    found = one(kubernetes.skew, tools(*TRIO, **{name: version}), ControlPlane(), packages())
    assert found.level is level
    if level is not Level.PASS:
        assert found.subject == name
        assert f"{name}=1.36.4-*" in text(found)
        assert "/v1.36/deb/" in text(found)


def test_a_kubelet_newer_than_the_running_control_plane_says_it_as_kubeadm_does() -> None:
    found = one(kubernetes.skew, tools("kubelet", version="1.36.4"), ControlPlane({}, {"kube-apiserver": "1.35.9"}))
    assert found.found == "kubelet 1.36.4, the running control plane: 1.35"
    assert "the kubelet version is higher than the control plane version" in found.cause
    assert text(found) == "put kubelet 1.35 where /usr/bin/kubelet is"


def listening(*found: tuple[int, str]) -> Listeners:
    return Listeners(tuple(Listener("tcp", "::", port, process, 812 if process else 0) for port, process in found))


def test_free_ports_pass() -> None:
    found = one(kubernetes_ports.ports_free, listening((22, "sshd")), Cluster(), ControlPlane())
    assert found.found == "6443, 10250, 10257, 10259, 2379, 2380: free"
    found = one(kubernetes_ports.ports_free, listening((6443, "haproxy")), Cluster(), ControlPlane(), named="worker")
    assert found.found == "10250: free"


def test_a_port_that_is_taken_fails_with_its_owner() -> None:
    found = one(kubernetes_ports.ports_free, listening((6443, "haproxy")), Cluster(), ControlPlane())
    assert (found.level, found.subject, found.found) == (Level.FAIL, "6443/tcp", "held by haproxy (pid 812), on ::")
    assert text(found) == "systemctl stop $(ps -o unit= -p 812)"
    found = one(kubernetes_ports.ports_free, listening((2379, "")), Cluster(), ControlPlane())
    assert found.found == "held by a program that only root can see, on ::"


def test_this_node_s_own_cluster_is_no_obstacle() -> None:
    own = listening(
        (6443, "kube-apiserver"), (10250, "kubelet"), (2379, "etcd"), (2380, "etcd"), (10257, "kube-controller")
    )
    found = one(kubernetes_ports.ports_free, own, Cluster(admin_conf=True), ControlPlane())
    assert found.found.endswith("5 held by this cluster itself")
    unseen = listening((6443, ""), (10250, ""))
    assert one(kubernetes_ports.ports_free, unseen, Cluster(ca=True), ControlPlane()).level is Level.PASS


def test_a_kubelet_or_etcd_without_a_cluster_is_one() -> None:
    found = judge(kubernetes_ports.ports_free, listening((10250, "kubelet"), (2379, "etcd")), Cluster(), ControlPlane())
    assert [finding.subject for finding in found] == ["10250/tcp", "2379/tcp"]
    assert text(found[0]) == "systemctl stop kubelet"


def test_ports_follow_the_profile_and_the_running_api_server() -> None:
    settings = ("kubernetes.kubelet={port: 20250}", "cilium.kubeProxyReplacement=false")
    planes = ControlPlane({"kube-apiserver": {"secure-port": "8443"}})
    found = one(kubernetes_ports.ports_free, listening(), Cluster(), planes, settings=settings)
    assert found.found == "8443, 20250, 10256, 10257, 10259, 2379, 2380: free"
