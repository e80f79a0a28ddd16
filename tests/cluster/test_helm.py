"""The stand-ins of Helm and of what Cilium does to a node: releases as the real one keeps them, values judged by the chart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.documents import CILIUM, CLUSTER, INIT, KUBEADM, KUBELET, VALUES, changed, file
from tests.cluster.host import ADMIN, Host

pytestmark = [pytest.mark.root]
HELM = f"helm --kubeconfig {ADMIN} -n kube-system"
UPGRADE = (
    f"{HELM} upgrade --install cilium cilium --repo https://helm.cilium.io --values {VALUES} --history-max 5 --version"
)


@pytest.fixture
def cluster(new_host: NewHost) -> Host:
    """After kubeadm init."""
    host = new_host()
    host.write(KUBEADM, file(INIT, CLUSTER, KUBELET))
    host.write(VALUES, json.dumps(CILIUM))
    host.sh(f"echo 1 >/proc/sys/net/ipv4/ip_forward; kubeadm init --config {KUBEADM}")
    return host


def release(host: Host) -> tuple[int, str]:
    found = json.loads(host.sh(f"{HELM} status cilium -o json"))
    return found["version"], found["info"]["status"]


def ready(host: Host, seconds: float = 10) -> None:
    host.until(
        f"kubectl --kubeconfig {ADMIN} -n kube-system get ds cilium -o jsonpath={{.status.numberReady}} | grep -qx 1",
        seconds,
    )


def test_a_release_brings_ciliums_pods_and_the_nodes_route(cluster: Host) -> None:
    assert json.loads(cluster.sh(f"{HELM} list -a -o json")) == []
    assert "release: not found" in cluster.run(*f"{HELM} status cilium".split()).stderr
    cluster.sh(f"{UPGRADE} 1.20.5")
    assert release(cluster) == (1, "deployed")
    (row,) = json.loads(cluster.sh(f"{HELM} list -o json"))
    assert (row["chart"], row["revision"], row["status"]) == ("cilium-1.20.5", "1", "deployed")
    assert json.loads(cluster.sh(f"{HELM} get values cilium -o json")) == CILIUM
    assert json.loads(cluster.sh(f"{HELM} get metadata cilium -o json"))["version"] == "1.20.5"
    ready(cluster)
    assert "10.244.0.0/24 via 10.244.0.1 dev cilium_host" in cluster.sh("ip route")
    (node,) = cluster.get("ciliumnodes")["items"]
    assert node["spec"]["ipam"]["podCIDRs"] == ["10.244.0.0/24"]
    cluster.until(f"kubectl --kubeconfig {ADMIN} wait --for=condition=Ready node/node1 --timeout=5s")
    cluster.until(
        f"kubectl --kubeconfig {ADMIN} -n kube-system get deploy coredns -o jsonpath={{.status.readyReplicas}} | grep -qx 2"
    )
    secrets = cluster.get("secrets", "-n", "kube-system", "-l", "owner=helm")["items"]
    assert [one["metadata"]["name"] for one in secrets] == ["sh.helm.release.v1.cilium.v1"]
    cluster.sh(f"{HELM} uninstall cilium")
    cluster.until(f"! kubectl --kubeconfig {ADMIN} -n kube-system get pods | grep -q cilium")


WRONG: tuple[tuple[str, Any, str], ...] = (
    (
        "kubeProxyReplacement",
        "strict",
        "kubeProxyReplacement must be explicitly set to a valid value (true or false) to continue.",
    ),
    ("routingMode", "native", "ipv4NativeRoutingCIDR must be set when routingMode is native"),
    ("operator.replicas", "1", "- at '/operator/replicas': got string, want integer"),
    ("ipam.operator.clusterPoolIPv4Pod", "10.0.0.0/8", "has no value ipam.operator.clusterPoolIPv4Pod"),
)


def test_values_are_judged_by_the_chart(cluster: Host) -> None:
    for path, value, said in WRONG:
        cluster.write(VALUES, json.dumps(changed(CILIUM, path, value)))
        done = cluster.run(*UPGRADE.split(), "1.20.5")
        assert done.returncode
        assert said in done.stderr
        assert "release: not found" in cluster.run(*f"{HELM} status cilium".split()).stderr


def test_a_killed_install_stays_pending_and_locks_until_it_is_mended(cluster: Host) -> None:
    cluster.fail("helm-kill", "pending")
    assert cluster.run(*UPGRADE.split(), "1.20.5").returncode == -9
    assert release(cluster) == (1, "pending-install")
    assert json.loads(cluster.sh(f"{HELM} list -o json")) == []
    again = cluster.run(*UPGRADE.split(), "1.20.5")
    assert "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress" in again.stderr
    cluster.sh(f"{HELM} uninstall cilium")
    cluster.sh(f"{UPGRADE} 1.20.5")
    cluster.fail("helm-kill", "pending")
    assert cluster.run(*UPGRADE.split(), "1.20.4").returncode == -9
    assert release(cluster) == (2, "pending-upgrade")
    cluster.sh(f"{HELM} rollback cilium 1")
    assert release(cluster) == (3, "deployed")
    rows = json.loads(cluster.sh(f"{HELM} history cilium -o json"))
    assert [(row["status"], row["chart"]) for row in rows][-1] == ("deployed", "cilium-1.20.5")


def test_a_failed_install_can_be_upgraded(cluster: Host) -> None:
    cluster.fail("helm-fail", "once context deadline exceeded")
    assert "context deadline exceeded" in cluster.run(*UPGRADE.split(), "1.20.5").stderr
    assert release(cluster) == (1, "failed")
    cluster.sh(f"{UPGRADE} 1.20.5")
    assert release(cluster) == (2, "deployed")


def test_charts_come_from_a_registry_or_a_path_too(cluster: Host) -> None:
    common = f"--namespace kube-system --values {VALUES} --kubeconfig {ADMIN}"
    cluster.sh(f"helm upgrade --install cilium oci://quay.io/cilium/charts/cilium --version 1.20.4 {common}")
    cluster.sh(f"helm upgrade --install cilium /var/lib/standin/repository/cilium-1.20.5 {common}")
    cluster.sh(
        "tar -C /var/lib/standin/repository --transform s/cilium-1.20.4/cilium/ -czf /root/cilium.tgz cilium-1.20.4"
    )
    cluster.sh(f"helm upgrade --install cilium /root/cilium.tgz {common}")
    rows = json.loads(cluster.sh(f"{HELM} history cilium -o json"))
    assert [row["chart"].partition("-")[2] for row in rows] == ["1.20.4", "1.20.5", "1.20.4"]
    assert "version: 1.20.4" in cluster.sh("helm show chart /root/cilium.tgz")
    absent = cluster.run(*UPGRADE.split(), "1.20.9")
    assert 'chart "cilium" matching version "1.20.9" not found' in absent.stderr


def test_pods_that_do_not_come_up_say_why(cluster: Host) -> None:
    cluster.fail("image", "quay.io/cilium/cilium:")
    for values, said in (
        (CILIUM, "ErrImagePull"),
        (changed(CILIUM, "k8sServiceHost", None), "Unable to contact k8s api-server"),
        (changed(CILIUM, "k8sServiceHost", "10.1.0.77"), "dial tcp 10.1.0.77:6443"),
    ):
        cluster.write(VALUES, json.dumps(values))
        cluster.sh(f"{UPGRADE} 1.20.5")
        cluster.until(
            f"kubectl --kubeconfig {ADMIN} -n kube-system get pods -l k8s-app=cilium -o json | grep -q '{said}'"
        )
        cluster.mend("image")


@pytest.mark.parametrize(
    ("how", "gone"),
    [
        ("default-route", "! ip route | grep -q default"),
        ("peer 10.1.0.1", "ip route get 10.1.0.1 | grep -q cilium_host"),
    ],
)
def test_the_network_is_lost_on_demand(cluster: Host, how: str, gone: str) -> None:
    cluster.fail("cilium-network", f"once {how}")
    cluster.sh(f"{UPGRADE} 1.20.5")
    cluster.until(gone)
