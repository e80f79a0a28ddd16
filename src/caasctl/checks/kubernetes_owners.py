"""Does somebody else run Kubernetes here: another distribution, snaps that refresh themselves, another runtime behind the CRI?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_leftovers import CNI_FOLDER, CniFiles
from caasctl.facts.kubernetes_owners import OtherCluster, OtherClusters, OtherRuntimes, Snaps
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.packages import READS, installs
from caasctl.profile import NodeProfile

_ENDPOINT = re.compile(r"--container-runtime-endpoint[= ](\S+)")
_SERVICES = ("kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd")


_FIRST = "with all its pods and volumes: move what is needed first"
_SNAP = (
    "takes its pods, volumes, images, certificates and datastore{}; or leave this host to it, and make another the node"
)
_REMOVE = {  # others bring a program for it
    "k0s": f"k0s stop && k0s reset   # {_FIRST}",
    "microk8s": "snap remove --purge microk8s   # first `microk8s kubectl drain NODE`, then `microk8s leave`; "
    + _SNAP.format(""),
    "Canonical Kubernetes": "snap remove --purge k8s   # first, on another node of it: `k8s kubectl drain NODE`, `k8s remove-node NODE`; "
    + _SNAP.format(", and its /etc/containerd, /var/lib/containerd and /opt/cni/bin"),
}


@check(
    "kubernetes.other_cluster",
    "No other Kubernetes is on this host",
    reads=(Cluster, OtherClusters, *READS),
    why="Two Kubernetes on one host share ports 6443 and 10250, /etc/cni/net.d and the firewall: one of them does not start.",
    fix="Take the other one down with its own program, or give this one another host.",
    source="documentation of k3s, RKE2, k0s, MicroK8s and Canonical Kubernetes, uninstalling",
    gates=("packages", "containerd", "kubeadm"),
)
def other_cluster(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Units, programs, snaps and folders of k3s, rke2, k0s, microk8s and Canonical Kubernetes; files of a cluster on a host without its kubelet."""
    others, clusters = facts[Cluster].others, facts[OtherClusters]
    names = dict.fromkeys((*(name for name, _ in others), *(cluster.name for cluster in clusters.clusters)))
    for name in names:
        yield _other(name, tuple(path for other, path in others if other == name), clusters.of(name))
    orphaned = facts[Cluster].begun and "kubelet" in installs(facts, profile)
    if orphaned:
        yield _orphaned()
    if not names and not orphaned:
        yield passed("none")


def _orphaned() -> Finding:
    return failed(
        "files of a cluster in /etc/kubernetes, and no kubelet",
        wanted="a host of no cluster, or the kubelet of the one that it is of",
        subject="kubeadm",
        cause="A kubelet that is installed now starts on these files, and goes back to whatever cluster they are of.",
        fix=Fix("to keep the node, install the kubelet and kubeadm of its cluster's version; if that cluster is gone:"
                " rm -r /etc/kubernetes /var/lib/kubelet /var/lib/etcd", FixKind.EDIT),
    )  # fmt: skip


def _other(name: str, paths: tuple[str, ...], cluster: OtherCluster | None) -> Finding:
    if cluster is None:
        return warned(f"{name} is gone, its files are not: {', '.join(paths)}", wanted="nothing left of it", subject=name,
                      cause="They do no harm but for the room that they take, and hold the keys of the cluster that was.",
                      fix=Fix(f"look whether anybody needs them, then: rm -r {' '.join(paths)}", FixKind.EDIT))  # fmt: skip
    state = "runs" if cluster.running else "is installed, and does not run now"
    where = ", ".join((*cluster.units, *cluster.snaps, *paths)) or cluster.remove
    remove = _REMOVE.get(name) or (f"{cluster.remove}   # {_FIRST}" if cluster.remove else "")
    return failed(
        f"{name} {state}: {where}",
        wanted="no other Kubernetes",
        subject=name,
        cause=f"{name} brings its own kubelet, containerd and network, and holds ports 6443 and 10250.",
        fix=Fix(remove)
        if remove
        else Fix(f"systemctl disable --now {' '.join(cluster.units)}, and remove it as it was installed", FixKind.EDIT),
    )


@check(
    "kubernetes.snaps",
    "Kubernetes' programs are no snaps",
    reads=(Snaps,),
    why="A snap is refreshed by itself, to any version of its channel, and restarts what it serves; a kubelet in a snap is a"
    " second one, on the same ports.",
    fix="Remove the snaps; the phase packages installs the programs at the profile's version.",
    source="https://snapcraft.io/docs/managing-updates",
    gates=("packages", "kubeadm"),
)
def snaps(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/var/lib/snapd/snaps."""
    names = facts[Snaps].names
    services = [name for name in names if name in _SERVICES]
    tools = [name for name in names if name in ("kubeadm", "kubectl", "helm")]
    if services:
        yield failed(f"snaps: {', '.join(services)}", wanted="no snap that runs a service of Kubernetes", subject="services",
                     fix=Fix(f"snap remove --purge {' '.join(services)}"))  # fmt: skip
    if tools:
        yield warned(f"snaps: {', '.join(tools)}", wanted="programs that stay at their version", subject="programs",
                     cause="A snap is refreshed by itself, to any version of its channel: kubeadm and kubectl leave the cluster's.",
                     fix=Fix(f"snap remove {' '.join(tools)}   # or keep them: snap refresh --hold {' '.join(tools)}"))  # fmt: skip
    if not services and not tools:
        yield passed("none")


@check(
    "kubernetes.other_runtime",
    "The kubelet runs on containerd, and no other runtime is in the way",
    reads=(OtherRuntimes, Kubelet, Cluster, CniFiles),
    why="kubeadm and crictl by hand stop with `Found multiple CRI endpoints on the host`; each runtime writes its own network into"
    " /etc/cni/net.d.",
    fix="Stop the runtime that the node does not use.",
    source="kubernetes: cmd/kubeadm/app/util/runtime; cri-o: contrib/cni",
    gates=("packages", "containerd", "kubeadm"),
)
def other_runtime(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Units of CRI-O and cri-dockerd, the kubelet's runtime endpoint, podman's networks in /etc/cni/net.d."""
    runtimes, endpoint = facts[OtherRuntimes], _endpoint(facts[Kubelet]) if facts[Cluster].begun else ""
    units = dict(runtimes.installed)
    if endpoint:
        yield failed(f"the kubelet of a cluster uses {endpoint}", wanted="a kubelet on containerd", subject="kubelet",
                     cause="This node's cluster was made on another runtime: its pods would all be lost with a change of it.",
                     fix=Fix("drain the node and `kubeadm reset` it with that runtime still running, or keep it as it is and do"
                             " not make it a node of caasctl", FixKind.EDIT))  # fmt: skip
    for name in runtimes.running:
        yield warned(f"{name} runs ({units[name]})", wanted="containerd alone", subject=name,
                     fix=Fix(f"systemctl disable --now {units[name]}"))  # fmt: skip
    podman = [name for name in facts[CniFiles].names if "podman" in name]
    if podman:
        files = ", ".join(f"{CNI_FOLDER}/{name}" for name in podman)
        yield warned(files, wanted="podman's networks elsewhere", subject="podman",
                     cause="Cilium renames every network of others in this folder: podman's containers then find theirs no more.",
                     fix=Fix("podman system reset --force, with netavark as network_backend in /etc/containers/containers.conf;"
                             " it removes podman's containers", FixKind.EDIT))  # fmt: skip
    if not runtimes.running and not podman and not endpoint:
        there = ", ".join(f"{name} installed, not running" for name in units)
        yield passed(there or "containerd alone")


def _endpoint(kubelet: Kubelet) -> str:
    """The socket that it is told to use: a flag goes before the file; "" where that is containerd's, or nothing is said."""
    told = _ENDPOINT.findall(kubelet.flags) or [str((kubelet.config or {}).get("containerRuntimeEndpoint") or "")]
    socket = str(told[-1]).removeprefix("unix://")
    return "" if socket.endswith("/containerd/containerd.sock") else socket


CHECKS: tuple[Check, ...] = (other_cluster, snaps, other_runtime)
