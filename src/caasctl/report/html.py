"""A Report as one static HTML file that loads nothing and needs no script."""

from __future__ import annotations

from typing import Any

from caasctl import formats
from caasctl.model import Finding, Level, Report
from caasctl.protocol import PhaseStatus
from caasctl.report import data, order
from caasctl.report.verdict import counts, next_command, seconds, status_word, verdict
from caasctl.report.visible import visible

TEMPLATE = "report.html.j2"


def text(report: Report) -> str:
    """The template escapes every value itself; here the invisible is made visible."""
    findings = order.everything(report)
    topics = dict.fromkeys(order.topic(finding) for finding in findings)
    values = {
        "report": data.tree(report),
        "topics": {topic: [data.result(f) for f in findings if order.topic(f) == topic] for topic in topics},
        "problems": [each for level in order.LEVELS[:0:-1] for each in _results(_of(findings, level))],
        "acts": _results(order.must_act(report)),
        "ours": _results(order.will_do(report)),
        "words": {level.value: word for level, word in order.WORDS.items()},
        "verdict": verdict(report),
        "counts": counts(report),
        "next": next_command(report),
        "statuses": {status.value: status_word(status) for status in PhaseStatus},
        "took": {phase.id: seconds(phase.duration_ms) for phase in order.phases(report)},
    }
    return formats.render(TEMPLATE, **_shown(values))


def _of(findings: tuple[Finding, ...], level: Level) -> list[Finding]:
    return [finding for finding in findings if finding.level is level]


def _results(findings: tuple[Finding, ...] | list[Finding]) -> list[data.Data]:
    """Those that differ in their subject only are one, as in the text."""
    grouped = order.groups(findings)
    return [{**data.result(each.finding), "subject": ", ".join(each.subjects)} for each in grouped]


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return "\n".join(visible(line.expandtabs(8)) for line in value.split("\n"))
    if isinstance(value, dict):
        return {_shown(key): _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value
