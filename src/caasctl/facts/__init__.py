"""What is known of a host: one probe for each fact. Each topic's file lists its own PROBES."""

from caasctl.facts import os, os_swap, os_sysctl, os_system
from caasctl.protocol import Probe

PROBES: tuple[Probe, ...] = (
    *os.PROBES,
    *os_swap.PROBES,
    *os_sysctl.PROBES,
    *os_system.PROBES,
)
