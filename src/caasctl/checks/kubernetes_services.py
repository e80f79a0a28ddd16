"""What pods of a running cluster count on: its DNS, and volumes for their claims."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from caasctl.facts.kubernetes import Kubelet
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile
from caasctl.syntax.live.others import Claim, Service, Workload

_NAMESPACE, _DNS = "kube-system", "kube-dns"
_ADDON = "kubeadm init phase addon coredns --kubeconfig /etc/kubernetes/admin.conf"
_KUBELET = "/var/lib/kubelet/config.yaml"
_BY_HAND = "kubernetes.io/no-provisioner"


@check(
    "kubernetes.coredns",
    "CoreDNS is installed, and its Service with it",
    reads=(LiveObjects,),
    why="CoreDNS was never installed (kubeadm ended before its addons), or was removed: no name of the cluster, and none outside of it, is answered to pods.",
    fix="kubeadm brings it as an addon.",
    source="https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-init-phase/#cmd-phase-addon",
)
def coredns(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Service kube-dns in kube-system, and a deployment or daemonset of CoreDNS behind it."""
    objects = facts[LiveObjects]
    if not objects.asked:
        return
    if _service(objects) is None:
        yield failed(
            "no Service kube-dns in kube-system", wanted="CoreDNS and its Service", subject="service", fix=Fix(_ADDON)
        )
    elif objects.whole and _made(objects) is None and not _ready(objects):
        yield failed(
            "no deployment coredns, and nothing behind kube-dns", wanted="CoreDNS", subject="coredns", fix=Fix(_ADDON)
        )
    else:
        yield passed("Service kube-dns" + (" and what answers behind it" if objects.whole else ""))


@check(
    "kubernetes.cluster_dns",
    "Names of the cluster are answered where pods ask",
    reads=(LiveObjects,),
    after=("kubernetes.coredns",),
    why="Pods ask the address that the kubelet gives them; without a CoreDNS behind it every name takes 10 s and fails:"
    " `Temporary failure in name resolution`.",
    fix="Service kube-dns, its endpoints and clusterDNS of the kubelet must fit together.",
    source="https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/",
)
def cluster_dns(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Service and endpoints of CoreDNS in kube-system, clusterDNS in /var/lib/kubelet/config.yaml, the service range."""
    objects = facts[LiveObjects]
    service = _service(objects)
    if service is None:
        return
    bad = (*_address(service, facts), *_range(service, facts), *_behind(objects))
    yield from bad
    if not bad:
        yield passed(f"{', '.join(service.ips)}" + (f", {_ready(objects)} behind it" if objects.whole else ""))


def _service(objects: LiveObjects) -> Service | None:
    return next((one for one in objects.services if (one.namespace, one.name) == (_NAMESPACE, _DNS)), None)


def _made(objects: LiveObjects) -> Workload | None:
    return objects.workload("Deployment", _NAMESPACE, "coredns") or objects.workload("DaemonSet", _NAMESPACE, "coredns")


def _ready(objects: LiveObjects) -> int:
    return sum(one.ready for one in objects.endpoints if (one.namespace, one.service) == (_NAMESPACE, _DNS))


def _address(service: Service, facts: Facts) -> Iterator[Finding]:
    """A node-local cache on a link-local address asks the service itself."""
    kubelet = facts.get(Kubelet)
    told = (kubelet.config or {}).get("clusterDNS") if kubelet else None
    given = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    if given and not set(given) & set(service.ips) and not any(_link_local(one) for one in given):
        ip = service.ips[0] if service.ips else "the address of kube-dns"
        yield failed(f"the kubelet gives pods {', '.join(given)}, kube-dns has {', '.join(service.ips) or 'none'}", wanted=ip,
                     subject="clusterDNS", cause="Pods ask an address where nobody answers.",
                     fix=Fix(f"in {_KUBELET}: clusterDNS: [{ip}], then systemctl restart kubelet; pods that run keep the old one",
                             FixKind.EDIT), evidence=(Evidence(_KUBELET, f"clusterDNS: {', '.join(given)}"),))  # fmt: skip


def _link_local(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_link_local
    except ValueError:
        return False


def _range(service: Service, facts: Facts) -> Iterator[Finding]:
    plane = facts.get(ControlPlane)
    told = plane.services if plane else ""
    try:
        networks = [ipaddress.ip_network(part.strip(), strict=False) for part in told.split(",") if part]
        outside = [
            ip
            for ip in service.ips
            if networks and not any(ipaddress.ip_address(ip) in network for network in networks)
        ]
    except ValueError:
        return  # network.cidr_valid says so
    if outside:
        yield failed(f"kube-dns has {', '.join(outside)}, outside of {told}", wanted=f"an address in {told}", subject="range",
                     cause="The range of services was changed under a live cluster: what was made before keeps its address, and nobody"
                     " routes it.", fix=Fix(f"kubectl -n kube-system delete service kube-dns && {_ADDON}"))  # fmt: skip


def _behind(objects: LiveObjects) -> Iterator[Finding]:
    """Only an administrator sees endpoints and deployments."""
    if objects.whole and not _ready(objects):
        made = _made(objects)
        slices = [one for one in objects.endpoints if (one.namespace, one.service) == (_NAMESPACE, _DNS)]
        there = sum(one.others for one in slices) or (made.wanted if made else 0)
        yield failed(f"0 of {there} CoreDNS ready", wanted="one at least", subject="endpoints",
                     cause="CoreDNS is there and does not run, or does not find its own way out.",
                     fix=Fix("kubectl -n kube-system describe pods -l k8s-app=kube-dns"))  # fmt: skip


@check(
    "kubernetes.storage_class",
    "Volumes that pods claim can be made",
    reads=(LiveObjects,),
    why="kubeadm brings no storage: a claim that names no StorageClass, where none is the default, waits for ever, and its pod stays"
    " Pending: `pod has unbound immediate PersistentVolumeClaims`.",
    fix="Install a provisioner and make its StorageClass the default, or name one in the claim.",
    source="https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass",
)
def storage_class(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """PersistentVolumeClaims that are Pending, StorageClasses, and the warnings about the claims."""
    claims = facts[LiveObjects].claims
    bad = [found for claim in claims if claim.phase == "Pending" for found in _pending(claim, facts)]
    yield from bad
    if claims and not bad:
        yield passed(f"{sum(claim.phase == 'Bound' for claim in claims)} of {len(claims)} bound")


def _pending(claim: Claim, facts: Facts) -> Iterator[Finding]:
    classes = {one.name: one for one in facts[LiveObjects].storage}
    default = next((one for one in classes.values() if one.default), None)
    named = claim.storage_class
    if named is None and default is None:
        have = f"of {', '.join(classes)} none is the default" if classes else "there is no StorageClass"
        mend = f"kubectl annotate storageclass {next(iter(classes))} storageclass.kubernetes.io/is-default-class=true" if classes \
            else "install a provisioner (local-path-provisioner, say), and make its StorageClass the default"  # fmt: skip
        yield _unbound(claim, f"names no StorageClass, and {have}", mend)
    elif named and named not in classes:
        yield _unbound(
            claim,
            f"names StorageClass {named}, there is {', '.join(classes) or 'none'}",
            f"make StorageClass {named}, or name another",
        )
    else:
        yield from _not_made(claim, facts)


def _not_made(claim: Claim, facts: Facts) -> Iterator[Finding]:
    """One that waits for its first pod is well; so is one of which nobody complains."""
    one = next(
        (
            one
            for one in facts[LiveObjects].storage
            if one.name == claim.storage_class or (claim.storage_class is None and one.default)
        ),
        None,
    )
    pods = facts.get(LivePods)
    about = [event for event in pods.events if (event.kind, event.namespace, event.name) ==
             ("PersistentVolumeClaim", claim.namespace, claim.name)] if pods else []  # fmt: skip
    used = any(claim.name in pod.claims and pod.namespace == claim.namespace for pod in pods.pods) if pods else False
    if about:
        yield _unbound(
            claim,
            f"{about[0].reason}: {about[0].message[:300]}",
            f"kubectl -n {claim.namespace} describe pvc {claim.name}",
        )
    elif claim.storage_class == "" or (one and one.provisioner == _BY_HAND and (used or not one.waits)):
        yield _unbound(
            claim,
            "waits for a volume that somebody makes by hand",
            "make a PersistentVolume that fits its size, class and access modes",
        )


def _unbound(claim: Claim, found: str, fix: str) -> Finding:
    return failed(found, wanted="bound", subject=claim.full,
                  fix=Fix(fix, FixKind.COMMAND if fix.startswith("kubectl") else FixKind.EDIT))  # fmt: skip


CHECKS: tuple[Check, ...] = (coredns, cluster_dns, storage_class)
