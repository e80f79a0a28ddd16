"""Kubelet's configuration, a cluster's files, packages and programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts import kubernetes, kubernetes_tools
from caasctl.facts.kubernetes import Cluster, Kubelet, StaticPods
from caasctl.facts.kubernetes_tools import Packages, Tools
from caasctl.host import LiveHost
from caasctl.model import Unreadable

CONFIG = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
resolvConf: /run/systemd/resolve/resolv.conf
"""
FLAGS = (
    'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock --node-ip=192.0.2.2"\n'
)
DPKG = """Package: adduser
Status: install ok installed
Version: 3.134

Package: kubelet
Status: hold ok installed
Priority: optional
Section: admin
Maintainer: Kubernetes Authors <dev@kubernetes.io>
Architecture: amd64
Version: 1.36.4-1.1
Depends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0)
Description: Node agent
 Package: helm
 is a word in a description

Package: kubelet-tools
Status: install ok installed
Version: 9.9.9

Package: kubectl
Status: install ok installed
Version: 1:528.0.0-0

Package: docker-ce
Status: install ok installed
Version: 5:28.2.2-1~ubuntu.22.04~jammy

Package: cri-tools
Status: deinstall ok config-files
Version: 1.30.0-1.1

Package: runc
Status: install ok installed
Version: 1.1.5+ds1-1+deb12u1
"""


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


def bundle(folder: Path, files: dict[str, str], commands: list[dict[str, object]]) -> BundleHost:
    tree(folder / "root", files)
    (folder / "manifest.json").write_text('{"schemaVersion": 1}')
    (folder / "commands.json").write_text(json.dumps(commands))
    return BundleHost(str(folder))


def test_a_bare_host_has_nothing_of_kubernetes(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert kubernetes.read_kubelet(host) == Kubelet(installed=False)
    assert kubernetes.read_cluster(host) == Cluster()
    assert not kubernetes.read_cluster(host).begun
    assert kubernetes.read_static_pods(host) == StaticPods()
    assert not kubernetes.read_etcd_data(host).present
    assert kubernetes_tools.read_packages(host) == Packages()
    assert kubernetes_tools.read_tools(host) == Tools()


def test_the_kubelet_of_a_node(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup/system.slice/kubelet.service").mkdir(parents=True)
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "kubelet.service").symlink_to("/lib/systemd/system/kubelet.service")
    files = {
        "/usr/bin/kubelet": "x",
        "/var/lib/dpkg/status": DPKG,
        "/var/lib/kubelet/config.yaml": CONFIG,
        "/var/lib/kubelet/kubeadm-flags.env": FLAGS,
        "/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--v=2\n",
    }
    found = kubernetes.read_kubelet(tree(tmp_path, files))
    assert (found.installed, found.version, found.enabled, found.running) == (True, "1.36.4", True, True)
    assert found.config
    assert found.config["cgroupDriver"] == "systemd"
    assert found.flags.split() == [
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
        "--node-ip=192.0.2.2",
        "--v=2",
    ]


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "a: 1\na: 2\n", ""])
def test_a_kubelet_configuration_that_is_none_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="config"):
        kubernetes.parse_config(text)


def test_flags_of_an_environment_file() -> None:
    assert kubernetes.parse_flags(FLAGS, "KUBELET_KUBEADM_ARGS").endswith("--node-ip=192.0.2.2")
    assert kubernetes.parse_flags('A="--open\n', "A") == "--open"
    assert kubernetes.parse_flags("", "A") == ""


def test_what_kubeadm_left_is_seen(tmp_path: Path) -> None:
    files = {
        "/etc/kubernetes/admin.conf": "x",
        "/etc/kubernetes/pki/ca.crt": "x",
        "/etc/kubernetes/manifests/kube-apiserver.yaml": "x",
        "/etc/kubernetes/manifests/.kube-apiserver.yaml.swp": "x",
        "/var/lib/etcd/member/wal/0.wal": "x",
        "/etc/rancher/k3s/k3s.yaml": "x",
    }
    host = tree(tmp_path, files)
    found = kubernetes.read_cluster(host)
    assert found == Cluster(admin_conf=True, ca=True, others=(("k3s", "/etc/rancher/k3s"),))
    assert found.begun
    pods = kubernetes.read_static_pods(host)
    assert (pods.manifests, pods.control_plane) == (("kube-apiserver.yaml",), True)
    assert kubernetes.read_etcd_data(host).present


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_etcd_folder_that_is_closed_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "var/lib/etcd").mkdir(parents=True, mode=0o000)
    with pytest.raises(Unreadable, match="needs root"):
        kubernetes.read_etcd_data(LiveHost(str(tmp_path)))


def test_dpkg_status_tells_installed_and_held() -> None:
    found = kubernetes_tools.parse_dpkg_status(DPKG)
    assert found.versions == {
        "kubelet": "1.36.4-1.1",
        "kubectl": "1:528.0.0-0",
        "docker-ce": "5:28.2.2-1~ubuntu.22.04~jammy",
        "runc": "1.1.5+ds1-1+deb12u1",
    }
    assert (found.held, found.manager) == (frozenset({"kubelet"}), "dpkg")
    assert kubernetes_tools.parse_dpkg_status("").versions == {}
    assert kubernetes_tools.parse_dpkg_status("Package: runc\nStatus: broken").versions == {}


def test_rpm_s_answer_and_its_locks() -> None:
    found = kubernetes_tools.parse_rpm(
        "kubelet 1.36.4-150500.1.1\nrunc 1.1.12-3.el9\n", "# lock\n0:kubelet-1.36.4-150500.1.1.*\n"
    )
    assert found == Packages({"kubelet": "1.36.4-150500.1.1", "runc": "1.1.12-3.el9"}, frozenset({"kubelet"}), "rpm")
    assert kubernetes_tools.parse_rpm("", "").versions == {}
    assert kubernetes_tools.parse_rpm("warning:\n").versions == {}


def test_rpm_is_asked_where_it_is_at_home(tmp_path: Path) -> None:
    files = {"/usr/lib/sysimage/rpm/rpmdb.sqlite": "x"}
    argv = list(kubernetes_tools._RPM)
    host = bundle(tmp_path / "a", files, [{"argv": argv, "stdout": "runc 1.1.12-3.el9\n"}])
    assert kubernetes_tools.read_packages(host).versions == {"runc": "1.1.12-3.el9"}
    with pytest.raises(Unreadable, match="locked"):
        kubernetes_tools.read_packages(bundle(tmp_path / "b", files, [{"argv": argv, "rc": 1, "stderr": "locked"}]))


@pytest.mark.parametrize(
    ("packaged", "version"),
    [("1.36.4-1.1", "1.36.4"), ("5:28.2.2-1~ubuntu", "28.2.2"), ("1.1.5+ds1-1+deb12u1", "1.1.5"), ("", ""), ("x", "")],
)
def test_upstream_s_version_of_a_package(packaged: str, version: str) -> None:
    assert kubernetes_tools.upstream(packaged) == version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v1.36.4\n", "1.36.4"),
        ("Kubernetes v1.36.4\n", "1.36.4"),
        (
            "clientVersion:\n  gitVersion: v1.37.0-rc.1\n  goVersion: go1.25.1\nkustomizeVersion: v5.7.1\n",
            "1.37.0-rc.1",
        ),
        ("v3.19.2+g8766e71\n", "3.19.2"),
        ("crictl version v1.36.0\n", "1.36.0"),
        ("cilium-cli: v0.18.9 compiled with go1.25.1 on linux/amd64\n", "0.18.9"),
        ("Docker version 28.2.2, build e6534b4\n", "28.2.2"),
        ("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\n", "1.1.5"),
        ("usage: tool\n", ""),
        ("", ""),
    ],
)
def test_what_programs_say_of_themselves(said: str, version: str) -> None:
    assert kubernetes_tools.parse_version(said) == version


def test_a_package_speaks_for_usr_bin_and_others_are_asked(tmp_path: Path) -> None:
    files = {
        "/var/lib/dpkg/status": DPKG,
        **{f"/usr/bin/{name}": "x" for name in ("kubelet", "kubectl", "runc", "docker")},
        **{f"/usr/local/bin/{name}": "x" for name in ("runc", "helm", "cilium")},
    }
    commands: list[dict[str, object]] = [
        {"argv": ["/usr/local/bin/runc", "--version"], "stdout": "runc version 1.3.0\n"},
        {"argv": ["/usr/local/bin/helm", "version", "--short"], "stdout": "v3.19.2+g8766e71\n"},
        {"argv": ["/usr/bin/kubectl", "version", "--client", "-o", "yaml"], "stdout": "  gitVersion: v1.33.4\n"},
    ]
    found = kubernetes_tools.read_tools(bundle(tmp_path, files, commands))
    assert found.versions == {
        "kubelet": "1.36.4",
        "kubectl": "1.33.4",
        "runc": "1.3.0",
        "docker": "28.2.2",
        "helm": "3.19.2",
        "cilium": "",
    }
    assert found.paths["runc"] == "/usr/local/bin/runc"


def test_this_machine_recorded_says_the_same_as_this_machine(tmp_path: Path) -> None:
    host = RecordingHost(LiveHost())
    probes = (*kubernetes.PROBES, *kubernetes_tools.PROBES)
    live = [probe.read(host) for probe in probes]
    host.save(str(tmp_path / "host"), "here")
    replayed = BundleHost(str(tmp_path / "host"))
    assert [probe.read(replayed) for probe in probes] == live
