"""Claims about a node, each a pure function of facts and profile. Each topic's file lists its own CHECKS."""

from caasctl.model import Check

CHECKS: tuple[Check, ...] = ()
