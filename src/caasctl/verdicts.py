"""What a look, a plan or a run comes to, as an exit code."""

from __future__ import annotations

from collections.abc import Sequence

from caasctl.checks import CHECKS
from caasctl.engine import TRACEBACK
from caasctl.model import Check, Exit, Finding, Level
from caasctl.protocol import PhaseReport, PhaseStatus


def preflight_exit(found: Sequence[Finding], *, strict: bool = False, checks: Sequence[Check] = CHECKS) -> Exit:
    """Precedence 70, 1, 6, 0; strict: any failure or warning is 1."""
    matters = {check.id for check in checks if check.gates}
    if any(e.source == TRACEBACK for f in found for e in f.evidence):
        return Exit.BUG
    if any(f.yours or (strict and f.level in (Level.FAIL, Level.WARN)) for f in found):
        return Exit.FAILED_CHECK
    if any(f.level is Level.UNKNOWN and f.id in matters for f in found):
        return Exit.UNDETERMINED
    return Exit.OK


def plan_exit(phases: Sequence[PhaseReport]) -> Exit:
    """What the real run would exit with, as far as can be told: precedence 3, 1, 4, 6, 0."""
    if any(phase.status is PhaseStatus.FAILED for phase in phases):
        return Exit.FAILED_CHANGE
    if any(phase.status is PhaseStatus.BLOCKED for phase in phases):
        return Exit.FAILED_CHECK
    if any(phase.needs_reboot for phase in phases):
        return Exit.REBOOT
    if any(phase.status is PhaseStatus.UNKNOWN for phase in phases):
        return Exit.UNDETERMINED
    return Exit.OK


def run_exit(reports: Sequence[PhaseReport]) -> Exit:
    """3 where a change failed, 1 where a gate stopped, 4 where a reboot is due, 130 where the user stopped it, else 0."""
    codes = {
        PhaseStatus.FAILED: Exit.FAILED_CHANGE,
        PhaseStatus.BLOCKED: Exit.FAILED_CHECK,
        PhaseStatus.REBOOT: Exit.REBOOT,
        PhaseStatus.INTERRUPTED: Exit.INTERRUPTED,
    }
    return next((code for status, code in codes.items() if any(r.status is status for r in reports)), Exit.OK)
