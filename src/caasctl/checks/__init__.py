"""Claims about a node, each a pure function of facts and profile. Each topic's file lists its own CHECKS."""

from caasctl.checks import (
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
    *network.CHECKS,
    *network_kernel.CHECKS,
    *network_firewall.CHECKS,
    *network_names.CHECKS,
    *kata.CHECKS,
    *kata_host.CHECKS,
)
