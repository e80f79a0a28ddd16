"""Checks of firewalls, resolvers and proxies, each seen passing and failing."""

from __future__ import annotations

import pytest

from caasctl.checks import network_firewall, network_names
from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_dns import UPSTREAM, Resolvers
from caasctl.facts.network_firewall import Firewalld, FirewalldPorts, ForwardChain, ForwardChains, Ufw, UfwRules
from caasctl.facts.network_proxy import Proxies, ProxySetting
from caasctl.facts.network_routes import Route, Routes
from caasctl.model import Check, Facts, Finding, FixKind, Level, findings
from caasctl.profile_load import load
from caasctl.syntax import no_proxy

OFF, NONE = Ufw(enabled=False), Firewalld(active=False)
OPEN = UfwRules(("6443/tcp", "10250:10259/tcp", "4240,4244/tcp", "4240:4244/any"))
NODE = (
    Links((Link("eth0", addresses=(Address("192.0.2.2", 24),)),)),
    Routes((Route("0.0.0.0/0", "192.0.2.1", "eth0"),)),
)
FULL = "192.0.2.0/24,10.244.0.0/16,10.96.0.0/12,.svc,.cluster.local,127.0.0.0/8,localhost"
RANGES = ("network.podCIDR=10.244.0.0/16", "network.serviceCIDR=10.96.0.0/16")


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def test_no_firewall_passes() -> None:
    assert one(network_firewall.firewall, OFF, NONE).found == "neither ufw nor firewalld"


def test_ufw_that_opens_the_ports_passes() -> None:
    ufw = Ufw(enabled=True, forward="ACCEPT")
    assert one(network_firewall.firewall, ufw, NONE, OPEN).level is Level.PASS
    assert one(network_firewall.firewall, ufw, NONE, UfwRules(("any/any",))).level is Level.PASS
    assert (
        one(network_firewall.firewall, Ufw(enabled=True, forward="ACCEPT", incoming="ACCEPT"), NONE, UfwRules()).level
        is Level.PASS
    )


def test_ufw_that_keeps_ports_closed_fails_with_the_commands() -> None:
    found = one(network_firewall.firewall, Ufw(enabled=True), NONE, UfwRules(("22/tcp", "6443/tcp")))
    assert (found.level, found.subject) == (Level.FAIL, "ufw")
    assert found.found.startswith("keeps closed 10250/tcp (kubelet), 4240/tcp")
    assert "forwarded packets: DROP" in found.found
    assert text(found) == "ufw allow proto tcp to any port 4240,4244,10250 && ufw default allow routed"


def test_a_worker_needs_the_tunnel_s_port_and_no_api_server_s() -> None:
    found = one(network_firewall.firewall, Ufw(enabled=True, forward="ACCEPT"), NONE, OPEN, named="worker")
    assert found.level is Level.FAIL
    assert found.found == "keeps closed 8472/udp (Cilium's VXLAN)"
    assert text(found) == "ufw allow proto udp to any port 8472"


def test_what_goes_between_nodes_is_asked_for_as_the_profile_has_it() -> None:
    settings = ("cilium.encryption=wireguard", "cilium.values={tunnelProtocol: geneve, hubble: {enabled: false}}")
    profile = load("worker", settings)
    (found,) = findings(
        network_firewall.firewall, Facts([Ufw(enabled=True), NONE, UfwRules(("10250/tcp", "4240/tcp"))]), profile
    )
    assert found.found.startswith("keeps closed 6081/udp (Cilium's Geneve), 51871/udp (Cilium's WireGuard)")


def test_ufw_that_drops_forwarded_packets_only_warns() -> None:
    found = one(network_firewall.firewall, Ufw(enabled=True), NONE, OPEN)
    assert (found.level, text(found)) == (Level.WARN, "ufw default allow routed")


def test_rules_that_cannot_be_read_are_unknown() -> None:
    assert one(network_firewall.firewall, Ufw(enabled=True), NONE).level is Level.UNKNOWN
    assert one(network_firewall.firewall, OFF, Firewalld(active=True)).level is Level.UNKNOWN


def test_firewalld_that_keeps_ports_closed_fails() -> None:
    found = one(network_firewall.firewall, OFF, Firewalld(active=True), FirewalldPorts(("6443/tcp",)))
    assert (found.level, found.subject) == (Level.FAIL, "firewalld")
    assert "--add-port=10250/tcp" in text(found)
    assert "--add-interface=lxc+ --add-interface=cilium_+" in text(found)


def test_firewalld_with_open_ports_warns_and_trusted_passes() -> None:
    ports = FirewalldPorts(("6443/tcp", "10250/tcp", "4240-4244/tcp"))
    found = one(network_firewall.firewall, OFF, Firewalld(active=True), ports)
    assert (found.level, found.found) == (Level.WARN, "active, zone public")
    trusted = Firewalld(active=True, zone="trusted")
    assert one(network_firewall.firewall, OFF, trusted, FirewalldPorts()).level is Level.PASS


def test_firewalld_that_cannot_be_seen_is_unknown_and_enabled_counts() -> None:
    assert one(network_firewall.firewall, OFF, Firewalld(active=None)).level is Level.UNKNOWN
    found = one(network_firewall.firewall, OFF, Firewalld(active=None, enabled=True), FirewalldPorts())
    assert (found.level, found.found.split(",")[0]) == (Level.FAIL, "enabled at boot")


def test_both_firewalls_are_two_findings() -> None:
    found = judge(network_firewall.firewall, Ufw(enabled=True), Firewalld(active=True), UfwRules(), FirewalldPorts())
    assert [finding.subject for finding in found] == ["ufw", "firewalld"]


@pytest.mark.parametrize(
    ("rule", "port", "opens"),
    [
        ("6443/tcp", "6443/tcp", True),
        ("6443/any", "6443/tcp", True),
        ("6443/udp", "6443/tcp", False),
        ("2379-2380/tcp", "2380/tcp", True),
        ("2379:2380/tcp", "2381/tcp", False),
        ("any/any", "8472/udp", True),
        ("any/tcp", "8472/udp", False),
        ("ssh/tcp", "22/tcp", False),
        ("", "22/tcp", False),
    ],
)
def test_what_a_rule_opens(rule: str, port: str, *, opens: bool) -> None:
    assert network_firewall.covers(rule, port) is opens


def test_a_foreign_chain_that_drops_fails() -> None:
    chains = ForwardChains(
        (ForwardChain("ip filter", "FORWARD", "accept"), ForwardChain("inet site", "forward", "drop"))
    )
    found = one(network_firewall.forward_policy, chains)
    assert (found.level, found.subject) == (Level.FAIL, "inet site forward")
    assert "table inet site in /etc/nftables.conf: `policy accept;`" in text(found)


def test_iptables_own_drop_passes_as_cilium_comes_before_it() -> None:
    found = one(network_firewall.forward_policy, ForwardChains((ForwardChain("ip filter", "FORWARD", "drop"),)))
    assert found.level is Level.PASS
    assert found.found.startswith("iptables FORWARD drops")
    assert one(network_firewall.forward_policy, ForwardChains()).found == "none"


def test_name_servers_of_other_machines_pass() -> None:
    assert one(network_names.resolv_conf, Resolvers(("192.0.2.53",))).found == "192.0.2.53"
    found = one(network_names.resolv_conf, Resolvers(("127.0.0.53",), ("192.0.2.53", "192.0.2.54")))
    assert (found.level, found.found) == (Level.PASS, "192.0.2.53, 192.0.2.54 (behind 127.0.0.53)")


@pytest.mark.parametrize(
    ("resolvers", "said"),
    [
        (Resolvers((), present=False), "/etc/resolv.conf is not there"),
        (Resolvers(()), "no nameserver in /etc/resolv.conf"),
        (Resolvers(("127.0.0.53",), ()), "127.0.0.53, with nothing behind it"),
    ],
)
def test_no_name_server_fails(resolvers: Resolvers, said: str) -> None:
    found = one(network_names.resolv_conf, resolvers)
    assert found.level is Level.FAIL
    assert found.found.startswith(said)


@pytest.mark.parametrize("resolvers", [Resolvers(("127.0.0.1",)), Resolvers(("::1",)), Resolvers(("127.0.0.53",))])
def test_a_loopback_server_fails_as_coredns_would_ask_itself(resolvers: Resolvers) -> None:
    found = one(network_names.resolv_conf, resolvers)
    assert found.level is Level.FAIL
    assert "Loop (127.0.0.1" in found.cause
    settings = ("kubernetes.kubelet={resolvConf: /etc/resolv-site.conf}",)
    assert one(network_names.resolv_conf, resolvers, settings=settings).level is Level.PASS


def test_the_fix_of_a_loopback_server_names_a_file_that_is_there() -> None:
    manager = "/run/NetworkManager/no-stub-resolv.conf"
    found = one(network_names.resolv_conf, Resolvers(("127.0.0.1",), instead=manager))
    assert text(found) == f"in the profile: spec.kubernetes.kubelet: {{resolvConf: {manager}}}"
    found = one(network_names.resolv_conf, Resolvers(("127.0.0.1",)))
    assert text(found).startswith("list the real servers in /etc/resolv-kubelet.conf, then in the profile")


def test_a_kubelet_that_is_told_the_stub_s_file_fails() -> None:
    stub = Resolvers(("127.0.0.53",), ("192.0.2.53",))
    found = one(network_names.resolv_conf, stub, Kubelet(installed=True, config={"resolvConf": "/etc/resolv.conf"}))
    assert found.level is Level.FAIL
    assert text(found) == f"in the profile: spec.kubernetes.kubelet: {{resolvConf: {UPSTREAM}}}"
    assert (
        one(network_names.resolv_conf, stub, Kubelet(installed=True, config={"resolvConf": UPSTREAM})).level
        is Level.PASS
    )


def test_a_fourth_name_server_warns() -> None:
    found = one(network_names.resolv_conf, Resolvers(tuple(f"192.0.2.{n}" for n in range(1, 5))))
    assert (found.level, found.wanted) == (Level.WARN, "at most 3")
    assert "Nameserver limits were exceeded" in found.cause


def test_no_proxy_set_anywhere_passes() -> None:
    assert one(network_names.proxy, Proxies(), *NODE).found == "none"


def test_a_proxy_that_only_the_shell_knows_warns_for_containerd() -> None:
    shell = ProxySetting("shell", "/etc/environment", https="http://***@proxy.example:3128", no_proxy=FULL)
    first, second = judge(network_names.proxy, Proxies((shell,)), *NODE, settings=RANGES)
    assert (first.level, first.subject) == (Level.WARN, "containerd")
    assert first.found == "the shell uses http://***@proxy.example:3128, containerd's unit none"
    assert text(first).startswith("in the profile: spec.proxy: {http: ")
    assert not first.fixed_by
    assert (second.level, second.subject) == (Level.PASS, "shell")


def test_what_the_profile_s_proxies_mend_is_init_node_s_to_do() -> None:
    """Of services; a shell's file is the user's."""
    settings = tuple(ProxySetting(who, "/x", https="http://p:3128") for who in ("shell", "kubelet"))
    asked = (*RANGES, "proxy.https=http://p:3128")
    found = judge(network_names.proxy, Proxies(settings), *NODE, settings=asked)
    assert [(each.subject, each.fixed_by) for each in found] == [
        ("containerd", "containerd"), ("shell", ""), ("kubelet", "kubeadm"),
    ]  # fmt: skip


def test_a_proxy_of_all_services_reaches_containerd() -> None:
    services = ProxySetting("services", "/etc/systemd/system.conf", https="http://p:3128", no_proxy=FULL)
    shell = ProxySetting("shell", "/etc/environment", https="http://p:3128", no_proxy=FULL)
    found = judge(network_names.proxy, Proxies((services, shell)), *NODE, settings=RANGES)
    assert [finding.level for finding in found] == [Level.PASS, Level.PASS]


def test_what_no_proxy_lacks_is_named() -> None:
    setting = ProxySetting("containerd", "/etc/p.conf", https="http://p:3128", no_proxy="localhost,127.0.0.1")
    found = one(network_names.proxy, Proxies((setting,)), *NODE, settings=RANGES)
    assert found.level is Level.WARN
    assert (
        found.found
        == "http://p:3128, NO_PROXY lacks 192.0.2.2, 192.0.2.0/24, 10.244.0.0/16, 10.96.0.0/16, .svc, .cluster.local"
    )
    assert found.fix
    assert found.fix.kind is FixKind.EDIT
    assert text(found).startswith("/etc/p.conf: NO_PROXY=localhost,127.0.0.1,192.0.2.2,")


def test_ranges_that_are_chosen_here_are_asked_for_too() -> None:
    setting = ProxySetting(
        "containerd", "/etc/p.conf", https="http://p:3128", no_proxy="192.0.2.0/24,.svc,.cluster.local"
    )
    found = one(network_names.proxy, Proxies((setting,)), *NODE)
    assert found.found.endswith("NO_PROXY lacks 10.244.0.0/16, 10.96.0.0/16, localhost, 127.0.0.1")


def test_ranges_in_conflict_do_not_break_the_check_of_the_proxy() -> None:
    setting = ProxySetting("containerd", "/etc/p.conf", https="http://p:3128", no_proxy=FULL)
    found = one(network_names.proxy, Proxies((setting,)), *NODE, settings=("network.podCIDR=192.0.0.0/16",))
    assert (found.level, found.found.partition(" lacks ")[2]) == (Level.WARN, "192.0.0.0/16")


def test_ranges_that_are_still_to_be_chosen_are_not_asked_for() -> None:
    setting = ProxySetting("kubelet", "/etc/p.conf", http="http://p:3128")
    found = one(network_names.proxy, Proxies((setting,)))
    assert found.found == "http://p:3128, NO_PROXY lacks .svc, .cluster.local, localhost, 127.0.0.1"


@pytest.mark.parametrize(
    ("need", "entry", "covered"),
    [
        ("192.0.2.2", "192.0.2.0/24", True),
        ("192.0.2.2", "192.0.2.2", True),
        ("10.96.0.0/16", "10.96.0.0/12", True),
        ("10.96.0.0/12", "10.96.0.0/16", False),
        ("10.96.0.0/16", "fd00::/8", False),
        (".svc", "svc", True),
        (".svc.cluster.local", ".cluster.local", True),
        (".cluster.local", ".svc.cluster.local", False),
        (".cluster.local", "*.cluster.local", True),
        ("localhost", "*", True),
        (".svc", "", False),
    ],
)
def test_what_an_entry_of_no_proxy_covers(need: str, entry: str, *, covered: bool) -> None:
    assert no_proxy.covered(need, (entry,)) is covered
