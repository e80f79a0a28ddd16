"""The ranges of the cluster: those that live, those that the profile names, else the first blocks that nothing here uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Facts
from caasctl.needs.network.live import Live, families, live_ranges
from caasctl.needs.network.shares import mask_key, max_pods, share_setting
from caasctl.needs.network.taken import obstacles
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import IPV4, IPV6, Network, Ranges, parse, words
from caasctl.syntax.cidr import judge as rules
from caasctl.syntax.cidr.choice import first_free, pair, pod_candidates, pod_lengths, service_candidates
from caasctl.syntax.cidr.judge import Use, Wrong
from caasctl.syntax.cidr.obstacles import Obstacle, Taken

_SHOWN = 5
_MASKS = {IPV4: 24, IPV6: 64}  # to propose a block by where the profile's own share fits none


@dataclass(frozen=True)
class Range:
    """One of the two ranges. origin: live, profile, auto (chosen here), cluster (told by the cluster that is joined).

    networks: () where no block is free, and where the cluster tells. in_the_way: what overlaps them, or all that there
    is to choose from. wrong: by itself. free: what to write instead, () where nothing is free.
    """

    key: str
    use: Use
    origin: Literal["live", "profile", "auto", "cluster"]
    networks: tuple[Network, ...] = ()
    in_the_way: tuple[Obstacle, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    free: tuple[Network, ...] = ()

    @property
    def blockers(self) -> tuple[Obstacle, ...]:
        """What is in the way now, not only possibly."""
        now = tuple(one for one in self.in_the_way if not one.possible)
        return self.in_the_way if self.origin == "auto" else now

    @property
    def setting(self) -> str:
        """What to write into the profile."""
        if self.free:
            return f"in the profile: spec.network.{self.key}: {words(self.free)}"
        return f"ask whoever runs the network for a free private block and name it in the profile as spec.network.{self.key}"


@dataclass(frozen=True)
class Plan:
    """Both ranges. masks: of a node's share, one for each network of the pods. looked_at: obstacles without the reserved."""

    pods: Range
    services: Range
    masks: tuple[int, ...]
    looked_at: int
    live: Live | None = None

    @property
    def both(self) -> tuple[Range, Range]:
        return self.pods, self.services

    @property
    def clashes(self) -> tuple[tuple[Network, Network], ...]:
        """Pods' and services' networks that overlap."""
        return tuple((a, b) for a in self.pods.networks for b in self.services.networks if a.overlaps(b))


def plan(facts: Facts, profile: NodeProfile) -> Plan:
    """What the ranges are to be, and all that speaks against it. Raises FactUnread."""
    return facts.once(_plan, profile)


def _plan(facts: Facts, profile: NodeProfile) -> Plan:
    live, found = live_ranges(facts), obstacles(facts, profile)
    network, order = profile.spec.network, families(facts, profile)
    pods = _given("podCIDR", "pods", network.podCIDR, live.pods if live else (), profile)
    services = _given("serviceCIDR", "services", network.serviceCIDR, live.services if live else (), profile)
    masks = _masks(profile, live)
    pods, services = _chosen(pods, services, order, masks, found)
    pods, services = _judged(pods, found), _judged(services, found)
    pods, services = _with_free(pods, services, order, masks, found)
    shares = tuple(masks[one.version] for one in pods.networks)
    return Plan(pods, services, shares, sum(one.kind != "reserved" for one in found), live)


def _masks(profile: NodeProfile, live: Live | None) -> dict[int, int]:
    network = profile.spec.network
    own = {IPV4: network.nodeCIDRMaskSize, IPV6: network.nodeCIDRMaskSizeIPv6}
    return {family: live.mask(family) if live else own[family] for family in own}


def _given(key: str, use: Use, text: str, live: tuple[Network, ...], profile: NodeProfile) -> Range:
    if live:
        return Range(key, use, "live", live)
    if text != AUTO:
        return Range(key, use, "profile", parse(text), wrong=tuple(rules.judge(text, use)))
    return Range(key, use, "auto" if profile.begins_cluster else "cluster")


def _chosen(
    pods: Range, services: Range, order: Sequence[int], masks: dict[int, int], found: Iterable[Obstacle]
) -> tuple[Range, Range]:
    """Blocks for what is auto."""
    if "auto" not in (pods.origin, services.origin):
        return pods, services
    for_pods, for_services = _blocks(pods, services, order, masks, found)
    return _filled(pods, for_pods, order, masks, found), _filled(services, for_services, order, masks, found)


def _blocks(
    pods: Range, services: Range, order: Sequence[int], masks: dict[int, int], found: Iterable[Obstacle]
) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
    """For each family the first free block of what is auto; a family that has none is left out."""
    taken = Taken((*(one.network for one in found), *pods.networks, *services.networks))
    for_pods: list[Network | None] = []
    for_services: list[Network | None] = []
    for family in order:
        if pods.origin == services.origin == "auto":
            one, other = pair(family, masks[family], taken)
        else:
            one = first_free(pod_candidates(family, masks[family]), taken)
            other = first_free(service_candidates(family), taken)
        for_pods.append(one)
        for_services.append(other)
    return tuple(one for one in for_pods if one), tuple(one for one in for_services if one)


def _filled(
    one: Range, blocks: tuple[Network, ...], order: Sequence[int], masks: dict[int, int], found: Iterable[Obstacle]
) -> Range:
    if one.origin != "auto":
        return one
    if len(blocks) == len(order):
        return Range(one.key, one.use, one.origin, blocks, free=blocks)
    have = {block.version for block in blocks}
    left = [family for family in order if family not in have]
    unfit = tuple(_unfit(family, masks[family]) for family in left if not _candidates(one.use, family, masks[family]))
    wide = Taken(block for family in left for block in _candidates(one.use, family, masks[family]))
    way = _widest(o for o in found if wide.overlaps(o.network))
    return Range(one.key, one.use, one.origin, in_the_way=way, wrong=unfit)


def _unfit(family: int, mask: int) -> Wrong:
    return Wrong(
        f"no block for pods can be shared out to nodes by {mask_key(family)} {mask}",
        f"{_MASKS[family]}, or podCIDR named too",
        "kubeadm takes at most 16 bits between the pods' range and a node's share of it.",
    )


def _candidates(use: Use, family: int, mask: int) -> tuple[Network, ...]:
    return pod_candidates(family, mask) if use == "pods" else service_candidates(family)


def _widest(found: Iterable[Obstacle]) -> tuple[Obstacle, ...]:
    """Without those that lie inside another; they come wide ones first."""
    kept: dict[Network, Obstacle] = {}
    for one in found:
        network = one.network
        if not any(network.supernet(new_prefix=length) in kept for length in range(network.prefixlen + 1)):
            kept[network] = one
    return tuple(kept.values())


def _judged(one: Range, found: Iterable[Obstacle]) -> Range:
    if one.origin not in ("live", "profile"):
        return one
    way = tuple(o for o in found if any(network.overlaps(o.network) for network in one.networks))
    return Range(one.key, one.use, one.origin, one.networks, way, one.wrong)


def _with_free(
    pods: Range, services: Range, order: Sequence[int], masks: dict[int, int], found: Iterable[Obstacle]
) -> tuple[Range, Range]:
    """The next free blocks in place of ranges of the profile that will not do; of two that overlap each other, services give way."""
    clash = any(a.overlaps(b) for a in pods.networks for b in services.networks)
    bad_pods = pods.origin == "profile" and (bool(pods.in_the_way) or any(one.fatal for one in pods.wrong))
    bad_services = services.origin == "profile" and (
        bool(services.in_the_way) or any(one.fatal for one in services.wrong) or (clash and not bad_pods)
    )
    bad_pods = bad_pods or (clash and services.origin == "live" and pods.origin == "profile")
    if not bad_pods and not bad_services:
        return pods, services
    sought = (
        Range(pods.key, pods.use, "auto") if bad_pods else pods,
        Range(services.key, services.use, "auto") if bad_services else services,
    )
    usable = {family: mask if pod_lengths(family, mask) else _MASKS[family] for family, mask in masks.items()}
    for_pods, for_services = _blocks(*sought, order, usable, found)
    bad_pods, bad_services = (bad or _lacks(one) for bad, one in ((bad_pods, pods), (bad_services, services)))
    return _proposing(pods, for_pods, order, bad=bad_pods), _proposing(services, for_services, order, bad=bad_services)


def _lacks(one: Range) -> bool:
    """Whether nothing was free, perhaps only because of the other range, which is to be replaced."""
    return one.origin == "auto" and not one.networks and not one.wrong


def _proposing(one: Range, blocks: tuple[Network, ...], order: Sequence[int], *, bad: bool) -> Range:
    whole = bad and len(blocks) == len(order)
    return Range(one.key, one.use, one.origin, one.networks, one.in_the_way, one.wrong, blocks if whole else one.free)


def ranges(facts: Facts, profile: NodeProfile) -> Ranges:
    """The cluster's ranges: disjoint, and clear of all that this node uses; those of a live cluster as they are, whatever
    came into their way since (the checks say so). Raises CaasError naming what is in the way, or that this node is told its
    ranges by the cluster that it joins; FactUnread.
    """
    found = plan(facts, profile)
    for (
        one
    ) in found.both:  # what lies there explains most, and a choice may fail for what is wrong with the other range
        _raise_for_blockers(one)
    for one in sorted(found.both, key=lambda one: one.origin != "profile"):
        _raise_for(one, found)
    for pods, services in found.clashes if "profile" in (found.pods.origin, found.services.origin) else ():
        raise CaasError(
            f"pods {pods} and services {services} overlap",
            cause="an address would be a pod's and a service's at once",
            fix=(found.services if found.services.free else found.pods).setting,
        )
    for network, mask in zip(found.pods.networks, found.masks, strict=True) if found.live is None else ():
        for wrong in rules.share(network, mask):
            fix = share_setting(network, mask, max_pods(profile), live=False)
            raise CaasError(f"a node's share: {wrong.found}", cause=wrong.cause, fix=fix)
    for wrong in rules.families(found.pods.networks, found.services.networks):
        raise CaasError(wrong.found, cause=wrong.cause, fix=f"in the profile: spec.network.serviceCIDR: {AUTO}")
    return Ranges(found.pods.networks, found.services.networks, found.masks)


def _raise_for_blockers(one: Range) -> None:
    if one.blockers and one.origin == "profile":
        raise CaasError(
            f"the range of {one.use} {words(one.networks)} overlaps {shown(one.blockers)}",
            cause="the cluster would take packets that are meant for those machines",
            fix=one.setting,
        )


def _raise_for(one: Range, found: Plan) -> None:
    if one.origin == "cluster":
        raise CaasError(
            f"spec.network.{one.key} is auto on a node that joins a cluster",
            cause="the cluster has its ranges already, and tells them to the nodes that join",
            fix=f"name the cluster's range in the profile as spec.network.{one.key}",
        )
    if one.origin == "auto" and not one.networks:
        raise _none_free(one, found)
    fatal = next((wrong for wrong in one.wrong if wrong.fatal and one.origin == "profile"), None)
    if fatal:
        raise CaasError(f"spec.network.{one.key}: {fatal.found}", cause=fatal.cause, fix=one.setting)


def _none_free(one: Range, found: Plan) -> CaasError:
    for wrong in one.wrong:
        told = ", ".join(f"{mask_key(family)}: {length}" for family, length in _MASKS.items())
        return CaasError(wrong.found, cause=wrong.cause, fix=f"in the profile: spec.network: {{{told}}}")
    return CaasError(
        f"no block is free for {one.use}: {none_free(one, found)}",
        cause="every block that caasctl chooses from overlaps a network that this node uses",
        fix=one.setting,
    )


def none_free(one: Range, found: Plan) -> str:
    """All that is in the way of a choice, the other range where it is not to be moved."""
    other = found.services if one.use == "pods" else found.pods
    way = one.in_the_way or other.in_the_way
    beside = f"the range of {other.use} {words(other.networks)}" if other.networks else ""
    return "in the way are " + " and ".join(said for said in (shown(way), beside) if said)


def shown(found: Sequence[Obstacle]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(one.what for one in found[:_SHOWN]) + more


def live_fix(one: Range) -> str:
    return f"take {(one.blockers or one.in_the_way)[0].what} out of {words(one.networks)}: a live range of {one.use} cannot change"
