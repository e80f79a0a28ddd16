"""What undo will do, before it does it, and what it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from caasctl.protocol import Absent, Known, State
from caasctl.report.diff import HASH_DIGITS, Part, diff
from caasctl.report.paper import Paper, open_paper
from caasctl.report.verdict import several
from caasctl.report.visible import one_line
from caasctl.restoring import Step
from caasctl.traces import Fate
from caasctl.undo_plan import Edit, Plan

VALUE = 14
_DIFF_LINES = 60  # of one file; the rest is counted


def write(plan: Plan, out: TextIO, *, width: int | None = None) -> None:
    """The plan, and what goes for good."""
    paper = open_paper(out, width)
    paper.hang([("About to take back ", "bold"), (plan.run, "bold"), " "], f"(phases {', '.join(plan.phases)})", 4)
    paper.blank()
    for head, text in _lines(plan):
        paper.hang([f"  {head}"], one_line(text), VALUE, keep=True)
    for edit in plan.edits:
        _edit(paper, edit)
    paper.blank()
    _terms(paper, plan)


def _lines(plan: Plan) -> Iterable[tuple[str, str]]:
    yield from (("first", f"`{' '.join(argv)}`") for _, argv in plan.first)
    yield from (_change(each) for each in plan.changes)
    yield from (("run", f"`{' '.join(argv)}`") for _, argv in plan.commands)
    yield from (("remove", f"{path}, with all in it") for path in plan.trees)
    if plan.folders:
        yield "remove", f"what is empty then of the folders that the run made: {', '.join(plan.folders)}"
    if plan.as_before:
        yield "nothing", f"{several(plan.as_before, 'file or value')} as before already"


def _change(each: Fate) -> tuple[str, str]:
    goal = each.goal
    if goal is None:
        return "remove", each.path
    if each.last.value:
        return "set", f"{each.path} = {goal.content}{f': {each.why}' if each.why else ''}"
    if each.last.link:
        return "restore", f"{each.path} as {goal.content}"
    owner = "" if goal.uid is None else f", owner {goal.uid}:{goal.gid}"
    return "restore", f"{each.path} (mode {goal.mode or 0:04o}{owner})"


def _edit(paper: Paper, edit: Edit) -> None:
    paper.hang(
        ["  leave"],
        one_line(f"{edit.path}: {edit.why}{f'; before it was {edit.before}' if edit.before else ''}"),
        VALUE,
    )
    with paper.inset(VALUE):
        lines = list(_diff(edit))
        for line in lines[:_DIFF_LINES]:
            paper.line(line)
        if len(lines) > _DIFF_LINES:
            paper.line(f"and {several(len(lines) - _DIFF_LINES, 'more line')}")


def _diff(edit: Edit) -> Iterable[str]:
    """What caasctl wrote, and what is there now."""
    if any(edit.hashes):
        made, now = (each[:HASH_DIGITS] if edit.secret else each for each in edit.hashes)
        return (f"{'secret: sha256:' if edit.secret else ''}{made} -> {now}",)
    if edit.wrote is None and edit.there is None:
        return ()
    return diff(Part(edit.path, _state(edit.wrote), _state(edit.there), secret=False, whole=True))


def _state(data: bytes | None) -> State:
    return Absent() if data is None else Known(data.decode("utf-8", "surrogateescape"))


def _terms(paper: Paper, plan: Plan) -> None:
    if plan.loses:
        paper.hang(["No return"], f"this takes down {'; '.join(plan.loses)}.", VALUE)
    if plan.stays:
        paper.hang(["It leaves"], "; ".join(plan.stays), VALUE)
    if plan.later:
        paper.hang(["Later runs"], f"{', '.join(plan.later)}: what they made stays, and may rest on this run.", VALUE)
    if plan.before:
        paper.hang(["Before it"], f"{plan.before}, which the next `caasctl undo` takes back.", VALUE)


def steps(done: Iterable[Step], before: str, out: TextIO, *, width: int | None = None) -> None:
    """What was done, step by step; what failed; what comes next."""
    every = list(done)
    paper = open_paper(out, width)
    for step in every:
        head = "FAILED" if step.failed else "left" if step.kept else "undone"
        text = "\n".join(line.rstrip() for line in f"{step.resource}: {step.text}".splitlines())
        paper.hang([(f"{head}  ", "bold red" if step.failed else "")], one_line(text), 8, keep=True)
    failed = sum(step.failed for step in every)
    if failed:
        paper.hang(
            ["Not done: "],
            f"{several(failed, 'step')} failed. Mend what it says, then `caasctl undo` tries again.",
            4,
            keep=True,
        )
    elif before:
        paper.hang(["Taken back. "], f"The next `caasctl undo` takes back {before}.", 4, keep=True)
    else:
        paper.hang(["Taken back. "], "No run is left to take back.", 4)
