"""The cluster's ranges on hosts of all kinds: what is chosen, what is refused, and that neither ever moves."""

from __future__ import annotations

import pytest

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_bridges import CniConfig, CniConfigs, DockerPools
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_peers import SshPeers
from caasctl.facts.network_proxy import AptProxy, Proxies, ProxySetting
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.network_rules import PolicyRules, Rule
from caasctl.facts.network_servers import HostsFile, RegistryMirrors, Server, StorageServers, TimeServers
from caasctl.model import CaasError, Facts, FactUnread
from caasctl.needs import network
from caasctl.profile import Join, NodeProfile
from caasctl.profile_load import load
from caasctl.syntax.cidr import Ranges

LO = Link("lo", "loopback", 65536, addresses=(Address("127.0.0.1", 8, "host"), Address("::1", 128, "host")))
DEFAULT = Route("0.0.0.0/0", "10.254.192.1", "ens3")
OWN = Route("10.254.192.0/24", dev="ens3", scope="link")
ENS3 = Link("ens3", addresses=(Address("10.254.192.244", 24), Address("fe80::1", 64, "link")))
SIX = Link("eth0", addresses=(Address("2001:db8:1::5", 64), Address("fe80::5", 64, "link")))
DEFAULT6 = Route("::/0", "fe80::1", "eth0")
SEED = ("network.podCIDR=10.254.192.244/24", "network.serviceCIDR=10.254.192.244/24")
USUAL = ("10.244.0.0/16", "10.96.0.0/16")


def host(*more: object, links: tuple[Link, ...] = (), routes: tuple[Route, ...] = ()) -> Facts:
    return Facts([Links((LO, ENS3, *links)), Routes((DEFAULT, OWN, *routes)), *more])


def profile(*settings: str, named: str = "single-node") -> NodeProfile:
    return load(named, settings)


def chosen(facts: Facts, *settings: str, named: str = "single-node") -> tuple[str, str]:
    found = network.ranges(facts, profile(*settings, named=named))
    return found.pod_subnet, found.service_subnet


def refused(facts: Facts, *settings: str, named: str = "single-node") -> CaasError:
    with pytest.raises(CaasError) as caught:
        network.ranges(facts, profile(*settings, named=named))
    return caught.value


def plane(pods: str, services: str, **more: str) -> ControlPlane:
    return ControlPlane(
        {
            "kube-apiserver": {"service-cluster-ip-range": services},
            "kube-controller-manager": {
                "cluster-cidr": pods,
                **{name.replace("_", "-"): text for name, text in more.items()},
            },
        }
    )


# -- choosing ----------------------------------------------------------------------------------------------------------
def test_a_plain_host_gets_what_everybody_knows() -> None:
    assert chosen(host()) == USUAL
    found = network.ranges(host(), profile())
    assert (found.masks, found.dns, found.families) == ((24,), ("10.96.0.10",), (4,))


def test_the_seed_s_host_in_10_254_is_right_by_itself() -> None:
    stranger = Route("10.244.0.0/16", "10.254.192.1", "ens3")
    assert chosen(host(routes=(stranger,))) == ("10.200.0.0/16", "10.96.0.0/16")


def test_ten_routed_as_a_whole_moves_both_ranges() -> None:
    ten = Route("10.0.0.0/8", "10.254.192.1", "ens3")
    assert chosen(host(routes=(ten,))) == ("172.20.0.0/16", "172.21.0.0/16")
    twelve = Route("172.16.0.0/12", "10.254.192.1", "ens3", table="52")
    assert chosen(host(routes=(ten, twelve))) == ("192.168.0.0/16", "100.64.0.0/16")
    sixteen = Route("192.168.0.0/16", "10.254.192.1", "ens3")
    assert chosen(host(routes=(ten, twelve, sixteen))) == ("100.64.0.0/16", "100.65.0.0/16")


def test_all_of_private_space_routed_is_a_clear_failure() -> None:
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
    error = refused(host(routes=tuple(Route(dst, "10.254.192.1", "ens3") for dst in private)))
    assert error.problem.startswith(
        "no block is free for pods: in the way are route 10.0.0.0/8 via 10.254.192.1 dev ens3, route 100"
    )
    assert all(dst in error.problem for dst in private)
    assert "spec.network.podCIDR" in error.fix


def test_docker_keeps_its_pools() -> None:
    ten = Route("10.0.0.0/8", "10.254.192.1", "ens3")
    pools = (
        "172.17.0.0/16",
        "172.18.0.0/16",
        "172.19.0.0/16",
        "172.20.0.0/14",
        "172.24.0.0/14",
        "172.28.0.0/14",
        "192.168.0.0/16",
    )
    docker = DockerPools(installed=True, pools=pools)
    assert chosen(host(docker, routes=(ten,))) == ("100.64.0.0/16", "100.65.0.0/16")
    own = DockerPools(installed=True, pools=("10.244.0.0/16",), bridge=("10.200.0.0/24",), own=True)
    assert chosen(host(own)) == ("10.201.0.0/16", "10.96.0.0/16")


def test_openvpn_s_halves_are_a_default_route_and_its_pushed_networks_count() -> None:
    tun = Link("tun0", "tun", addresses=(Address("10.244.8.6", 32),))
    halves = tuple(Route(dst, "10.244.8.5", "tun0") for dst in ("0.0.0.0/1", "128.0.0.0/1"))
    pushed = (Route("10.200.0.0/16", "10.244.8.5", "tun0"), Route("10.244.8.5/32", dev="tun0", scope="link"))
    assert chosen(host(links=(tun,), routes=halves)) == ("10.200.0.0/16", "10.96.0.0/16")
    assert chosen(host(links=(tun,), routes=(*halves, *pushed))) == ("10.201.0.0/16", "10.96.0.0/16")


def test_wireguard_in_a_table_of_its_own_counts() -> None:
    wg0 = Link("wg0", "wireguard", addresses=(Address("10.99.0.2", 24),))
    routes = (Route("0.0.0.0/0", dev="wg0", table="51820"), Route("10.96.0.0/12", dev="wg0", table="51820"))
    assert chosen(host(links=(wg0,), routes=routes)) == ("10.244.0.0/16", "10.200.0.0/16")


def test_tailscale_keeps_the_carriers_range() -> None:
    tailscale0 = Link("tailscale0", "tun", addresses=(Address("100.101.102.103", 32),))
    routes = (
        Route("100.100.100.100/32", dev="tailscale0", table="52"),
        Route("10.96.0.0/16", dev="tailscale0", table="52"),
    )
    facts = host(links=(tailscale0,), routes=routes)
    assert chosen(facts) == ("10.244.0.0/16", "10.97.0.0/16")
    error = refused(facts, "network.podCIDR=100.64.0.0/16")
    assert "Tailscale drops what comes from 100.64.0.0/10" in error.problem
    assert error.fix == "in the profile: spec.network.podCIDR: 10.244.0.0/16"


def test_many_cards_each_with_its_network() -> None:
    cards = tuple(Link(f"ib{n}", addresses=(Address(f"10.{200 + n}.1.1", 16),)) for n in range(16))
    assert chosen(host(links=cards)) == ("10.244.0.0/16", "10.96.0.0/16")
    routes = (Route("10.244.0.0/16", "10.200.1.9", "ib0"),)
    assert chosen(host(links=cards, routes=routes)) == ("10.216.0.0/16", "10.96.0.0/16")


@pytest.mark.parametrize(
    "fact",
    [
        PolicyRules((Rule(100, "10.244.0.0/16", "", "9"),)),
        PolicyRules((Rule(100, "", "10.244.7.0/24", "main"),)),
        CniConfigs((CniConfig("/etc/cni/net.d/10-old.conf", "old", ("bridge",), ("10.244.0.0/24",)),)),
        Resolvers(("10.244.0.53",)),
        Resolvers(("127.0.0.53",), ("10.244.0.53",)),
        SshPeers(("10.244.3.4",)),
        Proxies((ProxySetting("shell", "/etc/environment", https="http://10.244.1.1:3128"),)),
        AptProxy(ProxySetting("apt", "/etc/apt/apt.conf", http="http://10.244.1.1:3128")),
        StorageServers((Server("10.244.7.5", "nfs4 server", "/proc/mounts"),)),
        TimeServers((Server("10.244.7.5", "time server", "/etc/chrony.conf"),)),
        RegistryMirrors((Server("10.244.7.5", "registry", "/etc/containerd/certs.d"),)),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_every_kind_of_fact_moves_the_pods(fact: object) -> None:
    assert chosen(host(fact)) == ("10.200.0.0/16", "10.96.0.0/16")


def test_names_are_looked_up_in_etc_hosts_only() -> None:
    named = StorageServers((Server("nas.example", "nfs4 server", "/proc/mounts"),))
    assert chosen(host(named)) == USUAL
    assert chosen(host(named, HostsFile({"nas.example": ("10.244.7.5",)}))) == ("10.200.0.0/16", "10.96.0.0/16")


def test_what_the_profile_names_moves_the_ranges() -> None:
    assert chosen(host(), "network.avoid=[10.244.0.0/15, 10.96.1.1/32]") == ("10.200.0.0/16", "10.97.0.0/16")
    assert chosen(host(), "kubernetes.controlPlaneEndpoint=10.244.0.9:6443")[0] == "10.200.0.0/16"
    assert chosen(host(), "kubernetes.imageRepository=10.244.0.9:5000/k8s")[0] == "10.200.0.0/16"
    vip = HostsFile({"api.example": ("10.244.0.9",)})
    assert chosen(host(vip), "kubernetes.controlPlaneEndpoint=api.example:6443")[0] == "10.200.0.0/16"


def test_facts_that_could_not_be_read_do_not_block_the_choice_but_links_routes_and_a_control_plane_do() -> None:
    known = (Links((ENS3,)), Routes((DEFAULT,)))
    assert chosen(Facts(known, {PolicyRules: "no ip", SshPeers: "no proc", Resolvers: "no file"})) == USUAL
    with pytest.raises(FactUnread, match="root only"):
        network.ranges(Facts(known, {ControlPlane: "root only"}), profile())
    with pytest.raises(FactUnread):
        network.ranges(Facts(known[:1]), profile())
    with pytest.raises(FactUnread):
        network.ranges(Facts(known[1:]), profile())


# -- verifying ---------------------------------------------------------------------------------------------------------
def test_the_seed_s_ranges_are_refused_with_what_lies_there() -> None:
    error = refused(host(), *SEED)
    assert "overlaps ens3 10.254.192.244/24, gateway 10.254.192.1 dev ens3" in error.problem
    assert error.fix == "in the profile: spec.network.podCIDR: 10.244.0.0/16"
    error = refused(host(), SEED[1])
    assert error.problem.startswith("the range of services 10.254.192.0/24 overlaps ens3 10.254.192.244/24")
    assert error.fix == "in the profile: spec.network.serviceCIDR: 10.96.0.0/16"


def test_a_given_range_that_is_free_is_taken_and_the_other_keeps_clear_of_it() -> None:
    assert chosen(host(), "network.podCIDR=10.96.0.0/15") == ("10.96.0.0/15", "10.98.0.0/16")
    assert chosen(host(), "network.serviceCIDR=10.244.0.0/20") == ("10.200.0.0/16", "10.244.0.0/20")


def test_ranges_that_overlap_each_other_are_refused() -> None:
    error = refused(host(), "network.podCIDR=10.50.0.0/16", "network.serviceCIDR=10.50.128.0/20")
    assert error.problem == "pods 10.50.0.0/16 and services 10.50.128.0/20 overlap"
    assert error.fix == "in the profile: spec.network.serviceCIDR: 10.96.0.0/16"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("network.podCIDR=10.50.0.7/16", "is the address of one machine in 10.50.0.0/16"),
        ("network.podCIDR=10.50.0.0/28", "a node's share: /24 for each node, out of 10.50.0.0/28"),
        ("network.podCIDR=10.50.0.0/29", "10.50.0.0/29 has 8 addresses"),
        ("network.serviceCIDR=10.0.0.0/11", "has 2^21 addresses"),
        ("network.podCIDR=169.254.0.0/16", "169.254.0.0/16 is reserved: link-local"),
        ("network.nodeCIDRMaskSize=12", "no block for pods can be shared out to nodes by nodeCIDRMaskSize 12"),
    ],
)
def test_ranges_that_are_wrong_by_themselves_are_refused(setting: str, said: str) -> None:
    error = refused(host(), setting)
    assert said in error.problem
    assert error.fix


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        (("network.podCIDR=10.0.0.0/12", "network.nodeCIDRMaskSize=30"), "nodeCIDRMaskSize: 24"),
        (("network.podCIDR=10.50.0.0/26",), "{podCIDR: auto, nodeCIDRMaskSize: 24, nodeCIDRMaskSizeIPv6: 64}"),
    ],
)
def test_a_share_that_will_not_do_names_one_that_will(settings: tuple[str, ...], fix: str) -> None:
    error = refused(host(), *settings)
    assert error.problem.startswith("a node's share: ")
    assert error.fix.endswith(fix)


def test_what_docker_may_take_is_no_failure_of_a_given_range() -> None:
    docker = DockerPools(installed=True, pools=("172.20.0.0/14",))
    assert chosen(host(docker), "network.podCIDR=172.20.0.0/16") == ("172.20.0.0/16", "10.96.0.0/16")


# -- families and addresses --------------------------------------------------------------------------------------------
def test_a_host_that_has_only_ipv6() -> None:
    facts = Facts([Links((LO, SIX)), Routes((DEFAULT6, Route("2001:db8:1::/64", dev="eth0")))])
    assert chosen(facts) == ("fd00:10:244::/56", "fd00:10:96::/112")
    assert network.node_addresses(facts, profile()) == ("2001:db8:1::5",)
    assert network.ranges(facts, profile()).masks == (64,)
    taken = Facts([Links((LO, SIX)), Routes((DEFAULT6, Route("fd00:10::/32", "fe80::1", "eth0")))])
    assert chosen(taken) == ("fd01:10:244::/56", "fd01:10:96::/112")
    docker = Link("docker0", "bridge", addresses=(Address("172.17.0.1", 16),))
    wg0 = Link("wg0", "wireguard", addresses=(Address("10.9.0.2", 24),))
    assert chosen(Facts([Links((LO, docker, wg0, SIX)), Routes((DEFAULT6,))]))[0] == "fd00:10:244::/56"


def test_two_families_only_where_they_are_named() -> None:
    both = Link("ens3", addresses=(Address("10.254.192.244", 24), Address("2001:db8:1::5", 64)))
    facts = Facts([Links((LO, both)), Routes((DEFAULT, OWN, DEFAULT6))])
    assert chosen(facts) == USUAL
    dual = "network.podCIDR='10.244.0.0/16,fd00:10:244::/56'"
    assert chosen(facts, dual) == ("10.244.0.0/16,fd00:10:244::/56", "10.96.0.0/16,fd00:10:96::/112")
    assert network.node_addresses(facts, profile(dual)) == ("10.254.192.244", "2001:db8:1::5")
    assert network.ranges(facts, profile(dual)).masks == (24, 64)
    six_first = "network.serviceCIDR='fd00:10:96::/112,10.96.0.0/16'"
    assert chosen(facts, six_first) == ("fd00:10:244::/56,10.244.0.0/16", "fd00:10:96::/112,10.96.0.0/16")
    error = refused(facts, "network.podCIDR=10.244.0.0/16", "network.serviceCIDR=fd00:10:96::/112")
    assert error.problem == "pods have IPv4, services IPv6"


def test_the_second_address_is_of_the_interface_of_the_first() -> None:
    both = Link("ens3", addresses=(Address("10.254.192.244", 24), Address("2001:db8:1::5", 64)))
    other = Link("ens4", addresses=(Address("198.51.100.4", 24), Address("2001:db8:2::4", 64)))
    facts = Facts([Links((both, other)), Routes((DEFAULT,))])
    dual = "network.podCIDR='10.244.0.0/16,fd00:10:244::/56'"
    named = profile(dual, "network.nodeIP=198.51.100.4")
    assert network.node_addresses(facts, named) == ("198.51.100.4", "2001:db8:2::4")
    assert network.node_addresses(facts, profile(dual)) == ("10.254.192.244", "2001:db8:1::5")


def test_no_default_route_needs_a_named_address() -> None:
    facts = Facts([Links((LO, ENS3)), Routes((OWN,))])
    with pytest.raises(CaasError) as caught:
        network.node_addresses(facts, profile())
    assert caught.value.fix == "in the profile: spec.network.nodeIP: 10.254.192.244"
    assert chosen(facts) == USUAL
    assert network.node_addresses(facts, profile("network.nodeIP=10.254.192.244")) == ("10.254.192.244",)


def test_a_routed_host_has_its_address_on_lo() -> None:
    lo = Link("lo", "loopback", addresses=(Address("127.0.0.1", 8, "host"), Address("10.244.0.5", 32)))
    facts = Facts([Links((lo, Link("eth0"))), Routes((Route("0.0.0.0/0", "fe80::9", "eth0"),))])
    assert network.node_addresses(facts, profile()) == ("10.244.0.5",)
    assert chosen(facts)[0] == "10.200.0.0/16"


# -- live clusters, joining --------------------------------------------------------------------------------------------
def test_live_ranges_are_kept_whatever_the_profile_says() -> None:
    live = plane("10.50.0.0/16", "10.60.0.0/20", node_cidr_mask_size="25")
    facts = host(live, routes=(Route("10.50.0.0/24", dev="docker7"),))
    assert chosen(facts) == ("10.50.0.0/16", "10.60.0.0/20")
    assert chosen(host(live), "network.podCIDR=10.70.0.0/16", "network.serviceCIDR=auto") == (
        "10.50.0.0/16",
        "10.60.0.0/20",
    )
    assert network.ranges(host(live), profile()).masks == (25,)


def test_what_the_live_cluster_made_is_not_in_its_way() -> None:
    live = plane("10.50.0.0/16", "10.60.0.0/20")
    links = (
        Link("cilium_host", "veth", addresses=(Address("10.50.0.7", 32),)),
        Link("kube-ipvs0", addresses=(Address("10.60.0.1", 32),)),
        Link("flannel.1", "vxlan", addresses=(Address("10.50.0.0", 32),)),
    )
    routes = (
        Route("10.50.0.0/24", "10.50.0.7", "cilium_host"),
        Route("10.50.1.0/24", "10.254.192.9", "ens3"),
        Route("10.50.2.0/26", kind="blackhole"),
        Route("10.50.3.0/24", "10.50.3.0", "flannel.1"),
        Route("10.60.0.1/32", dev="kube-ipvs0", table="local", kind="local"),
    )
    more = (
        PolicyRules((Rule(100, "10.50.0.0/16", "", "main"),)),
        StorageServers((Server("10.60.0.77", "nfs4 server", "/proc/mounts"),)),
        SshPeers(("10.50.0.99",)),
        CniConfigs((CniConfig("/etc/cni/net.d/10-flannel.conf", "cbr0", ("bridge",), ("10.50.0.0/24",)),)),
    )
    assert chosen(host(live, *more, links=links, routes=routes)) == ("10.50.0.0/16", "10.60.0.0/20")


@pytest.mark.parametrize(
    "more",
    [
        {"routes": (Route("10.50.1.0/24", "10.254.192.9", "tun0"),)},
        {"routes": (Route("10.50.0.0/17", "10.254.192.9", "ens3"),)},
        {"routes": (Route("10.0.0.0/8", "10.254.192.9", "ens3"),)},
        {"links": (Link("docker1", "bridge", addresses=(Address("10.50.9.1", 24),)),)},
        {"fact": PolicyRules((Rule(100, "10.50.0.0/16", "", "vpn"),))},
        {"fact": Resolvers(("10.60.0.10",))},
    ],
)
def test_what_came_up_beside_a_live_cluster_is_in_its_way(more: dict[str, object]) -> None:
    fact = (more.pop("fact"),) if "fact" in more else ()
    found = network.plan(host(plane("10.50.0.0/16", "10.60.0.0/20"), *fact, **more), profile())  # type: ignore[arg-type]
    assert any(one.blockers for one in found.both)
    assert chosen(host(plane("10.50.0.0/16", "10.60.0.0/20"), *fact)) == ("10.50.0.0/16", "10.60.0.0/20")


def test_leftovers_of_another_pod_network_are_in_the_way_once_its_cluster_is_gone() -> None:
    cni0 = Link("cni0", "bridge", addresses=(Address("10.244.0.1", 24),))
    assert chosen(host(links=(cni0,), routes=(Route("10.244.0.0/24", dev="cni0"),)))[0] == "10.200.0.0/16"
    ours = Link("cilium_host", "veth", addresses=(Address("10.244.0.1", 32),))
    assert chosen(host(links=(ours,), routes=(Route("10.244.0.0/24", "10.244.0.1", "cilium_host"),))) == USUAL


def test_a_live_range_that_is_no_network_is_unread_and_names_the_manifest() -> None:
    with pytest.raises(
        FactUnread, match=r"kube-controller-manager.yaml: --cluster-cidr is 'nonsense', which is no network"
    ):
        network.ranges(host(plane("nonsense", "10.60.0.0/20")), profile())


def test_a_control_plane_that_only_root_can_read_hides_no_address_of_the_node() -> None:
    facts = Facts([Links((LO, ENS3)), Routes((DEFAULT, OWN))], {ControlPlane: "permission denied"})
    assert network.node_addresses(facts, profile()) == ("10.254.192.244",)
    assert network.direct(facts, profile())[:2] == ("10.254.192.244", "10.254.192.0/24")


def test_a_control_plane_without_a_pods_range_keeps_its_services() -> None:
    assert chosen(host(plane("", "10.244.0.0/20"))) == ("10.200.0.0/16", "10.244.0.0/20")


def test_nodes_that_join_choose_nothing() -> None:
    error = refused(host(), named="worker")
    assert error.problem == "spec.network.podCIDR is auto on a node that joins a cluster"
    named = ("network.podCIDR=10.50.0.0/16", "network.serviceCIDR=10.60.0.0/20")
    assert chosen(host(), *named, named="worker") == ("10.50.0.0/16", "10.60.0.0/20")
    assert "ens3" in refused(host(), *SEED, named="worker").problem
    assert network.node_addresses(host(), profile(named="worker")) == ("10.254.192.244",)


def test_what_must_not_pass_through_a_proxy() -> None:
    one = profile("kubernetes.controlPlaneEndpoint=api.example:6443")
    found = network.direct(host(), one, network.ranges(host(), one))
    assert found == (
        "10.254.192.244", "10.254.192.0/24", "10.244.0.0/16", "10.96.0.0/16", ".svc", ".cluster.local", "localhost",
        "127.0.0.0/8", "api.example",
    )  # fmt: skip
    assert network.direct(Facts(), profile()) == (".svc", ".cluster.local", "localhost", "127.0.0.0/8")
    six = Ranges((), network.ranges(Facts([Links((SIX,)), Routes((DEFAULT6,))]), profile()).services, ())
    assert "::1" in network.direct(Facts(), profile(), six)


def test_the_endpoint_of_the_cluster_that_is_joined_is_reached_without_a_proxy() -> None:
    from dataclasses import replace

    joining = replace(profile(named="worker"), join=Join("10.1.1.1:6443"))
    assert "10.1.1.1" in network.direct(host(), joining)


def test_the_facts_that_a_phase_must_declare_are_listed() -> None:
    from tests.lab.fact_use import use

    assert use(network.ranges).every == set(network.READS)
