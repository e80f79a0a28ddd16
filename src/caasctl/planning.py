"""The plan: the loops over phases that change nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from caasctl import rebooted
from caasctl.checks import CHECKS
from caasctl.engine import collect, examine
from caasctl.model import CaasError, Check, Facts, FactUnread, Finding
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Change,
    Known,
    Phase,
    PhaseReport,
    PhaseStatus,
    Reader,
    Resource,
    Unknown,
)
from caasctl.resources.files import owned_files


def differ(host: Reader, phase: Phase, resources: Iterable[Resource]) -> Iterator[Change]:
    """The resources that differ, could not be looked at, or follow one that does. May raise CaasError from a merge."""
    due: set[str] = set()
    for resource in resources:
        now = resource.look(host)
        wanted = resource.target(now)
        because = tuple(name for name in resource.after if name in due)
        if now != wanted or because or isinstance(now, Unknown):
            due.add(resource.name)
            yield Change(phase.id, resource, now, wanted, because, now.reason if isinstance(now, Unknown) else "")


def gate(phase: Phase, found: Iterable[Finding], checks: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    """The findings that belong to a phase: what it gates on, and what it mends."""
    gating = {check.id for check in checks if phase.id in check.gates}
    return tuple(f for f in found if f.id in gating or f.fixed_by == phase.id)


def blockers(phase: Phase, found: Iterable[Finding], checks: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    gating = {check.id for check in checks if phase.id in check.gates}
    return tuple(f for f in found if f.id in gating and f.yours)


def idle(phase: Phase, facts: Facts, profile: NodeProfile) -> bool:
    """Whether a phase has nothing to bring here, so that its gate holds nothing back."""
    return phase.may_idle and _desires_nothing(phase, facts, profile)


def stopping(phase: Phase, facts: Facts, profile: NodeProfile, found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that keep a phase from its start."""
    stops = blockers(phase, found)
    return tuple(f for f in stops if f.id in phase.never_idle) if idle(phase, facts, profile) else stops


def _desires_nothing(phase: Phase, facts: Facts, profile: NodeProfile) -> bool:
    with suppress(FactUnread, CaasError):  # its own turn says why
        return not any(True for _ in phase.desired(facts, profile))
    return False


def needs(phase: Phase, checks: Sequence[Check] = CHECKS) -> frozenset[type]:
    """The facts that must be fresh when a phase starts: those that it reads, and those that its gate judges."""
    return frozenset(phase.reads).union(*(check.reads for check in checks if phase.id in check.gates))


def held_back(stops: Sequence[Finding]) -> str:
    """Why a phase does not start, in a clause."""
    names = list(dict.fromkeys(finding.id for finding in stops))
    return f"does not start while {', '.join(names)} {'fails' if len(names) == 1 else 'fail'}"


def plan(
    host: Reader, facts: Facts, profile: NodeProfile, found: Sequence[Finding], phases: Sequence[Phase]
) -> tuple[PhaseReport, ...]:
    """What each phase would do; a phase that reads what an earlier one will disturb is provisional."""
    stale: dict[type, str] = {}
    planned = []
    for phase in phases:
        report = _plan_phase(host, facts, profile, found, phase)
        after = next((stale[kind] for kind in phase.reads if kind in stale), "")
        if (
            after
            and report.status is PhaseStatus.UNCHANGED
            and not phase.may_idle
            and _desires_nothing(phase, facts, profile)
        ):
            report = replace(
                report, status=PhaseStatus.PROVISIONAL, message=f"cannot be planned before {after} has run"
            )
        elif after and report.status in (PhaseStatus.PLANNED, PhaseStatus.UNKNOWN):
            said = f"may look different once {after} has run"
            report = replace(
                report, status=PhaseStatus.PROVISIONAL, message="; ".join(filter(None, (report.message, said)))
            )
        if report.changes:
            stale.update(dict.fromkeys(phase.disturbs, phase.id))
        planned.append(report)
    return tuple(planned)


def settled(planned: Sequence[PhaseReport]) -> frozenset[str]:
    """The phases that a run need not look at again: all, where none has anything to do, for nobody is asked and no time goes by."""
    as_wanted = all(report.status is PhaseStatus.UNCHANGED for report in planned)
    return frozenset(report.id for report in planned) if as_wanted else frozenset()


def _plan_phase(
    host: Reader, facts: Facts, profile: NodeProfile, found: Sequence[Finding], phase: Phase
) -> PhaseReport:
    start = time.monotonic()
    blank = PhaseReport(phase.id, phase.title, PhaseStatus.UNCHANGED, findings=gate(phase, found))
    stops = stopping(phase, facts, profile, found)
    try:
        changes = tuple(differ(host, phase, phase.desired(facts, profile)))
        stopped = None if stops else rebooted.planned(blank, rebooted.judge(host, phase.id, facts, changes))
        if stopped:
            return stopped
    except FactUnread as unread:
        return replace(blank, status=PhaseStatus.UNKNOWN, message=f"cannot be planned: {unread.reason}")
    except CaasError as error:
        return replace(
            blank, status=PhaseStatus.BLOCKED, message=f"{error.problem}; {error.cause}".rstrip("; "), fix=error.fix
        )
    status = PhaseStatus.PLANNED if changes else PhaseStatus.UNCHANGED
    if changes and all(isinstance(change.before, Unknown) for change in changes):
        status = PhaseStatus.UNKNOWN
    if stops:
        status = PhaseStatus.BLOCKED
    return replace(
        blank,
        status=status,
        changes=changes,
        needs_reboot=any(change.resource.reboots for change in changes),
        message=held_back(stops) if stops else "",
        duration_ms=round((time.monotonic() - start) * 1000),
    )


def look_through(host: Reader, facts: Facts, profile: NodeProfile, phases: Sequence[Phase]) -> None:
    """Looks at all that a plan would look at, so that a recording can answer for it later."""
    plan(host, facts, profile, examine(facts, profile), phases)


def render(host: Reader, profile: NodeProfile, phases: Sequence[Phase]) -> tuple[dict[str, Known], dict[str, str]]:
    """Every file that the phases would write: path -> text and mode; and phase or path -> why it could not be worked out.

    Raises CaasError where a merge refuses.
    """
    facts = collect(host)
    files: dict[str, Known] = {}
    lost: dict[str, str] = {}
    for phase in phases:
        try:
            members = [file for resource in phase.desired(facts, profile) for file in owned_files(resource)]
        except FactUnread as unread:
            lost[f"phase {phase.id}"] = unread.reason
            continue
        for file in members:
            wanted = file.target(file.look(host))
            if isinstance(wanted, Known):
                files[file.path] = wanted
            elif isinstance(wanted, Unknown):
                lost[file.path] = wanted.reason
    return files, lost
