"""Routes: parsers on what real kernels and iproute2 print, and both ways of reading them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.facts import network_routes
from caasctl.facts.network_routes import Route, Routes
from caasctl.host import LiveHost
from caasctl.model import Unreadable

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
NOTHING, ANY = "0" * 32, "00000000"
IPV6_ROUTE = (
    f"fd110000000000000000000000000000 40 {NOTHING} 00 {NOTHING} 00000400 00000002 {ANY} 00200200       lo\n"
    f"{NOTHING} 00 {NOTHING} 00 fe800000000000000000000000000001 00000400 00000001 {ANY} 00000003      br0\n"
    f"00000000000000000000000000000001 80 {NOTHING} 00 {NOTHING} 00000000 00000002 {ANY} 80200001       lo\n"
    f"{NOTHING} 00 {NOTHING} 00 {NOTHING} ffffffff 00000001 {ANY} 00200200       lo\n"
)
IP_ROUTE = """[{"type":"unreachable","dst":"10.21.0.0/16","table":"200","flags":[]},
{"dst":"default","gateway":"10.9.0.9","dev":"br0","flags":[]},
{"dst":"default","gateway":"10.9.0.10","dev":"wl0","metric":100,"flags":["linkdown"]},
{"dst":"10.9.0.0/24","dev":"br0","protocol":"kernel","scope":"link","prefsrc":"10.9.0.1","flags":[]},
{"type":"blackhole","dst":"10.20.0.0/16","flags":[]},
{"dst":"10.30.0.0/16","flags":[],"nexthops":[{"gateway":"10.9.0.7","dev":"br0","weight":1,"flags":[]},{"gateway":"10.9.0.8","dev":"br0"}]},
{"dst":"10.77.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"br0","flags":[]},
{"dst":"default","metric":1024,"flags":[],"pref":"medium","nexthops":[{"gateway":"fe80::1","dev":"br0"},{"gateway":"fe80::2","dev":"br0"}]},
{"dst":"10.0.1.0/24","via":"10.0.1.1","gateway":"10.0.1.1","dev":"cilium_host","flags":[]},
{"type":"local","dst":"default","dev":"lo","table":"2004","scope":"host","flags":[]}]"""


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


def test_ip_route_is_read_with_tables_kinds_and_every_gateway() -> None:
    found = network_routes.parse_ip_route(IP_ROUTE)
    assert found[0] == Route("10.21.0.0/16", table="200", kind="unreachable")
    assert found[2].dead
    assert found[3] == Route("10.9.0.0/24", dev="br0", scope="link", source="10.9.0.1")
    assert found[4].kind == "blackhole"
    assert [route.via for route in found if route.dst == "10.30.0.0/16"] == ["10.9.0.7", "10.9.0.8"]
    assert next(route for route in found if route.dst == "10.77.0.0/16").via == "fe80::1"
    assert [route.via for route in found if route.dst == "::/0"] == ["fe80::1", "fe80::2"]
    assert [route.ours for route in found[-2:]] == [True, True]
    assert not any(route.ours for route in found[:-2])


def test_the_default_routes_are_sorted_and_leave_out_the_dead() -> None:
    routes = Routes(network_routes.parse_ip_route(IP_ROUTE))
    assert [route.via for route in routes.defaults()] == ["10.9.0.9"]
    assert len(routes.defaults(6)) == 2
    assert routes.device == "br0"
    assert Routes(()).device == ""


@pytest.mark.parametrize(
    "text",
    [
        "Cannot talk to rtnetlink",
        "{}x",
        '[{"dev": "eth0"}]',
        '[{"dst": "no/net"}]',
        "[1]",
        '[{"dst": "10.9.0.0/16", "gateway": "no address"}]',
    ],
)
def test_what_is_no_ip_route_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        network_routes.parse_ip_route(text)


def test_mpls_labels_are_no_destinations_of_ip() -> None:
    label = '{"dst":"100","via":{"family":"inet","host":"10.9.0.9"},"dev":"br0"}'
    told = f'[{label},{{"dst":"default","gateway":"10.9.0.9","dev":"br0"}}]'
    assert network_routes.parse_ip_route(told) == (Route("0.0.0.0/0", "10.9.0.9", "br0"),)


def test_no_route_at_all_is_an_answer() -> None:
    assert network_routes.parse_ip_route("") == ()
    assert network_routes.parse_ip_route("[ ]") == ()


def test_routes_of_a_tree_without_commands(tmp_path: Path) -> None:
    files = {"/proc/net/route": PROC_ROUTE, "/proc/net/fib_trie": FIB_TRIE, "/proc/net/ipv6_route": IPV6_ROUTE}
    found = network_routes.read_routes(tree(tmp_path, files))
    assert not found.complete
    by_dst = {route.dst: route for route in reversed(found.routes)}
    assert by_dst["0.0.0.0/0"] == Route("0.0.0.0/0", "10.9.0.9", "br0")
    assert by_dst["10.20.0.0/16"].kind == "blackhole"
    assert by_dst["10.21.0.0/16"] == Route("10.21.0.0/16", table="200", kind="unreachable")
    assert by_dst["fd11::/64"].kind == "unreachable"
    assert by_dst["::/0"] == Route("::/0", "fe80::1", "br0", metric=1024)
    assert by_dst["::1/128"].table == "local"
    assert [route.via for route in found.defaults()] == ["10.9.0.9", "10.9.0.10"]
    assert len([route for route in found.routes if route.default]) == 3


def test_routes_of_an_empty_or_broken_tree_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not there"):
        network_routes.read_routes(LiveHost(str(tmp_path)))
    broken = "Iface\nbr0\tZZZZZZZZ\t0\t0003\t0\t0\t0\t00000000\n"
    with pytest.raises(Unreadable, match="/proc/net/route"):
        network_routes.read_routes(tree(tmp_path, {"/proc/net/route": broken}))


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(1, 2**32 - 1), st.integers(0, 2**31))
def test_any_route_of_proc_comes_back_as_it_was(address: int, prefix: int, gateway: int, metric: int) -> None:
    net = ipaddress.IPv4Network((address, prefix), strict=False)
    via = ipaddress.IPv4Address(gateway)
    dst, hop, mask = (value.packed[::-1].hex().upper() for value in (net.network_address, via, net.netmask))
    line = f"head\neth0\t{dst}\t{hop}\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"
    assert network_routes.parse_proc_route(line) == (Route(str(net), str(via), "eth0", metric=metric),)
