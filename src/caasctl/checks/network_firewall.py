"""Firewalls: ports of Kubernetes and Cilium that stay closed, and chains that drop forwarded packets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from caasctl.facts.network_firewall import (
    Firewalld,
    FirewalldPorts,
    ForwardChain,
    ForwardChains,
    Ufw,
    UfwRules,
)
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.cilium import tunnels
from caasctl.profile import NodeProfile
from caasctl.syntax import helm_values

_HUBBLE = "Hubble"
_NODE = {"10250/tcp": "kubelet", "4240/tcp": "Cilium's health checks", "4244/tcp": _HUBBLE}
_API = {"6443/tcp": "the API server"}
_ETCD = {"2379/tcp": "etcd", "2380/tcp": "etcd's peers"}
# Tables whose accepts Cilium takes care of itself: it puts its own rules before what is in iptables' FORWARD.
_IPTABLES = ("ip filter", "ip6 filter")


def _needed(profile: NodeProfile) -> dict[str, str]:
    """Ports that others must reach on this node: pods on a single node, peers as well on others."""
    role = profile.spec.role
    api = _API if role != "worker" else {}
    between = {f"{number}/udp": f"Cilium's {what}" for number, what in tunnels(profile)}
    node = {port: use for port, use in _NODE.items() if use != _HUBBLE or _hubble(profile)}
    return {**api, **node, **(_ETCD if role == "control-plane" else {}), **(between if role != "single-node" else {})}


def _hubble(profile: NodeProfile) -> bool:
    return helm_values.at(profile.spec.cilium.values, "hubble.enabled", default=True) is not False


def covers(rule: str, port: str) -> bool:
    """Whether a rule such as "6443/tcp", "2379:2380/tcp", "30000-32767/any" or "any/any" opens a port ("6443/tcp")."""
    ports, _, protocol = rule.partition("/")
    number, _, wanted = port.partition("/")
    if protocol not in (wanted, "any"):
        return False
    if ports == "any":
        return True
    low, _, high = re.sub("[-:]", "-", ports).partition("-")
    return low.isdigit() and int(low) <= int(number) <= int(high or low)


def _closed(opened: Iterable[str], profile: NodeProfile) -> dict[str, str]:
    rules = tuple(opened)
    return {port: use for port, use in _needed(profile).items() if not any(covers(rule, port) for rule in rules)}


@check(
    "network.firewall",
    "No firewall keeps pods and peers from the node's ports",
    reads=(Ufw, Firewalld),
    why="Pods reach the API server and kubelet through the node's own INPUT chain: where it drops, CoreDNS and every"
    " controller say `dial tcp 10.96.0.1:443: i/o timeout`, on a single node too.",
    fix="Open the ports named, let forwarded packets pass, or leave filtering to Cilium's host policies.",
    source="https://kubernetes.io/docs/reference/networking/ports-and-protocols/; Cilium: system requirements, firewall rules",
    gates=("kubeadm", "cilium"),
)
def firewall(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/ufw, /etc/default/ufw and user.rules; firewalld's cgroup and the zones in /etc/firewalld."""
    ufw, firewalld = facts[Ufw], facts[Firewalld]
    if ufw.enabled:
        yield _ufw(ufw, facts, profile)
    if firewalld.active or (firewalld.active is None and firewalld.enabled):
        yield _firewalld(firewalld, facts, profile)
    elif firewalld.active is None:
        yield unknown("firewalld is installed; whether it runs cannot be seen here", subject="firewalld")
    elif not ufw.enabled:
        yield passed("neither ufw nor firewalld")


def _list(closed: dict[str, str]) -> str:
    return ", ".join(f"{port} ({use})" for port, use in closed.items())


def _ufw(ufw: Ufw, facts: Facts, profile: NodeProfile) -> Finding:
    rules = facts.get(UfwRules)
    if rules is None:
        return unknown("enabled; which ports it opens cannot be read", subject="ufw", fix=Fix("run as root"))
    closed = {} if ufw.incoming == "ACCEPT" else _closed(rules.allowed, profile)
    routed = ufw.forward != "ACCEPT"
    if not closed and not routed:
        return passed("enabled, the ports are open", subject="ufw")
    found = "; ".join(
        part
        for part in (
            f"keeps closed {_list(closed)}" if closed else "",
            f"forwarded packets: {ufw.forward}" if routed else "",
        )
        if part
    )
    fix = Fix(" && ".join([*_ufw_allows(closed), *(["ufw default allow routed"] if routed else [])]))
    wanted = "the ports open and forwarded packets accepted"
    if closed:
        return failed(found, wanted=wanted, fix=fix, subject="ufw")
    return warned(
        found,
        wanted=wanted,
        fix=fix,
        subject="ufw",
        cause="Cilium puts its own rules first, but whatever it does not know (a second bridge, a pod before Cilium runs)"
        " is dropped without a word.",
        evidence=(Evidence("/etc/default/ufw", f'DEFAULT_FORWARD_POLICY="{ufw.forward}"'),),
    )


def _ufw_allows(closed: Iterable[str]) -> Iterator[str]:
    ports = [port.partition("/") for port in closed]
    for protocol in ("tcp", "udp"):
        numbers = sorted((int(number) for number, _, kind in ports if kind == protocol))
        if numbers:
            yield f"ufw allow proto {protocol} to any port {','.join(map(str, numbers))}"


def _firewalld(firewalld: Firewalld, facts: Facts, profile: NodeProfile) -> Finding:
    ports = facts.get(FirewalldPorts)
    if firewalld.zone == "trusted":
        return passed("active, default zone trusted", subject="firewalld")
    state = "active" if firewalld.active else "enabled at boot"
    if ports is None:
        return unknown(f"{state}; what it opens cannot be read", subject="firewalld", fix=Fix("run as root"))
    closed = _closed(ports.opened, profile)
    opens = "".join(f" --add-port={port}" for port in closed)
    first = f"firewall-cmd --permanent{opens} && " if opens else ""
    fix = Fix(
        f"{first}firewall-cmd --permanent --zone=trusted --add-interface=lxc+ --add-interface=cilium_+"
        " && firewall-cmd --reload"
    )
    found = f"{state}, zone {firewalld.zone}" + (f" keeps closed {_list(closed)}" if closed else "")
    cause = (
        "Its own tables end in a reject that Cilium's accepts do not undo: pods get `no route to host` from the node and"
        " from each other."
    )
    if closed:
        return failed(found, wanted="the ports open, Cilium's interfaces trusted", fix=fix, subject="firewalld")
    return warned(found, wanted="Cilium's interfaces trusted", fix=fix, subject="firewalld", cause=cause)


@check(
    "network.forward_policy",
    "No chain drops forwarded packets by default",
    reads=(ForwardChains,),
    why="An accept in one table does not undo a drop in another: pods' packets vanish in this chain whatever Cilium's own"
    " rules say, as `i/o timeout` in every pod.",
    fix="Let the chain accept by default, or accept what comes from and goes to lxc* and cilium_* in it.",
    source="nft(8), chains and priorities; https://docs.docker.com/engine/network/packet-filtering-firewalls/",
)
def forward_policy(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`nft list chains` and `iptables -S FORWARD`, where the kernel has nf_tables or ip_tables loaded."""
    dropping = [chain for chain in facts[ForwardChains].chains if chain.policy == "drop"]
    foreign = [chain for chain in dropping if chain.table not in _IPTABLES]
    for chain in foreign:
        yield failed(
            "policy drop",
            wanted="policy accept, or rules for lxc* and cilium_*",
            subject=f"{chain.table} {chain.chain}",
            fix=_accept(chain),
            evidence=(
                Evidence("nft list chains", f"table {chain.table}, chain {chain.chain}: hook forward, policy drop"),
            ),
        )
    if not foreign:
        yield passed("iptables FORWARD drops, where Cilium puts its rules first" if dropping else "none")


def _accept(chain: ForwardChain) -> Fix:
    text = f"chain {chain.chain} of table {chain.table} in /etc/nftables.conf: `policy accept;`"
    return Fix(f"{text}, then `systemctl reload nftables`", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (firewall, forward_policy)
