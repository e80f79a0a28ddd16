"""What is told as Cilium's and Kubernetes' in a kernel's network, and what is told as somebody else's."""

from __future__ import annotations

import json

import pytest

from caasctl.syntax import remains

RULES = [
    {"priority": 9, "src": "all", "fwmark": "0x200", "fwmask": "0xf00", "table": "2004"},
    {"priority": 10, "src": "all", "fwmark": "0xa00", "fwmask": "0xf00", "table": "2005"},
    {"priority": 100, "src": "all", "table": "local"},
    {"priority": 500, "src": "198.51.100.0", "srclen": 24, "table": "2004"},
    {"priority": 501, "src": "all", "fwmark": "0x200", "table": "2004"},
    {"priority": 502, "src": "all", "fwmark": "0x200", "fwmask": "0xf00", "table": "300"},
    {"priority": 32766, "src": "all", "table": "main"},
]
CHAINS = """\
-P INPUT ACCEPT
-P FORWARD DROP
-N CILIUM_FORWARD
-N DOCKER-USER
-N KUBE-FIREWALL
-N OLD_CILIUM_INPUT
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "cilium-feeder: CILIUM_FORWARD" -j CILIUM_FORWARD
-A FORWARD -m comment --comment "not -j CILIUM_FORWARD" -j DOCKER-USER
-A FORWARD -s 10.0.0.0/8 -j ACCEPT
-A CILIUM_FORWARD -o cilium_host -j OLD_CILIUM_INPUT
"""


def test_links_of_cilium_and_not_of_lxc_or_docker() -> None:
    names = (
        "cilium_host",
        "cilium_net",
        "cilium_vxlan",
        "lxc_health",
        "lxc1234abcd5678",
        "lxcbr0",
        "docker0",
        "eth0",
        "ciliumx",
        "cilium_a-b",
        "lxcweb",
    )
    assert [thing.text for thing in remains.links(names)] == list(names[:5])


def test_rules_with_ciliums_mark_mask_and_table_and_the_local_one_put_back_first() -> None:
    found = list(remains.rules(json.dumps(RULES), "-4"))
    assert [thing.commands for thing in found] == [
        (("ip", "-4", "rule", "del", "priority", "9", "fwmark", "0x200/0xf00", "lookup", "2004"),),
        (("ip", "-4", "rule", "del", "priority", "10", "fwmark", "0xa00/0xf00", "lookup", "2005"),),
        (
            ("ip", "-4", "rule", "add", "from", "all", "lookup", "local", "priority", "0"),
            ("ip", "-4", "rule", "del", "from", "all", "lookup", "local", "priority", "100"),
        ),
    ]


@pytest.mark.parametrize(
    ("places", "commands"), [([0], 0), ([0, 100], 1), ([100], 2), ([32765], 0), ([100, 32765], 0), ([], 0)]
)
def test_the_rule_for_table_local_is_never_taken_away_without_another(places: list[int], commands: int) -> None:
    text = json.dumps([{"priority": at, "src": "all", "table": "local"} for at in places])
    assert sum(len(thing.commands) for thing in remains.rules(text, "-6")) == commands


def test_a_route_of_somebody_else_in_the_proxys_table_stays() -> None:
    rows = [
        {"type": "local", "dst": "default", "dev": "lo"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"type": "local", "dst": "192.0.2.1", "dev": "lo"},
    ]
    assert [thing.commands for thing in remains.proxy_routes(json.dumps(rows), "-4")] == [
        (("ip", "-4", "route", "del", "local", "default", "dev", "lo", "table", "2004"),)
    ]
    assert list(remains.proxy_routes("", "-4")) == []


def test_programs_of_cilium_on_an_interface_that_stays() -> None:
    """iproute2 prints a handle as a number or as text, by its version."""
    rows = [
        {"protocol": "all", "pref": 1, "kind": "bpf", "chain": 0},
        {"protocol": "all", "pref": 1, "kind": "bpf", "chain": 0, "options": {"handle": "0x1", "bpf_name": "cil_from_netdev-eth0"}},
        {"protocol": "all", "pref": 2, "kind": "bpf", "chain": 0, "options": {"handle": 2, "bpf_name": "bpf_host.o:[from-netdev]"}},
        {"protocol": "all", "pref": 3, "kind": "bpf", "chain": 0, "options": {"handle": 1, "bpf_name": "theirs_cil_"}},
        {"protocol": "ip", "pref": 4, "kind": "u32", "options": {"handle": 1}},
    ]  # fmt: skip
    found = list(remains.filters(json.dumps(rows), "eth0", "ingress"))
    assert [" ".join(argv) for thing in found for argv in thing.commands] == [
        "tc filter del dev eth0 ingress protocol all pref 1 handle 0x1 bpf",
        "tc filter del dev eth0 ingress protocol all pref 2 handle 0x2 bpf",
    ]


def test_chains_go_with_the_rules_that_lead_into_them_and_others_rules_stay() -> None:
    (thing,) = remains.chains(CHAINS, "iptables", "filter")
    said = [" ".join(argv[4:]) for argv in thing.commands]
    assert said == [
        "-D INPUT -j KUBE-FIREWALL",
        "-D FORWARD -m comment --comment cilium-feeder: CILIUM_FORWARD -j CILIUM_FORWARD",
        *(f"-F {name}" for name in ("CILIUM_FORWARD", "KUBE-FIREWALL", "OLD_CILIUM_INPUT")),
        *(f"-X {name}" for name in ("CILIUM_FORWARD", "KUBE-FIREWALL", "OLD_CILIUM_INPUT")),
    ]
    assert list(remains.chains("-P INPUT ACCEPT\n-N DOCKER\n", "iptables", "nat")) == []


def test_mounts_below_a_folder_the_innermost_first() -> None:
    text = "none /run/cilium/cgroupv2 cgroup2 rw 0 0\nx /run/cilium/cgroupv2/in y rw 0 0\nz /run/ciliumx y rw 0 0\n"
    assert [thing.commands[0][1] for thing in remains.mounts(text, "/run/cilium")] == [
        "/run/cilium/cgroupv2/in",
        "/run/cilium/cgroupv2",
    ]


def test_sets_of_cilium() -> None:
    assert [thing.text for thing in remains.sets("cilium_node_set_v4\nf2b-sshd\n")] == ["ipset cilium_node_set_v4"]
