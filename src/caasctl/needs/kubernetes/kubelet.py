"""KubeletConfiguration: hardened, with resources held back for the host, as Kata needs it, the profile's fields last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caasctl.facts.gpu import PciFunctions
from caasctl.facts.network_dns import Resolvers
from caasctl.facts.os import Cpu, Memory
from caasctl.model import Facts
from caasctl.profile import GPU_HANDLER, NodeProfile

KIND = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
POD_RESOURCES_GET_DEFAULT = (1, 34)  # feature gate KubeletPodResourcesGet: alpha 1.27, on by default since
DEFAULT_MAX_PODS = 110
_POD_PIDS = 4096
_KIB_PER_MIB = 1024
_STEP_MIB = 64  # a kernel that reserves a little more must not change what is held back
# Kubelet's own thresholds, all of them: where one is set, the others are 0.
_EVICTION = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
# Of each CPU in turn, in thousandths: what kubelet and containerd take, as managed clusters reserve it.
_CPU_SHARES = (60, 10, 5, 5)
_CPU_REST = 2.5


def configuration(facts: Facts, profile: NodeProfile, dns: tuple[str, ...]) -> dict[str, Any]:
    """The whole document for the node that begins a cluster. dns: addresses of the cluster's DNS service."""
    ours = {
        **KIND,
        "cgroupDriver": "systemd",
        "clusterDNS": [*dns[:1]],  # the service has an address of the first family only
        "clusterDomain": profile.spec.network.dnsDomain,
        "failSwapOn": True,
        "seccompDefault": True,
        "podPidsLimit": _POD_PIDS,
        "protectKernelDefaults": True,  # phase host makes these settings
        "rotateCertificates": True,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 5,
        "evictionHard": dict(_EVICTION),
        **_of_this_host(facts, profile),
    }
    return overlaid(ours, profile.spec.kubernetes.kubelet)


def joining_patch(facts: Facts, profile: NodeProfile) -> dict[str, Any]:
    """For a node that joins, a merge patch: what is its own in the configuration that it gets from the cluster."""
    return overlaid(_of_this_host(facts, profile), profile.spec.kubernetes.kubelet)


def _of_this_host(facts: Facts, profile: NodeProfile) -> dict[str, Any]:
    own: dict[str, Any] = {"resolvConf": facts[Resolvers].path, **_reserved(facts, profile)}
    functions = facts.get(PciFunctions)
    handlers = profile.handlers(gpus=bool(functions and functions.selected(profile.spec.gpu)))
    if handlers:  # a guest with many GPUs or much memory takes minutes; no less than Kata's own patience with it
        own["runtimeRequestTimeout"] = "20m0s" if GPU_HANDLER in handlers else "15m0s"
        if profile.spec.kubernetes.minor < POD_RESOURCES_GET_DEFAULT:
            own["featureGates"] = {"KubeletPodResourcesGet": True}
    return own


def _reserved(facts: Facts, profile: NodeProfile) -> dict[str, Any]:
    """By what never changes: CPUs and memory of the machine. Never more than a tenth of its memory for either."""
    total_mib = facts[Memory].total_kib // _KIB_PER_MIB
    pods = profile.spec.kubernetes.kubelet.get("maxPods")
    for_pods = 255 + 11 * (pods if isinstance(pods, int) else DEFAULT_MAX_PODS)
    kube, system = (_steps(min(wanted, total_mib // 10)) for wanted in (for_pods, max(256, total_mib // 100)))
    return {
        "kubeReserved": {"cpu": f"{kube_cpu(facts[Cpu].count)}m", "memory": f"{kube}Mi"},
        "systemReserved": {"cpu": "100m", "memory": f"{min(system, 4096)}Mi"},
    }


def _steps(mib: int) -> int:
    return max(_STEP_MIB, mib // _STEP_MIB * _STEP_MIB)


def kube_cpu(count: int) -> int:
    """Thousandths of a CPU held back on a machine with so many."""
    return round(sum(_CPU_SHARES[:count]) + max(0, count - len(_CPU_SHARES)) * _CPU_REST)


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, key by key where both are mappings."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = overlaid(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
