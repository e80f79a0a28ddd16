"""A Report as one static HTML file that loads nothing and needs no script."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from caasctl import formats
from caasctl.model import Exit, Finding, Level, Report
from caasctl.pictures import Drawn, Pictures, Scale
from caasctl.protocol import PhaseStatus
from caasctl.report import causes, data, order
from caasctl.report.facts import plain
from caasctl.report.verdict import counts, next_command, seconds, status_word, verdict
from caasctl.report.visible import visible

TEMPLATE = "report.html.j2"
_SHOWN = 5
_TONES = {Exit.OK: "pass", Exit.REBOOT: "warn", Exit.UNDETERMINED: "unknown"}


@dataclass
class _Anchors:
    """Names within the page, each once. first: id of a check -> where it is told first."""

    first: dict[str, str] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)

    def new(self, name: str) -> str:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        self.used[slug] += 1
        anchor = slug if self.used[slug] == 1 else f"{slug}--{self.used[slug]}"
        self.first.setdefault(visible(name), anchor)
        return anchor


def text(report: Report) -> str:
    """The template escapes every value itself; here the invisible is made visible."""
    anchors = _Anchors()
    told = causes.told(report.diagnosis, anchors.new) if report.diagnosis else None
    findings = order.everything(report)
    topics = dict.fromkeys(order.topic(finding) for finding in findings)
    values = {
        "report": data.tree(report),
        "told": told,
        "drawn": _drawn(report.pictures()) if report.pictures else None,
        "topics": {topic: [data.result(f) for f in findings if order.topic(f) == topic] for topic in topics},
        "total": len(findings),
        "problems": [{**each, "anchor": anchors.new(each["id"])} for each in _problems(findings, told)],
        "acts": _results(order.must_act(report)),
        "ours": _results(order.will_do(report)),
        "words": {level.value: word for level, word in order.WORDS.items()},
        "word": next(iter(report.command.split()), ""),
        "begun": _begun(report.started_at),
        "verdict": verdict(report),
        "tone": _TONES.get(report.exit_code, "fail"),
        "counts": counts(report),
        "next": next_command(report),
        "statuses": {status.value: status_word(status) for status in PhaseStatus},
        "took": {phase.id: seconds(phase.duration_ms) for phase in order.phases(report)},
        "anchors": anchors.first,
    }
    return formats.render(TEMPLATE, **_shown({**values, "contents": list(_contents(values))}))


def _begun(at: str) -> str:
    said = causes.time(at)
    return said if said == at else f"{said} UTC"


def _problems(findings: tuple[Finding, ...], told: data.Data | None) -> Iterable[data.Data]:
    """What does not pass, the worst first; what a diagnosis tells in full is not told again."""
    known = causes.shown(told) if told else frozenset()
    for level in order.LEVELS[:0:-1]:
        yield from (each for each in _results(_of(findings, level)) if each["id"] not in known)


def _contents(values: data.Data) -> Iterable[data.Data]:
    """The sections that this page has, in their order, with how much is in them."""
    told, drawn = values["told"], values["drawn"]
    if told:
        yield _entry("causes", "Root causes", len(told["roots"]))
        yield from (_entry(part["id"], part["title"], len(part["signs"])) for part in told["sections"])
        yield from (_entry(*each) for each in (("pod", "Chain of the pod", 0),) if told["chain"])
        yield from (_entry(*each) for each in (("timeline", "Time line", len(told["timeline"])),) if told["timeline"])
        yield from (_entry(part["id"], part["title"], len(part["rows"])) for part in told["tables"])
        yield from (_entry(*each) for each in (("collect", "To look further", 0),) if told["collect"])
        yield from (_entry(*each) for each in (("looked-at", "What was looked at", 0),) if told["lookedAt"])
    else:
        yield _entry("act", "You must act", len(values["acts"]))
        yield _entry("ours", "init-node will do", len(values["ours"]))
    if values["report"]["phases"]:
        yield _entry("phases", "Phases", len(values["report"]["phases"]))
    if values["problems"]:
        yield _entry("problems", "What does not pass", len(values["problems"]))
    if drawn:
        yield _entry("networks", "Networks", 0)
        yield _entry("gpus", "GPUs", len(drawn["gpus"]["cards"]))
        yield _entry("versions", "Versions", 0)
    yield _entry("findings", "All findings", values["total"])


def _entry(section: str, title: str, count: int) -> data.Data:
    return {"id": section, "title": title, "count": count or ""}


def _drawn(pictures: Pictures) -> data.Data:
    return {
        "versions": plain(pictures.versions),
        "networks": _networks(pictures.networks),
        "gpus": {
            "notes": plain(pictures.gpus.notes),
            "cards": [{**plain(card), "steps": causes.steps(card.steps)} for card in pictures.gpus.cards],
        },
    }


def _networks(drawn: Drawn) -> data.Data:
    return {"notes": plain(drawn.notes), "scales": [_scale(scale) for scale in drawn.scales]}


def _scale(scale: Scale) -> data.Data:
    """With the columns of the cluster's ranges behind every row, and all overlaps in a sentence."""
    said = plain(scale)
    clashes = [
        f"{span.what} with {' and '.join(span.overlaps)}" for span in scale.overlapping if span.whose != "services"
    ]
    more = f" and {len(clashes) - _SHOWN} more" if len(clashes) > _SHOWN else ""
    bands = [span for span in said["spans"] if span["whose"] != "host"]
    return {**said, "bands": bands, "overlaps": "; ".join(clashes[:_SHOWN]) + more}


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
