"""A Report as plain data: the JSON of the design, camelCase, in the same order on every run."""

from __future__ import annotations

from typing import Any

from caasctl import __version__
from caasctl.diagnosis import Diagnosis, Line, Root, RuledOut, Sign
from caasctl.hidden import masked
from caasctl.model import Finding, Level, Report, Waiver
from caasctl.protocol import Absent, Change, Known, PhaseReport, State, Undo, Unknown
from caasctl.report import order
from caasctl.report.diff import Part, diff, hashed, octal, parts, verb
from caasctl.report.visible import storable

SCHEMA_VERSION = 1
Data = dict[str, Any]


def tree(report: Report) -> Data:
    """All that a report says, as dicts, lists and scalars that every format can hold."""
    data = {
        "schemaVersion": SCHEMA_VERSION,
        "tool": {"name": "caasctl", "version": __version__},
        "host": report.host,
        "command": report.command,
        "profile": report.profile,
        "startedAt": report.started_at,
        "durationMs": report.duration_ms,
        "summary": summary(report),
        "notes": list(report.notes),
        "results": [result(finding) for finding in order.ordered(report.findings)],
        "phases": [phase(each) for each in order.phases(report)],
    }
    if isinstance(report.diagnosis, Diagnosis):
        data["diagnosis"] = diagnosis(report.diagnosis)
    stored = _storable(data)
    assert isinstance(stored, dict)  # noqa: S101 - a dict goes in
    return stored


def summary(report: Report) -> Data:
    """Counts by level over all findings, the exit code, and the ids of the two lists."""
    findings = order.everything(report)
    counts: Data = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    return {
        **counts,
        "exitCode": int(report.exit_code),
        "mustAct": _ids(order.must_act(report)),
        "initNodeWillDo": _ids(order.will_do(report)),
    }


def result(finding: Finding) -> Data:
    fix = finding.fix
    return {
        "id": finding.id,
        "title": finding.title,
        "topic": order.topic(finding),
        "level": finding.level.value,
        "subject": finding.subject,
        "found": masked(finding.found),
        "wanted": finding.wanted,
        "cause": finding.cause,
        "fix": fix and {"kind": fix.kind.value, "text": fix.text, "needsReboot": fix.needs_reboot},
        "fixedBy": finding.fixed_by or None,
        "evidence": [{"source": seen.source, "excerpt": masked(seen.excerpt)} for seen in finding.evidence],
        "blockedBy": list(finding.blocked_by),
        "waiver": _waiver(finding.waiver),
        "durationMs": finding.duration_ms,
    }


def diagnosis(found: Diagnosis) -> Data:
    """What doctor came to; a root is a result with what follows from it."""
    return {
        "roots": [root(each) for each in found.roots],
        "beside": [sign(each) for each in found.beside],
        "unexplained": [root(each) for each in found.unexplained],
        "unknownLines": [_line(each) for each in found.unknown_lines],
        "notes": [root(each) for each in found.notes],
        "over": [sign(each) for each in found.over],
        "ruledOut": [_ruled_out(each) for each in found.ruled_out],
        "undetermined": [_ruled_out(each) for each in found.undetermined],
        "chain": [
            {"name": e.name, "found": masked(e.found), "broken": e.broken, "unknown": e.unknown} for e in found.chain
        ],
        "timeline": [{"at": each.at, "id": each.id, "said": masked(each.said)} for each in found.timeline],
        "changed": [_ruled_out(each) for each in found.changed],
        "containerdKeys": [
            {"key": each.id, "file": each.title, "value": masked(each.found), "contested": each.contested}
            for each in found.keys
        ],
        "collect": list(found.collect),
        "lookedAt": list(found.looked_at),
        "rules": found.rules,
    }


def root(top: Root) -> Data:
    follows = [{**sign(follow.sign), "by": follow.by} for follow in top.follows]
    return {**sign(top.sign), "signs": top.signs, "follows": follows}


def sign(seen: Sign) -> Data:
    """A result, and how it was seen. says: whether it states a cause, follows from something, or is no cause for alarm."""
    how = {"says": seen.says.value, "checked": seen.checked, "times": seen.times}
    return {**result(seen.finding), **how, "firstSeen": seen.first or None, "lastSeen": seen.last or None}


def _line(line: Line) -> Data:
    return {"source": line.source, "text": masked(line.text), "at": line.at or None}


def _ruled_out(one: RuledOut) -> Data:
    return {"id": one.id, "title": one.title, "found": masked(one.found)}


def phase(report: PhaseReport) -> Data:
    return {
        "id": report.id,
        "title": report.title,
        "status": report.status.value,
        "needsReboot": report.needs_reboot,
        "message": report.message,
        "fix": report.fix,
        "durationMs": report.duration_ms,
        "changes": [change(each) for each in report.changes],
        "results": [result(finding) for finding in order.ordered(report.findings)],
    }


def change(made: Change) -> Data:
    """A change: `before` and `after` are the state as a whole, `parts` what differs in it, each with its diff."""
    secret = made.resource.secret
    return {
        "resource": made.resource.name,
        "verb": verb(made),
        "secret": secret,
        "needsReboot": made.resource.reboots,
        "before": _state(made.before, hide=secret),
        "after": _state(made.after, hide=secret),
        "parts": [_part(each) for each in parts(made)],
        "because": list(made.because),
        "provisional": made.provisional,
        "undo": undo_text(made),
    }


def undo_text(made: Change) -> str:
    """The way back, as far as it can be known now."""
    way = way_back(made)
    return way.text if way else "known when its turn comes: the state now cannot be looked at"


def way_back(made: Change) -> Undo | None:
    """The undo of a change; None while the state before it is not known."""
    return None if isinstance(made.before, Unknown) else made.resource.undo(made.before)


def _part(each: Part) -> Data:
    return {
        "name": each.name,
        "before": _state(each.before, hide=each.secret),
        "after": _state(each.after, hide=each.secret),
        "secret": each.secret,
        "diff": "\n".join(diff(each)) if each.whole or each.secret else "",
    }


def _state(state: State, *, hide: bool) -> Data:
    """A file's text is not repeated here: its diff says what changes; a secret's is never said."""
    text = state.text if isinstance(state, Known) and not hide and "\n" not in state.text else None
    return {
        "state": "known" if isinstance(state, Known) else "absent" if isinstance(state, Absent) else "unknown",
        "text": text,
        "sha256": hashed(state).partition(":")[2] or None,
        "mode": octal(state.mode) if isinstance(state, Known) else None,
        "reason": state.reason if isinstance(state, Unknown) else None,
    }


def _waiver(waiver: Waiver | None) -> Data | None:
    return {"reason": waiver.reason, "owner": waiver.owner, "expires": waiver.expires} if waiver else None


def _ids(findings: tuple[Finding, ...]) -> list[str]:
    return list(dict.fromkeys(finding.id for finding in findings))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {key: _storable(each) for key, each in value.items()}
    return [_storable(each) for each in value] if isinstance(value, list) else value
