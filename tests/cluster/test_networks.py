"""init-node on the networks that hosts have: the field report's, where node, pods and services share one range; IPv6 alone."""

from __future__ import annotations

import json

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import Host

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]")
SEED = "10.254.192.244/24"


def values(host: Host) -> dict[str, str]:
    """Where the ranges arrived: kubeadm's ranges, the controller manager's arguments, Cilium's pool, the node's share."""
    manifests = host.text("/etc/kubernetes/manifests/kube-controller-manager.yaml") + host.text(
        "/etc/kubernetes/manifests/kube-apiserver.yaml"
    )
    found = dict(line.strip(" -").partition("=")[::2] for line in manifests.splitlines() if "=" in line)
    config = host.get("configmap", "cilium-config", "-n", "kube-system")["data"]
    (node,) = host.get("nodes")["items"]
    return {**found, **config, "node": ",".join(node["spec"]["podCIDRs"])}


@pytest.fixture
def seed(new_host: NewHost) -> Host:
    return new_host(SEED, "10.254.192.1")


@pytest.mark.parametrize("key", ["podCIDR", "serviceCIDR"])
def test_the_hosts_own_network_is_refused_for_pods_and_services_with_the_reason(seed: Host, key: str) -> None:
    done = seed.caasctl("init-node", "--yes", *SET, "--set", f"network.{key}={SEED}")
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, text
    assert "10.254.192.0/24" in text
    assert "eth0" in text
    assert seed.calls("kubeadm init") == seed.calls("helm upgrade") == []


def test_auto_finds_other_ranges_there_and_they_arrive_everywhere(seed: Host) -> None:
    done = seed.caasctl("init-node", "--yes", *SET)
    assert done.returncode == 0, done.stdout + done.stderr
    found = values(seed)
    assert found["cluster-cidr"] == found["cluster-pool-ipv4-cidr"] == "10.244.0.0/16"
    assert found["service-cluster-ip-range"] == "10.96.0.0/16"
    assert found["node-cidr-mask-size-ipv4"] == found["cluster-pool-ipv4-mask-size"] == "24"
    assert found["node"] == "10.244.0.0/24"
    again = seed.caasctl("init-node", "--yes", *SET)
    assert "nothing had to change" in again.stdout
    report = json.loads(seed.caasctl("preflight", *SET, "-o", "json").stdout)
    assert not [
        one["id"]
        for one in report["results"]
        if one["level"] in ("fail", "unknown") and one["id"].startswith("network.")
    ]


def test_a_host_with_ipv6_alone(new_host: NewHost) -> None:
    host = new_host("2001:db8:7::5/64", "2001:db8:7::1")
    done = host.caasctl("init-node", "--yes", *SET)
    assert done.returncode == 0, done.stdout + done.stderr
    found = values(host)
    assert found["cluster-cidr"] == found["cluster-pool-ipv6-cidr"]
    assert found["enable-ipv4"] == "false"
    assert found["node-cidr-mask-size-ipv6"] == found["cluster-pool-ipv6-mask-size"]
    assert "nothing had to change" in host.caasctl("init-node", "--yes", *SET).stdout
