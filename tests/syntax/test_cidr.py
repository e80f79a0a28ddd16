"""Arithmetic of ranges: what overlaps, what is chosen from, what is wrong with a range by itself."""

from __future__ import annotations

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.syntax import interfaces
from caasctl.syntax.cidr import Ranges, parse, words
from caasctl.syntax.cidr.choice import first_free, pair, pod_candidates, pod_lengths, service_candidates
from caasctl.syntax.cidr.judge import Use, families, judge, share
from caasctl.syntax.cidr.obstacles import RESERVED, Taken, network_of, part_of_default, private
from caasctl.syntax.endpoints import host_of


def net(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)


NETWORKS = st.one_of(
    st.builds(
        lambda at, length: ipaddress.IPv4Network((at, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(4, 32),
    ),
    st.builds(
        lambda at, length: ipaddress.IPv6Network((at, length), strict=False),
        st.integers(0xFD << 120, (0xFE << 120) - 1),
        st.integers(8, 128),
    ),
)


def test_what_follows_from_ranges() -> None:
    found = Ranges(parse("10.244.0.0/16,fd00:10:244::/56"), parse("10.96.0.0/16,fd00:10:96::/112"), (24, 64))
    assert found.families == (4, 6)
    assert found.pod_subnet == "10.244.0.0/16,fd00:10:244::/56"
    assert found.service_subnet == "10.96.0.0/16,fd00:10:96::/112"
    assert found.dns == ("10.96.0.10", "fd00:10:96::a")
    assert found.api == ("10.96.0.1", "fd00:10:96::1")
    assert (found.mask(4), found.mask(6)) == (24, 64)
    assert words(()) == ""


@given(st.lists(NETWORKS, max_size=12), NETWORKS)
def test_merged_spans_overlap_as_the_networks_do(
    taken: list[ipaddress.IPv4Network | ipaddress.IPv6Network], one: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    assert Taken(taken).overlaps(one) is any(one.overlaps(other) for other in taken)


def test_the_order_of_blocks_is_fixed() -> None:
    pods = pod_candidates(4, 24)
    assert [str(one) for one in pods[:3]] == ["10.244.0.0/16", "10.200.0.0/16", "10.201.0.0/16"]
    sixteens = [str(one) for one in pods if one.prefixlen == 16]
    assert sixteens[54:58] == ["10.254.0.0/16", "172.20.0.0/16", "172.21.0.0/16", "172.22.0.0/16"]
    assert sixteens[66:69] == ["172.31.0.0/16", "192.168.0.0/16", "100.64.0.0/16"]
    assert sixteens[-1] == "100.127.0.0/16"
    assert [one.prefixlen for one in pods] == sorted(one.prefixlen for one in pods)
    assert {one.prefixlen for one in pods} == {16, 18, 20}
    services = [str(one) for one in islice(service_candidates(4), 17)]
    assert services == [*(f"10.{n}.0.0/16" for n in range(96, 112)), "10.244.0.0/16"]
    assert str(pod_candidates(6, 64)[0]) == "fd00:10:244::/56"
    assert str(service_candidates(6)[0]) == "fd00:10:96::/112"
    assert len(set(pods)) == len(pods)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mask", range(129))
def test_every_block_is_one_that_kubeadm_takes(family: int, mask: int) -> None:
    blocks = pod_candidates(family, mask)
    assert bool(blocks) is bool(pod_lengths(family, mask))
    assert not [one for one in blocks if list(share(one, mask))]
    assert not [one for one in blocks for wrong in judge(str(one), "pods") if wrong.fatal]


def test_services_are_ones_that_kubeadm_takes() -> None:
    for family in (4, 6):
        wrong = [one for block in service_candidates(family) for one in judge(str(block), "services")]
        assert not any(one.fatal for one in wrong)


def test_shares_that_fit_no_block_leave_nothing() -> None:
    assert pod_lengths(4, 12) == pod_lengths(4, 33) == pod_lengths(6, 20) == pod_lengths(6, 129) == ()
    assert pod_lengths(4, 17) == (16,)
    assert pod_lengths(6, 120) == (104,)
    assert pod_lengths(6, 48) == (48,)


def test_pods_leave_room_for_services() -> None:
    everything = [net("10.0.0.0/8"), net("172.16.0.0/12"), net("100.64.0.0/10")]
    assert pair(4, 24, Taken(everything)) == (net("192.168.0.0/18"), net("192.168.64.0/18"))
    assert pair(4, 24, Taken([*everything, net("192.168.0.0/16")])) == (None, None)
    small = [net("192.168.16.0/20"), net("192.168.32.0/19"), net("192.168.64.0/18"), net("192.168.128.0/17")]
    assert pair(4, 24, Taken([*everything, *small])) == (net("192.168.0.0/20"), None)
    assert first_free((), Taken(())) is None


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "192.0.0.0/2", "::/0", "::/1", "8000::/1", "2000::/3"]
)
def test_slices_of_a_default_route_are_no_network(text: str) -> None:
    assert part_of_default(net(text))


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "172.16.0.0/12", "10.1.1.1/32", "fc00::/7", "fd00::/8", "2001:db8::/32"]
)
def test_wide_networks_of_a_site_are(text: str) -> None:
    assert not part_of_default(net(text))


def test_private_space() -> None:
    assert all(
        private(net(text)) for text in ("10.1.0.0/16", "172.31.0.0/16", "192.168.0.0/16", "100.64.0.0/16", "fd00::/56")
    )
    assert not any(private(net(text)) for text in ("11.0.0.0/16", "172.0.0.0/8", "172.32.0.0/16", "2001:db8::/56"))
    assert network_of("fe80::1%eth0") == net("fe80::1/128")
    assert network_of("name") is None


@pytest.mark.parametrize(
    ("text", "use", "said"),
    [
        (
            "10.254.192.244/24",
            "pods",
            "10.254.192.244/24 is the address of one machine in 10.254.192.0/24, not a network",
        ),
        ("10.244.0.0", "pods", "10.244.0.0 is one address"),
        ("10.244.0.0/29", "pods", "10.244.0.0/29 has 8 addresses"),
        ("10.96.0.0/29", "services", "10.96.0.0/29 has 8 addresses"),
        ("10.0.0.0/11", "services", "10.0.0.0/11 has 2^21 addresses"),
        ("fd00:10:96::/107", "services", "fd00:10:96::/107 has 2^21 addresses"),
        ("10.244.0.0/16,10.245.0.0/16", "pods", "2 networks: 10.244.0.0/16, 10.245.0.0/16"),
        (
            "169.254.0.0/16",
            "pods",
            "169.254.0.0/16: 169.254.0.0/16 is reserved: link-local, where clouds keep their metadata",
        ),
        ("127.1.0.0/16", "pods", "127.1.0.0/16: 127.0.0.0/8 is reserved: loopback"),
        ("fe80::/64", "pods", "fe80::/64: fe80::/10 is reserved: link-local"),
    ],
)
def test_what_kubeadm_or_the_kernel_would_not_take_is_fatal(text: str, use: Use, said: str) -> None:
    wrong = list(judge(text, use))
    assert said in [one.found for one in wrong if one.fatal]
    assert all(one.wanted and one.cause and one.found.isascii() for one in wrong)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("11.0.0.0/16", "11.0.0.0/16 is not private"),
        ("2001:db8::/56", "2001:db8::/56 is not private"),
        ("100.64.0.0/16", "100.64.0.0/16 is of the carriers' range 100.64.0.0/10"),
        ("fec0::/56", "fec0::/56 is site-local"),
    ],
)
def test_what_works_but_is_not_wise_is_not_fatal(text: str, said: str) -> None:
    (wrong,) = judge(text, "pods")
    assert (wrong.found, wrong.fatal) == (said, False)


@pytest.mark.parametrize(
    "text", ["10.244.0.0/16", "10.244.0.0/16,fd00:10:244::/56", "10.96.0.0/12", "10.96.0.0/28", "fd00::/108"]
)
def test_what_is_good_for_both_has_nothing_wrong(text: str) -> None:
    assert list(judge(text, "pods")) == []
    assert text.count("/56") or list(judge(text, "services")) == []


def test_families_of_services_follow_the_pods() -> None:
    four, six = net("10.244.0.0/16"), net("fd00::/56")
    assert not list(families([four, six], [four, six]))
    assert not list(families([four, six], [four]))
    assert not list(families([], [four]))
    for pods, services in (([four], [six]), ([four], [four, six]), ([six, four], [four, six])):
        (wrong,) = families(pods, services)
        assert wrong.fatal


def test_shares_of_nodes_by_kubeadm_s_rules() -> None:
    assert not list(share(net("10.244.0.0/16"), 24))
    assert not list(share(net("10.0.0.0/8"), 24))
    for network, mask, said in (
        ("10.0.0.0/8", 25, "difference is greater than 16"),
        ("10.244.0.0/24", 23, "is smaller than the size of node subnet"),
        ("fd00::/48", 120, "difference is greater than 16"),
        ("10.244.0.0/16", 64, "share of the range is a network"),
    ):
        (wrong,) = share(net(network), mask)
        assert said in wrong.cause


def test_reserved_networks_are_no_default_routes() -> None:
    assert {one.kind for one in RESERVED} == {"reserved"}


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://10.1.2.3:5000/v2", "10.1.2.3"),
        ("http://***@proxy.example:3128", "proxy.example"),
        ("10.1.2.3:5000/k8s", "10.1.2.3"),
        ("[fd00::1]:6443", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("registry.k8s.io", "registry.k8s.io"),
        ("", ""),
    ],
)
def test_hosts_of_urls_and_names(text: str, host: str) -> None:
    assert host_of(text) == host


def test_names_of_interfaces() -> None:
    cluster = ("cilium_host", "cilium_wg0", "lxc0123456789ab", "lxc_health", "kube-ipvs0", "cni0")
    assert all(interfaces.of_cluster(name) for name in cluster)
    assert not any(interfaces.of_cluster(name) for name in ("lxcbr0", "docker0", "eth0", "kube-ipvs1", "flannel.1"))
    assert all(interfaces.of_other_cni(name) for name in ("cni0", "flannel.1", "cali0123456789a", "tunl0"))
    assert interfaces.of_vpn("wg0")
    assert interfaces.of_vpn("office", "wireguard")
    assert not interfaces.of_vpn("eth0", "physical")
    assert interfaces.of_guests("br-0123456789ab")
