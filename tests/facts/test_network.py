"""Interfaces: parsers on what real kernels and iproute2 print, and both ways of reading them."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.facts import network, network_routes
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.host import LiveHost
from caasctl.model import Unreadable

IP_ADDR = """[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"operstate":"UNKNOWN","addr_info":
[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},{"family":"inet6","local":"::1","prefixlen":128,
"scope":"host"}]},{"ifindex":2,"ifname":"br0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"operstate":"UP",
"linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500}},"addr_info":[{"family":"inet","local":"10.9.0.1","prefixlen":24,
"scope":"global","dynamic":true,"label":"br0"},{"family":"inet","local":"10.9.0.3","prefixlen":24,"scope":"global","secondary":true}]},
{"ifindex":4,"link":"v1","ifname":"v0","flags":["BROADCAST","MULTICAST","UP"],"mtu":1450,"master":"br0","operstate":"DOWN",
"linkinfo":{"info_kind":"veth","info_slave_kind":"bridge"},"addr_info":[]},{}]"""
FIB_TRIE = """Id 200:
  |-- 10.21.0.0
     /16 universe UNREACHABLE
Main:
  +-- 0.0.0.0/1 2 0 2
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.9.0.0/24 2 0 2
        |-- 10.9.0.0
           /24 link UNICAST
        |-- 10.9.0.1
           /32 host LOCAL
        |-- 10.9.0.255
           /32 link BROADCAST
     |-- 10.20.0.0
        /16 universe BLACKHOLE
     +-- 127.0.0.0/31 1 0 0
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
Local:
  +-- 10.9.0.0/24 2 0 2
     |-- 10.9.0.1
        /32 host LOCAL
"""
PROC_ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "br0\t00000000\t0900090A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "br0\t00000000\t0A00090A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "br0\t0000090A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    "*\t0000140A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
IF_INET6 = (
    "fe80000000000000a4233bfffeeac943 02 40 20 c0      br0\n"
    "00000000000000000000000000000001 01 80 10 80       lo\n"
    "fd000000000000000000000000000002 02 40 00 02      br0\n"
)
IP_ROUTE = '[{"dst":"default","gateway":"10.9.0.9","dev":"br0","flags":[]}]'


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


def test_ip_addr_is_read_with_kind_master_and_state() -> None:
    lo, br0, v0 = network.parse_ip_addr(IP_ADDR)
    assert (lo.kind, lo.addresses[0]) == ("loopback", Address("127.0.0.1", 8, "host"))
    assert (br0.kind, br0.mtu, br0.up, br0.carrier) == ("bridge", 1500, True, True)
    assert br0.addresses == (Address("10.9.0.1", 24, dynamic=True), Address("10.9.0.3", 24, secondary=True))
    assert (v0.kind, v0.master, v0.carrier, v0.addresses) == ("veth", "br0", False, ())


def test_the_short_ip_addr_has_no_kinds_but_all_else() -> None:
    entry = {"ifname": "eth0", "flags": ["UP"], "mtu": 9000, "addr_info": [{"local": "192.0.2.2", "prefixlen": 24}]}
    assert network.parse_ip_addr(json.dumps([entry])) == (
        Link("eth0", "physical", 9000, up=True, carrier=False, addresses=(Address("192.0.2.2", 24),)),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not JSON",
        '{"a": 1}',
        "[1]",
        '[{"flags": []}]',
        '[{"ifname": "eth0", "addr_info": [{"local": "no address", "prefixlen": 24}]}]',
        '[{"ifname": "eth0", "addr_info": [{"local": "192.0.2.2", "prefixlen": 240}]}]',
    ],
)
def test_what_is_no_ip_addr_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        network.parse_ip_addr(text)


def test_no_interface_is_an_empty_list() -> None:
    assert network.parse_ip_addr("[]") == ()


def test_own_addresses_come_from_the_trie() -> None:
    assert network.parse_fib_trie(FIB_TRIE) == ("10.9.0.1", "127.0.0.1")
    assert network.parse_fib_trie("") == ()
    assert network.parse_fib_trie("nonsense\n /32 host LOCAL") == ()


def test_ipv6_addresses_tell_scope_and_lease() -> None:
    link_local, own, leased = network.parse_if_inet6(IF_INET6)
    assert link_local == ("br0", Address("fe80::a423:3bff:feea:c943", 64, "link"))
    assert own == ("lo", Address("::1", 128, "host"))
    assert leased == ("br0", Address("fd00::2", 64, dynamic=True))
    assert network.parse_if_inet6("") == ()
    assert network.parse_if_inet6("half a line\n") == ()


def test_interfaces_of_a_tree_without_commands(tmp_path: Path) -> None:
    host = tree(
        tmp_path,
        {
            "/sys/class/net/br0/mtu": "1500\n",
            "/sys/class/net/br0/operstate": "up\n",
            "/sys/class/net/br0/flags": "0x1003\n",
            "/sys/class/net/br0/uevent": "DEVTYPE=bridge\nINTERFACE=br0\n",
            "/sys/class/net/lo/mtu": "65536\n",
            "/sys/class/net/lo/flags": "0x9\n",
            "/sys/class/net/bonding_masters": "\n",
            "/proc/net/fib_trie": FIB_TRIE,
            "/proc/net/route": PROC_ROUTE,
            "/proc/net/if_inet6": IF_INET6,
        },
    )
    found = network.read_links(host)
    assert found.source == "/sys/class/net"
    br0, lo = found.links
    assert (br0.name, br0.kind, br0.mtu, br0.up, br0.carrier) == ("br0", "bridge", 1500, True, True)
    assert [a.ip for a in br0.addresses] == ["10.9.0.1", "fe80::a423:3bff:feea:c943", "fd00::2"]
    assert br0.addresses[0].network == "10.9.0.0/24"
    assert (lo.kind, [a.ip for a in lo.addresses]) == ("loopback", ["127.0.0.1", "::1"])


def test_kinds_in_sysfs(tmp_path: Path) -> None:
    host = tree(
        tmp_path,
        {
            "/sys/devices/virtual/net/v0/ifindex": "4\n",
            "/sys/devices/virtual/net/v0/iflink": "3\n",
            "/sys/devices/virtual/net/d0/ifindex": "5\n",
            "/sys/devices/virtual/net/d0/iflink": "5\n",
            "/sys/devices/virtual/net/bond0/bonding/mode": "802.3ad 4\n",
            "/sys/devices/pci0000:00/net/eth0/mtu": "9000\n",
            "/proc/net/fib_trie": FIB_TRIE,
        },
    )
    (tmp_path / "sys/class/net").mkdir(parents=True)
    for name, aim in (("v0", "virtual"), ("d0", "virtual"), ("bond0", "virtual"), ("eth0", "pci0000:00")):
        (tmp_path / f"sys/class/net/{name}").symlink_to(f"../../devices/{aim}/net/{name}")
    (tmp_path / "sys/devices/virtual/net/v0/master").symlink_to("../bond0")
    found = network.read_links(host)
    assert {link.name: link.kind for link in found.links} == {
        "bond0": "bond",
        "d0": "virtual",
        "eth0": "physical",
        "v0": "veth",
    }
    assert found.links[-1].master == "bond0"


def test_an_empty_tree_does_not_say_that_there_are_no_interfaces(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="neither"):
        network.read_links(LiveHost(str(tmp_path)))


def test_a_broken_file_is_unreadable_and_names_itself(tmp_path: Path) -> None:
    eth0 = {"/sys/class/net/eth0/mtu": "large\n", "/sys/class/net/eth0/flags": "0x1003\n"}
    host = tree(tmp_path, {**eth0, "/proc/net/fib_trie": FIB_TRIE})
    with pytest.raises(Unreadable, match="/sys/class/net"):
        network.read_links(host)


def test_interfaces_alone_do_not_say_that_there_are_no_addresses(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="/proc/net/fib_trie is not there"):
        network.read_links(tree(tmp_path, {"/sys/class/net/eth0/mtu": "1500\n"}))


def test_a_recording_answers_with_the_command(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.mkdir()
    (recording / "manifest.json").write_text('{"schemaVersion": 1}')
    commands = [
        {"argv": ["ip", "-j", "addr"], "stdout": IP_ADDR},
        {"argv": ["ip", "-j", "route", "show", "table", "all"], "stdout": IP_ROUTE},
    ]
    (recording / "commands.json").write_text(json.dumps(commands))
    host = BundleHost(str(recording))
    assert network.read_links(host).source == "ip -j addr"
    assert network_routes.read_routes(host) == Routes(network_routes.parse_ip_route(IP_ROUTE))


def test_this_machine_recorded_says_the_same_as_this_machine(tmp_path: Path) -> None:
    host = RecordingHost(LiveHost())
    links, routes = network.read_links(host), network_routes.read_routes(host)
    host.save(str(tmp_path / "host"), "here")
    replayed = BundleHost(str(tmp_path / "host"))

    def without_link_local(found: Links) -> Links:  # a recording gives them other names: they are made of MACs
        kept = ((link, tuple(a for a in link.addresses if not a.ip.startswith("fe80:"))) for link in found.links)
        return replace(found, links=tuple(replace(link, addresses=addresses) for link, addresses in kept))

    assert without_link_local(network.read_links(replayed)) == without_link_local(links)

    def without_a_mac(found: Routes) -> list[Route]:
        return [route for route in found.routes if "fe80:" not in route.dst + route.via + route.source]

    assert without_a_mac(network_routes.read_routes(replayed)) == without_a_mac(routes)


def test_the_files_and_the_command_tell_the_same_addresses_of_this_machine() -> None:
    def told(found: Links) -> set[tuple[str, str, int]]:
        return {(link.name, a.ip, a.prefix) for link in found.links for a in link.addresses}

    assert told(network._links_of_files(LiveHost())) == told(network.read_links(LiveHost()))


def test_lxc_bridges_are_foreign_and_cilium_s_interfaces_are_ours() -> None:
    ours = [Link(name).ours for name in ("cilium_host", "lxc0123456789ab", "lxc_health", "cni0")]
    assert ours == [True] * 4
    assert [Link(name).ours for name in ("lxcbr0", "lxdbr0", "eth0", "docker0")] == [False] * 4


def test_the_node_s_address_is_the_main_one_of_the_device_or_the_one_wanted() -> None:
    addresses = (Address("fe80::1", 64, "link"), Address("10.0.0.3", 24, secondary=True), Address("10.0.0.2", 24))
    links = Links((Link("eth0", addresses=addresses), Link("eth1", addresses=(Address("fd00::0:2", 64),))))
    assert links.node_address("eth0") == Address("10.0.0.2", 24)
    assert links.node_address("eth0", "10.0.0.3") == Address("10.0.0.3", 24, secondary=True)
    assert links.node_address("eth0", "fd00::2") == Address("fd00::0:2", 64)
    assert links.node_address("eth1") is None
    assert links.node_address("", "192.0.2.9") is None


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_any_ipv6_address_of_proc_comes_back_as_it_was(address: ipaddress.IPv6Address, prefix: int) -> None:
    line = f"{address.packed.hex()} 02 {prefix:02x} 00 80 eth0\n"
    assert network.parse_if_inet6(line) == (("eth0", Address(str(address), prefix)),)


def test_ipv6_routes_alone_do_not_say_that_there_is_no_ipv4_route(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    commands = [{"argv": ["ip", "-j", "-6", "route", "show", "table", "all"], "stdout": "[]"}]
    (tmp_path / "commands.json").write_text(json.dumps(commands))
    with pytest.raises(Unreadable, match="/proc/net/route is not there"):
        network_routes.read_routes(BundleHost(str(tmp_path)))
