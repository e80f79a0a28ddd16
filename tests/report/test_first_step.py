"""Which fix may be pasted after `Next:`."""

from __future__ import annotations

import pytest

from caasctl.model import Fix, FixKind
from caasctl.report.first_step import first_step


@pytest.mark.parametrize(
    "text",
    [
        "mv /etc/kubernetes/manifests/kube-apiserver.yaml.bak /root/",
        "kubeadm init phase addon coredns --kubeconfig /etc/kubernetes/admin.conf",
        "systemctl unmask kubelet && systemctl start kubelet",
        "kubectl uncordon gpu-08",
        "crictl ps -a --name 'kube-apiserver|etcd'",
    ],
)
def test_a_command_that_takes_nothing_away_may(text: str) -> None:
    assert first_step(Fix(text)) == text


def test_the_remark_behind_a_command_is_left_out() -> None:
    assert first_step(Fix("caasctl gpu list   # says why, for each")) == "caasctl gpu list"


def test_what_init_node_would_do_is_shown_first() -> None:
    assert first_step(Fix("caasctl init-node --phase gpu")) == "caasctl init-node --dry-run --phase gpu"


@pytest.mark.parametrize(
    "text",
    [
        "kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock && caasctl init-node",
        "crictl rmp -f 0123; pkill -f 'containerd-shim-kata.* -id 0123'; sleep 5; kill -9 77",
        "kubectl drain gpu-08 --ignore-daemonsets && reboot",
        "kubectl -n kube-system delete service kube-dns",
        "apt-get purge -y nvidia-driver && update-initramfs -u -k all",
        "rm /etc/crictl.yaml && caasctl init-node",
        "systemctl disable --now nvidia-persistenced",
        "systemctl stop kubelet",
        "kubeadm upgrade apply v1.36.5 --force",
        "systemctl reboot",
    ],
)
def test_what_ends_pods_data_or_the_session_may_not(text: str) -> None:
    assert first_step(Fix(text)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "install a provisioner (local-path-provisioner, say), and make its StorageClass the default",
        "mend what it says, then: systemctl restart containerd",
        "run caasctl as root",
        "kubectl -n tenant-a get pvc; make it, or mend the name",
        "chronyc makestep, or timedatectl set-time",
        "caasctl init-node --set cilium.version=1.20.1, then the next minor",
        "resolvectl dns INTERFACE SERVER",
        "see `dmesg`",
    ],
)
def test_prose_may_not(text: str) -> None:
    assert first_step(Fix(text)) == ""


def test_what_is_no_command_may_not() -> None:
    assert first_step(None) == ""
    assert first_step(Fix("systemctl start kubelet", FixKind.EDIT)) == ""
