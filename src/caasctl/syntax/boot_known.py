"""Kernel arguments that stand against a node, and those that do nothing: what each is known to do."""

from __future__ import annotations

from typing import NamedTuple


class Opposed(NamedTuple):
    """An argument that stands against the node. item: of its value, "" for any, "true" for a yes, "false" for a no.

    about: cgroup, iommu (of weight where devices are passed through), or tenants (a warning: the node works). instead: our argument that overrides it, "" where only its removal helps.
    """

    name: str
    item: str
    about: str
    why: str
    instead: str = ""


_WITHOUT = (
    'the kernel leaves the controller out of cgroup v2 as well; kubeadm stops with "missing required cgroups: ..."'
)
OPPOSED = (
    Opposed("systemd.unified_cgroup_hierarchy", "false", "cgroup",
            "systemd mounts the v1 hierarchies; kubelet 1.35 and later does not start on them "
            '("kubelet is configured to not run on a host using cgroup v1")', "systemd.unified_cgroup_hierarchy=1"),
    Opposed("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE", "true", "cgroup",
            "it lets systemd 256 and 257 boot with cgroup v1, which they otherwise refuse"),
    *(Opposed("cgroup_disable", controller, "cgroup", _WITHOUT) for controller in ("memory", "cpu", "cpuset", "pids")),
    Opposed("intel_iommu", "off", "iommu", "VT-d stays off although the firmware announces it: /sys/class/iommu stays empty",
            "intel_iommu=on"),
    Opposed("amd_iommu", "off", "iommu", "AMD-Vi stays off although the firmware announces it, and nothing later turns it on"),
    Opposed("iommu", "off", "iommu", "every IOMMU stays off, and no later argument takes that back"),
    Opposed("iommu", "soft", "iommu", "it asks for bounce buffers in place of the IOMMU"),
    Opposed("intremap", "off", "iommu",
            'interrupts are not remapped; VFIO then refuses with "No interrupt remapping support"'),
    Opposed("intremap", "nosid", "iommu", "a passed-through device may send interrupts in another device's name"),
    Opposed("noapic", "", "iommu", "without the IO-APIC interrupts cannot be remapped, and VFIO refuses every device"),
    Opposed("pcie_acs_override", "", "iommu",
            "the out-of-tree patch behind it shows IOMMU groups as separate that can still reach each other"),
    Opposed("vfio_iommu_type1.allow_unsafe_interrupts", "true", "iommu",
            "a guest can then send interrupts to the host and to other guests"),
    Opposed("mitigations", "off", "tenants",
            "a guest or pod can then read memory of the host and of other tenants through the processor (Meltdown, L1TF, MDS)"),
)  # fmt: skip


class Useless(NamedTuple):
    """An argument that does nothing. unless: a word for the condition under which it would."""

    name: str
    item: str
    why: str
    instead: str = ""
    unless: str = ""


USELESS = (
    Useless("amd_iommu", "on", "the kernel answers \"AMD-Vi: Unknown option - 'on'\"; AMD-Vi is on wherever the firmware "
            "announces it"),
    Useless("intel_iommu", "pt", 'the kernel answers "Unknown option"; pass-through mode is another argument', "use iommu=pt"),
    Useless("iommu", "on", "iommu= knows no such value", "use intel_iommu=on on Intel"),
    Useless("cgroup_enable", "memory", "upstream kernels do not know it; the memory controller is on"),
    Useless("swapaccount", "1", "swap accounting is always on in cgroup v2; the argument is gone or only warns"),
    Useless("rd.driver.pre", "", "only dracut reads rd.driver.pre=; this host's initramfs is made by initramfs-tools",
            "name the module in /etc/initramfs-tools/modules", unless="dracut"),
    Useless("video", "efifb:off", "this kernel has no efifb; simpledrm draws on the firmware's framebuffer",
            "use initcall_blacklist=sysfb_init where the GPU is the boot display", unless="efifb"),
)  # fmt: skip
