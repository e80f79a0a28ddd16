"""A Report as text: what was seen, worst last, then the verdict, the exit code and one command to run next."""

from __future__ import annotations

from typing import TextIO

from caasctl import __version__
from caasctl.model import Exit, Finding, Level, Report
from caasctl.report import banner, diagnosis, findings, order, phases, reset, smoke
from caasctl.report.command import elsewhere
from caasctl.report.paper import Paper, open_paper
from caasctl.report.verdict import counts, next_command, several, verdict

_READ_ONLY = "read-only"


def write(report: Report, out: TextIO, *, verbose: bool = False, width: int | None = None) -> None:
    """The whole report, plain where `out` is no terminal."""
    paper = open_paper(out, width)
    header(paper, report)
    diagnosed = diagnosis.of(report)
    if diagnosed:
        diagnosis.write(paper, report, diagnosed, verbose=verbose)
    elif _runs_phases(report):
        phases.blocks(paper, report, verbose=verbose)
        _beyond_phases(paper, report, verbose=verbose)
        _act_list(paper, report)
    else:
        ordered = order.ordered(report.findings)
        findings.topics(paper, ordered, verbose=verbose)
        paper.blank()
        _details(paper, report, ordered)
        findings.must_act(paper, order.must_act(report))
        paper.blank()
        findings.will_do(paper, order.will_do(report))
        paper.blank()
    footer(paper, report)


def header(paper: Paper, report: Report) -> None:
    about = [f"host {report.host}", f"profile {report.profile}"] if report.profile else [f"host {report.host}"]
    if not (_runs_phases(report) or smoke.is_smoke(report)) or order.dry(report):
        about.append(f"({_READ_ONLY})")
    paper.hang([("caasctl", "bold"), f" {__version__}  ", (report.command, "bold"), "  "], "  ".join(about), 4)
    paper.blank()


def footer(paper: Paper, report: Report) -> None:
    for note in report.notes:
        paper.hang(["Note: "], note, 6)
    if not reset.is_reset(report) and (order.everything(report) or not diagnosis.of(report)):
        paper.hang([], f"{counts(report)}.", 0)
    if (
        order.dry(report)
        and report.exit_code is not Exit.FAILED_CHECK
        and any(phase.changes for phase in order.phases(report))
    ):
        if reset.is_reset(report):
            reset.terms(paper, report)
        else:
            banner.terms(paper, report, auto_reboot="--auto-reboot" in report.command.split())
    paper.hang([], f"{verdict(report)} Exit code {int(report.exit_code)}.", 0, "bold")
    if elsewhere(report):
        paper.hang([], f"This was {report.host} as recorded: run what changes a host on that host.", 0)
    paper.line(("Next:  ", "bold"), next_command(report))


def _details(paper: Paper, report: Report, shown: tuple[Finding, ...]) -> None:
    bad = [finding for finding in shown if finding.level is not Level.PASS]
    findings.details(paper, bad, order.must_act(report))


def _act_list(paper: Paper, report: Report) -> None:
    acts = order.must_act(report)
    if acts:
        findings.must_act(paper, acts)
        paper.blank()


def _beyond_phases(paper: Paper, report: Report, *, verbose: bool) -> None:
    """Findings that no phase is about: those that stop or may stop a node; of the others their number."""
    judged = {(f.id, f.subject) for phase in order.phases(report) for f in phase.findings}
    beyond = [f for f in order.ordered(report.findings) if (f.id, f.subject) not in judged and not f.ours]
    shown = [f for f in beyond if verbose or f.level in (Level.FAIL, Level.UNKNOWN)]
    _details(paper, report, tuple(shown))
    left = [f for f in beyond if f not in shown and f.level is not Level.PASS]
    if left:
        paper.hang(
            ["Also: "], f"{several(len(left), 'finding')} that no phase waits for; `caasctl preflight` says which.", 6
        )
        paper.blank()


def _runs_phases(report: Report) -> bool:
    return report.command.startswith(("init-node", "join-node", "reset", "leave"))
