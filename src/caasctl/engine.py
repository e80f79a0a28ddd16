"""Facts and findings: the loops over probes and checks."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from queue import Empty, SimpleQueue
from typing import NamedTuple

from caasctl.checks import CHECKS
from caasctl.facts import PROBES
from caasctl.model import (
    Check,
    Evidence,
    Facts,
    FactUnread,
    Finding,
    Level,
    Unreadable,
    findings,
)  # fmt: skip
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Probe,
    Reader,
)  # fmt: skip

TRACEBACK = "traceback"  # the evidence of a finding that is a bug of ours
_WORKERS = 8
_LOOKS_S = 120.0  # every command that a probe asks has a shorter deadline of its own


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
    return tuple(_waive(replace(finding, duration_ms=took), profile) for finding in found)


def _unknown(check: Check, reason: str) -> Finding:
    return Finding(
        Level.UNKNOWN, reason, cause=check.why, id=check.id, title=check.title, topic=check.topic, fixed_by=""
    )


def _waive(finding: Finding, profile: NodeProfile) -> Finding:
    if finding.level not in (Level.FAIL, Level.WARN):
        return finding
    if waiver := profile.waiver(finding.id, datetime.now(timezone.utc).date()):
        return replace(finding, level=Level.WAIVED, waiver=waiver)
    past = [waiver for waiver in profile.spec.waivers if waiver.check == finding.id]
    said = "".join(f" (its waiver by {waiver.owner} expired on {waiver.expires})" for waiver in past[-1:])
    return replace(finding, found=f"{finding.found}{said}") if said else finding
