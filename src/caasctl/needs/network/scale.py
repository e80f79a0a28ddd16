"""The cluster's ranges and all that this host uses on one scale, with what overlaps what."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from caasctl.model import Facts
from caasctl.needs.network.plan import Plan, Range, none_free, plan
from caasctl.needs.network.taken import obstacles
from caasctl.pictures import Drawn, Scale, Span
from caasctl.profile import NodeProfile
from caasctl.syntax.cidr import IPV4, IPV6, Network
from caasctl.syntax.cidr.obstacles import Obstacle

MOST = 40
_ORIGINS = {
    "live": "in use by the cluster",
    "profile": "of the profile",
    "auto": "chosen by caasctl: nothing here uses it",
}
_GAP = 2.0  # what nobody has between two ranges, beside 2 for a single address and 1 more for each bit of a range
Placed = Mapping[Network, tuple[float, float]]


def drawn(facts: Facts, profile: NodeProfile) -> Drawn:
    """Raises FactUnread."""
    found = plan(facts, profile)
    ranges = tuple(_range(one, network, found) for one in found.both for network in one.networks)
    taken = [one for one in obstacles(facts, profile) if _matters(one, found)]
    scales = (_scale(family, ranges, taken, found) for family in (IPV4, IPV6))
    return Drawn(tuple(_notes(found)), tuple(scale for scale in scales if scale.spans))


def _matters(one: Obstacle, found: Plan) -> bool:
    """What every host has is drawn only where it is in the way."""
    everywhere = one.kind == "reserved" or one.network.is_link_local or one.network.is_loopback
    return not everywhere or bool(_overlaps(one.network, found, ""))


def _overlaps(network: Network, found: Plan, own: str) -> tuple[str, ...]:
    ranges = ((one, each) for one in found.both for each in one.networks if one.use != own)
    return tuple(f"{one.use} {each}" for one, each in ranges if each.overlaps(network))


def _range(one: Range, network: Network, found: Plan) -> Span:
    share = dict(zip(found.pods.networks, found.masks, strict=False)).get(network) if one.use == "pods" else None
    told = f"{one.use}{f', a /{share} of it for each node' if share else ''}"
    by = f"spec.network.{one.key}" if one.origin == "profile" else ""
    source = ": ".join(said for said in (_ORIGINS.get(one.origin, one.origin), by) if said)
    return Span(str(network), told, source, one.use, overlaps=_overlaps(network, found, one.use))


def _scale(family: int, ranges: Iterable[Span], taken: Sequence[Obstacle], found: Plan) -> Scale:
    fit = [_taken(one, found) for one in taken if one.network.version == family]
    bad, good = [span for span in fit if span.overlaps], [span for span in fit if not span.overlaps]
    # The widest: hosts with a routing daemon have routes by the hundred.
    kept = bad[:MOST] + good[: max(0, MOST - len(bad))]
    spans = [span for span in ranges if ipaddress.ip_network(span.cidr).version == family] + kept
    at = placed(ipaddress.ip_network(span.cidr) for span in spans)
    drawn = [_at(span, *at[ipaddress.ip_network(span.cidr)]) for span in spans]
    order = {str(network): place for place, network in enumerate(at)}
    drawn.sort(key=lambda span: order[span.cidr])
    return Scale(family, tuple(drawn), len(fit) - len(kept), max(0, len(bad) - MOST))


def _taken(one: Obstacle, found: Plan) -> Span:
    return Span(
        str(one.network), one.what, one.source, overlaps=_overlaps(one.network, found, ""), possible=one.possible
    )


def _at(span: Span, left: float, width: float) -> Span:
    return replace(span, left=left, width=width)


def placed(networks: Iterable[Network]) -> Placed:
    """Left and width of each in percent, by address. Order, nesting and overlaps are true; lengths count the bits of a range."""
    every = sorted(set(networks), key=lambda one: (int(one.network_address), one.prefixlen))
    ends = {one: (int(one.network_address), int(one.broadcast_address) + 1) for one in every}
    marks = sorted({mark for pair in ends.values() for mark in pair})
    at, here = {marks[0]: 0.0} if marks else {}, 0.0
    for first, last in pairwise(marks):
        taken = any(start <= first and last <= end for start, end in ends.values())
        here += 2 + (last - first).bit_length() - 1 if taken else _GAP
        at[last] = here
    return {
        one: (round(100 * at[start] / here, 3), round(100 * (at[end] - at[start]) / here, 3))
        for one, (start, end) in ends.items()
    }


def _notes(found: Plan) -> Iterable[str]:
    for one in found.both:
        if one.origin == "cluster":
            yield f"The range of {one.use} is told by the cluster that this node joins."
        elif not one.networks and one.wrong:
            yield f"No range for {one.use}: {one.wrong[0].found}"
        elif not one.networks:
            yield f"No block is free for {one.use}: {none_free(one, found)}"
