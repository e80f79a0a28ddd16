"""An upgrade's plan in words and as data: what stands in the way, then the steps with their commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from caasctl import __version__, formats
from caasctl.model import Exit, Level, Report
from caasctl.needs.upgrade.path import Step
from caasctl.report import data, findings, order, text
from caasctl.report.paper import Paper, open_paper
from caasctl.report.stream import emit
from caasctl.report.visible import storable

_INDENT = 6


def tree(report: Report, versions: Mapping[str, str], target: str, steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "schemaVersion": data.SCHEMA_VERSION,
        "tool": {"name": "caasctl", "version": __version__},
        "host": report.host,
        "command": report.command,
        "startedAt": report.started_at,
        "from": dict(versions),
        "to": target,
        "exitCode": int(report.exit_code),
        "results": [data.result(finding) for finding in order.ordered(report.findings)],
        "steps": [
            {"title": one.title, "where": one.where or None, "note": one.note or None, "commands": [*one.commands]}
            for one in steps
        ],
    }


def write(
    report: Report,
    versions: Mapping[str, str],
    target: str,
    steps: Sequence[Step],
    fmt: str,
    out: TextIO,
    *,
    verbose: bool,
) -> None:
    if fmt != "text":
        said = tree(report, versions, target, steps)
        emit(out, storable(formats.dump_json(said) if fmt == "json" else formats.dump_yaml(said)))
        return
    paper = open_paper(out)
    text.header(paper, report)
    paper.hang(["From  "], ", ".join(f"{name} {version}" for name, version in versions.items() if version), _INDENT)
    paper.hang(["To    "], f"Kubernetes {target}", _INDENT)
    paper.blank()
    shown = [one for one in order.ordered(report.findings) if one.level is not Level.PASS]
    findings.details(paper, shown, order.must_act(report))
    findings.must_act(paper, order.must_act(report))
    paper.blank()
    if verbose:
        findings.topics(paper, order.ordered(report.findings), verbose=True)
    for number, step in enumerate(steps, 1):
        _step(paper, number, step)
    paper.hang([], f"{_verdict(report, steps)} Exit code {int(report.exit_code)}.", 0, "bold")


def _step(paper: Paper, number: int, step: Step) -> None:
    where = f"  (on {step.where})" if step.where else ""
    paper.hang([(f"{number:>3}  ", "bold")], f"{step.title}{where}", _INDENT - 1, "bold")
    if step.note:
        paper.hang([" " * (_INDENT - 1)], step.note, _INDENT - 1)
    for command in step.commands:
        paper.exact(command, _INDENT + 2)
    paper.blank()


def _verdict(report: Report, steps: Sequence[Step]) -> str:
    if report.exit_code is Exit.FAILED_CHECK:
        return "Upstream does not support this, or it would stop half-way: see FAIL. No step is shown before that is mended."
    if report.exit_code is Exit.UNDETERMINED:
        return "Not planned: something that matters could not be determined, see UNKN."
    return f"{len(steps)} steps; nothing was changed." if steps else "Nothing to do: this node is there."
