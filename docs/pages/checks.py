"""The pages of checks: docs/checks.md with all of them in a table, docs/reference/checks/TOPIC.md with what each is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docs.pages import links
from docs.pages.markdown import block, page, prose, table

from caasctl.checks import CHECKS
from caasctl.doctor.rules import Rules
from caasctl.model import Check
from caasctl.report.order import TOPICS

_OF_PREFLIGHT = frozenset(check.id for check in CHECKS)
_HEAD = """\
Written by `docs/generate.py` from the checks themselves; `caasctl explain ID` prints the same, `caasctl preflight --check ID` looks."""


def topics(checks: Sequence[Check]) -> tuple[str, ...]:
    """Of these checks, in the order of reports."""
    there = {check.topic for check in checks}
    return tuple(name for name in (*TOPICS, *sorted(there - set(TOPICS))) if name in there)


def index(checks: Sequence[Check]) -> str:
    """docs/checks.md: a table for each topic, in the order in which the checks run."""
    parts = []
    for topic in topics(checks):
        rows = [_row(check) for check in checks if check.topic == topic]
        parts += [f"## {topic}", table(("id", "claim", "mended by"), rows)]
    return page("Checks", _HEAD, *parts)


def _row(check: Check) -> tuple[str, str, str]:
    name = f"[`{check.id}`](reference/checks/{check.topic}.md#{links.fragment(check.id)})"
    return name, prose(check.title), links.phase(check.fixed_by, "reference/") if check.fixed_by else "you"


def of_topic(topic: str, checks: Sequence[Check], rules: Rules) -> str:
    """docs/reference/checks/TOPIC.md."""
    sections = ["\n".join(_section(check, rules)) for check in checks if check.topic == topic]
    return page(f"Checks: {topic}", *sections)


def _section(check: Check, rules: Rules) -> Iterator[str]:
    yield from (links.anchor(check.id), "", f"## {check.id}", "", f"{prose(check.title)}.", "")
    for label, said in _fields(check, rules):
        if said:
            yield f"- **{label}:** {said}"
    yield ""
    yield block(_command(check), "sh")


def _command(check: Check) -> str:
    return f"caasctl preflight --check {check.id}" if check.id in _OF_PREFLIGHT else "caasctl doctor"


def _fields(check: Check, rules: Rules) -> Iterator[tuple[str, str]]:
    yield "Looks at", prose(check.looks_at)
    yield "Why", prose(check.why)
    yield "Fix", prose(check.fix)
    if check.fixed_by:
        yield "Mended by", f"`caasctl init-node`, phase {links.phase(check.fixed_by)}"
    if check.gates:
        yield "Must not fail before", ", ".join(map(links.phase, check.gates)) + " (where only you can mend it)"
    yield "Skipped while these fail", ", ".join(map(links.to, check.after))
    yield from causes(check.id, rules)
    if check.id not in _OF_PREFLIGHT:
        yield "Looked at by", "`caasctl doctor` only"
    yield "Source", prose(check.source)


def causes(name: str, rules: Rules) -> Iterator[tuple[str, str]]:
    """What a check or symptom follows from, and what follows from it."""
    yield "Follows from", ", ".join(links.to(cause) for cause, effects in rules.causes.items() if name in effects)
    yield "Brings about", ", ".join(map(links.to, rules.causes.get(name, ())))
