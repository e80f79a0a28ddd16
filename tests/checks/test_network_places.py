"""The ranges of a live cluster in all places that name them, seen agreeing and differing."""

from __future__ import annotations

from dataclasses import replace

from caasctl.checks import network_places, network_ranges
from caasctl.facts.cilium import CiliumLive, NodeRanges
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.others import Service

POOL = {
    "ipam": "cluster-pool",
    "cluster-pool-ipv4-cidr": "10.244.0.0/16",
    "cluster-pool-ipv4-mask-size": "24",
    "cluster-pool-ipv6-cidr": "fd00::/104",
}
LIVE = CiliumLive(asked=True, installed=True, version="1.20.5", config=POOL,
                  nodes=(NodeRanges("node1", ("10.244.0.0/24",), ("10.244.0.0/24",)),))  # fmt: skip
MANAGER = {"cluster-cidr": "10.244.0.0/16", "service-cluster-ip-range": "10.96.0.0/16", "allocate-node-cidrs": "true"}
PLANE = ControlPlane(
    {"kube-controller-manager": MANAGER, "kube-apiserver": {"service-cluster-ip-range": "10.96.0.0/16"}}
)
API = ClusterApi(
    asked=True, answers=True, configuration="networking:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/16\n"
)
OBJECTS = LiveObjects(asked=True, services=(Service("default", "kubernetes", ("10.96.0.1",)),))


def plane(**manager: str) -> ControlPlane:
    told = {**MANAGER, **{key.replace("_", "-"): value for key, value in manager.items()}}
    return ControlPlane({**PLANE.arguments, "kube-controller-manager": told})


def judge(check: Check, *facts: object) -> list[Finding]:
    known = {type(one): one for one in (LIVE, PLANE, API, OBJECTS, *facts)}
    return list(findings(check, Facts(known.values()), load()))


def one(check: Check, *facts: object) -> Finding:
    (found,) = judge(check, *facts)
    return found


def test_places_that_agree_pass_and_are_all_shown() -> None:
    found = one(network_places.pod_cidr_places)
    assert (found.level, found.found) == (Level.PASS, "10.244.0.0/16 in 5 places")
    assert [place.excerpt for place in found.evidence] == [
        "kubeadm-config podSubnet: 10.244.0.0/16",
        "controller-manager --cluster-cidr: 10.244.0.0/16",
        "cilium-config cluster-pool-ipv4-cidr: 10.244.0.0/16",
        "CiliumNode node1: 10.244.0.0/24",
        "Node node1 podCIDRs: 10.244.0.0/24",
    ]
    smaller = replace(LIVE, config={**POOL, "cluster-pool-ipv4-cidr": "10.244.0.0/17"})
    assert one(network_places.pod_cidr_places, smaller).level is Level.PASS
    assert (
        judge(network_places.pod_cidr_places, CiliumLive())
        == judge(network_places.pod_cidr_places, ControlPlane())
        == []
    )


def test_a_pool_that_nobody_chose_is_named_with_the_share_of_it() -> None:
    config = {**POOL, "cluster-pool-ipv4-cidr": "10.0.0.0/8"}
    found = one(
        network_places.pod_cidr_places,
        replace(LIVE, config=config, nodes=(NodeRanges("node1", ("10.244.0.0/24",), ("10.0.0.0/24",)),)),
    )
    assert (found.level, found.subject) == (Level.FAIL, "cilium-config cluster-pool-ipv4-cidr")
    assert found.found == "cilium-config cluster-pool-ipv4-cidr 10.0.0.0/8; CiliumNode node1 10.0.0.0/24"
    assert found.wanted == "10.244.0.0/16, as in the other places"
    assert len(found.evidence) == 5


def test_the_place_that_differs_is_the_one_that_the_others_outvote() -> None:
    configured = replace(API, configuration="networking:\n  podSubnet: 10.50.0.0/16\n")
    found = one(network_places.pod_cidr_places, configured)
    assert (found.subject, found.found) == ("kubeadm-config podSubnet", "kubeadm-config podSubnet 10.50.0.0/16")
    assert found.fix
    assert found.fix.text.startswith("kubectl -n kube-system edit configmap kubeadm-config")
    edited = one(network_places.pod_cidr_places, plane(cluster_cidr="10.50.0.0/16"))
    assert edited.subject == "controller-manager --cluster-cidr"


def test_a_node_without_a_share_is_what_cidr_not_available_means() -> None:
    """The field report's: the controller manager has one /24 and gives shares of /24, Cilium has its own default."""
    nodes = (NodeRanges("node1", (), ("10.0.0.0/24",)),)
    live = replace(LIVE, config={**POOL, "cluster-pool-ipv4-cidr": "10.0.0.0/8"}, nodes=nodes)
    seed = replace(API, configuration="networking:\n  podSubnet: 10.254.192.244/24\n")
    differs, without = judge(network_places.pod_cidr_places, live, plane(cluster_cidr="10.254.192.0/24"), seed)
    assert differs.found == "cilium-config cluster-pool-ipv4-cidr 10.0.0.0/8; CiliumNode node1 10.0.0.0/24"
    assert (without.level, without.found) == (Level.FAIL, "Node node1: no podCIDR")
    assert "CIDRNotAvailable" in without.cause
    assert without.fix
    assert without.fix.text.endswith("kube-controller-manager.yaml: --allocate-node-cidrs=false")
    kubernetes = replace(live, config={"ipam": "kubernetes"})
    (found,) = judge(network_places.pod_cidr_places, kubernetes)
    assert found.fix
    assert "node-cidr-mask-size" in found.fix.text
    assert one(network_places.pod_cidr_places, replace(LIVE, nodes=(NodeRanges("node1", (), ("10.244.0.0/24",)),)),
               plane(allocate_node_cidrs="false")).level is Level.PASS  # fmt: skip


def test_masks_that_do_not_fit_are_found() -> None:
    longer = one(network_places.pod_cidr_places, replace(LIVE, config={**POOL, "cluster-pool-ipv4-mask-size": "26"}))
    assert (longer.level, longer.found) == (Level.FAIL, "cilium-config /26, controller-manager /24")
    small = plane(cluster_cidr="10.244.0.0/25")
    api = replace(API, configuration="networking:\n  podSubnet: 10.244.0.0/25\n")
    live = replace(LIVE, config={**POOL, "cluster-pool-ipv4-cidr": "10.244.0.0/25"}, nodes=())
    found = one(network_places.pod_cidr_places, live, small, api)
    assert found.found == "nodes get a /24 each of 10.244.0.0/25"


def test_services_have_one_range_everywhere() -> None:
    found = one(network_places.service_cidr_places)
    assert (found.level, found.found) == (Level.PASS, "10.96.0.0/16 in 4 places")
    assert judge(network_places.service_cidr_places, ControlPlane()) == []
    other = one(network_places.service_cidr_places, plane(service_cluster_ip_range="10.97.0.0/16"))
    assert (other.level, other.found) == (Level.FAIL, "controller-manager --service-cluster-ip-range 10.97.0.0/16")
    old = one(
        network_places.service_cidr_places,
        replace(OBJECTS, services=(Service("default", "kubernetes", ("10.60.0.1",)),)),
    )
    assert old.subject == "Service default/kubernetes"


def test_a_live_cluster_whose_services_have_the_hosts_own_network_is_found_as_it_runs() -> None:
    """The field report's last page: `no route to host`, since serviceSubnet was the network of the machines."""
    host = (Links((Link("ens3", addresses=(Address("10.254.192.244", 24),)),)),
            Routes((Route("0.0.0.0/0", "10.254.192.1", "ens3"), Route("10.254.192.0/24", dev="ens3", scope="link"))))  # fmt: skip
    for written in ("10.254.192.0/24", "10.254.192.244/24"):
        live = ControlPlane(
            {
                "kube-apiserver": {"service-cluster-ip-range": written},
                "kube-controller-manager": {"cluster-cidr": "10.244.0.0/16"},
            }
        )
        (found,) = findings(network_ranges.service_cidr_free, Facts([*host, live]), load())
        assert found.level is Level.FAIL
        assert "10.254.192.0/24 overlaps ens3 10.254.192.244/24" in found.found
