"""Cilium's values: of every profile known to the chart's schemas, on any host the ones of the chosen ranges."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.formats import dump_yaml, parse_yaml
from caasctl.model import CaasError, Facts
from caasctl.needs.cilium import cni_folders, conntrack, direct, split_endpoint, taken_by_cilium, values
from caasctl.profile import NodeProfile
from caasctl.profile_load import load, shipped_names
from caasctl.syntax.cidr import Ranges, parse
from caasctl.syntax.containerd.imports import ConfigFile
from caasctl.syntax.helm_values import at, canonical, unknown_paths

SCHEMAS = {
    path.name: json.loads(path.read_text()) for path in (Path(__file__).parents[2] / "schemas").glob("cilium-*.json")
}
FOUR = Ranges(parse("10.244.0.0/16"), parse("10.96.0.0/16"), (24,))
SIX = Ranges(parse("fd00:10:244::/56"), parse("fd00:10:96::/112"), (64,))
DUAL = Ranges(FOUR.pods + SIX.pods, FOUR.services + SIX.services, (24, 64))
LO = Link("lo", "loopback", 65536, addresses=(Address("127.0.0.1", 8, "host"),))
ETH0 = Link("eth0", addresses=(Address("192.0.2.10", 24), Address("2001:db8::10", 64)))
DEFAULTS = (Route("0.0.0.0/0", "192.0.2.1", "eth0"), Route("::/0", "fe80::1", "eth0"))
ONE = load("single-node")


def facts(*more: object, links: tuple[Link, ...] = (LO, ETH0), routes: tuple[Route, ...] = DEFAULTS) -> Facts:
    return Facts([Links(links), Routes(routes), *more])


def told(profile: NodeProfile = ONE, ranges: Ranges = FOUR, **host: Any) -> dict[str, Any]:
    return values(facts(**host), profile, ranges)


def changed(*settings: str) -> NodeProfile:
    return load("single-node", list(settings))


def test_a_single_node_of_the_shipped_profile() -> None:
    assert told() == {
        "cluster": {"name": "kubernetes"},
        "kubeProxyReplacement": "true",
        "k8sServiceHost": "192.0.2.10",
        "k8sServicePort": 6443,
        "ipv4": {"enabled": True},
        "ipv6": {"enabled": False},
        "ipam": {
            "mode": "cluster-pool",
            "operator": {"clusterPoolIPv4PodCIDRList": ["10.244.0.0/16"], "clusterPoolIPv4MaskSize": 24},
        },
        "bpf": {"datapathMode": "veth"},
        "cni": {"binPath": "/opt/cni/bin", "confPath": "/etc/cni/net.d"},
        "rollOutCiliumPods": True,
        "operator": {"replicas": 1, "rollOutPods": True},
        "MTU": 1450,
        "socketLB": {"hostNamespaceOnly": True},
        "hubble": {
            "peerService": {"clusterDomain": "cluster.local"},
            "tls": {"auto": {"enabled": True, "method": "helm", "certValidityDuration": 1095}},
        },
    }


VARIANTS = [
    *(load(name) for name in shipped_names()),
    changed("cilium.kubeProxyReplacement=false"),
    changed("cilium.encryption=wireguard", "cilium.mtu=9000"),
    changed("cilium.encryption=ipsec"),
    changed("cilium.devices=[eth0, eth1]"),
    changed("runtimes=[runc]"),
    changed("kubernetes.controlPlaneEndpoint=api.example:8443"),
]


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
@pytest.mark.parametrize("ranges", [FOUR, SIX, DUAL], ids=["four", "six", "dual"])
def test_every_key_of_every_profile_is_known_to_each_minor(schema: str, ranges: Ranges) -> None:
    two = Link("eth1", addresses=(Address("203.0.113.5", 24),))
    for profile in VARIANTS:
        assert unknown_paths(values(facts(links=(LO, ETH0, two)), profile, ranges), SCHEMAS[schema]) == ()


def test_families_and_pools_are_those_of_the_ranges() -> None:
    dual, six = told(ranges=DUAL), told(ranges=SIX)
    assert (dual["ipv4"], dual["ipv6"]) == ({"enabled": True}, {"enabled": True})
    assert dual["ipam"]["operator"] == {
        "clusterPoolIPv4PodCIDRList": ["10.244.0.0/16"],
        "clusterPoolIPv4MaskSize": 24,
        "clusterPoolIPv6PodCIDRList": ["fd00:10:244::/56"],
        "clusterPoolIPv6MaskSize": 64,
    }
    assert "underlayProtocol" not in dual
    assert (six["ipv4"], six["ipv6"], six["underlayProtocol"]) == ({"enabled": False}, {"enabled": True}, "ipv6")
    assert six["k8sServiceHost"] == "2001:db8::10"


def test_where_the_api_server_is() -> None:
    given = told(changed("kubernetes.controlPlaneEndpoint=api.example:8443"))
    assert (given["k8sServiceHost"], given["k8sServicePort"]) == ("api.example", 8443)
    assert told(changed("network.nodeIP=192.0.2.20"))["k8sServiceHost"] == "192.0.2.20"
    with pytest.raises(CaasError) as nowhere:
        told(routes=())
    assert "spec.network.nodeIP" in nowhere.value.fix


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("api.example", ("api.example", 6443)),
        ("api.example:8443", ("api.example", 8443)),
        ("192.0.2.1:6443", ("192.0.2.1", 6443)),
        ("[fd00::1]:8443", ("fd00::1", 8443)),
        ("fd00::1", ("fd00::1", 6443)),
        ("[fd00::1]", ("fd00::1", 6443)),
    ],
)
def test_an_endpoint_with_and_without_a_port(text: str, endpoint: tuple[str, int]) -> None:
    assert split_endpoint(text) == endpoint


def test_kube_proxy_or_its_replacement() -> None:
    assert told(changed("cilium.kubeProxyReplacement=false"))["kubeProxyReplacement"] == "false"
    assert conntrack(changed("cilium.kubeProxyReplacement=false"), 8) is None
    small, large = conntrack(ONE, 2), conntrack(ONE, 64)
    assert small is not None
    assert large is not None
    assert (small.value, large.value, small.minimum) == ("131072", "2097152", True)


def test_operators_by_role() -> None:
    assert told(load("control-plane"))["operator"]["replicas"] == 2


@pytest.mark.parametrize(
    ("settings", "ranges", "mtu"),
    [
        ((), FOUR, 1450),
        ((), SIX, 1430),
        (("cilium.encryption=wireguard",), FOUR, 1370),
        (("cilium.encryption=ipsec",), FOUR, 1373),
        (("cilium.mtu=8000",), FOUR, 8000),
        (("runtimes=[runc]",), FOUR, None),
        (("cilium.values.routingMode=native",), FOUR, None),
        (("cilium.values.routingMode=native", "cilium.encryption=wireguard"), FOUR, 1420),
    ],
)
def test_guests_of_kata_get_packets_that_fit_into_the_tunnel(
    settings: tuple[str, ...], ranges: Ranges, mtu: int | None
) -> None:
    assert told(changed(*settings), ranges).get("MTU") == mtu


def test_on_a_host_with_several_links_the_node_s_own_is_named() -> None:
    docker = Link("docker0", "bridge", addresses=(Address("172.17.0.1", 16),))
    storage = Link("ens5", addresses=(Address("203.0.113.5", 24),))
    ours = Link("cilium_host", "veth", addresses=(Address("10.244.0.5", 32),))
    assert "devices" not in told(links=(LO, ETH0, docker, ours))
    assert told(links=(LO, ETH0, docker, storage))["devices"] == ["eth0"]
    assert taken_by_cilium(facts(links=(LO, ETH0, docker, storage, ours))) == ("eth0", "ens5")
    six = (DEFAULTS[0], Route("::/0", "fe80::1", "ens5"))
    assert told(ranges=DUAL, links=(LO, ETH0, storage), routes=six).get("devices") is None
    port = replace(storage, master="bond0")
    assert "devices" not in told(links=(LO, ETH0, port))
    assert "devices" not in values(facts(links=(LO, ETH0, storage)), load("control-plane"), FOUR)
    assert told(changed("cilium.devices=[eth+]"), links=(LO, ETH0, storage))["devices"] == ["eth+"]


def test_a_routed_host_has_its_address_on_lo_and_its_packets_leave_elsewhere() -> None:
    lo = Link("lo", "loopback", 65536, addresses=(Address("127.0.0.1", 8, "host"), Address("192.0.2.7", 32)))
    card, extra = Link("eth0", mtu=1500), Link("ens5", addresses=(Address("198.51.100.5", 24),))
    found = told(links=(lo, card, extra), routes=(Route("0.0.0.0/0", "fe80::9", "eth0"),))
    assert (found["k8sServiceHost"], found["MTU"], found["devices"]) == ("192.0.2.7", 1450, ["eth0"])


def test_a_bridge_that_carries_the_node_is_named_too() -> None:
    bridge = Link("br0", "bridge", addresses=(Address("192.0.2.10", 24),))
    port = Link("eno1", master="br0")
    extra = Link("eno2", addresses=(Address("203.0.113.5", 24),))
    found = told(links=(LO, port, bridge, extra), routes=(Route("0.0.0.0/0", "192.0.2.1", "br0"),))
    assert found["devices"] == ["br0"]


def cri(cni: dict[str, Any]) -> tuple[object, ...]:
    runc = {"runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2"}}}
    data = {"version": 2, "plugins": {"io.containerd.grpc.v1.cri": {"cni": cni, "containerd": runc}}}
    file = ConfigFile("/etc/containerd/config.toml", "version = 2\n", {"version": 2})
    return (
        ContainerdEffective(data, "dump"),
        ContainerdConfig("/etc/containerd/config.toml", (file,)),
        ContainerdVersion((1, 7, 24)),
    )


@pytest.mark.parametrize(
    ("cni", "folders"),
    [
        ({"bin_dir": "/usr/lib/cni"}, ("/usr/lib/cni", "/etc/cni/net.d")),
        ({"bin_dirs": ["/usr/lib/cni", "/opt/cni/bin/"]}, ("/opt/cni/bin", "/etc/cni/net.d")),
        ({"bin_dirs": ["/usr/libexec/cni"], "conf_dir": "/etc/cni/own.d/"}, ("/usr/libexec/cni", "/etc/cni/own.d")),
        ({"bin_dir": ""}, ("/opt/cni/bin", "/etc/cni/net.d")),
        ({}, ("/opt/cni/bin", "/etc/cni/net.d")),
    ],
)
def test_cilium_puts_its_plugin_where_this_containerd_looks(cni: dict[str, Any], folders: tuple[str, str]) -> None:
    assert cni_folders(facts(*cri(cni))) == folders


def test_debian_s_containerd_has_its_folder_compiled_in_which_only_a_dump_tells() -> None:
    effective, config, _ = cri({})
    assert isinstance(effective, ContainerdEffective)
    debian = ContainerdVersion((1, 7, 24), "containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6+b4")
    assert cni_folders(facts(replace(effective, source="files"), config, debian))[0] == "/usr/lib/cni"
    assert cni_folders(facts(effective, config, debian))[0] == "/opt/cni/bin"


def test_without_a_word_from_containerd_cni_is_where_everybody_has_it() -> None:
    assert cni_folders(facts()) == ("/opt/cni/bin", "/etc/cni/net.d")
    effective, *others = cri({"bin_dir": "/usr/lib/cni"})
    assert isinstance(effective, ContainerdEffective)
    assert cni_folders(facts(replace(effective, error="broken"), *others)) == ("/opt/cni/bin", "/etc/cni/net.d")


def test_the_profile_s_own_values_come_last() -> None:
    found = told(changed("cilium.values.hubble.relay.enabled=true", "cilium.values.cni.binPath=/x"))
    assert at(found, "hubble.relay.enabled") is True
    assert at(found, "hubble.peerService.clusterDomain") == "cluster.local"
    assert found["cni"] == {"binPath": "/x", "confPath": "/etc/cni/net.d"}


def test_helm_reaches_the_cluster_without_proxies() -> None:
    found = direct(facts(), changed("kubernetes.controlPlaneEndpoint=api.example"), FOUR)
    assert {"192.0.2.10", "api.example", "10.244.0.0/16", "10.96.0.0/16", "localhost", ".svc", ".cluster.local"} <= set(
        found
    )


BLOCKS = st.integers(0, 255).flatmap(
    lambda x: st.integers(12, 20).map(lambda p: ipaddress.ip_network((f"10.{x}.0.0", p), strict=False))
)


@settings(max_examples=40, deadline=None)
@given(BLOCKS, st.integers(20, 28), st.sampled_from(VARIANTS))
def test_pools_are_the_ranges_and_the_file_says_the_same_twice(
    pods: ipaddress.IPv4Network, mask: int, profile: NodeProfile
) -> None:
    found = values(facts(), profile, Ranges((pods,), FOUR.services, (mask,)))
    assert found["ipam"]["operator"] == {"clusterPoolIPv4PodCIDRList": [str(pods)], "clusterPoolIPv4MaskSize": mask}
    text = dump_yaml(canonical(found))
    assert canonical(parse_yaml(text, "values")) == canonical(found)
    assert dump_yaml(canonical(parse_yaml(text, "values"))) == text
    assert values(facts(), profile, Ranges((pods,), FOUR.services, (mask,))) == found
