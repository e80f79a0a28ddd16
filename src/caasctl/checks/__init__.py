"""Claims about a node, each a pure function of facts and profile. Each topic's file lists its own CHECKS."""

from caasctl.checks import (
    boot,
    boot_grub,
    boot_hugepages,
    boot_useless,
    cgroup,
    iommu,
    kata,
    kata_host,
    network,
    network_firewall,
    network_kernel,
    network_names,
    os,
    os_settings,
    os_system,
)
from caasctl.model import Check

CHECKS: tuple[Check, ...] = (
    *os.CHECKS,
    *os_settings.CHECKS,
    *os_system.CHECKS,
    *cgroup.CHECKS,
    *boot.CHECKS,
    *boot_grub.CHECKS,
    *boot_useless.CHECKS,
    *boot_hugepages.CHECKS,
    *iommu.CHECKS,
    *network.CHECKS,
    *network_kernel.CHECKS,
    *network_firewall.CHECKS,
    *network_names.CHECKS,
    *kata.CHECKS,
    *kata_host.CHECKS,
)
