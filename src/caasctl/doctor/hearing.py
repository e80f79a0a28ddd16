"""What there is to hear: the lines of the facts that have some, how much of it counts, and what sounds like trouble."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import groupby

from caasctl.diagnosis import Line
from caasctl.doctor.rules import TEXT
from caasctl.hidden import masked, said
from caasctl.model import Facts, UsageError

BOOT = ("kernel",)  # said once, at the boot or when it happened, and true until the next one
WINDOW = timedelta(hours=1)
PLAIN = 20_000  # lines of a pasted text that are taken as they are
PLAIN_SIZE = 16 << 20  # characters of them
SHAPES = 50_000  # of a longer one, how many that are not alike
SHAPES_SIZE = 64 << 20  # characters of them
_TROUBLE = re.compile(
    r"(?i)^[EF]\d{4} \d\d:|\blevel=(?:error|fatal|panic)|\b(?:error|fatal|panic|fail(?:ed|ure)?|cannot|could ?n[o']t|unable to|refused|"
    r"denied|invalid|not found|no such|timed? ?out|unsupported|segfault|traceback|corrupt\w*|killed|exceeded)\b"
)
# What its own program calls a matter of course: klog, logrus, zap, and others
_CALM = re.compile(r"\bI\d{4} \d\d:|\blevel=(?:info|debug|trace)\b|\b(?:INFO|DEBUG)\b|\"level\":\"(?:info|debug)\"")
_WORST = re.compile(r"(?i)\b(?:fatal|panic|segfault|corrupt\w*|emerg|crit)\b|^F\d{4} |level=(?:fatal|panic)")
_NO_FIGURES = dict.fromkeys(
    map(ord, "0123456789abcdef")
)  # numbers and ids; quick, and the rest of a line still tells it
_FIGURES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+|\"[^\"]*\"|'[^']*'", re.IGNORECASE)


def heard(facts: Facts, since: timedelta | None = None, now: datetime | None = None) -> tuple[Line, ...]:
    """The lines that count: with `since`, those from then on; else of each source the last hour that it said something."""
    every = [line for fact in facts.known() for line in getattr(fact, "lines", ())]
    lines = [line for line in every if isinstance(line, Line)]  # other facts have lines of other kinds
    made: list[Line] = []
    for (kind, _), group in groupby(sorted(lines, key=_source), key=_source):
        here = list(group)
        last = max((line.at for line in here if line.at), default="")
        after = _before(now, since) if since is not None else "" if kind in BOOT else _before(_time(last), WINDOW)
        made += [line for line in here if not line.at or line.at >= after]
    return tuple(made)


def _source(line: Line) -> tuple[str, str]:
    return line.kind, line.source


def _time(at: str) -> datetime | None:
    return datetime.fromisoformat(at.replace("Z", "+00:00")) if at else None


def _before(when: datetime | None, span: timedelta | None) -> str:
    """What lies before all calendars is "": then everything counts."""
    if when is None or span is None:
        return ""
    try:
        return (when - span).astimezone(timezone.utc).isoformat(timespec="seconds")
    except OverflowError:
        return ""


def pasted(name: str, blocks: Iterable[str]) -> tuple[Line, ...]:
    """What a user brought, line by line. Of a long text lines that differ in figures only are one, with how often they came.

    Raises UsageError for a text without a word: it would read as one in which all is well.
    """
    kept: dict[str, Line] = {}
    plain: list[Line] = []
    size, room = 0, SHAPES_SIZE
    for block in blocks:
        lines = [line for line in block.splitlines() if line.strip()]
        size += len(block)
        if not kept and len(plain) + len(lines) <= PLAIN and size <= PLAIN_SIZE:
            plain += [Line(TEXT, name, line) for line in lines]
            continue
        for line in (*(each.text for each in plain), *lines):
            shape = line.translate(_NO_FIGURES)
            if shape in kept:
                kept[shape] = replace(kept[shape], times=kept[shape].times + 1)
            elif len(kept) < SHAPES and room >= len(line):
                kept[shape] = Line(TEXT, name, line)
                room -= len(line)
        plain = []
    if not kept and not plain:
        raise UsageError(f"{name} holds no text", cause="doctor was to judge what a program said, and it said nothing",
                         fix="its errors may go to standard error: COMMAND 2>&1 | caasctl doctor --log -")  # fmt: skip
    return (*kept.values(), *plain)


def strange(lines: Sequence[Line], explained: Iterable[int], most: int = 5) -> tuple[Line, ...]:
    """Lines that sound like trouble and that no rule knows; alike ones once, the worst and the rarest first."""
    known = set(explained)
    left = [line for at, line in enumerate(lines) if at not in known and _sounds(line.text)]
    shapes = [_FIGURES.sub("#", line.text) for line in left]
    often = Counter(shapes)
    first = dict(reversed(list(zip(shapes, left, strict=True))))
    ranked = sorted(first, key=lambda shape: (not _WORST.search(first[shape].text), often[shape]))
    return tuple(replace(first[shape], text=masked(said(first[shape].text))) for shape in ranked[:most])


def _sounds(text: str) -> bool:
    return _TROUBLE.search(text) is not None and not _CALM.search(text)


def sources(lines: Iterable[Line]) -> tuple[str, ...]:
    """What was read, and how much of it."""
    many: Counter[str] = Counter()
    for line in lines:
        many[line.source] += line.times
    return tuple(f"{name} ({number} {'line' if number == 1 else 'lines'})" for name, number in many.items())
