"""Who answers names, and through which proxy the node reaches registries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_dns import CONF, UPSTREAM, Resolvers
from caasctl.facts.network_proxy import Proxies, ProxySetting
from caasctl.facts.network_routes import Routes
from caasctl.model import (
    CaasError,
    Check,
    Evidence,
    Facts,
    FactUnread,
    Finding,
    Fix,
    FixKind,
    check,
    failed,
    passed,
    warned,
)
from caasctl.needs.network import direct, ranges
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.no_proxy import covered

_MOST_SERVERS = 3  # the C library and kubelet take no more
_MENDS = {"containerd": "containerd", "kubelet": "kubeadm"}  # the phase that gives a service the profile's proxies


@check(
    "network.resolv_conf",
    "Pods are given name servers that they can reach",
    reads=(Resolvers,),
    why="kubelet copies the node's resolv.conf into CoreDNS and every pod with dnsPolicy Default: a loopback address there"
    ' means the pod itself, and CoreDNS stops with `Loop (127.0.0.1:...) detected for zone "."`.',
    fix="Let kubelet's resolvConf name a file that lists the real servers.",
    source="https://coredns.io/plugins/loop/; kubernetes: pkg/kubelet/network/dns",
    gates=("kubeadm",),
)
def resolv_conf(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/resolv.conf, /run/systemd/resolve/resolv.conf, resolvConf of the profile and of /var/lib/kubelet/config.yaml."""
    dns = facts[Resolvers]
    named = _resolv_conf_of_kubelet(facts, profile)
    servers = dns.upstream if named == UPSTREAM and dns.upstream is not None else dns.servers
    said = ", ".join(servers)
    if named not in ("", CONF, UPSTREAM):
        yield passed(f"kubelet is told to use {named}")
    elif not servers:
        yield _none(dns)
    elif dns.stub and dns.upstream and named == CONF:
        yield _loop(", ".join(dns.listed), UPSTREAM, f"kubelet's resolvConf is {CONF}")
    elif loop := [server for server in servers if ipaddress.ip_address(server).is_loopback]:
        yield _loop(
            ", ".join(loop), dns.instead or "/etc/resolv-kubelet.conf", f"{dns.path} names them", made=bool(dns.instead)
        )
    elif len(servers) > _MOST_SERVERS:
        yield warned(
            f"{len(servers)}: {said}",
            wanted=f"at most {_MOST_SERVERS}",
            fix=Fix(f"take all but {_MOST_SERVERS} nameserver lines out of {dns.path}", FixKind.EDIT),
            cause="kubelet passes on the first three only and says `Nameserver limits were exceeded` for every pod.",
        )
    else:
        yield passed(f"{said} (behind {', '.join(dns.listed)})" if dns.stub else said)


def _resolv_conf_of_kubelet(facts: Facts, profile: NodeProfile) -> str:
    """What kubelet is or will be told; "" where kubeadm chooses, which takes systemd-resolved's file where it runs."""
    wanted = profile.spec.kubernetes.kubelet.get("resolvConf")
    kubelet = facts.get(Kubelet)
    live = (kubelet.config or {}).get("resolvConf") if kubelet else None
    return str(wanted or live or "")


def _none(dns: Resolvers) -> Finding:
    if not dns.present:
        found, fix = f"{CONF} is not there", Fix("ln -s /run/systemd/resolve/resolv.conf /etc/resolv.conf")
    elif dns.stub:
        found = f"{', '.join(dns.listed)}, with nothing behind it in {UPSTREAM}"
        fix = Fix("resolvectl dns INTERFACE SERVER   # and the same in the network's configuration")
    else:
        found, fix = f"no nameserver in {CONF}", Fix(f"add a line `nameserver ADDRESS` to {CONF}", FixKind.EDIT)
    return failed(
        found,
        wanted="a name server that pods can reach",
        fix=fix,
        cause="No image can be pulled (`lookup ...: Temporary failure in name resolution`), and CoreDNS has nobody to ask.",
    )


def _loop(servers: str, path: str, where: str, *, made: bool = True) -> Finding:
    """path: the file to tell kubelet of; made: whether it is there already."""
    first = "" if made else f"list the real servers in {path}, then "
    return failed(
        f"{servers}; {where}",
        wanted="addresses of other machines",
        fix=Fix(f"{first}in the profile: spec.kubernetes.kubelet: {{resolvConf: {path}}}", FixKind.EDIT),
        evidence=(Evidence(CONF, f"nameserver {servers}"),),
    )


@check(
    "network.proxy",
    "Whoever needs the proxy knows it, and what must not pass through it",
    reads=(Proxies, Links, Routes, ControlPlane),
    why="kubeadm copies the shell's proxy into the control plane's pods, and kubelet and containerd use their units': what"
    ' NO_PROXY lacks is sent to the proxy, which knows no pod and no service: `connection to "..." uses proxy`.',
    fix="Set the proxy for containerd in a drop-in of its unit, and NO_PROXY wherever a proxy is set.",
    source="kubernetes: cmd/kubeadm/app/preflight/checks.go (HTTPProxy, HTTPProxyCIDR)",
)
def proxy(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Units and drop-ins of containerd and kubelet, DefaultEnvironment, /etc/environment, /etc/profile.d."""
    proxies = facts[Proxies]
    if not proxies.settings:
        yield passed("none")
        return
    shell, services = proxies.of("shell"), proxies.of("services")
    asked = profile.spec.proxy.http or profile.spec.proxy.https
    if shell and not services and not proxies.of("containerd"):
        yield _not_for_containerd(shell, ours=bool(asked))
    for setting in proxies.settings:
        yield _no_proxy(setting, facts, profile, _MENDS.get(setting.who, "") if asked else "")


def _not_for_containerd(shell: ProxySetting, *, ours: bool) -> Finding:
    """ours: the profile has spec.proxy, and the phase containerd writes it."""
    no_proxy = ", ".join(filter(None, (shell.no_proxy or "").split(",")))
    return warned(
        f"the shell uses {shell.url}, containerd's unit none",
        wanted="the same proxy for containerd",
        subject="containerd",
        fix=Fix(
            f"in the profile: spec.proxy: {{http: '{shell.http}', https: '{shell.https}', noProxy: [{no_proxy}]}}; init-node"
            " tells apt, containerd and the kubelet",
            FixKind.EDIT,
        ),
        cause="systemd's services do not see the shell's environment: `curl` reaches the registry and containerd does not,"
        " with `failed to pull image ...: dial tcp ...: i/o timeout`.",
        fixed_by="containerd" if ours else "",
        evidence=(Evidence(shell.path, f"https_proxy={shell.url}"),),
    )


def _needed(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """What must not pass through a proxy. Of ranges that cannot be chosen yet only those that the profile names."""
    try:
        chosen = ranges(facts, profile)
    except (CaasError, FactUnread):  # network.pod_cidr_free and its kin say why
        chosen = None
    network = profile.spec.network
    named = tuple(text for text in (network.podCIDR, network.serviceCIDR) if text != AUTO and not chosen)
    needed = (*direct(facts, profile, chosen), *(cidr.strip() for text in named for cidr in text.split(",")))
    return tuple("127.0.0.1" if name == "127.0.0.0/8" else name for name in needed)  # the rest of it is never sent out


def _no_proxy(setting: ProxySetting, facts: Facts, profile: NodeProfile, mended_by: str) -> Finding:
    entries = tuple(entry.strip() for entry in (setting.no_proxy or "").split(",") if entry.strip())
    missing = [need for need in _needed(facts, profile) if not covered(need, entries)]
    if not missing:
        return passed(f"{setting.url}, NO_PROXY {setting.no_proxy}", subject=setting.who)
    found = f"{setting.url}, NO_PROXY lacks {', '.join(missing)}"
    fix = Fix(f"{setting.path}: NO_PROXY={','.join((*entries, *missing))}", FixKind.EDIT)
    evidence = (Evidence(setting.path, f"no_proxy={setting.no_proxy or ''}"),)
    return warned(
        found, wanted="NO_PROXY with all of them", subject=setting.who, fix=fix, fixed_by=mended_by, evidence=evidence
    )


CHECKS: tuple[Check, ...] = (resolv_conf, proxy)
