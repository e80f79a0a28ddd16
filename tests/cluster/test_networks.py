"""init-node on the networks that hosts have: the field report's, where node, pods and services share one range; IPv6 alone."""

from __future__ import annotations

import pytest
from tests.cluster.conftest import NewHost
from tests.cluster.host import SEED, SEEDS_ROUTER, Host, arrived

pytestmark = [pytest.mark.root, pytest.mark.slow]
SET = ("--set", "runtimes=[runc]")


@pytest.fixture
def seed(new_host: NewHost) -> Host:
    return new_host(SEED, SEEDS_ROUTER)


@pytest.mark.parametrize("key", ["podCIDR", "serviceCIDR"])
def test_the_hosts_own_network_is_refused_for_pods_and_services_with_the_reason(seed: Host, key: str) -> None:
    done = seed.caasctl("init-node", "--yes", *SET, "--set", f"network.{key}={SEED}")
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, text
    assert "10.254.192.0/24" in text
    assert "eth0" in text
    assert seed.calls("kubeadm init") == seed.calls("helm upgrade") == []


def test_a_host_with_ipv6_alone(new_host: NewHost) -> None:
    host = new_host("2001:db8:7::5/64", "2001:db8:7::1")
    done = host.caasctl("init-node", "--yes", *SET)
    assert done.returncode == 0, done.stdout + done.stderr
    found = arrived(host)
    assert found["cluster-cidr"] == found["cluster-pool-ipv6-cidr"]
    assert found["enable-ipv4"] == "false"
    assert found["node-cidr-mask-size-ipv6"] == found["cluster-pool-ipv6-mask-size"]
    assert "nothing had to change" in host.caasctl("init-node", "--yes", *SET).stdout
