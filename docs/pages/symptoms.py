"""The pages of symptoms: docs/symptoms.md with all of them in a table, docs/reference/symptoms/TOPIC.md with what each means."""

from __future__ import annotations

from collections.abc import Iterator

from docs.pages import links
from docs.pages.checks import causes
from docs.pages.markdown import block, code, page, prose, table

from caasctl.diagnosis import Says
from caasctl.doctor.rules import Rule, Rules
from caasctl.report.order import TOPICS

_HEAD = """\
What programs say, and what it means. Written by `docs/generate.py` from `symptoms/*.yaml`; `caasctl explain ID` prints the same.
Paste what you have: `caasctl doctor --log FILE` finds it, wrapped lines and quotes included. Search this page for the words of your message.

- **cause**: the message states what is wrong.
- **effect**: it follows from something else; look for that first.
- **note**: it only reads like trouble."""
_SAYS = {
    Says.CAUSE: "what is wrong, by itself",
    Says.EFFECT: "it follows from something",
    Says.NOTE: "nothing is wrong",
}


def topics(rules: Rules) -> tuple[str, ...]:
    there = {rule.topic for rule in rules.symptoms}
    return tuple(name for name in (*TOPICS, *sorted(there - set(TOPICS))) if name in there)


def index(rules: Rules) -> str:
    """docs/symptoms.md: each symptom by the words that it is known by."""
    parts = []
    for topic in topics(rules):
        rows = [_row(rule) for rule in rules.symptoms if rule.topic == topic]
        parts += [f"## {topic}", table(("it says", "which means", "worth"), rows)]
    return page("Symptoms", _HEAD, *parts)


def _row(rule: Rule) -> tuple[str, str, str]:
    said = "<br>".join(code(one.text) for one in rule.match)
    return said, f"[{prose(rule.title)}](reference/symptoms/{rule.topic}.md#{links.fragment(rule.id)})", rule.says.value


def of_topic(topic: str, rules: Rules) -> str:
    """docs/reference/symptoms/TOPIC.md."""
    sections = ["\n".join(_section(rule, rules)) for rule in rules.symptoms if rule.topic == topic]
    return page(f"Symptoms: {topic}", *sections)


def _section(rule: Rule, rules: Rules) -> Iterator[str]:
    yield from (links.anchor(rule.id), "", f"## {rule.id}", "", f"{prose(rule.title)}.", "")
    for label, said in _fields(rule, rules):
        if said:
            yield f"- **{label}:** {said}"
    yield from ("", "As seen:", "", block(rule.sample))


def _fields(rule: Rule, rules: Rules) -> Iterator[tuple[str, str]]:
    yield "Says", f"{rule.says.value}: {_SAYS[rule.says]}"
    yield "Looks for", "; ".join(code(one.text) for one in rule.match)
    yield "Unless beside it", "; ".join(code(one.text) for one in rule.unless)
    yield "In", ", ".join(rule.kinds) or "all that programs said, and what is pasted"
    yield "Why", prose(rule.cause)
    yield "Fix", prose(rule.fix.text) + (" Then reboot." if rule.fix.needs_reboot else "")
    yield from causes(rule.id, rules)
    yield "Source", prose(rule.source)
