"""Phases in text: what each would change or changed, the diffs, why, what is provisional, the way back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from caasctl.model import Finding, Level, Report
from caasctl.protocol import Absent, Change, Known, PhaseReport, PhaseStatus, Unknown
from caasctl.report import order
from caasctl.report.data import undo_text
from caasctl.report.diff import Part, diff, parts, shown, verb
from caasctl.report.findings import block, field, number_of
from caasctl.report.order import Group
from caasctl.report.paper import Paper, cells, fill
from caasctl.report.verdict import seconds, status_word

BODY = 6
LONG, HEAD = 120, 20  # lines of a diff: configuration is shown whole
VALUE = 12
_BRIEF = {
    Level.PASS: "passes",
    Level.WARN: "warns",
    Level.SKIPPED: "skips",
    Level.FAIL: "fails",
    Level.UNKNOWN: "unknown",
    Level.WAIVED: "waives",
}
_MANY = "vfio:"
_MORE = ">   "
_PIECE = re.compile(r"\s*\S+|\s+$")
_SIGNS = {"+": "green", "-": "red", "@": "cyan", "\\": "dim"}
_STYLES = {
    PhaseStatus.UNCHANGED: "green",
    PhaseStatus.CHANGED: "green",
    PhaseStatus.PLANNED: "yellow",
    PhaseStatus.PROVISIONAL: "yellow",
    PhaseStatus.REBOOT: "yellow",
    PhaseStatus.FAILED: "bold red",
    PhaseStatus.BLOCKED: "bold red",
    PhaseStatus.UNKNOWN: "magenta",
    PhaseStatus.INTERRUPTED: "bold red",
    PhaseStatus.SKIPPED: "dim",
}


def blocks(paper: Paper, report: Report, *, verbose: bool) -> None:
    phases = order.phases(report)
    acts, told = order.must_act(report), set[Group]()
    for number, phase in enumerate(phases, 1):
        head(paper, phase, f"{number}/{len(phases)}" if order.dry(report) else f"{number}.")
        body(paper, phase, acts, told, verbose=verbose)
        paper.blank()


def head(paper: Paper, phase: PhaseReport, number: str) -> None:
    """`2/3 boot  would change, needs a reboot`, then what the phase is for."""
    status = status_word(phase.status)
    reboot = ", needs a reboot" if phase.needs_reboot and phase.status is not PhaseStatus.REBOOT else ""
    took = f"  {seconds(phase.duration_ms)}" if phase.duration_ms else ""
    paper.line((f"{number} {phase.id:<11} ", "bold"), (status + reboot, _STYLES[phase.status]), took)
    paper.hang([" " * 4], phase.title, 4, "dim")


def body(paper: Paper, phase: PhaseReport, acts: Sequence[Finding], told: set[Group], *, verbose: bool) -> None:
    """told: what an earlier phase has told at length; it is added to."""
    field(paper, "note", phase.message, indent=4)
    field(paper, "fix", phase.fix, indent=4, keep=True)
    groups = order.groups([f for f in order.ordered(phase.findings) if verbose or f.level is not Level.PASS])
    for group in groups:
        if _brief(group.finding) or group in told:
            _one_finding(paper, group)
    for group in groups:
        if not _brief(group.finding) and group not in told:
            told.add(group)
            paper.blank()
            with paper.inset(4):
                block(paper, group, number=number_of(group, acts))
    _changes(paper, phase.changes, verbose=verbose)


def _changes(paper: Paper, changes: Sequence[Change], *, verbose: bool) -> None:
    """Each at length; of those that follow one of their kind, a line each, unless verbose."""
    for before, change in zip((None, *changes), changes):  # noqa: B905 - the last has none after it
        if before and not verbose and _alike(before, change):
            _head(paper, change, _only(change))
        else:
            paper.blank()
            one_change(paper, change, verbose=verbose)


def _alike(before: Change, change: Change) -> bool:
    """Whether two bindings differ in nothing but the card: a board has many, each with the same effect and way back."""
    both = (before, change)
    return all(each.resource.name.startswith(_MANY) and _only(each) and not each.provisional for each in both)


def _only(change: Change) -> Part | None:
    """What differs, where it is one value of the resource's own."""
    differing = parts(change)
    own = len(differing) == 1 and not differing[0].whole and differing[0].name == change.resource.name
    return differing[0] if own else None


def _head(paper: Paper, change: Change, part: Part | None) -> None:
    value = _step(part) if part else ""
    paper.hang([f"    {verb(change):<7} ", (change.resource.name, "bold"), ": " if value else ""], value, VALUE)


def _brief(finding: Finding) -> bool:
    """Whether a line is enough: all but what stops a phase."""
    return finding.ours or finding.level not in (Level.FAIL, Level.UNKNOWN)


def _one_finding(paper: Paper, group: Group) -> None:
    finding = group.finding
    on = f" ({', '.join(group.subjects)})" if group.subjects else ""
    word = "mends" if finding.ours else _BRIEF[finding.level]
    paper.hang([f"    {word:<7} ", (finding.id, "bold"), f"{on}: "], finding.found or "yes", VALUE)


def one_change(paper: Paper, change: Change, *, verbose: bool) -> None:
    """What happens to one resource: `create file:/etc/x`, its diff, why, the way back."""
    only = _only(change)
    _head(paper, change, only)
    for part in () if only else parts(change):
        if part.name != change.resource.name:
            paper.hang([" " * BODY], part.name, BODY, "bold")
        lines(paper, part, verbose=verbose)
    _effect(paper, change)
    _why(paper, change)
    field(paper, "back", undo_text(change), keep=True)


def lines(paper: Paper, part: Part, *, verbose: bool) -> None:
    """A diff; what is too long goes on after a `>`. Of a new text as long as a program its head, unless verbose."""
    told = diff(part)
    left = 0 if verbose or len(told) <= LONG or not isinstance(part.before, Absent) else len(told) - HEAD
    for line in told[: len(told) - left]:
        style = _SIGNS.get(line[:1], "")
        room = paper.width - BODY
        cut = [line] if cells(line) <= room else fill(_PIECE.findall(line), room, room - len(_MORE), "")
        paper.line(" " * BODY, (cut[0], style))
        for more in cut[1:]:
            paper.line(" " * BODY, (f"{_MORE}{more.lstrip()}", style))
    if left:
        paper.line(" " * BODY, (f"... and {left} lines more, which --verbose shows", "dim"))


def _effect(paper: Paper, change: Change) -> None:
    """What a transaction is in beside its files: whether they are in effect."""
    now, then = change.before, change.after
    if isinstance(now, Known) and isinstance(then, Known) and then.parts and now.text != then.text:
        field(paper, "effect", f"{now.text} -> {then.text}")


def _why(paper: Paper, change: Change) -> None:
    now, may_be = change.before, change.provisional
    if isinstance(now, Unknown):
        field(paper, "now", f"not known: {now.reason}")
        may_be = "" if may_be == now.reason else may_be
    if change.because:
        field(paper, "because", f"{', '.join(change.because)} {'changes' if len(change.because) == 1 else 'change'}")
    told = getattr(change.resource, "told", None)
    field(paper, "then", told(change.before) if told else getattr(change.resource, "then", ""))
    if change.resource.reboots:
        field(paper, "when", getattr(change.resource, "when", "takes effect with the next boot"))
    field(paper, "may be", f"different when its turn comes: {may_be}" if may_be else "")


def _step(part: Part) -> str:
    return f"{shown(part.before, secret=part.secret)} -> {shown(part.after, secret=part.secret)}"
