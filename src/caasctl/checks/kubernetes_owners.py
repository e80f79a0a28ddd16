"""Does somebody else run Kubernetes' programs here: snaps that refresh themselves, another runtime behind the CRI?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.kubernetes_leftovers import CNI_FOLDER, CniFiles
from caasctl.facts.kubernetes_owners import OtherRuntimes, Snaps
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile

_ENDPOINT = re.compile(r"--container-runtime-endpoint[= ](\S+)")
_SERVICES = ("kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd")


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


CHECKS: tuple[Check, ...] = (snaps, other_runtime)
