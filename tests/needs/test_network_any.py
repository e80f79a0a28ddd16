"""Any profile on any host: disjoint ranges that overlap nothing, or an error that names what is in the way."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_bridges import CniConfig, CniConfigs
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.network_peers import SshPeers
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.network_rules import PolicyRules, Rule
from caasctl.model import CaasError, Facts
from caasctl.needs import network
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.syntax.cidr import Ranges, parse
from caasctl.syntax.cidr.choice import pod_candidates, service_candidates

BASE = load("single-node")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
Network = Any  # of either family


@st.composite
def inside_private(draw: st.DrawFn, shortest: int = 8, longest: int = 32) -> str:
    block = ipaddress.IPv4Network(draw(st.sampled_from(PRIVATE)))
    length = draw(st.integers(max(shortest, block.prefixlen), longest))
    at = draw(st.integers(int(block.network_address), int(block.broadcast_address)))
    return str(ipaddress.IPv4Network((at, length), strict=False))


def around(cidr: str) -> st.SearchStrategy[str]:
    """Near the blocks that are chosen first, where a slip would show."""
    return st.integers(8, 32).map(lambda length: str(ipaddress.ip_network(f"{cidr}/{length}", strict=False)))


SIX = st.builds(
    lambda at, length: str(ipaddress.IPv6Network((0xFD << 120 | at, length), strict=False)),
    st.integers(0, 2**100) | st.sampled_from([0x0010_0244 << 80, 0x0010_0096 << 80, 0x0110_0000 << 80]),
    st.integers(7, 128),
)
FOUR = inside_private() | st.sampled_from(["10.244.3.4", "10.96.0.9", "10.200.1.1", "172.20.0.1"]).flatmap(around)
ANY = st.one_of(FOUR, FOUR, SIX)
ADDRESSES = ANY.map(lambda cidr: cidr.partition("/")[0])
DEFAULTS = st.sampled_from(["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/2", "::/0", "2000::/3"])
ROUTES = st.builds(
    Route,
    st.one_of(ANY, ANY, DEFAULTS),
    st.sampled_from(["", "203.0.113.1"]),
    st.sampled_from(["eth0", "eth1", "tun0", "docker0"]),
    st.sampled_from(["main", "52", "vpn"]),
    st.sampled_from(["unicast", "unicast", "blackhole"]),
)
LINKS = st.builds(
    lambda n, cidr: Link(f"eth{n}", addresses=(Address(cidr.partition("/")[0], int(cidr.partition("/")[2])),)),
    st.integers(1, 9),
    ANY,
)
RULES = st.builds(Rule, st.integers(1, 30000), ANY, st.just("") | ANY, st.sampled_from(["vpn", "main"]))


@st.composite
def hosts(draw: st.DrawFn) -> tuple[object, ...]:
    node = Link("eth0", addresses=(Address("203.0.113.2", 24), Address("2001:db8::2", 64)))
    default = Route("0.0.0.0/0", "203.0.113.1", "eth0")
    wide = draw(st.lists(st.sampled_from(PRIVATE), max_size=4, unique=True))
    return (
        Links((node, *draw(st.lists(LINKS, max_size=4)))),
        Routes((default, *(Route(dst, "203.0.113.1", "eth0") for dst in wide), *draw(st.lists(ROUTES, max_size=8)))),
        PolicyRules(tuple(draw(st.lists(RULES, max_size=3)))),
        Resolvers(tuple(draw(st.lists(ADDRESSES, max_size=3)))),
        SshPeers(tuple(draw(st.lists(ADDRESSES, max_size=2)))),
    )


GIVEN = st.one_of(
    st.just("auto"),
    inside_private(10, 26),
    st.builds(lambda four, six: f"{four},{six}", inside_private(12, 24), SIX),
    SIX,
    st.sampled_from(
        ["10.254.192.244/24", "169.254.0.0/16", "10.244.0.0/16", "10.96.0.0/16", "0.0.0.0/0", "224.0.0.0/8"]
    ),
)
AUTO_OR_GIVEN = st.just("auto") | GIVEN


@st.composite
def profiles(draw: st.DrawFn) -> NodeProfile:
    told = replace(
        BASE.spec.network,
        podCIDR=draw(AUTO_OR_GIVEN),
        serviceCIDR=draw(AUTO_OR_GIVEN),
        nodeCIDRMaskSize=draw(st.sampled_from([24, 24, 24, 26, 20, 12])),
        nodeCIDRMaskSizeIPv6=draw(st.sampled_from([64, 64, 120])),
        avoid=tuple(draw(st.lists(ANY, max_size=2))),
    )
    return replace(BASE, spec=replace(BASE.spec, network=told))


def taken(host: tuple[object, ...], profile: NodeProfile) -> set[Network]:
    """What lies on the host, by a way of its own."""
    facts = Facts(host)
    texts = [address.network for link in facts[Links].links for address in link.addresses]
    texts += [route.dst for route in facts[Routes].routes]
    texts += [route.via for route in facts[Routes].routes if route.via]
    texts += [text for rule in facts[PolicyRules].rules for text in (rule.src, rule.dst) if text]
    texts += [*facts[Resolvers].listed, *facts[SshPeers].addresses, *profile.spec.network.avoid]
    found = {ipaddress.ip_network(text, strict=False) for text in texts}
    return {one for one in found if one.prefixlen >= (8 if one.version == 4 else 7) or one in avoided(profile)}


def avoided(profile: NodeProfile) -> set[Network]:
    return {ipaddress.ip_network(text, strict=False) for text in profile.spec.network.avoid}


def decide(host: tuple[object, ...], profile: NodeProfile) -> Ranges | CaasError:
    try:
        return network.ranges(Facts(host), profile)
    except CaasError as error:
        return error


def overlaps(ours: Network, others: set[Network]) -> bool:
    return any(ours.overlaps(other) for other in others)


@settings(max_examples=200, deadline=None)
@given(hosts(), profiles())
def test_ranges_are_clear_of_everything_or_refused_with_a_reason(
    host: tuple[object, ...], profile: NodeProfile
) -> None:
    found, there = decide(host, profile), taken(host, profile)
    if isinstance(found, Ranges):
        both = (*found.pods, *found.services)
        assert not any(overlaps(one, there) for one in both)
        assert not any(one.overlaps(other) for at, one in enumerate(both) for other in both[at + 1 :])
        assert all(
            one.prefixlen <= mask <= one.prefixlen + 16 for one, mask in zip(found.pods, found.masks, strict=True)
        )
        assert all(one.num_addresses >= 11 for one in both)
        assert profile.spec.network.podCIDR in ("auto", found.pod_subnet)
        assert profile.spec.network.serviceCIDR in ("auto", found.service_subnet)
    else:
        assert found.fix
        assert found.problem.isascii()
        named_in_the_way(found, host, profile, there)


def named_in_the_way(error: CaasError, host: tuple[object, ...], profile: NodeProfile, there: set[Network]) -> None:
    """An error that speaks of what lies there names one that does, and no error speaks of it where nothing does."""
    plan = network.plan(Facts(host), profile)
    told = [one for one in plan.both if one.origin == "profile"]
    hit = [one for one in told if any(overlaps(net, there) for net in one.networks)]
    if hit:
        assert any(
            way.what in error.problem and overlaps(net, {way.network})
            for one in told
            for way in one.in_the_way
            for net in one.networks
        )
    elif "no block is free" in error.problem:
        named = [way for one in plan.both for way in one.in_the_way if way.what in error.problem]
        blocks = {
            *pod_candidates(4, 24),
            *service_candidates(4),
            *pod_candidates(6, 64),
            *pod_candidates(6, 120),
            *service_candidates(6),
        }
        beside = [one for one in told if f"the range of {one.use}" in error.problem]
        assert named or beside
        assert beside or any(overlaps(way.network, blocks) for way in named)
    else:
        assert "overlaps" not in error.problem or "reserved" in error.problem


@settings(max_examples=150, deadline=None)
@given(hosts(), profiles())
def test_a_proposed_range_is_taken(host: tuple[object, ...], profile: NodeProfile) -> None:
    """What the fix says is itself no longer refused for what lies there."""
    plan = network.plan(Facts(host), profile)
    for one in plan.both:
        if one.origin == "profile" and one.free:
            assert not any(overlaps(block, taken(host, profile)) for block in one.free)


@settings(max_examples=200, deadline=None)
@given(hosts(), profiles(), st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(host: tuple[object, ...], profile: NodeProfile, random: Any) -> None:
    def shuffled(fact: Any, key: str) -> object:
        items = list(getattr(fact, key))
        random.shuffle(items)
        return replace(fact, **{key: tuple(items)})

    links, routes, rules, resolvers, peers = host
    other = (
        shuffled(links, "links"),
        shuffled(routes, "routes"),
        shuffled(rules, "rules"),
        shuffled(resolvers, "listed"),
        shuffled(peers, "addresses"),
    )
    first, second = decide(host, profile), decide(other, profile)
    assert said(first) == said(second)


def said(found: Ranges | CaasError) -> object:
    return (found.problem, found.cause, found.fix) if isinstance(found, CaasError) else found


@settings(max_examples=200, deadline=None)
@given(hosts(), profiles(), st.booleans())
def test_what_was_chosen_is_chosen_again_after_it_was_applied(
    host: tuple[object, ...],
    profile: NodeProfile,
    live: bool,  # noqa: FBT001
) -> None:
    """With a control plane; and without its manifests, when only Cilium's traces are there."""
    found = decide(host, profile)
    if isinstance(found, Ranges):
        assert decide(after(host, found, live=live), profile) == found
        assert decide(after(host, found, live=True), BASE).pod_subnet == found.pod_subnet  # type: ignore[union-attr]


def after(host: tuple[object, ...], found: Ranges, *, live: bool) -> tuple[object, ...]:
    links, routes, rules, resolvers, peers = host
    own = [str(one[1]) for one in found.pods]
    made = Link("cilium_host", "veth", addresses=tuple(Address(ip, 128 if ":" in ip else 32) for ip in own))
    ways = [
        Route(str(next(one.subnets(new_prefix=mask))), ip, "cilium_host")
        for one, mask, ip in zip(found.pods, found.masks, own, strict=True)
    ]
    ways += [Route(str(one), ip, "cilium_host") for one, ip in zip(found.pods, own, strict=True)]
    ways += [Route(f"{one[2]}/{one.max_prefixlen}", dev="lxc0123456789ab") for one in found.pods]
    ways += [Route("0.0.0.0/0", own[0], "cilium_host", table="2005")]
    if live:  # another node's share, by autoDirectNodeRoutes
        shares = [
            list(one.subnets(new_prefix=mask))[-1]
            for one, mask in zip(found.pods, found.masks, strict=True)
            if mask - one.prefixlen < 9
        ]
        ways += [Route(str(share), "203.0.113.7", "eth0") for share in shares]
    masks = {
        f"node-cidr-mask-size-ipv{one.version}": str(mask) for one, mask in zip(found.pods, found.masks, strict=True)
    }
    plane = ControlPlane(
        {
            "kube-apiserver": {"service-cluster-ip-range": found.service_subnet},
            "kube-controller-manager": {"cluster-cidr": found.pod_subnet, **masks},
        }
        if live
        else {}
    )
    cni = CniConfigs((CniConfig("/etc/cni/net.d/05-cilium.conflist", "cilium", ("cilium-cni",)),))
    return (
        replace(links, links=(*links.links, made)),  # type: ignore[type-var, attr-defined]
        replace(routes, routes=(*routes.routes, *ways)),  # type: ignore[type-var, attr-defined]
        rules, resolvers, peers, plane, cni,
    )  # fmt: skip


def test_two_ranges_of_a_profile_stand_for_all() -> None:
    """The strategies reach what they are meant to: a host where the usual blocks are free, and one where none is."""
    host = (Links((Link("eth0", addresses=(Address("203.0.113.2", 24),)),)), Routes(()))
    assert parse("10.244.0.0/16") == network.ranges(Facts(host), BASE).pods
