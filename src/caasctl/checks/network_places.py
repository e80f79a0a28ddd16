"""The ranges of pods and services in every place that names them: files, ConfigMaps and the objects of a live cluster."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator

from caasctl.facts.cilium import CiliumLive
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.frozen import dataclass
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile

_MANAGER = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
_SERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_CHOSEN, _CONTROLLER, _POOL = (
    "kubeadm-config podSubnet",
    "controller-manager --cluster-cidr",
    "cilium-config cluster-pool-ipv4-cidr",
)
_NODES = 3  # shown of many
Networks = tuple["ipaddress.IPv4Network | ipaddress.IPv6Network", ...]


@dataclass(frozen=True)
class _Place:
    """where: of it; text: what it says. part: it holds a node's share of the range instead of the range. pool: it may take
    less than the range.
    """

    where: str
    text: str
    source: str
    part: bool = False
    pool: bool = False

    @property
    def networks(self) -> Networks:
        """() for what is no network."""
        try:
            return tuple(ipaddress.ip_network(one, strict=False) for one in self.text.replace(",", " ").split())
        except ValueError:
            return ()

    def agrees(self, range_: Networks) -> bool:
        if not (self.part or self.pool):
            return bool(self.networks) and _set_of(self.networks) <= _set_of(range_)
        return bool(self.networks) and all(_inside(one, range_) for one in self.networks)


def _inside(one: ipaddress.IPv4Network | ipaddress.IPv6Network, range_: Networks) -> bool:
    return any(one.version == other.version and one.subnet_of(other) for other in range_)  # type: ignore[arg-type]


def _set_of(networks: Networks) -> set[str]:
    return {str(one) for one in networks}


@check(
    "network.pod_cidr_places",
    "Every place names the same range for pods",
    reads=(CiliumLive, ControlPlane),
    why="kubeadm, the controller manager and Cilium each keep the range by themselves and nobody compares them: pods get addresses"
    " that others hold for foreign, or a node gets none (`CIDRNotAvailable`).",
    fix="One range: the one that pods have addresses of. Cilium's cluster-pool needs no --allocate-node-cidrs.",
    source="cilium/cilium Documentation/network/concepts/ipam/cluster-pool.rst; cilium#37759",
)
def pod_cidr_places(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of kubeadm-config podSubnet, --cluster-cidr and node mask of the controller manager, pool and mask in cilium-config, podCIDRs of
    CiliumNodes and Nodes.
    """
    live, plane = facts[CiliumLive], facts[ControlPlane]
    if not live.asked or not plane.pods:
        return
    places = tuple(_pod_places(facts))
    range_ = _chosen(places)
    bad = [one for one in places if not one.agrees(range_)]
    evidence = tuple(Evidence(one.source, f"{one.where}: {one.text}") for one in places)
    found = [_differs(bad, range_, evidence)] if bad else []
    found += list(_masks(live, plane)) or list(_without(live, plane, evidence))
    yield from found or [passed(f"{_words(range_)} in {len(places)} places", evidence=evidence)]


def _pod_places(facts: Facts) -> Iterator[_Place]:
    live, plane, api = facts[CiliumLive], facts[ControlPlane], facts.get(ClusterApi)
    told = _subnet(api.configuration if api else "", "podSubnet")
    if told:
        yield _Place(_CHOSEN, told, "configmap kube-system/kubeadm-config")
    yield _Place(_CONTROLLER, plane.pods, _MANAGER)
    if _pools(live):
        families = sorted({one.version for one in _Place("", plane.pods, "").networks})
        pool = " ".join(filter(None, (live.config.get(f"cluster-pool-ipv{family}-cidr", "") for family in families)))
        if pool:
            yield _Place(_POOL, pool, "configmap kube-system/cilium-config", pool=True)
        yield from (
            _Place(f"CiliumNode {n.name}", " ".join(n.used), f"ciliumnode {n.name}", part=True)
            for n in live.nodes[:_NODES]
            if n.used
        )
    yield from (
        _Place(f"Node {n.name} podCIDRs", " ".join(n.given), f"node {n.name}", part=True)
        for n in live.nodes[:_NODES]
        if n.given
    )


def _pools(live: CiliumLive) -> bool:
    return live.installed and live.config.get("ipam", "cluster-pool") == "cluster-pool"


def _subnet(configuration: str, key: str) -> str:
    found = re.search(rf"^\s*{key}:\s*[\"']?([^\s\"'#]+)", configuration, re.MULTILINE)
    return found[1] if found else ""


def _chosen(places: tuple[_Place, ...]) -> Networks:
    """What most places name; of as many the first: kubeadm's, which the user chose."""
    whole = [one for one in places if not one.part and one.networks]
    counted = Counter(frozenset(_set_of(one.networks)) for one in whole)
    return max(whole, key=lambda one: counted[frozenset(_set_of(one.networks))]).networks if whole else ()


def _words(networks: Networks) -> str:
    return ", ".join(map(str, networks)) or "no network"


def _differs(bad: list[_Place], range_: Networks, evidence: tuple[Evidence, ...]) -> Finding:
    first = bad[0]
    fixes = {
        _CHOSEN: f"kubectl -n kube-system edit configmap kubeadm-config: podSubnet: {_words(range_)}",
        _CONTROLLER: f"in {_MANAGER}: --cluster-cidr={_words(range_)}",
        _POOL: f"in the profile: spec.network.podCIDR: {_words(range_)}, then caasctl init-node --phase cilium; on a cluster with pods"
               " rather build it anew: nodes keep their shares of the old pool",
    }  # fmt: skip
    usual = "the share is of another range: drain the node, delete its CiliumNode and restart its agent; a Node's podCIDR never changes"
    return failed(
        "; ".join(f"{one.where} {one.text}" for one in bad),
        wanted=f"{_words(range_)}, as in the other places",
        subject=first.where,
        fix=Fix(fixes.get(first.where, usual), FixKind.EDIT),
        evidence=evidence,
    )


def _masks(live: CiliumLive, plane: ControlPlane) -> Iterator[Finding]:
    """A share as large as the range is one node's: the next gets none."""
    told = plane.arguments.get("kube-controller-manager", {})
    manager = told.get("node-cidr-mask-size-ipv4") or told.get("node-cidr-mask-size") or "24"
    pool = live.config.get("cluster-pool-ipv4-mask-size", "") if _pools(live) else ""
    four = [one for one in _Place("", plane.pods, "").networks if one.version == 4]  # noqa: PLR2004 - a version of IP
    if told.get("allocate-node-cidrs") == "true" and four and manager.isdigit() and int(manager) < four[0].prefixlen:
        yield failed(f"nodes get a /{manager} each of {four[0]}", wanted=f"a mask longer than /{four[0].prefixlen}", subject="node mask",
                     cause="The range does not hold one node's share: the controller manager does not start, or says CIDRNotAvailable.",
                     fix=Fix(f"in {_MANAGER}: --node-cidr-mask-size={min(four[0].prefixlen + 4, 28)}", FixKind.EDIT))  # fmt: skip
    elif pool and pool != manager and told.get("allocate-node-cidrs") == "true":
        yield failed(f"cilium-config /{pool}, controller-manager /{manager}", wanted="the same", subject="node mask",
                     cause="Two allocators cut the range differently; one of them runs out first: `CIDRNotAvailable`.",
                     fix=Fix(f"in {_MANAGER}: --allocate-node-cidrs=false", FixKind.EDIT))  # fmt: skip


def _without(live: CiliumLive, plane: ControlPlane, evidence: tuple[Evidence, ...]) -> Iterator[Finding]:
    """The controller manager is to give each node a share, and has none left: Cilium, which gives its own, does not need it."""
    told = plane.arguments.get("kube-controller-manager", {})
    none = [node.name for node in live.nodes if not node.given]
    if told.get("allocate-node-cidrs") == "true" and none:
        spare = " Cilium in cluster-pool mode does not use it." if _pools(live) else ""
        fix = (
            "--allocate-node-cidrs=false"
            if _pools(live)
            else "a longer --node-cidr-mask-size, so that each node gets a share"
        )
        yield failed(f"Node {', '.join(none[:_NODES])}: no podCIDR", wanted=f"a share of {plane.pods}", subject="Node.spec.podCIDR",
                     cause=f"The controller manager has no share left to give: `CIDRNotAvailable`.{spare}",
                     fix=Fix(f"in {_MANAGER}: {fix}", FixKind.EDIT), evidence=evidence)  # fmt: skip


@check(
    "network.service_cidr_places",
    "Every place names the same range for services",
    reads=(LiveObjects, ControlPlane),
    why="The API server gives services addresses of its own range; a component that holds another for it does not know them, and the"
    " next `kubeadm upgrade` writes kubeadm-config's.",
    fix="One range, the one that Services have addresses of; another is for a new cluster.",
    source="https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/",
)
def service_cidr_places(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Of kubeadm-config serviceSubnet, --service-cluster-ip-range of API server and controller manager, the Service kubernetes."""
    plane, api = facts[ControlPlane], facts.get(ClusterApi)
    if not plane.services:
        return
    own = _Place("kube-apiserver --service-cluster-ip-range", plane.services, _SERVER)
    told = plane.arguments.get("kube-controller-manager", {}).get("service-cluster-ip-range", "")
    first = next(
        (one for one in facts[LiveObjects].services if (one.namespace, one.name) == ("default", "kubernetes")), None
    )
    others = (
        _Place(
            "kubeadm-config serviceSubnet",
            _subnet(api.configuration if api else "", "serviceSubnet"),
            "configmap kube-system/kubeadm-config",
        ),
        _Place("controller-manager --service-cluster-ip-range", told, _MANAGER),
        _Place(
            "Service default/kubernetes", " ".join(first.ips) if first else "", "service default/kubernetes", part=True
        ),
    )
    seen = (own, *(one for one in others if one.text))
    bad = [one for one in seen if not one.agrees(own.networks)]
    evidence = tuple(Evidence(one.source, f"{one.where}: {one.text}") for one in seen)
    if bad:
        yield failed("; ".join(f"{one.where} {one.text}" for one in bad), wanted=plane.services, subject=bad[0].where, evidence=evidence,
                     fix=Fix(f"give each place {plane.services}: `caasctl explain network.service_cidr_places` names them", FixKind.EDIT))  # fmt: skip
    else:
        yield passed(f"{plane.services} in {len(seen)} places", evidence=evidence)


CHECKS: tuple[Check, ...] = (pod_cidr_places, service_cidr_places)
