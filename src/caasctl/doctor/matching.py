"""Where the symptoms of the rules are seen in what programs said."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from caasctl.diagnosis import Line, Sign
from caasctl.doctor.phrases import GAP, Phrase, places, plain, shape, squeeze
from caasctl.doctor.rules import TEXT, Rule
from caasctl.frozen import dataclass
from caasctl.hidden import masked, said
from caasctl.model import Evidence, Finding, Level

LASTING = ("kernel", "event", "pod", "node", "cilium")  # kinds of lines that are no history
_EXCERPT = 240  # characters of a message that are shown
_BEFORE = 80  # of them before the match
_TAIL = 70  # of a match that is longer, how much of its end
_SHOWN = 3  # sources that a symptom is shown from


class Hit(NamedTuple):
    """A rule's phrase in a line (of a pasted text, where it begins). excerpt: the message around it."""

    line: Line
    place: int  # of the line among all that were given
    excerpt: str


@dataclass(frozen=True)
class _Stream:
    """The lines of one source. text: all of them squeezed, records with a line break between, pasted lines without.

    shapes: of records, each shape once; None for pasted lines, in which a phrase may go over several.
    """

    lines: Sequence[Line]
    first: int
    text: str
    starts: Sequence[int]  # where each line begins in `text`
    shapes: str | None = None

    @classmethod
    def of(cls, lines: Sequence[Line], first: int) -> _Stream:
        small = [squeeze(line.text) for line in lines]
        between = "" if lines[0].kind == TEXT else "\n"
        starts = [0, *accumulate(len(one) + len(between) for one in small)][:-1]
        shapes = "\n".join(set(map(shape, small))) if between else None
        return cls(lines, first, between.join(small), starts, shapes)

    def may_hold(self, one: Phrase) -> bool:
        return self.shapes is None or one.shape in self.shapes

    def line_at(self, at: int) -> int:
        return max(0, bisect_right(self.starts, at) - 1)


def streams(lines: Sequence[Line]) -> tuple[_Stream, ...]:
    """The lines by source, ready to be searched by any number of rules; those of one source stand together."""
    made, at = [], 0
    for _, group in groupby(lines, key=lambda line: (line.kind, line.source)):
        here = list(group)
        made.append(_Stream.of(here, at))
        at += len(here)
    return tuple(made)


def hits(rule: Rule, among: Iterable[_Stream]) -> Iterator[Hit]:
    """Every line that shows the symptom, once."""
    for stream in among:
        if rule.looks_at(stream.lines[0].kind):
            phrases = [one for one in rule.match if stream.may_hold(one)]
            found = {at: hit for one in phrases for at, hit in _of_phrase(one, rule, stream)}
            yield from (found[at] for at in sorted(found))


def _of_phrase(one: Phrase, rule: Rule, stream: _Stream) -> Iterator[tuple[int, Hit]]:
    at = 0
    while match := one.search(stream.text, at):
        line = stream.line_at(match.start())
        after = stream.starts[line + 1] if line + 1 < len(stream.starts) else len(stream.text)
        at = max(after, match.end())
        around = stream.text[max(0, match.start() - GAP) : match.end() + GAP]
        if stream.lines[0].kind != TEXT:
            around = stream.text[stream.starts[line] : after]
        if not any(other.search(around) for other in rule.unless):
            last = stream.line_at(max(match.start(), match.end() - 1))
            begun = match.start() - stream.starts[line]
            ended = max(match.start(), match.end() - 1) - stream.starts[line]
            yield (
                line,
                Hit(stream.lines[line], stream.first + line, _excerpt(stream.lines[line : last + 1], begun, ended)),
            )


def _excerpt(lines: Sequence[Line], begun: int, ended: int) -> str:
    """The message from a little before the match on, of a long match both ends; begun, ended: places among the squeezed characters."""
    whole = plain("\n".join(line.text.strip() for line in lines)).strip()
    where = places(whole)
    # What is cut first may lose the word that tells of a secret, and keep the secret.
    text = _without_secrets(whole)
    at, end = (len(_without_secrets(whole[: where[one]])) if one < len(where) else 0 for one in (begun, ended))
    start = 0 if at <= _BEFORE else text.rfind(" ", 0, at - _BEFORE // 2) + 1
    most = start + _EXCERPT
    if most < end <= most + _TAIL:
        most = end + _TAIL
    shown, more = " ".join(text[start:most].split()), most < len(text)
    if end > most and len(lines) == 1:  # what tells most is often the end of a match
        shown, more = f"{shown} ... {' '.join(text[end - _TAIL : end + _TAIL].split())}", end + _TAIL < len(text)
    return ("... " if start else "") + shown + (" ..." if more else "")


def _without_secrets(text: str) -> str:
    return masked(said(text)).replace("\n", " ")


def sign(rule: Rule, found: Sequence[Hit]) -> Sign:
    """The symptom with where it was seen: of each source the last place."""
    times = sorted(hit.line.at for hit in found if hit.line.at)
    last_of = {hit.line.source: hit for hit in found}
    evidence = tuple(Evidence(_where(hit), hit.excerpt) for hit in _different(last_of.values())[:_SHOWN])
    number = sum(hit.line.times for hit in found)
    often = f"{number} times" if number > 1 else "once"
    finding = Finding(
        Level.FAIL, f"said {often} in {', '.join(list(last_of)[:_SHOWN])}", cause=rule.cause, fix=rule.fix, fixed_by="",
        evidence=evidence, id=rule.id, title=rule.title, topic=rule.topic,
    )  # fmt: skip
    lasting = any(hit.line.kind in LASTING for hit in found)
    return Sign(finding, rule.says, number, *((times[0], times[-1]) if times else ("", "")), lasting=lasting)


def _different(found: Iterable[Hit]) -> list[Hit]:
    """Without those whose words stand in another one's: an event and its pod's condition say the same."""
    kept: list[Hit] = []
    for hit in found:
        if not any(hit.excerpt in other.excerpt for other in kept):
            kept = [other for other in kept if other.excerpt not in hit.excerpt] + [hit]
    return kept


def _where(hit: Hit) -> str:
    return f"{hit.line.source} {hit.line.at}".strip()


def seen(rules: Iterable[Rule], lines: Sequence[Line]) -> tuple[tuple[Sign, ...], frozenset[int]]:
    """The symptoms that are seen, in the order of the rules; and the places of the lines that show one."""
    among = streams(lines)
    signs, explained = [], set()
    for rule in rules:
        found = list(hits(rule, among))
        explained |= {hit.place for hit in found}
        if found:
            signs.append(sign(rule, found))
    return tuple(signs), frozenset(explained)
