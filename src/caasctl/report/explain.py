"""What a check or a symptom is about: `caasctl explain ID`, and the lists of all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar

from caasctl.diagnosis import Says
from caasctl.model import Check, UsageError
from caasctl.report.order import TOPICS, place
from caasctl.report.paper import Paper, open_paper

if TYPE_CHECKING:
    from caasctl.doctor.rules import Rule, Rules

VALUE = 12
_SAYS = {
    Says.CAUSE: "what is wrong, by itself",
    Says.EFFECT: "something that follows from a cause: see below",
    Says.NOTE: "nothing that is wrong with the node",
}


class Named(Protocol):
    """A check or a symptom."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def topic(self) -> str: ...


N = TypeVar("N", bound=Named)


def of_topic(name: str, checks: Iterable[Check]) -> tuple[Check, ...]:
    """The checks of the topic of that name; () where it is none."""
    return tuple(check for check in checks if check.topic == name.strip().lower())


def find(name: str, checks: Iterable[N]) -> N:
    """The check or symptom of that id. Raises UsageError that names the ids near it."""
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


def write_symptom(rule: Rule, rules: Rules, out: TextIO, *, width: int | None = None) -> None:
    """All that is known of one symptom."""
    paper = open_paper(out, width)
    paper.hang([(rule.id, "bold"), "  "], rule.title, 2)
    paper.blank()
    causes = [name for name, effects in rules.causes.items() if rule.id in effects]
    said = [
        ("looks for", "; ".join(f"`{one.text}`" for one in rule.match)),
        ("in", ", ".join(rule.kinds) or "all that programs said, and what is pasted"),
        ("says", _SAYS[rule.says]),
        ("why", rule.cause),
        ("fix", rule.fix.text),
        ("follows from", ", ".join(causes)),
        ("brings about", ", ".join(rules.causes.get(rule.id, ()))),
        ("source", rule.source),
    ]
    for label, text in said:
        if text:
            paper.hang([(label, "dim")], text, VALUE + 2)


CLAIMS = {  # judged by a command of its own, not by a check
    "smoke": ("what a pod says of where it runs, or the API server of it", "`caasctl smoke`, whose finding says the cause and the fix"),
    "upgrade": ("this node's programs and files, and what its cluster says of its nodes", "`caasctl upgrade --dry-run --to VERSION`, before it shows a step"),
    "kubernetes": ("each link of the pod's start: node, class, handler, shim, Kata, devices, volumes, image, sandbox, containers",
                   "`caasctl doctor pod/NAME -n NAMESPACE`, whose finding is the first link that is broken"),
}  # fmt: skip


def write_claim(name: str, title: str, out: TextIO, *, width: int | None = None) -> None:
    """What a command of its own judges, and no check."""
    looks_at, judged_by = CLAIMS[name.partition(".")[0]]
    paper = open_paper(out, width)
    paper.hang([(name, "bold"), "  "], title, 2)
    paper.blank()
    paper.hang([("looks at", "dim")], looks_at, VALUE)
    paper.hang([("judged by", "dim")], judged_by, VALUE)


def listing(checks: Iterable[Named], out: TextIO, *, width: int | None = None) -> None:
    """Every check or symptom by topic, with what it claims."""
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
