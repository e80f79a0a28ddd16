"""Claims about a node, each a pure function of facts and profile. Each topic's file lists its own CHECKS."""

from caasctl.checks import os, os_settings, os_system
from caasctl.model import Check

CHECKS: tuple[Check, ...] = (
    *os.CHECKS,
    *os_settings.CHECKS,
    *os_system.CHECKS,
)
