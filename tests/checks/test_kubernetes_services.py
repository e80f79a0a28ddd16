"""The cluster's DNS and claims for volumes, seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import kubernetes_services
from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.live.others import Claim, Endpoints, Service, StorageClass, Workload
from caasctl.syntax.live.pods import Event, Pod

DNS = Service("kube-system", "kube-dns", ("10.96.0.10",))
BEHIND = Endpoints("kube-system", "kube-dns", 2)
COREDNS = Workload("Deployment", "kube-system", "coredns", 2, 2)
OBJECTS = LiveObjects(asked=True, services=(DNS,), endpoints=(BEHIND,), workloads=(COREDNS,))
KUBELET = Kubelet(installed=True, config={"clusterDNS": ["10.96.0.10"]})
PLANE = ControlPlane({"kube-apiserver": {"service-cluster-ip-range": "10.96.0.0/16"}})
LOCAL = StorageClass("local-path", "rancher.io/local-path", waits=True, default=True)


def judge(check: Check, *facts: object) -> list[Finding]:
    known = {type(one): one for one in (OBJECTS, KUBELET, PLANE, *facts)}
    return list(findings(check, Facts(known.values()), load()))


def dns(*facts: object) -> list[Finding]:
    return judge(kubernetes_services.cluster_dns, *facts)


def test_a_dns_that_fits_together_passes() -> None:
    (found,) = dns()
    assert (found.level, found.found) == (Level.PASS, "10.96.0.10, 2 behind it")
    assert dns(LiveObjects()) == []
    assert dns(replace(OBJECTS, whole=False, endpoints=(), workloads=()))[0].level is Level.PASS
    assert dns(Kubelet(installed=True, config={"clusterDNS": ["169.254.20.10"]}))[0].level is Level.PASS
    assert dns(Kubelet(installed=True))[0].level is Level.PASS


@pytest.mark.parametrize(
    ("fact", "subject", "said"),
    [
        (replace(OBJECTS, endpoints=(replace(BEHIND, ready=0, others=2),)), "endpoints", "0 of 2 CoreDNS ready"),
        (replace(OBJECTS, endpoints=()), "endpoints", "0 of 2 CoreDNS ready"),
        (
            Kubelet(installed=True, config={"clusterDNS": ["10.96.0.11"]}),
            "clusterDNS",
            "the kubelet gives pods 10.96.0.11, kube-dns has 10.96.0.10",
        ),
        (
            ControlPlane({"kube-apiserver": {"service-cluster-ip-range": "10.60.0.0/20"}}),
            "range",
            "outside of 10.60.0.0/20",
        ),
    ],
)
def test_each_part_of_it_that_does_not_fit_is_named(fact: object, subject: str, said: str) -> None:
    (found,) = dns(fact)
    assert (found.level, found.subject) == (Level.FAIL, subject)
    assert said in found.found
    assert found.fix


@pytest.mark.parametrize(
    ("fact", "subject", "said"),
    [
        (replace(OBJECTS, services=()), "service", "no Service kube-dns"),
        (replace(OBJECTS, workloads=(), endpoints=()), "coredns", "no deployment coredns"),
    ],
)
def test_a_coredns_that_is_not_there_is_a_matter_of_its_own(fact: LiveObjects, subject: str, said: str) -> None:
    (found,) = judge(kubernetes_services.coredns, fact)
    assert (found.level, found.subject) == (Level.FAIL, subject)
    assert said in found.found
    assert "addon coredns" in (found.fix.text if found.fix else "")


def test_a_coredns_that_is_there_passes_whoever_asks() -> None:
    assert judge(kubernetes_services.coredns)[0].level is Level.PASS
    assert judge(kubernetes_services.coredns, LiveObjects()) == []
    assert (
        judge(kubernetes_services.coredns, replace(OBJECTS, whole=False, endpoints=(), workloads=()))[0].level
        is Level.PASS
    )
    assert judge(kubernetes_services.coredns, replace(OBJECTS, workloads=()))[0].level is Level.PASS


@pytest.mark.parametrize("range_", ["", "10.96.0.0/99", "x"])
def test_a_range_that_is_none_says_nothing_of_the_dns(range_: str) -> None:
    assert dns(ControlPlane({"kube-apiserver": {"service-cluster-ip-range": range_}}))[0].level is Level.PASS
    assert dns(Kubelet(installed=True, config={"clusterDNS": "x"}))[0].level is Level.PASS
    assert dns(Kubelet(installed=True, config={"clusterDNS": ["x", 1]}))[0].level is Level.FAIL


def volumes(claim: Claim, *classes: StorageClass, events: tuple[Event, ...] = ()) -> list[Finding]:
    pod = Pod("a", "p", claims=("data",))
    return judge(
        kubernetes_services.storage_class,
        replace(OBJECTS, claims=(claim,), storage=classes),
        LivePods(True, "n", True, (pod,), events),
    )


def test_a_claim_that_is_bound_or_waits_for_its_pod_is_well() -> None:
    (found,) = volumes(Claim("a", "data", "Bound", "local-path", "pvc-1"), LOCAL)
    assert (found.level, found.found) == (Level.PASS, "1 of 1 bound")
    assert volumes(Claim("a", "data", "Pending", "local-path"), LOCAL)[0].level is Level.PASS
    assert judge(kubernetes_services.storage_class) == []


@pytest.mark.parametrize(
    ("claim", "classes", "said", "fix"),
    [
        (
            Claim("a", "data", "Pending"),
            (),
            "names no StorageClass, and there is no StorageClass",
            "install a provisioner",
        ),
        (
            Claim("a", "data", "Pending"),
            (replace(LOCAL, default=False),),
            "of local-path none is the default",
            "kubectl annotate storageclass local-path",
        ),
        (
            Claim("a", "data", "Pending", "fast"),
            (LOCAL,),
            "names StorageClass fast, there is local-path",
            "make StorageClass fast",
        ),
        (Claim("a", "data", "Pending", ""), (LOCAL,), "by hand", "PersistentVolume"),
        (
            Claim("a", "data", "Pending", "hand"),
            (StorageClass("hand", "kubernetes.io/no-provisioner", waits=True),),
            "by hand",
            "PersistentVolume",
        ),
    ],
)
def test_a_claim_that_waits_for_ever_says_why(
    claim: Claim, classes: tuple[StorageClass, ...], said: str, fix: str
) -> None:
    (found,) = volumes(claim, *classes)
    assert (found.level, found.subject) == (Level.FAIL, "a/data")
    assert said in found.found
    assert found.fix
    assert fix in found.fix.text


def test_a_provisioner_that_fails_is_quoted() -> None:
    event = Event("PersistentVolumeClaim", "a", "data", "ProvisioningFailed", "no node was specified")
    (found,) = volumes(Claim("a", "data", "Pending", "local-path"), LOCAL, events=(event,))
    assert found.found == "ProvisioningFailed: no node was specified"
