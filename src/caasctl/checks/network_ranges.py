"""The ranges of pods and services: what they may be, and that nothing else has their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_bridges import DAEMON
from caasctl.facts.network_routes import Routes
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.network import OPTIONAL, Plan, Range, live_fix, none_free, plan, shown
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.cidr import parse, words
from caasctl.syntax.cidr.judge import Wrong, judge
from caasctl.syntax.cidr.judge import families as wrong_families

_GATES = ("kubeadm", "cilium")
_KUBEADM = "kubernetes: cmd/kubeadm/app/apis/kubeadm/validation/validation.go"
_MANY = 12  # obstacles shown as evidence


@check(
    "network.cidr_valid",
    "The ranges of pods and services are ones that Kubernetes takes",
    reads=(Links, Routes, ControlPlane),
    why="kubeadm stops at a range that is too small or too large, but takes an address for its network without a word, and"
    " ranges that other programs give a meaning of their own.",
    fix="Name networks with zero host bits out of private space in spec.network, or leave them auto.",
    source=_KUBEADM,
    gates=_GATES,
)
def cidr_valid(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.network.podCIDR and serviceCIDR by kubeadm's rules and IANA's registries; the ranges of a live control plane."""
    found = plan(facts, profile)
    for one in found.both:
        yield from _valid(one, profile)
    for wrong in wrong_families(found.pods.networks, found.services.networks) if not found.live else ():
        yield _wrong(wrong, "serviceCIDR", f"in the profile: spec.network.serviceCIDR: {AUTO}")


def _valid(one: Range, profile: NodeProfile) -> Iterator[Finding]:
    text = getattr(profile.spec.network, one.key)
    if one.origin == "live" and text != AUTO and set(parse(text)) != set(one.networks):
        yield warned(
            f"{text} in the profile, {words(one.networks)} in the live cluster",
            wanted=words(one.networks),
            subject=one.key,
            cause="The range of a live cluster never changes: its pods, services and certificates hold addresses of it. The"
            " profile's is passed over.",
            fix=Fix(f"in the profile: spec.network.{one.key}: {words(one.networks)}", FixKind.EDIT),
        )
    elif one.origin == "profile" and one.wrong:
        yield from (_wrong(wrong, one.key, _setting(one, wrong)) for wrong in one.wrong)
    elif one.origin == "auto" and (unwise := next(judge(words(one.networks), one.use), None)):
        fix = Range(one.key, one.use, "auto").setting  # caasctl has chosen the best that it can see
        yield warned(f"{unwise.found}, and chosen for want of another", wanted=unwise.wanted, subject=one.key,
                     cause=unwise.cause, fix=Fix(fix, FixKind.EDIT))  # fmt: skip
    elif one.networks:
        yield passed(f"{words(one.networks)}, {_ORIGINS[one.origin]}", subject=one.key)


_ORIGINS = {"live": "of the live cluster", "profile": "of the profile", "auto": "chosen"}


def _setting(one: Range, wrong: Wrong) -> str:
    """A range that works but is not wise is replaced by leaving the choice to caasctl."""
    return one.setting if wrong.fatal else f"in the profile: spec.network.{one.key}: {AUTO}"


def _wrong(wrong: Wrong, key: str, fix: str) -> Finding:
    finding = failed if wrong.fatal else warned
    return finding(wrong.found, wanted=wrong.wanted, subject=key, cause=wrong.cause, fix=Fix(fix, FixKind.EDIT))


@check(
    "network.cidrs_disjoint",
    "Pods and services have ranges of their own",
    reads=(Links, Routes, ControlPlane),
    why="Neither kubeadm nor the controller manager looks: an address that is a pod's and a service's at once reaches one of"
    " the two, and which one differs from node to node.",
    fix="Name two networks that do not overlap as spec.network.podCIDR and serviceCIDR, or leave one of them auto.",
    source=f"{_KUBEADM} (has no such rule)",
    gates=_GATES,
)
def cidrs_disjoint(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Both ranges, of the profile, of the live cluster or chosen, by arithmetic."""
    found = plan(facts, profile)
    said = f"pods {words(found.pods.networks)}, services {words(found.services.networks)}"
    if found.clashes:
        one = found.services if found.services.free or found.pods.origin != "profile" else found.pods
        live = found.pods.origin == found.services.origin == "live"
        fix = (
            "kubeadm reset, then `caasctl init-node` with other ranges: live ranges cannot change"
            if live
            else one.setting
        )
        yield failed(said, wanted="ranges without a common address", fix=Fix(fix, FixKind.EDIT))
    elif found.pods.networks and found.services.networks:
        yield passed(said)


@check(
    "network.pod_cidr_free",
    "No other network has addresses of the pods' range",
    reads=(Links, Routes, ControlPlane),
    why="Cilium takes packets to the whole range for pods': machines with such addresses, the SSH session's among them, are no"
    " longer reached from this node and its pods, and nothing is logged.",
    fix="Leave spec.network.podCIDR auto, or name a network that the site does not use; name what caasctl cannot see as"
    " spec.network.avoid. Names of servers are looked up in /etc/hosts only, never in DNS.",
    source="cilium#42383, cilium#13766; https://docs.cilium.io (cluster-pool IPAM)",
    gates=_GATES,
)
def pod_cidr_free(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Addresses of interfaces, routes of all tables, policy rules, gateways, resolvers, proxies, SSH sessions, mounted storage,
    time servers, registries, CNI configurations, Docker's pools, spec.network.avoid.
    """
    found = plan(facts, profile)
    yield from _free(found.pods, found, facts)


@check(
    "network.service_cidr_free",
    "No other network has addresses of the services' range",
    reads=(Links, Routes, ControlPlane),
    why="Cilium rewrites packets to addresses of services on their way out: a machine with such an address is no longer reached,"
    " or answers in place of the service.",
    fix="Leave spec.network.serviceCIDR auto, or name a network that the site does not use; name what caasctl cannot see as"
    " spec.network.avoid. Names of servers are looked up in /etc/hosts only, never in DNS.",
    source="https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/",
    gates=_GATES,
)
def service_cidr_free(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """What network.pod_cidr_free looks at."""
    found = plan(facts, profile)
    yield from _free(found.services, found, facts)


def _free(one: Range, found: Plan, facts: Facts) -> Iterator[Finding]:
    evidence = tuple(Evidence(way.source, way.what) for way in one.in_the_way[:_MANY])
    if one.origin == "auto" and not one.networks and not one.wrong:  # network.node_mask says what is wrong
        yield _none(one, found, evidence)
    elif one.blockers:
        yield failed(
            f"{words(one.networks)} overlaps {shown(one.blockers)}",
            wanted="a network that nothing else here uses",
            fix=Fix(live_fix(one) if one.origin == "live" else one.setting, FixKind.EDIT),
            evidence=evidence,
        )
    elif one.in_the_way:
        yield _possible(one, evidence)
    elif one.networks:
        yield passed(f"{words(one.networks)}, {_ORIGINS[one.origin]}: clear of {_counted(found, facts)}")


def _none(one: Range, found: Plan, evidence: tuple[Evidence, ...]) -> Finding:
    said = f"no block is free: {none_free(one, found)}"
    return failed(said, wanted=f"a free block for {one.use}", fix=Fix(one.setting, FixKind.EDIT), evidence=evidence)


def _counted(found: Plan, facts: Facts) -> str:
    unread = [said for kind, said in OPTIONAL.items() if kind in facts.unread()]
    beside = f"; not known: {', '.join(unread)}" if unread else ""
    return f"{found.looked_at} networks and addresses in use{beside}"


def _possible(one: Range, evidence: tuple[Evidence, ...]) -> Finding:
    docker = any(way.what.startswith("Docker") for way in one.in_the_way)
    pools = f'{DAEMON}: "default-address-pools" outside of {words(one.networks)}' if docker else live_fix(one)
    return warned(
        f"{words(one.networks)} overlaps {shown(one.in_the_way)}",
        wanted="a network that nothing else will take",
        cause="Nothing has these addresses yet, but the next network that is made by that program may take them.",
        fix=Fix(pools if one.origin == "live" else one.setting, FixKind.EDIT),
        evidence=evidence,
    )


CHECKS: tuple[Check, ...] = (cidr_valid, cidrs_disjoint, pod_cidr_free, service_cidr_free)
