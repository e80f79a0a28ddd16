"""Firewalls: ufw and firewalld by their files, and the chains that judge forwarded packets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Completed, Probe, Reader

_UFW_TUPLE = re.compile(
    r"^### tuple ### (?P<action>allow|limit|route:\w+|deny|reject)(?:_\w+)? (?P<protocol>\w+) (?P<port>\S+)"
)
_UFW_OUT = re.compile(r" out(_\S+)?( comment=\S+)?\s*$")
_ZONE_PORT = re.compile(
    r'<port\b[^>]*?(?:port="(?P<a>[\d-]+)"[^>]*protocol="(?P<b>\w+)"|protocol="(?P<c>\w+)"[^>]*port="(?P<d>[\d-]+)")'
)
_ZONE_SERVICE = re.compile(r'<service\b[^>]*name="([\w-]+)"')
_CHAIN = re.compile(r"type filter hook forward priority [^;]+;(?:\s*policy (?P<policy>\w+);)?")
_POLICY = re.compile(r"^-P FORWARD (\w+)", re.MULTILINE)
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
# What firewalld's own service files open.
_SERVICES = {
    "kube-apiserver": ("6443/tcp",),
    "kubelet": ("10250/tcp",),
    "kubelet-readonly": (),
    "etcd-client": ("2379/tcp",),
    "etcd-server": ("2380/tcp",),
    "kube-control-plane": ("2379-2380/tcp", "6443/tcp", "10250/tcp", "10257/tcp", "10259/tcp"),
    "kube-worker": ("10250/tcp", "30000-32767/tcp"),
    "kube-nodeport-services": ("30000-32767/tcp", "30000-32767/udp"),
}


@dataclass(frozen=True)
class Ufw:
    """enabled: ENABLED=yes in /etc/ufw/ufw.conf. forward, incoming: default policies (ACCEPT, DROP, REJECT)."""

    enabled: bool
    forward: str = "DROP"
    incoming: str = "DROP"


@dataclass(frozen=True)
class UfwRules:
    """What user.rules allows: port or range with protocol ("6443/tcp", "10250:10259/any"); "any/any" is everything."""

    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Firewalld:
    """active: its service runs, None where that cannot be seen. enabled: it starts at boot. zone: the default one."""

    active: bool | None
    enabled: bool = False
    zone: str = "public"


@dataclass(frozen=True)
class FirewalldPorts:
    """What the zones of /etc/firewalld open, as "6443/tcp" or "30000-32767/tcp"."""

    opened: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForwardChain:
    """A base chain that forwarded packets pass. table: family and name ("ip filter"). policy: accept or drop."""

    table: str
    chain: str
    policy: str


@dataclass(frozen=True)
class ForwardChains:
    """All of them, nftables and iptables. Every one has a say: an accept in one does not undo a drop in another."""

    chains: tuple[ForwardChain, ...] = ()


def shell_value(text: str, key: str) -> str:
    """The last KEY=value of a shell-like file, without quotes; "" where there is none."""
    found = re.findall(rf"^\s*{key}\s*=\s*(.*?)\s*$", text, re.MULTILINE)
    return found[-1].strip("\"'") if found else ""


def parse_ufw_rules(text: str) -> tuple[str, ...]:
    """The ports that rules of user.rules let in: lines such as `### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in`."""
    found = []
    for line in text.splitlines():
        rule = _UFW_TUPLE.match(line)
        if rule and rule["action"] in ("allow", "limit") and not _UFW_OUT.search(line):
            found += [f"{port}/{rule['protocol']}" for port in rule["port"].split(",")]
    return tuple(dict.fromkeys(found))


def parse_zone(text: str) -> tuple[str, ...]:
    """The ports that a firewalld zone file opens, those of Kubernetes' services among them."""
    ports = [f"{m['a'] or m['d']}/{m['b'] or m['c']}" for m in _ZONE_PORT.finditer(text)]
    return tuple(ports + [port for name in _ZONE_SERVICE.findall(text) for port in _SERVICES.get(name, ())])


def parse_nft_chains(text: str) -> tuple[ForwardChain, ...]:
    """Base chains at the forward hook in `nft list chains`; a chain without a policy accepts."""
    found = []
    table = chain = ""
    for line in text.splitlines():
        word = line.split()
        if word[:1] == ["table"]:
            table = " ".join(word[1:3])
        elif word[:1] == ["chain"]:
            chain = " ".join(word[1:2])
        elif rule := _CHAIN.search(line):
            found.append(ForwardChain(table, chain, rule["policy"] or "accept"))
    return tuple(found)


def parse_iptables_policy(text: str) -> tuple[ForwardChain, ...]:
    """The policy line of `iptables -S FORWARD`."""
    return tuple(ForwardChain("ip filter", "FORWARD", policy.lower()) for policy in _POLICY.findall(text))


def read_ufw(host: Reader) -> Ufw:
    enabled = shell_value(host.read("/etc/ufw/ufw.conf") or "", "ENABLED").lower() == "yes"
    defaults = host.read("/etc/default/ufw") or ""
    forward, incoming = (shell_value(defaults, f"DEFAULT_{way}_POLICY") for way in ("FORWARD", "INPUT"))
    return Ufw(enabled, forward.upper() or "DROP", incoming.upper() or "DROP")


def read_ufw_rules(host: Reader) -> UfwRules:
    return UfwRules(parse_ufw_rules(host.read("/etc/ufw/user.rules") or ""))


def read_firewalld(host: Reader) -> Firewalld:
    """A running service has a cgroup, which any user can see."""
    wants = "/etc/systemd/system/multi-user.target.wants/firewalld.service"
    enabled = host.stat(wants, follow=False) is not None
    slices = [f"{base}/system.slice" for base in _CGROUPS]
    seen = [path for path in slices if host.stat(path)]
    active = any(host.stat(f"{path}/firewalld.service") for path in seen) if seen else None
    if active is None and not enabled:
        active = False if host.stat("/usr/sbin/firewalld") is None else None
    zone = shell_value(host.read("/etc/firewalld/firewalld.conf") or "", "DefaultZone") if active or enabled else ""
    return Firewalld(active, enabled, zone or "public")


def read_firewalld_ports(host: Reader) -> FirewalldPorts:
    zones = glob(host, "/etc/firewalld/zones", ".xml")
    return FirewalldPorts(tuple(dict.fromkeys(p for path in zones for p in parse_zone(host.read(path) or ""))))


def read_forward_chains(host: Reader) -> ForwardChains:
    """Asks only what the kernel has loaded already: `nft` and `iptables` would load their modules to say "nothing"."""
    legacy = "filter" in (host.read("/proc/net/ip_tables_names") or "").split()
    nft = host.stat("/sys/module/nf_tables") is not None
    if not (legacy or nft):
        if host.stat("/sys/module") is None:
            raise Unreadable("/sys/module", "is not there")
        return ForwardChains()
    found: dict[ForwardChain, None] = {}
    if nft:
        listed = host.query("nft", "list", "chains")
        found.update(dict.fromkeys(parse_nft_chains(_said(listed)) if not listed.missing else ()))
    if legacy or not found:
        found.update(dict.fromkeys(_of_iptables(host, ("iptables-legacy", "iptables") if legacy else ("iptables",))))
    return ForwardChains(tuple(found))


def _of_iptables(host: Reader, programs: Iterable[str]) -> tuple[ForwardChain, ...]:
    for program in programs:
        done = host.query(program, "-S", "FORWARD")
        if not done.missing:
            return parse_iptables_policy(_said(done))
    return ()


def _said(done: Completed) -> str:
    if not done.ok:
        raise Unreadable(" ".join(done.argv), (done.stderr.strip().splitlines() or ["failed"])[-1][:120])
    return done.stdout


PROBES: tuple[Probe, ...] = (
    Probe(Ufw, read_ufw),
    Probe(UfwRules, read_ufw_rules),
    Probe(Firewalld, read_firewalld),
    Probe(FirewalldPorts, read_firewalld_ports),
    Probe(ForwardChains, read_forward_chains),
)
