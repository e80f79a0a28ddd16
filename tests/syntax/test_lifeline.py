"""Gateways, neighbours, routes and sessions as iproute2 and the kernel print them; what counts as lost."""

from __future__ import annotations

import pytest

from caasctl.model import Unreadable
from caasctl.syntax.lifeline import (
    Peer,
    Sight,
    left,
    lost,
    parse_defaults,
    parse_neighbours,
    parse_route_get,
)

GATEWAY, PEER = Peer("default gateway", "192.0.2.1", "eth0"), Peer("SSH peer", "198.51.100.7")
GOOD = Sight(answers=True, neighbour=True, device="eth0", source="192.0.2.10", session=True)
SILENT = Sight(answers=False, neighbour=True, device="eth0", source="192.0.2.10")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (GOOD, GOOD, ""),
        (SILENT, SILENT, ""),
        (GOOD, Sight(True, True, "cilium_host", "10.244.0.1", cluster=True), "now leads into cilium_host"),
        (GOOD, Sight(None, None, ""), "no route"),
        (GOOD, Sight(False, True, "eth0", session=True), "does not answer now"),
        (GOOD, Sight(False, True, "eth0", session=False), ""),
        (GOOD, Sight(None, True, "eth0"), ""),
        (SILENT, Sight(False, False, "eth0"), "is none now"),
        (Sight(None, None, ""), Sight(None, None, ""), ""),
        (Sight(None, True, "eth0"), Sight(None, False, "eth0"), "is none now"),
        (Sight(False, None, "cilium_host", cluster=True), Sight(False, None, "cilium_host", cluster=True), ""),
    ],
)
def test_what_is_lost(before: Sight, after: Sight, said: str) -> None:
    assert said in lost(PEER, before, after)
    assert bool(said) == bool(lost(PEER, before, after))


@pytest.mark.parametrize(
    ("peer", "after", "alive", "himself"),
    [
        (PEER, Sight(False, None, "eth0", "192.0.2.10", session=True), {"eth0"}, True),
        (PEER, Sight(False, None, "eth0", "192.0.2.10", session=True), {"eth1"}, False),
        (PEER, Sight(False, False, "eth0", "192.0.2.10", session=True), {"eth0"}, True),
        (PEER, Sight(False, None, "eth0", "10.244.0.1", session=True), {"eth0"}, False),
        (PEER, Sight(False, None, "cilium_host", "10.244.0.1", cluster=True), {"cilium_host"}, False),
        (GATEWAY, Sight(False, None, "eth0", "192.0.2.10"), {"eth0"}, False),
    ],
)
def test_who_went_away_himself(peer: Peer, after: Sight, alive: set[str], *, himself: bool) -> None:
    assert left(peer, GOOD, after, alive) == himself


def test_a_gateway_has_no_session_to_say_goodbye_in() -> None:
    before, after = Sight(answers=True, device="eth0"), Sight(answers=False, device="eth0")
    assert lost(GATEWAY, before, after) == "default gateway 192.0.2.1 answered before and does not answer now"


def test_a_link_local_gateway_is_asked_on_its_interface() -> None:
    assert Peer("default gateway", "fe80::1", "eth0").target == "fe80::1%eth0"
    assert GATEWAY.target == "192.0.2.1"


def test_default_routes_of_both_families() -> None:
    one = '[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","protocol":"dhcp","metric":100,"flags":[]}]'
    assert parse_defaults(one) == (("192.0.2.1", "eth0"),)
    many = '[{"dst":"default","nexthops":[{"gateway":"a","dev":"eth0"},{"gateway":"b","dev":"eth1"}]},{"dst":"default","dev":"wg0"}]'
    assert parse_defaults(many) == (("a", "eth0"), ("b", "eth1"), ("", "wg0"))
    via = '[{"dst":"default","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0"}]'
    assert parse_defaults(via) == (("fe80::1", "eth0"),)
    assert (parse_defaults(""), parse_defaults("[]"), parse_defaults("[{}]")) == ((), (), ())


def test_the_route_to_an_address() -> None:
    said = '[{"dst":"198.51.100.7","gateway":"192.0.2.1","dev":"eth0","prefsrc":"192.0.2.10","flags":[],"uid":0,"cache":[]}]'
    assert parse_route_get(said) == ("eth0", "192.0.2.10")
    assert parse_route_get("") == ("", "")


def test_neighbours_by_state() -> None:
    said = (
        '[{"dst":"192.0.2.1","dev":"eth0","lladdr":"52:54:00:12:34:56","state":["REACHABLE"]},'
        '{"dst":"192.0.2.9","dev":"eth0","state":["FAILED"]},{"dst":"192.0.2.8","dev":"eth0","state":["INCOMPLETE"]}]'
    )
    assert parse_neighbours(said) == {"192.0.2.1": True, "192.0.2.9": False, "192.0.2.8": False}
    assert parse_neighbours("[]") == {}


@pytest.mark.parametrize("text", ["{", "3", "{}", "no such"])
def test_what_is_no_json_of_iproute2_is_unreadable(text: str) -> None:
    for parse in (parse_defaults, parse_route_get, parse_neighbours):
        with pytest.raises(Unreadable, match="iproute2"):
            parse(text)
