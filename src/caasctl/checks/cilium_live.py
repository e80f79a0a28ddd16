"""Cilium on a node that may have one: releases that follow each other, one range of pods everywhere, free ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from caasctl.facts.cilium import CiliumLive
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_ports import Listener, Listeners
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.cilium import tunnels
from caasctl.profile import NodeProfile
from caasctl.syntax import cidr, helm_values, versions
from caasctl.syntax.cidr import Network
from caasctl.syntax.versions import Minor

_NAME = "cilium"
_NO_HELM = (
    "remove it with what installed it (cilium-cli before 0.15: `cilium uninstall`), then: caasctl init-node; pods have no"
    " network in between"
)
_KEYS = {4: "clusterPoolIPv4PodCIDRList", 6: "clusterPoolIPv6PodCIDRList"}
_OURS = re.compile(r"^(cilium|hubble|envoy)")


@check(
    "cilium.release",
    "The profile's Cilium is maintained, and follows the one that runs",
    reads=(CiliumLive,),
    why="A version past its end of life gets no fix; a jump over a minor skips the steps that keep connections alive.",
    fix="Name a maintained version in spec.cilium.version; upgrade a running Cilium minor by minor.",
    source="https://docs.cilium.io/en/stable/operations/upgrade/; cilium/cilium SECURITY.md: the last three minors are maintained",
    gates=("cilium",),
)
def release(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.cilium.version against a table; the DaemonSet cilium in kube-system: its image's tag and its Helm labels."""
    wanted, live = versions.minor(profile.spec.cilium.version), facts[CiliumLive]
    if not profile.begins_cluster or wanted is None:
        return
    bad = (*_maintained(wanted, profile), *_installed(live), *_follows(live, wanted, profile))
    yield from bad
    if not bad:
        runs = f", {live.version} runs" if live.installed else ""
        yield passed(f"{profile.spec.cilium.version}{runs}")


def _maintained(wanted: Minor, profile: NodeProfile) -> Iterator[Finding]:
    newest = max(versions.CILIUM_MAINTAINED)
    if wanted not in versions.CILIUM_MAINTAINED:
        older = wanted < newest
        said = "end of life" if older else f"newer than what caasctl knows ({versions.text(newest)})"
        text = f"in the profile: spec.cilium.version: {versions.CILIUM_MAINTAINED[newest]}"
        yield warned(f"{profile.spec.cilium.version}: {said}", wanted=", ".join(map(versions.text, versions.CILIUM_MAINTAINED)),
                     cause="" if older else "Its chart may name values otherwise: caasctl's are checked against the charts that it knows.",
                     fix=Fix(text, FixKind.EDIT))  # fmt: skip


def _installed(live: CiliumLive) -> Iterator[Finding]:
    if live.installed and live.release != _NAME:
        found = f"Helm release {live.release}" if live.release else f"{live.version or 'Cilium'} without a Helm release"
        yield failed(found, wanted="Helm release cilium in kube-system, or none", subject="installed by",
                     cause="helm refuses what it did not install: `invalid ownership metadata`.",
                     fix=Fix(f"helm -n kube-system uninstall {live.release} && caasctl init-node")
                     if live.release else Fix(_NO_HELM, FixKind.EDIT))  # fmt: skip


def _follows(live: CiliumLive, wanted: Minor, profile: NodeProfile) -> Iterator[Finding]:
    runs = versions.minor(live.version)
    if not live.installed or runs is None:
        return
    behind = versions.behind(runs, wanted)
    if behind > 1:
        step = (runs[0], runs[1] + 1)
        version = versions.CILIUM_MAINTAINED.get(step, f"{versions.text(step)}.N")
        yield failed(f"{live.version} runs, the profile has {profile.spec.cilium.version}", wanted="one minor at a time",
                     subject="upgrade", fix=Fix(f"caasctl init-node --set cilium.version={version}, then the next minor"))  # fmt: skip
    elif behind < 0:
        yield failed(f"{live.version} runs, the profile has {profile.spec.cilium.version}", wanted=f"{live.version} or newer",
                     subject="upgrade", cause="A downgrade is not supported: the older agent does not know the newer one's maps.",
                     fix=Fix(f"in the profile: spec.cilium.version: {live.version}", FixKind.EDIT))  # fmt: skip


@check(
    "cilium.pool_matches",
    "kubeadm, the controller manager and Cilium give pods addresses of one range",
    reads=(CiliumLive, ControlPlane, ClusterApi),
    why="Cilium's own default is 10.0.0.0/8: a pool that nobody chose lies over the services and the host's networks, and SSH"
    " is gone.",
    fix="Keep a live pool as it is, and say so in the profile; a new range is for a new cluster.",
    source="cilium/cilium Documentation/network/concepts/ipam/cluster-pool.rst; cilium#42383, #13766, #37759",
    gates=("cilium",),
)
def pool_matches(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The range of pods in kubeadm-config, --cluster-cidr of the controller manager, cilium-config, CiliumNode and Node objects."""
    live, planes, api = facts[CiliumLive], facts[ControlPlane], facts.get(ClusterApi)
    if not live.installed or not planes.pods:
        return
    chosen = _networks(planes.pods)
    bad = list(_kubeadm(api.configuration if api else "", planes.pods))
    if live.config.get("ipam", "cluster-pool") == "cluster-pool":
        for family in (4, 6):
            bad += _pool(live, family, chosen, profile)
            bad += _mask(live, family, planes)
    bad += _slices(live)
    bad += _given(live, chosen)
    yield from bad
    if not bad:
        yield passed(f"{planes.pods}, {len(live.nodes)} nodes")


def _networks(text: str) -> tuple[Network, ...]:
    """The networks of a list with commas or spaces; () where it is none."""
    try:
        return cidr.parse(",".join(text.replace(",", " ").split()))
    except ValueError:
        return ()


def _inside(network: Network, ranges: tuple[Network, ...]) -> bool:
    return any(network.version == other.version and network.subnet_of(other) for other in ranges)  # type: ignore[arg-type]


def _kubeadm(configuration: str, pods: str) -> Iterator[Finding]:
    told = re.search(r"^\s*podSubnet:\s*[\"']?([^\s\"'#]+)", configuration, re.MULTILINE)
    if told and set(_networks(told[1])) != set(_networks(pods)):
        yield warned(f"kubeadm-config says {told[1]}, the controller manager {pods}", wanted="the same", subject="podSubnet",
                     cause="The next `kubeadm upgrade` writes the controller manager's manifest with the other range.",
                     fix=Fix(f"kubectl -n kube-system edit configmap kubeadm-config: podSubnet: {pods}", FixKind.EDIT))  # fmt: skip


def _pool(live: CiliumLive, family: int, chosen: tuple[Network, ...], profile: NodeProfile) -> Iterator[Finding]:
    said = live.config.get(f"cluster-pool-ipv{family}-cidr", "")
    pool = _networks(said)
    outside = [network for network in pool if not _inside(network, chosen)]
    if not outside or not cidr.of_family(chosen, family):
        return
    key = _KEYS[family]
    kept = helm_values.at(profile.spec.cilium.values, f"ipam.operator.{key}") == [str(network) for network in pool]
    make = warned if kept else failed
    wanted = ", ".join(str(network) for network in cidr.of_family(chosen, family))
    yield make(
        f"Cilium's pool is {said}, the cluster's range {wanted}",
        wanted=wanted,
        subject=f"cluster-pool-ipv{family}-cidr",
        fix=Fix(f"in the profile, below spec.cilium.values: ipam: {{operator: {{{key}: [{', '.join(map(str, pool))}]}}}}",
                FixKind.EDIT),
        evidence=(Evidence("configmap kube-system/cilium-config", f"cluster-pool-ipv{family}-cidr: {said}"),),
    )  # fmt: skip


def _mask(live: CiliumLive, family: int, planes: ControlPlane) -> Iterator[Finding]:
    cilium = live.config.get(f"cluster-pool-ipv{family}-mask-size", "")
    arguments = planes.arguments.get("kube-controller-manager", {})
    defaults = {4: arguments.get("node-cidr-mask-size", "24"), 6: "64"}
    manager = arguments.get(f"node-cidr-mask-size-ipv{family}", defaults[family])
    if cilium and cidr.of_family(_networks(planes.pods), family) and cilium != manager:
        yield warned(f"Cilium /{cilium}, the controller manager /{manager}", wanted="the same",
                     subject=f"node mask IPv{family}",
                     cause="Two allocators cut the range differently; one of them runs out first: `CIDRNotAvailable`.",
                     fix=Fix("leave it while the cluster lives; a new cluster gets one mask", FixKind.WAIT))  # fmt: skip


def _slices(live: CiliumLive) -> Iterator[Finding]:
    """Nodes that kept a slice of an earlier pool. Other slices than the controller manager's are no harm."""
    for family in (4, 6):
        pool = _networks(live.config.get(f"cluster-pool-ipv{family}-cidr", ""))
        for node in live.nodes:
            old = [n for n in cidr.of_family(_networks(" ".join(node.used)), family) if pool and not _inside(n, pool)]
            if old:
                yield warned(f"{node.name} has {', '.join(map(str, old))}, the pool is {', '.join(map(str, pool))}",
                             wanted="a slice of the pool", subject=node.name,
                             cause="The pool was changed under a live cluster: this node's pods keep addresses of the old one.",
                             fix=Fix(f"kubectl drain {node.name} --ignore-daemonsets && kubectl delete ciliumnode {node.name}"
                                     f" && kubectl -n kube-system delete pod -l k8s-app=cilium --field-selector"
                                     f" spec.nodeName={node.name}"))  # fmt: skip


def _given(live: CiliumLive, chosen: tuple[Network, ...]) -> Iterator[Finding]:
    """Nodes that the controller manager gave a network outside of what is its range now."""
    for node in live.nodes:
        old = [network for network in _networks(" ".join(node.given)) if not _inside(network, chosen)]
        if old:
            yield warned(f"{node.name} has podCIDR {', '.join(map(str, old))}, the range is {', '.join(map(str, chosen))}",
                         wanted="a podCIDR in the range", subject=f"Node {node.name}",
                         cause="The controller manager's range was changed under a live cluster: a Node keeps its podCIDR.",
                         fix=Fix(f"kubectl drain {node.name} --ignore-daemonsets && kubectl delete node {node.name}, then let it"
                                 " join again", FixKind.EDIT))  # fmt: skip


class _Port(NamedTuple):
    protocol: str
    number: int
    what: str


def _ports(profile: NodeProfile) -> tuple[_Port, ...]:
    spec = profile.spec.cilium
    at = helm_values.at
    ports = [
        _Port("tcp", 4240, "health checks between nodes"),
        _Port("tcp", 9878, "Envoy's health"),
        _Port("tcp", 9879, "the agent's health"),
        _Port("tcp", 9890, "the agent's gops"),
        _Port("tcp", 9891, "the operator's gops"),
        _Port("tcp", 9234, "the operator's API"),
    ]
    if at(spec.values, "hubble.enabled", default=True) is not False:
        ports.append(_Port("tcp", 4244, "Hubble"))
    if at(spec.values, "authentication.enabled") is True:
        ports.append(_Port("tcp", 4250, "mutual authentication"))
    for path, number, what in (("prometheus", 9962, "the agent's"), ("operator.prometheus", 9963, "the operator's"),
                               ("envoy.prometheus", 9964, "Envoy's")):  # fmt: skip
        if at(spec.values, f"{path}.enabled", default=path != "prometheus") is True:
            ports.append(_Port("tcp", number, f"{what} metrics"))
    return (*ports, *(_Port("udp", number, what) for number, what in tunnels(profile)))


@check(
    "cilium.ports_free",
    "No other program holds a port of Cilium",
    reads=(Listeners, Links),
    why="The agent runs in the host's network and ends where a port is taken: `listen tcp :4240: bind: address already in use`.",
    fix="Stop the program that the finding names, or move it to another port.",
    source="cilium/cilium Documentation/operations/system_requirements.rst, firewall rules",
    gates=("cilium",),
)
def ports_free(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`ss -Hltnup`, or /proc/net; what Cilium itself listens on, and its tunnel's device in the kernel, are no obstacle."""
    runs = any(link.name.startswith("cilium_") for link in facts[Links].links)
    ports, taken = _ports(profile), False
    for port in ports:
        for listener in facts[Listeners].on(port.protocol, port.number):
            if not (_OURS.match(listener.process) or (runs and not listener.process)):
                taken = True
                yield _taken(port, listener, facts)
                break
    if not taken:
        yield passed("held by Cilium or free" if runs else f"{', '.join(str(port.number) for port in ports)}: free")


def _taken(port: _Port, listener: Listener, facts: Facts) -> Finding:
    tunnels = [link.name for link in facts[Links].links if link.kind in ("vxlan", "geneve", "wireguard")]
    if listener.process:
        owner, fix = f"{listener.process} (pid {listener.pid})", Fix(f"systemctl stop $(ps -o unit= -p {listener.pid})")
    elif port.protocol == "udp" and tunnels:
        owner, fix = (
            f"the kernel, for {', '.join(tunnels)}",
            Fix("; ".join(f"ip link delete {name}" for name in tunnels)),
        )
    else:
        owner = "a program that only root can see"
        fix = Fix(f"ss -lnp 'sport = :{port.number}' as root names it; stop that program", FixKind.EDIT)
    return failed(f"held by {owner}, on {listener.address}", wanted=f"free for {port.what}",
                  subject=f"{port.number}/{port.protocol}", fix=fix)  # fmt: skip


CHECKS: tuple[Check, ...] = (release, pool_matches, ports_free)
