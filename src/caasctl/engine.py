"""Facts, findings, plan: the loops over probes, checks and phases that change nothing."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timezone
from queue import Empty, SimpleQueue
from typing import NamedTuple

from caasctl import rebooted
from caasctl.checks import CHECKS
from caasctl.facts import PROBES
from caasctl.model import (
    CaasError,
    Check,
    Evidence,
    Facts,
    FactUnread,
    Finding,
    Level,
    Unreadable,
    findings,
)  # fmt: skip
from caasctl.phases import ORDER
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Change,
    Known,
    Phase,
    PhaseReport,
    PhaseStatus,
    Probe,
    Reader,
    Resource,
    Unknown,
)  # fmt: skip
from caasctl.resources.files import owned_files

TRACEBACK = "traceback"  # the evidence of a finding that is a bug of ours
_WORKERS = 8
_LOOKS_S = 120.0  # every command that a probe asks has a shorter deadline of its own


# -- looking -----------------------------------------------------------------------------------------------------------
def collect(host: Reader, probes: Sequence[Probe] = PROBES, deadline_s: float = _LOOKS_S) -> Facts:
    """Every fact that can be read, side by side; the others are unread with their reasons, what hangs at the deadline."""
    todo: SimpleQueue[Probe] = SimpleQueue()
    for probe in probes:
        todo.put(probe)
    answers: dict[type, _Answer] = {}

    def work() -> None:
        while True:
            try:
                probe = todo.get_nowait()
            except Empty:
                return
            answers[probe.fact] = _look(host, probe)

    # A thread that hangs in the kernel must not keep the process from its end.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_WORKERS, len(probes)))]
    for thread in threads:
        thread.start()
    until = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = _Answer(why=f"the look did not end in {deadline_s:.0f} s: a file system that hangs, its server gone?")
    found = {probe.fact: answers.get(probe.fact, late) for probe in probes}
    known = [answer.fact for answer in found.values() if answer.fact is not None]
    return Facts(known, {kind: answer.why for kind, answer in found.items() if answer.fact is None})


class _Answer(NamedTuple):
    """What a probe found; None with why not."""

    fact: object = None
    why: str = ""


def _look(host: Reader, probe: Probe) -> _Answer:
    try:
        return _Answer(probe.read(host))
    except Unreadable as unreadable:
        return _Answer(why=str(unreadable))
    except Exception as error:  # noqa: BLE001 - one broken probe must not hide the others
        at = traceback.extract_tb(error.__traceback__)[-1]
        return _Answer(why=f"the probe broke: {type(error).__name__}: {error} ({at.name}, line {at.lineno})")


def examine(
    facts: Facts, profile: NodeProfile, *, only: Iterable[str] = (), checks: Sequence[Check] = CHECKS
) -> tuple[Finding, ...]:
    """Findings of every check, or of those named; blocked ones are SKIPPED, waived ones WAIVED."""
    by_id = {check.id: check for check in checks}
    done: dict[str, tuple[Finding, ...]] = {}

    def judge(check: Check) -> tuple[Finding, ...]:
        if check.id not in done:
            blockers = tuple(b for b in check.after if b in by_id and _blocks(judge(by_id[b])))
            done[check.id] = (_skipped(check, blockers),) if blockers else _judged(check, facts, profile)
        return done[check.id]

    wanted = tuple(only) or tuple(by_id)
    return tuple(finding for name in wanted for finding in judge(by_id[name]))


def _blocks(found: tuple[Finding, ...]) -> bool:
    return any(finding.level in (Level.FAIL, Level.SKIPPED) for finding in found)


def _skipped(check: Check, blockers: tuple[str, ...]) -> Finding:
    blank = Finding(Level.SKIPPED, f"blocked by {', '.join(blockers)}", blocked_by=blockers)
    return replace(blank, id=check.id, title=check.title, topic=check.topic, fixed_by="")


def _judged(check: Check, facts: Facts, profile: NodeProfile) -> tuple[Finding, ...]:
    start = time.monotonic()
    try:
        found = tuple(findings(check, facts, profile))
    except FactUnread as unread:
        found = (_unknown(check, unread.reason),)
    except Exception as error:  # noqa: BLE001 - a bug in one check must not hide the findings of the others
        said = f"caasctl has a bug here: {type(error).__name__}: {error}"
        found = (replace(_unknown(check, said), evidence=(Evidence(TRACEBACK, traceback.format_exc()),)),)
    took = round((time.monotonic() - start) * 1000)
    return tuple(_waive(_ours(replace(finding, duration_ms=took)), profile) for finding in found)


def _unknown(check: Check, reason: str) -> Finding:
    return Finding(
        Level.UNKNOWN, reason, cause=check.why, id=check.id, title=check.title, topic=check.topic, fixed_by=""
    )


def _ours(finding: Finding) -> Finding:
    """A phase that does not exist yet mends nothing."""
    return finding if finding.fixed_by in {phase.id for phase in ORDER} else replace(finding, fixed_by="")


def _waive(finding: Finding, profile: NodeProfile) -> Finding:
    waiver = next((w for w in profile.spec.waivers if w.check == finding.id), None)
    if waiver is None or finding.level not in (Level.FAIL, Level.WARN):
        return finding
    if date.fromisoformat(waiver.expires) < datetime.now(timezone.utc).date():
        return replace(finding, found=f"{finding.found} (its waiver by {waiver.owner} expired on {waiver.expires})")
    return replace(finding, level=Level.WAIVED, waiver=waiver)


# -- planning ----------------------------------------------------------------------------------------------------------
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
