"""What a check is about: `caasctl explain ID`, and the list of all checks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TextIO

from caasctl.model import Check, UsageError
from caasctl.report.order import TOPICS, place
from caasctl.report.paper import Paper, open_paper

VALUE = 12


def of_topic(name: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks of the topic of that name; () where it is none."""
    return tuple(check for check in checks if check.topic == name.strip().lower())


def find(name: str, checks: Iterable[Check]) -> Check:
    """The check of that id. Raises UsageError that names the ids near it."""
    known = {check.id: check for check in checks}
    if name in known:
        return known[name]
    near = suggestions(name, known)
    raise UsageError(
        f"there is no check {name!r}",
        cause=f"near it: {', '.join(near)}" if near else "no id is near it",
        fix=f"`caasctl explain {near[0]}`" if near else "`caasctl explain` lists all ids",
    )


def suggestions(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Ids that were likely meant: the same slug or topic, else near misses."""
    ids = sorted(known)
    name = name.strip().lower().replace("-", "_").replace("/", ".")
    exact = [each for each in ids if name in {each, each.partition(".")[2]}]
    spelled = difflib.get_close_matches(name, ids, n=3, cutoff=0.6)
    slugs = {each.partition(".")[2]: each for each in ids}
    bare = name.rpartition(".")[2]
    tails = [slugs[slug] for slug in difflib.get_close_matches(bare, list(slugs), n=3, cutoff=0.6)]
    inside = [each for each in ids if bare and bare in each] or [each for each in ids if each.startswith(f"{name}.")]
    return tuple(dict.fromkeys([*exact, *spelled, *tails, *inside]))[:5]


def write(check: Check, out: TextIO, *, width: int | None = None) -> None:
    """All that is known of one check."""
    paper = open_paper(out, width)
    paper.hang([(check.id, "bold"), "  "], check.title, 2)
    paper.blank()
    for label, said in _fields(check):
        paper.hang([(label, "dim")], said, VALUE)


def write_claim(name: str, title: str, out: TextIO, *, width: int | None = None) -> None:
    """What is proven by pods, and by no check."""
    paper = open_paper(out, width)
    paper.hang([(name, "bold"), "  "], title, 2)
    paper.blank()
    paper.hang([("looks at", "dim")], "what a pod says of where it runs, or the API server of it", VALUE)
    paper.hang([("judged by", "dim")], "`caasctl smoke`, whose finding says the cause and the fix", VALUE)


def listing(checks: Iterable[Check], out: TextIO, *, width: int | None = None) -> None:
    """Every check by topic, with what it claims."""
    paper = open_paper(out, width)
    ordered = sorted(checks, key=lambda check: (place(check.topic, TOPICS), check.id))
    indent = min(max((len(check.id) for check in ordered), default=0) + 4, 36)
    for topic in dict.fromkeys(check.topic for check in ordered):
        paper.line((topic, "bold"))
        for check in ordered:
            if check.topic == topic:
                paper.hang([f"  {check.id}"], check.title, indent)
    paper.blank()
    _hint(paper)


def _fields(check: Check) -> list[tuple[str, str]]:
    mended = f"init-node, phase {check.fixed_by}" if check.fixed_by else "you: init-node does not mend it"
    said = [
        ("looks at", check.looks_at),
        ("why", check.why),
        ("fix", check.fix),
        ("mended by", mended),
        (
            "gates",
            ", ".join(check.gates) and f"phase {', '.join(check.gates)} does not start while only you can mend it",
        ),
        ("blocked by", ", ".join(check.after)),
        ("source", check.source),
    ]
    return [(label, text) for label, text in said if text]


def _hint(paper: Paper) -> None:
    paper.line("One of them: caasctl explain ID")
