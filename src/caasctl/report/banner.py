"""What is said before the first change, and what is said when something went wrong."""

from __future__ import annotations

from typing import TextIO

from caasctl.model import CaasError, Report
from caasctl.protocol import Change, PhaseReport
from caasctl.report import order
from caasctl.report.data import way_back
from caasctl.report.diff import verb
from caasctl.report.paper import Paper, open_paper
from caasctl.report.verdict import several
from caasctl.report.visible import one_line

VALUE = 14


def write(plan: Report, out: TextIO, *, auto_reboot: bool = False, width: int | None = None) -> None:
    """The banner over a plan: what will change, whether it reboots, the way back."""
    paper = open_paper(out, width)
    changing = [phase for phase in order.phases(plan) if phase.changes]
    changes = sum(len(phase.changes) for phase in changing)
    made = f"{several(changes, 'change')} in {several(len(changing), 'phase')}"
    paper.hang([("About to change ", "bold"), (plan.host, "bold"), " "], f"({made}; profile {plan.profile})", 4)
    paper.blank()
    for phase in changing:
        _phase(paper, phase)
    paper.blank()
    terms(paper, plan, auto_reboot=auto_reboot)


def terms(paper: Paper, plan: Report, *, auto_reboot: bool = False) -> None:
    """The reboot, the way back, and what the way back leaves as it is."""
    paper.hang(["Reboot"], reboot(plan, auto_reboot=auto_reboot), VALUE)
    for said in promises(plan):
        paper.hang(["Trial boot"], f"{said}.", VALUE)
    paper.hang(["Way back"], "`caasctl undo`: each change is recorded, with what was there, before it is made.", VALUE)
    lost = [f"{loses} ({change})" for change, loses in losses(plan)]
    if lost:
        paper.hang(["No return"], f"once made, undo asks first, and takes down {'; '.join(lost)}.", VALUE)
    left = left_behind(plan)
    if left:
        paper.hang(["It leaves"], "; ".join(left), VALUE)


def reboot(plan: Report, *, auto_reboot: bool) -> str:
    """Whether and when the host reboots, and who does it."""
    phases = [phase.id for phase in order.phases(plan) if phase.needs_reboot]
    if not phases:
        return "none."
    if auto_reboot:
        return f"after phase {phases[0]}, by itself (--auto-reboot): every session ends, SSH too; caasctl-resume.service goes on after it."
    return f"needed after phase {phases[0]}; caasctl stops there and asks, it does not reboot by itself."


def promises(plan: Report) -> tuple[str, ...]:
    """How changes that could keep the host from starting are tried first, or why not."""
    changes = [change for phase in order.phases(plan) for change in phase.changes]
    made = [getattr(change.resource, "promise", None) for change in changes]
    return tuple(
        said for change, promise in zip(changes, made, strict=True) if promise and (said := promise(change.before))
    )


def losses(plan: Report) -> tuple[tuple[str, str], ...]:
    """(change, what goes for good when it is taken back)."""
    return tuple(
        (change.resource.name, way.loses)
        for phase in order.phases(plan)
        for change in phase.changes
        if (way := way_back(change)) and way.loses
    )


def left_behind(plan: Report) -> tuple[str, ...]:
    """What undo does not touch, each with its reason."""
    return tuple(
        way.nothing if _names(way.nothing, change) else f"{change.resource.name}: {way.nothing}"
        for phase in order.phases(plan)
        for change in phase.changes
        if (way := way_back(change)) and not way.acts
    )


def error(problem: CaasError, out: TextIO, *, width: int | None = None) -> None:
    """What is wrong, why, and what to do about it; a fix that is one command in backticks stands on its own line."""
    paper = open_paper(out, width)
    paper.hang([("caasctl: ", "bold red")], problem.problem, 9)
    if problem.cause:
        paper.hang(["  cause"], problem.cause, 9)
    if problem.fix:
        paper.hang(["  fix"], problem.fix, 9)


def _phase(paper: Paper, phase: PhaseReport) -> None:
    said = ", ".join(_change(change) for change in phase.changes)
    paper.hang([f"  {phase.id}"], said, VALUE)


def _names(said: str, change: Change) -> bool:
    return change.resource.name.rpartition(":")[2] in said


def _change(change: Change) -> str:
    return f"{verb(change)} {one_line(change.resource.name)}"
