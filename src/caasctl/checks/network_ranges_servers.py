"""The ranges against single machines that the node depends on, and against the number of pods and nodes they must hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_routes import Routes
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.network import (
    BESIDE,
    Obstacle,
    Plan,
    Range,
    live_fix,
    mask_key,
    max_pods,
    obstacles,
    plan,
    share_setting,
    shown,
)
from caasctl.profile import NodeProfile
from caasctl.syntax.cidr import Network, words
from caasctl.syntax.cidr.judge import share

_GATES = ("kubeadm", "cilium")
_MANY = 12
_BITS = {4: 32, 6: 128}


@check(
    "network.resolvers_outside",
    "Resolvers lie outside of the cluster's ranges",
    reads=(Resolvers, Links, Routes, ControlPlane),
    why="A resolver whose address is a pod's or a service's is no longer asked: names do not resolve on this node, and CoreDNS,"
    " which passes questions on to it, answers with `i/o timeout`, or asks itself.",
    fix="Name ranges without the resolvers' addresses as spec.network.podCIDR and serviceCIDR, or leave them auto.",
    source="https://coredns.io/plugins/forward/",
    gates=_GATES,
)
def resolvers_outside(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/resolv.conf, /run/systemd/resolve/resolv.conf; both ranges."""
    servers = dict.fromkeys((*facts[Resolvers].listed, *(facts[Resolvers].upstream or ())))
    said = ", ".join(servers) or "none"
    yield from _outside(said, [o for o in obstacles(facts, profile) if o.kind == "resolver"], plan(facts, profile))


@check(
    "network.infrastructure_outside",
    "Gateways, proxies, registries, storage and SSH sessions lie outside of the cluster's ranges",
    reads=(Links, Routes, ControlPlane),
    why="As soon as Cilium runs, packets to an address of pods or services stay in the cluster: the machine that has it is gone"
    " for this node, and with a gateway or the SSH session's end the node is gone too.",
    fix="Name ranges without these addresses as spec.network.podCIDR and serviceCIDR, or leave them auto. Names of servers are"
    " looked up in /etc/hosts only, never in DNS.",
    source="cilium#42383",
    gates=_GATES,
)
def infrastructure_outside(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Gateways of routes, ends of SSH sessions, /proc/mounts, time servers, proxies, /etc/containerd/certs.d, and in the profile:
    controlPlaneEndpoint, nodeIP, image and chart repositories.
    """
    found = [o for o in obstacles(facts, profile) if o.kind == "server"]
    yield from _outside(shown(found) or "none known by address", found, plan(facts, profile))


def _outside(said: str, found: Iterable[Obstacle], planned: Plan) -> Iterator[Finding]:
    """One failure for each range; nothing where no range is known yet."""
    hit = [(one, _hits(one, found)) for one in planned.both]
    for one, inside in hit:
        if inside:
            yield failed(
                f"{shown(inside)} in {words(one.networks)}",
                wanted=f"outside of the range of {one.use}",
                subject=one.key,
                fix=Fix(live_fix(one) if one.origin == "live" else one.setting, FixKind.EDIT),
                evidence=tuple(Evidence(way.source, way.what) for way in inside[:_MANY]),
            )
    if not any(inside for _, inside in hit) and any(one.networks for one, _ in hit):
        yield passed(said)


def _hits(one: Range, found: Iterable[Obstacle]) -> list[Obstacle]:
    return [way for way in found if any(way.network.overlaps(network) for network in one.networks)]


@check(
    "network.node_mask",
    "A node's share of the pods' range holds its pods",
    reads=(Links, Routes, ControlPlane),
    why="kubeadm and the controller manager refuse shares that do not fit the range; where they are too small for kubelet's"
    " maxPods, pods stay in ContainerCreating with `no more IPs available`.",
    fix="Let nodeCIDRMaskSize leave twice maxPods addresses, at most 16 bits longer than the pods' range.",
    source="kubernetes: cmd/kubeadm/app/apis/kubeadm/validation/validation.go (ValidatePodSubnetNodeMask); cilium#37759",
    gates=_GATES,
)
def node_mask(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Lengths of the pods' range and of a node's share, of the profile or live; spec.kubernetes.kubelet.maxPods (110)."""
    found, most = plan(facts, profile), max_pods(profile)
    for wrong in found.pods.wrong if found.pods.origin == "auto" else ():
        fix = Fix("in the profile: spec.network: {nodeCIDRMaskSize: 24, nodeCIDRMaskSizeIPv6: 64}", FixKind.EDIT)
        yield failed(wrong.found, wanted=wrong.wanted, cause=wrong.cause, fix=fix)
    for network, mask in _shared_out(found, profile):
        if found.pods.origin == "live" and mask != getattr(profile.spec.network, mask_key(network.version)):
            yield _differs(network, mask, profile)
        yield from _share(network, mask, most, found, profile)


def _shared_out(found: Plan, profile: NodeProfile) -> Iterator[tuple[Network, int]]:
    """Networks and a node's share of each. Of a range that must go, what is proposed for it: both are written at once."""
    if found.pods.origin == "profile" and found.pods.free:
        for network in found.pods.free:
            mask = getattr(profile.spec.network, mask_key(network.version))
            if next(share(network, mask), None) or _size(network, mask) < max_pods(profile) + BESIDE:
                yield network, mask
    else:
        yield from zip(found.pods.networks, found.masks, strict=True)


def _differs(network: Network, mask: int, profile: NodeProfile) -> Finding:
    key = mask_key(network.version)
    return warned(
        f"/{getattr(profile.spec.network, key)} in the profile, /{mask} in the live cluster",
        wanted=f"/{mask}",
        subject=key,
        cause="The share of a node never changes in a live cluster; the profile's is passed over.",
        fix=Fix(f"in the profile: spec.network.{key}: {mask}", FixKind.EDIT),
    )


def _share(network: Network, mask: int, most: int, found: Plan, profile: NodeProfile) -> Iterator[Finding]:
    wrong = next(share(network, mask), None)
    size = _size(network, mask)
    fix = Fix(share_setting(network, mask, most, live=found.pods.origin == "live"), FixKind.EDIT)
    if wrong and found.pods.origin != "live":
        yield failed(wrong.found, wanted=wrong.wanted, subject=mask_key(network.version), cause=wrong.cause, fix=fix)
        return
    nodes = 1 << max(0, mask - network.prefixlen)
    said = f"/{mask} of {network}: {_amount(nodes)} node{'s' * (nodes != 1)}, {_amount(size)} addresses each, maxPods {most}"
    subject = mask_key(network.version)
    if size < most + BESIDE:
        yield failed(said, wanted=f"at least {most + BESIDE} addresses", subject=subject, fix=fix)
    elif size < 2 * most:
        cause = "Addresses of pods that are gone are not free at once: with fewer than twice maxPods a busy node runs out of them."
        yield warned(said, wanted=f"at least {2 * most} addresses", subject=subject, fix=fix, cause=cause)
    elif nodes == 1 and profile.spec.role != "single-node" and found.pods.origin != "live":
        cause = "The second node gets no share: `CIDRNotAvailable`."
        yield warned(said, wanted="room for other nodes", subject=subject, fix=fix, cause=cause)
    else:
        yield passed(said, subject=subject)


def _size(network: Network, mask: int) -> int:
    return 1 << max(0, _BITS[network.version] - mask)


def _amount(number: int) -> str:
    return str(number) if number < 1 << 17 else f"2^{number.bit_length() - 1}"


CHECKS: tuple[Check, ...] = (resolvers_outside, infrastructure_outside, node_mask)
