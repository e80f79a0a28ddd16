"""Checks of routes, addresses, MTU and the kernel's settings, each seen passing and failing."""

from __future__ import annotations

import pytest

from caasctl.checks import network, network_kernel
from caasctl.facts.boot import parse_grub_config
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.network_sysctl import Forwarding, Ipv6, RpFilter, RpFilterFiles, RpFilterLine
from caasctl.model import Check, Facts, Finding, FixKind, Level, findings
from caasctl.profile_load import load

DEFAULT = Route("0.0.0.0/0", "192.0.2.1", "eth0")
OTHER = Route("0.0.0.0/0", "198.51.100.1", "eth1")
ETH0 = Link("eth0", addresses=(Address("192.0.2.2", 24), Address("fe80::2", 64, "link")))
ETH1 = Link("eth1", mtu=9000, addresses=(Address("198.51.100.2", 24),))
LO = Link("lo", "loopback", 65536, addresses=(Address("127.0.0.1", 8, "host"),))
DOCKER = Link("docker0", "bridge", addresses=(Address("172.17.0.1", 16),))
LXC = Link("lxc0123456789ab", "veth")


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def test_one_default_route_passes() -> None:
    found = one(network.default_route, Routes((DEFAULT,)), Links((LO, ETH0)))
    assert (found.level, found.found) == (Level.PASS, "via 192.0.2.1 dev eth0")


def test_a_second_default_route_with_a_higher_metric_passes() -> None:
    backup = Route("0.0.0.0/0", "198.51.100.1", "eth1", metric=100)
    assert one(network.default_route, Routes((DEFAULT, backup)), Links((ETH0, ETH1))).level is Level.PASS


def test_two_gateways_on_one_interface_pass() -> None:
    assert (
        one(network.default_route, Routes((DEFAULT, Route("0.0.0.0/0", "192.0.2.9", "eth0"))), Links((ETH0,))).level
        is Level.PASS
    )


def test_equal_default_routes_warn_unless_the_profile_names_the_address() -> None:
    facts = (Routes((DEFAULT, OTHER)), Links((ETH0, ETH1)))
    found = one(network.default_route, *facts)
    assert found.level is Level.WARN
    assert found.found == "via 192.0.2.1 dev eth0; via 198.51.100.1 dev eth1"
    assert text(found) == "in the profile: spec.network.nodeIP: 192.0.2.2"
    assert one(network.default_route, *facts, settings=("network.nodeIP=192.0.2.2",)).level is Level.PASS


def test_no_default_route_fails_and_names_an_interface() -> None:
    found = one(network.default_route, Routes((Route("192.0.2.0/24", dev="eth0"),)), Links((LO, DOCKER, ETH0)))
    assert (found.level, found.found) == (Level.FAIL, "none for IPv4")
    assert "dev eth0" in text(found)
    assert "unable to select an IP from default routes" in found.cause


def test_no_default_route_warns_where_the_profile_names_the_address() -> None:
    six = Route("::/0", "fe80::1", "eth0")
    facts = (Routes((six,)), Links((ETH0,)))
    found = one(network.default_route, *facts, settings=("network.nodeIP=192.0.2.2",))
    assert (found.level, found.found) == (Level.WARN, "none for IPv4, for IPv6 via fe80::1 dev eth0")


def test_a_dead_default_route_is_none() -> None:
    dead = Route("0.0.0.0/0", "192.0.2.1", "eth0", dead=True)
    assert one(network.default_route, Routes((dead,)), Links((ETH0,))).level is Level.FAIL


def test_the_address_of_the_default_route_passes() -> None:
    found = one(network.node_ip, Routes((DEFAULT,)), Links((LO, ETH0)))
    assert (found.level, found.found) == (Level.PASS, "192.0.2.2/24 on eth0")


def test_a_bridge_that_carries_the_node_passes() -> None:
    bridge = Link("br0", "bridge", addresses=(Address("192.0.2.2", 24),))
    found = one(network.node_ip, Routes((Route("0.0.0.0/0", "192.0.2.1", "br0"),)), Links((bridge,)))
    assert found.level is Level.PASS


def test_an_address_from_dhcp_warns_on_a_control_plane_only() -> None:
    leased = Link("eth0", addresses=(Address("192.0.2.2", 24, dynamic=True),))
    facts = (Routes((DEFAULT,)), Links((leased,)))
    found = one(network.node_ip, *facts)
    assert (found.level, found.found) == (Level.WARN, "192.0.2.2/24 on eth0, from DHCP")
    assert "reserve 192.0.2.2" in text(found)
    assert one(network.node_ip, *facts, named="worker").level is Level.PASS


def test_an_address_of_another_machine_fails_and_names_ours() -> None:
    found = one(network.node_ip, Routes((DEFAULT,)), Links((LO, DOCKER, ETH0)), settings=("network.nodeIP=192.0.2.77",))
    assert (found.level, found.found) == (Level.FAIL, "192.0.2.77 is on no interface")
    assert text(found) == "in the profile: spec.network.nodeIP: 192.0.2.2"


@pytest.mark.parametrize(
    ("ip", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("169.254.7.7", "link-local"),
        ("172.17.0.1", "docker0 is a bridge"),
        ("10.0.0.7", "cilium_host is made by the cluster"),
        ("203.0.113.5", "eth9 is switched off"),
    ],
)
def test_an_address_that_cannot_be_the_node_s_fails(ip: str, why: str) -> None:
    links = (
        LO,
        DOCKER,
        ETH0,
        Link("eth2", addresses=(Address("169.254.7.7", 16, "link"),)),
        Link("cilium_host", "veth", addresses=(Address("10.0.0.7", 32),)),
        Link("eth9", up=False, addresses=(Address("203.0.113.5", 24),)),
    )
    found = one(network.node_ip, Routes((DEFAULT,)), Links(links), settings=(f"network.nodeIP={ip}",))
    assert found.level is Level.FAIL
    assert why in found.cause


def test_an_address_inside_the_pods_range_fails() -> None:
    settings: tuple[str, ...] = ("network.podCIDR=192.0.0.0/16",)
    found = one(network.node_ip, Routes((DEFAULT,)), Links((ETH0,)), settings=settings)
    assert found.level is Level.FAIL
    assert "inside spec.network.podCIDR (192.0.0.0/16)" in found.found
    assert found.fix
    assert found.fix.text == "in the profile: spec.network.podCIDR: auto"
    settings = ("network.podCIDR=10.244.0.0/16", "network.serviceCIDR=10.96.0.0/16")
    assert one(network.node_ip, Routes((DEFAULT,)), Links((ETH0,)), settings=settings).level is Level.PASS


def test_an_interface_without_an_address_fails() -> None:
    found = one(network.node_ip, Routes((DEFAULT,)), Links((Link("eth0"), ETH1)))
    assert (found.level, found.found) == (Level.FAIL, "no global IPv4 address on eth0")
    assert one(network.node_ip, Routes(()), Links((ETH0,))).level is Level.FAIL


def test_a_common_mtu_passes_and_jumbo_frames_are_said() -> None:
    assert one(network.mtu, Routes((DEFAULT,)), Links((ETH0,))).found == "eth0 1500"
    found = one(network.mtu, Routes((OTHER,)), Links((ETH1,)))
    assert found.level is Level.PASS
    assert "jumbo" in found.found


def test_a_small_mtu_warns_until_the_profile_counts_with_it() -> None:
    small = Link("eth0", mtu=1400, addresses=ETH0.addresses)
    found = one(network.mtu, Routes((DEFAULT,)), Links((small,)))
    assert (found.level, text(found)) == (Level.WARN, "in the profile: spec.cilium.mtu: 1350")
    assert one(network.mtu, Routes((DEFAULT,)), Links((small,)), settings=("cilium.mtu=1350",)).level is Level.PASS


def test_an_mtu_that_leaves_no_room_for_the_tunnel_fails() -> None:
    found = one(network.mtu, Routes((DEFAULT,)), Links((ETH0,)), settings=("cilium.mtu=1500",))
    assert (found.level, found.wanted) == (Level.FAIL, "at most 1450")


def test_kata_on_several_nodes_wants_the_mtu_said() -> None:
    found = one(network.mtu, Routes((DEFAULT,)), Links((ETH0,)), named="worker")
    assert found.level is Level.WARN
    assert "Kata copies the MTU of the pod's device" in found.cause
    assert (
        one(network.mtu, Routes((DEFAULT,)), Links((ETH0,)), named="worker", settings=("runtimes=[runc]",)).level
        is Level.PASS
    )


def test_mixed_mtus_warn_unless_cilium_is_told_its_devices() -> None:
    facts = (Routes((DEFAULT,)), Links((ETH0, ETH1)))
    found = one(network.mtu, *facts)
    assert (found.level, found.found) == (Level.WARN, "eth0 1500, eth1 9000")
    assert text(found) == "in the profile: spec.cilium.devices: [eth0]"
    assert one(network.mtu, *facts, settings=("cilium.devices=[eth0]",)).level is Level.PASS


def test_an_mtu_that_nobody_can_tell_is_unknown() -> None:
    assert one(network.mtu, Routes(()), Links((ETH0,))).level is Level.UNKNOWN
    unread = Link("eth0", mtu=0, addresses=ETH0.addresses)
    assert one(network.mtu, Routes((DEFAULT,)), Links((unread,))).level is Level.UNKNOWN


def test_forwarding() -> None:
    assert one(network_kernel.ip_forward, Forwarding(ipv4=True)).level is Level.PASS
    found = one(network_kernel.ip_forward, Forwarding(ipv4=False))
    assert (found.level, found.found, found.fixed_by) == (Level.FAIL, "0", "host")
    assert "ip_forward contents are not set to 1" in found.cause


def test_a_loose_reverse_path_filter_passes() -> None:
    files = RpFilterFiles((RpFilterLine("/usr/lib/sysctl.d/50-default.conf", 20, "*", 2),))
    found = one(network_kernel.rp_filter, RpFilter(2, 2), files, Links((ETH0, LXC)))
    assert (found.level, found.found) == (Level.PASS, "all 2 (loose), default 2 (loose)")


def test_a_strict_reverse_path_filter_warns_and_names_its_line() -> None:
    files = RpFilterFiles((RpFilterLine("/etc/sysctl.d/60-hardening.conf", 7, "all", 1),))
    found = one(network_kernel.rp_filter, RpFilter(1, 1), files, Links((ETH0,)))
    assert found.level is Level.WARN
    assert (
        text(found) == "/etc/sysctl.d/60-hardening.conf line 7: net.ipv4.conf.all.rp_filter = 0, then `sysctl --system`"
    )
    assert found.evidence[0].source == "/etc/sysctl.d/60-hardening.conf:7"


def test_a_strict_line_that_a_later_file_undoes_passes() -> None:
    lines = (
        RpFilterLine("/etc/sysctl.d/10-a.conf", 1, "all", 1),
        RpFilterLine("/etc/sysctl.d/99-zzz-override_cilium.conf", 2, "all", 0),
    )
    found = one(network_kernel.rp_filter, RpFilter(0, 1), RpFilterFiles(lines), Links((ETH0,)))
    assert found.level is Level.PASS


def test_a_strict_pattern_over_all_interfaces_warns() -> None:
    files = RpFilterFiles((RpFilterLine("/etc/sysctl.d/60-site.conf", 3, "*", 1),))
    found = one(network_kernel.rp_filter, RpFilter(0, 1), files, Links((ETH0,)))
    assert found.level is Level.WARN
    assert "net.ipv4.conf.*.rp_filter = 2" in text(found)
    assert "every interface that appears" in found.cause


def test_a_package_s_own_file_is_overridden_not_edited() -> None:
    files = RpFilterFiles((RpFilterLine("/usr/lib/sysctl.d/50-redhat.conf", 3, "*", 1),))
    found = one(network_kernel.rp_filter, RpFilter(0, 1), files, Links((ETH0,)))
    assert text(found) == (
        "echo 'net.ipv4.conf.*.rp_filter = 2' > /etc/sysctl.d/99-zz-rp-filter.conf && systemctl restart systemd-sysctl"
    )
    assert found.evidence[0].source == "/usr/lib/sysctl.d/50-redhat.conf:3"


def test_a_strict_filter_on_cilium_s_interfaces_fails() -> None:
    found = one(network_kernel.rp_filter, RpFilter(1, 0, {LXC.name: 0}), RpFilterFiles(), Links((ETH0, LXC)))
    assert found.level is Level.FAIL
    assert LXC.name in found.found
    assert text(found) == "sysctl -w net.ipv4.conf.all.rp_filter=0"


def test_ipv6_that_is_there_passes() -> None:
    assert one(network_kernel.ipv6_disabled, Ipv6(stack=True)).level is Level.PASS
    found = one(network_kernel.ipv6_disabled, Ipv6(stack=True, switched_off=True))
    assert (found.level, found.found) == (Level.PASS, "there, addresses switched off by sysctl")


def test_ipv6_off_on_the_command_line_warns_with_what_follows() -> None:
    found = one(network_kernel.ipv6_disabled, Ipv6(stack=False, by_argument=True))
    assert (found.level, found.found) == (Level.WARN, "ipv6.disable=1 on the kernel's command line")
    assert "Address family not supported by protocol" in found.cause
    assert found.fix
    assert (found.fix.kind, found.fix.needs_reboot) == (FixKind.EDIT, True)


def test_ipv6_off_names_the_line_that_grub_has_it_from() -> None:
    grub = parse_grub_config([("/etc/default/grub.d/99-vendor.cfg", 'GRUB_CMDLINE_LINUX="quiet ipv6.disable=1"\n')])
    found = one(network_kernel.ipv6_disabled, Ipv6(stack=False, by_argument=True), grub)
    assert text(found) == "take ipv6.disable=1 out of /etc/default/grub.d/99-vendor.cfg:1, then `update-grub`"


def test_no_ipv6_fails_where_cilium_is_to_use_it() -> None:
    settings = ("cilium.values={ipv6: {enabled: true}}",)
    assert one(network_kernel.ipv6_disabled, Ipv6(stack=False), settings=settings).level is Level.FAIL
    assert one(network_kernel.ipv6_disabled, Ipv6(stack=True, switched_off=True), settings=settings).level is Level.FAIL
    assert one(network_kernel.ipv6_disabled, Ipv6(stack=True), settings=settings).level is Level.PASS
