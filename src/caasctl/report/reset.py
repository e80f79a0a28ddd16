"""A reset in words: what stands before it, and what its exit codes mean."""

from __future__ import annotations

from typing import TextIO

from caasctl.model import Exit, Report
from caasctl.report import order
from caasctl.report.data import way_back
from caasctl.report.diff import verb
from caasctl.report.paper import Paper, open_paper
from caasctl.report.visible import one_line

VALUE = 14
REBOOT_FIRST = "systemctl reboot"


RESET, LEAVE = "reset", "leave"


def is_reset(report: Report) -> bool:
    """Whether it takes a node away: a reset, or a leave, which ends in one."""
    return _word(report) in (RESET, LEAVE)


def _word(report: Report) -> str:
    return next(iter(report.command.split()), "")


def banner(plan: Report, out: TextIO, *, width: int | None = None) -> None:
    """Every change, then what goes for good."""
    paper = open_paper(out, width)
    whither = "out of its cluster, and out of caasctl's hands" if _word(plan) == LEAVE else "out of caasctl's hands"
    paper.hang([("About to take ", "bold"), (plan.host, "bold"), " "], whither, 4)
    paper.blank()
    for phase in order.phases(plan):
        if phase.changes:
            paper.hang(
                [f"  {phase.id}"], ", ".join(f"{verb(c)} {one_line(c.resource.name)}" for c in phase.changes), VALUE + 4
            )
    paper.blank()
    for note in plan.notes:
        paper.hang(["Note"], note, VALUE)
    terms(paper, plan)


def terms(paper: Paper, plan: Report) -> None:
    """What does not come back, and the reboot."""
    changes = [change for phase in order.phases(plan) for change in phase.changes]
    lost = [way.loses for change in changes if (way := way_back(change)) and way.loses]
    said = "needed at the end, to be rid of the kernel arguments; caasctl does not reboot by itself."
    paper.hang(["Reboot"], said if any(phase.needs_reboot for phase in order.phases(plan)) else "none.", VALUE)
    if lost:
        paper.hang(["No return"], f"{'; '.join(lost)}.", VALUE)
    again = "join-node" if _word(plan) == LEAVE else "init-node"
    paper.hang(
        ["Way back"], f"none, `caasctl undo` does not take back a reset; `caasctl {again}` makes a node again.", VALUE
    )
    paper.hang(["It leaves"], "what others own, files that were edited since, packages, loaded kernel modules.", VALUE)


def verdict(report: Report, made: str, where: str) -> str:
    """made: `3 changes`. where: ` in phase reset-boot`, "" where it did not stop."""
    if order.dry(report):
        return _planned(report, made, where)
    changed = any(phase.changes for phase in order.phases(report))
    said = {
        Exit.OK: f"{'Left the cluster' if _word(report) == LEAVE else 'Reset'}: {made} made and verified."
        if changed
        else "Nothing to do: nothing on this host is caasctl's.",
        Exit.REBOOT: f"Reset, {made} made; the running kernel keeps caasctl's arguments until the next boot."
        if changed
        else "Nothing to do before a reboot: the running kernel keeps caasctl's arguments until then.",
        Exit.FAILED_CHANGE: f"Failed{where}. {made} made before it; the same command goes on from there.",
        Exit.INTERRUPTED: f"Interrupted{where}. {made} made; the same command goes on from here.",
        Exit.UNDETERMINED: f"Stopped{where}: something that matters could not be looked at. Nothing was changed.",
    }
    return said.get(report.exit_code, f"Stopped{where}. {made} made.")


def _planned(report: Report, made: str, where: str) -> str:
    if report.exit_code is Exit.FAILED_CHECK:
        return f"{_word(report)} would stop{where}. Nothing was changed."
    if report.exit_code is Exit.UNDETERMINED:
        return "Not determined: something that matters could not be looked at. Nothing was changed."
    if report.exit_code is Exit.OK and not any(phase.changes for phase in order.phases(report)):
        return "Nothing to do: nothing on this host is caasctl's."
    after = ", then ask for a reboot" if report.exit_code is Exit.REBOOT else ""
    return f"{_word(report)} would make {made}{after}. Nothing was changed."


def next_command(report: Report) -> str:
    changes, word = any(phase.changes for phase in order.phases(report)), _word(report)
    again = report.command.replace(" --dry-run", "")
    if report.exit_code is Exit.UNDETERMINED:
        return f"sudo caasctl {word} --dry-run"
    if order.dry(report):
        return f"caasctl {again}" if changes or report.exit_code is Exit.REBOOT else "caasctl preflight"
    return {Exit.OK: "caasctl preflight", Exit.REBOOT: REBOOT_FIRST}.get(report.exit_code, f"caasctl {again}")
