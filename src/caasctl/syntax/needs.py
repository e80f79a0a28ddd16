"""What a node of a profile needs of its kernel: modules, settings, options. Checks and phases ask the same functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from caasctl.profile import NodeProfile


class SysctlNeed(NamedTuple):
    """value: as the kernel prints it. minimum: a higher number is as good. module: without it the key does not exist."""

    value: str
    minimum: bool = False
    module: str = ""


_ALWAYS = {
    "net.ipv4.ip_forward": SysctlNeed("1"),
    "net.bridge.bridge-nf-call-iptables": SysctlNeed("1", module="br_netfilter"),
    "fs.inotify.max_user_instances": SysctlNeed("8192", minimum=True),
    "fs.inotify.max_user_watches": SysctlNeed("524288", minimum=True),
    "vm.overcommit_memory": SysctlNeed("1"),
    "vm.panic_on_oom": SysctlNeed("0"),
    "kernel.panic": SysctlNeed("10"),
    "kernel.panic_on_oops": SysctlNeed("1"),
    "kernel.keys.root_maxkeys": SysctlNeed("1000000"),
    "kernel.keys.root_maxbytes": SysctlNeed("25000000"),
}
_IPV6 = {"net.bridge.bridge-nf-call-ip6tables": SysctlNeed("1", module="br_netfilter")}
_IPV6_PODS = {
    "net.ipv6.conf.all.forwarding": SysctlNeed("1"),
    "net.ipv6.conf.default.forwarding": SysctlNeed("1"),
}
KUBEADM_REQUIRED = [
    "NAMESPACES",
    "NET_NS",
    "PID_NS",
    "IPC_NS",
    "UTS_NS",
    "CGROUPS",
    "CGROUP_BPF",
    "CGROUP_PIDS",
    "CGROUP_SCHED",
    "CPUSETS",
    "MEMCG",
    "INET",
    "EXT4_FS",
    "PROC_FS",
    "FAIR_GROUP_SCHED",
    "NETFILTER_XT_MATCH_COMMENT",
    "NETFILTER_XT_TARGET_REDIRECT",
]
KUBEADM_OPTIONAL = ["BLK_DEV_DM", "CFS_BANDWIDTH", "SECCOMP", "SECCOMP_FILTER", "CGROUP_HUGETLB"]
CONTAINERD_REQUIRED = ("OVERLAY_FS",)
KATA_REQUIRED = ["KVM", "VHOST_NET", "VHOST_VSOCK"]
GPU_REQUIRED = ["IOMMU_SUPPORT", "VFIO", "VFIO_PCI"]
EITHER = {"NETFILTER_XT_TARGET_REDIRECT": "IP_NF_TARGET_REDIRECT"}  # the second is as good as the first


def modules(flags: frozenset[str], profile: NodeProfile) -> tuple[str, ...]:
    """Modules to be loaded, in order; the KVM module follows the CPU's flags, none where it has neither."""
    kvm = {"vmx": "kvm_intel", "svm": "kvm_amd"}
    kata = ("vhost_vsock", "vhost_net", *(module for flag, module in kvm.items() if flag in flags))
    return ("overlay", "br_netfilter", *(kata if profile.kata_handlers else ()))


def sysctls(profile: NodeProfile, *, ipv6: bool, pods_ipv6: bool = False) -> Mapping[str, SysctlNeed]:
    """Kernel settings by key. ipv6: whether the host has it. pods_ipv6: whether its pods get it without the profile's word."""
    pods = _IPV6_PODS if ipv6 and (pods_ipv6 or ipv6_pods(profile)) else {}
    return {**_ALWAYS, **(_IPV6 if ipv6 else {}), **pods}


def ipv6_pods(profile: NodeProfile) -> bool:
    """Whether pods get IPv6. Only then is it forwarded: a host that forwards no longer takes router advertisements."""
    cilium = profile.spec.cilium.values.get("ipv6")
    return ":" in profile.spec.network.podCIDR or (isinstance(cilium, Mapping) and cilium.get("enabled") is True)


ALL_KEYS = (*_ALWAYS, *_IPV6, *_IPV6_PODS)


def options(profile: NodeProfile) -> Mapping[str, str]:
    """Kernel options without which something does not work: option -> who needs it."""
    wanted = dict.fromkeys(KUBEADM_REQUIRED, "kubeadm")
    wanted |= dict.fromkeys(CONTAINERD_REQUIRED, "containerd")
    if profile.kata_handlers:
        wanted |= dict.fromkeys(KATA_REQUIRED, "Kata")
    if profile.spec.gpu.passthrough == "required" or "kata-qemu-nvidia-gpu" in profile.spec.runtimes:
        wanted |= dict.fromkeys(GPU_REQUIRED, "GPU passthrough")
    return wanted


def optional_options() -> Mapping[str, str]:
    """Kernel options whose absence costs a feature: option -> who uses it."""
    return dict.fromkeys(KUBEADM_OPTIONAL, "kubeadm")


def lacking(there: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Options that are neither built in nor a module, nor have the alternative that is as good: option -> who wants it."""
    built = {name for name, value in there.items() if value in ("y", "m")}
    return {name: who for name, who in wanted.items() if name not in built and EITHER.get(name) not in built}


def met(need: SysctlNeed, value: str | None) -> bool:
    """Whether a live or configured value will do."""
    if value is None:
        return False
    if need.minimum and value.isdigit():
        return int(value) >= int(need.value)
    return value == need.value


def keeps_swap(profile: NodeProfile) -> bool:
    """Whether the profile's kubelet runs with swap on: `failSwapOn: false`."""
    return profile.spec.kubernetes.kubelet.get("failSwapOn") is False
