"""Checks of the cluster's ranges, each seen passing and failing; and of nodes that go by IPv6."""

from __future__ import annotations

import pytest

from caasctl.checks import network, network_ranges, network_ranges_servers
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_bridges import DockerPools
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_peers import SshPeers
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.network_rules import PolicyRules
from caasctl.facts.network_servers import Server, StorageServers
from caasctl.model import Check, Facts, Finding, FixKind, Level, findings
from caasctl.profile_load import load

DEFAULT = Route("0.0.0.0/0", "10.254.192.1", "ens3")
ENS3 = Link("ens3", addresses=(Address("10.254.192.244", 24), Address("fe80::1", 64, "link")))
SIX = Link("eth0", addresses=(Address("2001:db8:1::5", 64), Address("fe80::5", 64, "link")))
HOST = (Links((ENS3,)), Routes((DEFAULT, Route("10.254.192.0/24", dev="ens3", scope="link"))))
ONLY_SIX = (Links((SIX,)), Routes((Route("::/0", "fe80::1", "eth0"),)))
SEED = ("network.podCIDR=10.254.192.244/24", "network.serviceCIDR=10.254.192.244/24")
LIVE = ControlPlane(
    {
        "kube-apiserver": {"service-cluster-ip-range": "10.60.0.0/20"},
        "kube-controller-manager": {"cluster-cidr": "10.50.0.0/16"},
    }
)


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


# -- the seed ----------------------------------------------------------------------------------------------------------
def test_the_seed_s_ranges_are_refused_three_times() -> None:
    pods, services = judge(network_ranges.cidr_valid, *HOST, settings=SEED)
    said = "10.254.192.244/24 is the address of one machine in 10.254.192.0/24, not a network"
    assert (pods.level, pods.subject, pods.found) == (Level.FAIL, "podCIDR", said)
    assert (services.level, services.subject, services.found) == (Level.FAIL, "serviceCIDR", said)
    assert text(pods) == "in the profile: spec.network.podCIDR: 10.244.0.0/16"
    assert text(services) == "in the profile: spec.network.serviceCIDR: 10.96.0.0/16"
    clash = one(network_ranges.cidrs_disjoint, *HOST, settings=SEED)
    assert (clash.level, clash.found) == (Level.FAIL, "pods 10.254.192.0/24, services 10.254.192.0/24")
    taken = one(network_ranges.pod_cidr_free, *HOST, settings=SEED)
    assert (taken.level, taken.found) == (
        Level.FAIL,
        "10.254.192.0/24 overlaps ens3 10.254.192.244/24, gateway 10.254.192.1 dev ens3",
    )
    assert (taken.evidence[0].source, taken.evidence[0].excerpt) == ("ip -d -j addr", "ens3 10.254.192.244/24")
    taken = one(network_ranges.service_cidr_free, *HOST, settings=SEED)
    assert (taken.level, text(taken)) == (Level.FAIL, "in the profile: spec.network.serviceCIDR: 10.96.0.0/16")


def test_auto_on_the_seed_s_host_passes_everywhere_and_says_what_was_chosen() -> None:
    assert (
        one(network_ranges.pod_cidr_free, *HOST).found
        == "10.244.0.0/16, chosen: clear of 3 networks and addresses in use"
    )
    assert one(network_ranges.service_cidr_free, *HOST).found.startswith("10.96.0.0/16, chosen: clear of")
    assert one(network_ranges.cidrs_disjoint, *HOST).found == "pods 10.244.0.0/16, services 10.96.0.0/16"
    assert [found.found for found in judge(network_ranges.cidr_valid, *HOST)] == [
        "10.244.0.0/16, chosen",
        "10.96.0.0/16, chosen",
    ]
    found = one(network_ranges_servers.node_mask, *HOST)
    assert (found.level, found.found) == (
        Level.PASS,
        "/24 of 10.244.0.0/16: 256 nodes, 256 addresses each, maxPods 110",
    )


# -- each check --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cidr", "level", "said"),
    [
        ("10.244.0.0/29", Level.FAIL, "has 8 addresses"),
        ("169.254.0.0/16", Level.FAIL, "is reserved: link-local"),
        ("10.244.0.0/16,10.245.0.0/16", Level.FAIL, "2 networks"),
        ("11.0.0.0/16", Level.WARN, "11.0.0.0/16 is not private"),
        ("100.64.0.0/16", Level.WARN, "is of the carriers' range"),
        ("10.70.0.0/16", Level.PASS, "10.70.0.0/16, of the profile"),
    ],
)
def test_a_pods_range_is_judged_by_itself(cidr: str, level: Level, said: str) -> None:
    found = judge(network_ranges.cidr_valid, *HOST, settings=(f"network.podCIDR='{cidr}'",))[0]
    assert (found.level, found.subject) == (level, "podCIDR")
    assert said in found.found
    assert level is Level.PASS or (found.fix and found.fix.kind is FixKind.EDIT)


def test_services_of_a_family_that_pods_do_not_have_fail() -> None:
    settings = ("network.podCIDR=10.70.0.0/16", "network.serviceCIDR=fd00:9::/112")
    found = judge(network_ranges.cidr_valid, *HOST, settings=settings)[-1]
    assert (found.level, found.found) == (Level.FAIL, "pods have IPv4, services IPv6")


def test_a_profile_that_differs_from_the_live_cluster_warns() -> None:
    found = judge(network_ranges.cidr_valid, *HOST, LIVE, settings=("network.podCIDR=10.70.0.0/16",))
    assert [one.level for one in found] == [Level.WARN, Level.PASS]
    assert found[0].found == "10.70.0.0/16 in the profile, 10.50.0.0/16 in the live cluster"
    assert text(found[0]) == "in the profile: spec.network.podCIDR: 10.50.0.0/16"
    assert found[1].found == "10.60.0.0/20, of the live cluster"
    assert judge(network_ranges.cidr_valid, *HOST, LIVE)[0].level is Level.PASS


def test_of_two_ranges_that_overlap_the_services_give_way() -> None:
    settings = ("network.podCIDR=10.70.0.0/16", "network.serviceCIDR=10.70.1.0/24")
    found = one(network_ranges.cidrs_disjoint, *HOST, settings=settings)
    assert (found.level, text(found)) == (Level.FAIL, "in the profile: spec.network.serviceCIDR: 10.96.0.0/16")


@pytest.mark.parametrize("check", [network_ranges.pod_cidr_free, network_ranges.service_cidr_free])
def test_no_free_block_fails_with_everything_that_is_in_the_way(check: Check) -> None:
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    routes = Routes(tuple(Route(dst, "10.254.192.1", "ens3", table="52") for dst in private))
    found = one(check, HOST[0], routes)
    assert found.level is Level.FAIL
    assert found.found.startswith(
        "no block is free: in the way are route 10.0.0.0/8 via 10.254.192.1 dev ens3 (table 52)"
    )
    assert len(found.evidence) == 4
    assert text(found).startswith("ask whoever runs the network for a free private block")


def test_what_docker_may_take_warns() -> None:
    docker = DockerPools(installed=True, pools=("172.20.0.0/14",))
    found = one(network_ranges.pod_cidr_free, *HOST, docker, settings=("network.podCIDR=172.20.0.0/16",))
    assert (found.level, found.found) == (Level.WARN, "172.20.0.0/16 overlaps Docker's address pool 172.20.0.0/14")
    assert text(found) == "in the profile: spec.network.podCIDR: 10.244.0.0/16"


def test_what_came_up_beside_a_live_cluster_fails_and_has_to_go() -> None:
    bridge = Link("br-0123456789ab", "bridge", addresses=(Address("10.50.3.1", 24),))
    found = one(network_ranges.pod_cidr_free, Links((ENS3, bridge)), HOST[1], LIVE)
    assert (found.level, found.found) == (Level.FAIL, "10.50.0.0/16 overlaps br-0123456789ab 10.50.3.1/24")
    assert text(found) == "take br-0123456789ab 10.50.3.1/24 out of 10.50.0.0/16: a live range of pods cannot change"
    assert one(network_ranges.service_cidr_free, Links((ENS3, bridge)), HOST[1], LIVE).level is Level.PASS


def test_what_could_not_be_looked_at_is_said() -> None:
    facts = Facts(HOST, {PolicyRules: "no ip", SshPeers: "no proc"})
    (found,) = findings(network_ranges.pod_cidr_free, facts, load())
    assert found.found.endswith("in use; not known: policy rules, SSH sessions")


@pytest.mark.parametrize(
    "check", [*network_ranges.CHECKS, network_ranges_servers.infrastructure_outside], ids=lambda c: c.id
)
def test_a_node_that_joins_verifies_what_its_profile_names_and_nothing_else(check: Check) -> None:
    assert [found.level for found in judge(check, *HOST, named="worker")] == []
    found = judge(check, *HOST, named="worker", settings=SEED)
    assert {one.level for one in found} == {Level.FAIL}


def test_resolvers_inside_a_range_fail() -> None:
    resolvers = Resolvers(("127.0.0.53",), ("10.70.0.53", "9.9.9.9"))
    found = one(network_ranges_servers.resolvers_outside, *HOST, resolvers, settings=("network.podCIDR=10.70.0.0/16",))
    assert (found.level, found.subject, found.found) == (Level.FAIL, "podCIDR", "resolver 10.70.0.53 in 10.70.0.0/16")
    assert text(found) == "in the profile: spec.network.podCIDR: 10.244.0.0/16"
    found = one(network_ranges_servers.resolvers_outside, *HOST, resolvers)
    assert (found.level, found.found) == (Level.PASS, "127.0.0.53, 10.70.0.53, 9.9.9.9")


def test_a_live_cluster_s_dns_as_the_node_s_resolver_fails() -> None:
    found = one(network_ranges_servers.resolvers_outside, *HOST, LIVE, Resolvers(("10.60.0.10",)))
    assert (found.level, found.subject) == (Level.FAIL, "serviceCIDR")
    assert "cannot change" in text(found)


def test_machines_that_the_node_needs_inside_a_range_fail() -> None:
    facts = (SshPeers(("10.70.3.4",)), StorageServers((Server("10.71.0.5", "nfs4 server", "/proc/mounts"),)))
    settings = ("network.podCIDR=10.70.0.0/16", "network.serviceCIDR=10.71.0.0/16")
    pods, services = judge(network_ranges_servers.infrastructure_outside, *HOST, *facts, settings=settings)
    assert (pods.level, pods.found) == (Level.FAIL, "SSH session from 10.70.3.4 in 10.70.0.0/16")
    assert (services.level, services.found) == (Level.FAIL, "nfs4 server 10.71.0.5 in 10.71.0.0/16")
    found = one(network_ranges_servers.infrastructure_outside, *HOST, *facts)
    assert (found.level, found.found) == (
        Level.PASS,
        "SSH session from 10.70.3.4, nfs4 server 10.71.0.5, gateway 10.254.192.1 dev ens3",
    )


@pytest.mark.parametrize(
    ("settings", "level", "fix"),
    [
        (("network.podCIDR=10.70.0.0/24", "network.nodeCIDRMaskSize=20"), Level.FAIL, "nodeCIDRMaskSize: 24"),
        (("network.podCIDR=10.0.0.0/9", "network.nodeCIDRMaskSize=26"), Level.FAIL, "nodeCIDRMaskSize: 24"),
        (("network.nodeCIDRMaskSize=26",), Level.FAIL, "nodeCIDRMaskSize: 24"),
        (("network.nodeCIDRMaskSize=25",), Level.WARN, "nodeCIDRMaskSize: 24"),
        (("kubernetes.kubelet={maxPods: 250}",), Level.WARN, "nodeCIDRMaskSize: 23"),
        (("kubernetes.kubelet={maxPods: 300}",), Level.FAIL, "nodeCIDRMaskSize: 22"),
        (
            ("kubernetes.kubelet={maxPods: 300}", "network.podCIDR=10.70.0.0/24"),
            Level.FAIL,
            "{podCIDR: auto, nodeCIDRMaskSize: 22",
        ),
        (("network.podCIDR=fd00:9::/56", "network.nodeCIDRMaskSizeIPv6=80"), Level.FAIL, "nodeCIDRMaskSizeIPv6: 64"),
        (("network.podCIDR=fd00:9::/104",), Level.FAIL, "nodeCIDRMaskSizeIPv6: 120"),
        (("network.nodeCIDRMaskSize=12",), Level.FAIL, "{nodeCIDRMaskSize: 24, nodeCIDRMaskSizeIPv6: 64}"),
        (("network.podCIDR=fd00:9::/104", "network.nodeCIDRMaskSizeIPv6=120"), Level.PASS, ""),
        (("network.podCIDR=10.70.0.0/24",), Level.PASS, ""),
        (("network.podCIDR=10.70.0.0/25", "network.nodeCIDRMaskSize=25"), Level.WARN, "podCIDR: auto"),
    ],
)
def test_a_node_s_share_fits_the_range_and_the_pods(settings: tuple[str, ...], level: Level, fix: str) -> None:
    found = one(network_ranges_servers.node_mask, *HOST, settings=settings)
    assert found.level is level
    assert fix in text(found)


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "10.50.0.0/31", "10.254.192.0/24"])
def test_a_range_that_must_go_is_no_measure_for_a_node_s_share(cidr: str) -> None:
    settings = (f"network.podCIDR={cidr}",)
    assert judge(network_ranges_servers.node_mask, *HOST, settings=settings) == []
    small = one(
        network_ranges_servers.node_mask,
        *HOST,
        settings=(*settings, "network.nodeCIDRMaskSize=26", "network.nodeCIDRMaskSizeIPv6=122"),
    )
    assert small.level is Level.FAIL
    assert ": 24" in text(small) or "nodeCIDRMaskSizeIPv6: 121" in text(small)


def test_services_that_only_a_bad_range_of_pods_crowds_out_get_a_proposal() -> None:
    found = one(network_ranges.service_cidr_free, *HOST, settings=("network.podCIDR=0.0.0.0/0",))
    assert (found.level, text(found)) == (Level.FAIL, "in the profile: spec.network.serviceCIDR: 10.96.0.0/16")


def test_a_range_for_one_node_warns_where_others_are_to_join() -> None:
    found = one(
        network_ranges_servers.node_mask, *HOST, settings=("network.podCIDR=10.70.0.0/24",), named="control-plane"
    )
    assert (found.level, found.wanted) == (Level.WARN, "room for other nodes")


def test_a_live_share_stays_and_maxpods_gives_way() -> None:
    assert one(network_ranges_servers.node_mask, *HOST, LIVE).level is Level.PASS
    differs, passes = judge(network_ranges_servers.node_mask, *HOST, LIVE, settings=("network.nodeCIDRMaskSize=23",))
    assert (differs.level, differs.found) == (Level.WARN, "/23 in the profile, /24 in the live cluster")
    assert passes.level is Level.PASS
    found = one(network_ranges_servers.node_mask, *HOST, LIVE, settings=("kubernetes.kubelet={maxPods: 300}",))
    assert (found.level, text(found)) == (Level.FAIL, "in the profile: spec.kubernetes.kubelet: {maxPods: 252}")


def test_a_choice_out_of_the_carriers_range_warns_where_nothing_else_is_free() -> None:
    ways = (Route(cidr, "10.254.192.1", "ens3") for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    pods, services = judge(network_ranges.cidr_valid, Links((ENS3,)), Routes((DEFAULT, *ways)))
    assert (pods.level, services.level) == (Level.WARN, Level.WARN)
    assert pods.found.startswith("100.64.0.0/16 is of the carriers' range")
    assert text(pods).startswith("ask whoever runs the network")


# -- nodes that go by IPv6 ---------------------------------------------------------------------------------------------
def test_a_node_that_has_only_ipv6_passes() -> None:
    assert one(network.default_route, *ONLY_SIX).found == "via fe80::1 dev eth0"
    found = one(network.node_ip, *ONLY_SIX)
    assert (found.level, found.found) == (Level.PASS, "2001:db8:1::5/64 on eth0")
    assert one(network.mtu, *ONLY_SIX).found == "eth0 1500"
    assert one(network_ranges.pod_cidr_free, *ONLY_SIX).found.startswith("fd00:10:244::/56, chosen")
    assert one(network_ranges_servers.node_mask, *ONLY_SIX).found == (
        "/64 of fd00:10:244::/56: 256 nodes, 2^64 addresses each, maxPods 110"
    )


def test_a_node_of_ipv6_without_a_default_route_fails_for_ipv6() -> None:
    found = one(network.default_route, ONLY_SIX[0], Routes(()))
    assert (found.level, found.found, found.wanted) == (Level.FAIL, "none for IPv6", "one IPv6 default route")
    assert text(found).startswith("ip -6 route add default via GATEWAY dev eth0")
    found = one(network.node_ip, ONLY_SIX[0], Routes(()))
    assert (found.level, text(found)) == (Level.FAIL, "in the profile: spec.network.nodeIP: 2001:db8:1::5")


def test_a_node_with_both_families_goes_by_the_first_of_the_ranges() -> None:
    both = Link("ens3", addresses=(Address("10.254.192.244", 24), Address("2001:db8:1::5", 64)))
    facts = (Links((both,)), Routes((DEFAULT, Route("::/0", "fe80::1", "ens3"))))
    assert one(network.node_ip, *facts).found == "10.254.192.244/24 on ens3"
    six = ("network.podCIDR=fd00:9::/56",)
    assert one(network.node_ip, *facts, settings=six).found == "2001:db8:1::5/64 on ens3"
    wrong = one(network.node_ip, *facts, settings=(*six, "network.nodeIP=10.254.192.244"))
    assert (wrong.level, wrong.found) == (Level.FAIL, "10.254.192.244, where the cluster's first range is of IPv6")
    assert text(wrong) == "in the profile: spec.network.nodeIP: 2001:db8:1::5"
