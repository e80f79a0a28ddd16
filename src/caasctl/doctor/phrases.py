"""Phrases of symptom rules: found whatever the case, the quoting and the line breaks, and never slow.

A phrase is the words of a message. White space, quotes, backslashes and case do not count, so it is found in a log, in JSON, and in
what a terminal has wrapped. Signs stand for what varies: `<*>` anything, up to 300 characters; `<.>` one name, up to 63; `<#>` a
number, `<6#>` one of six digits; `<a|b>` one of the words. There is nothing in it that could make a search take long.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from caasctl.frozen import dataclass

GAP = 300  # characters of a squeezed text; "." stops at the line break that stands between records
NAME = 63
_DROPPED = dict.fromkeys(map(ord, " \t\r\n\x0b\x0c\u00a0\u00b4\u2018\u2019\u201c\u201d\"'`\\"))
_ESCAPED = re.compile(r"\\+[ntr](?=[\s\"'A-Z\\]|$|\\)")  # line breaks of messages inside messages
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FIGURES = dict.fromkeys(map(ord, "0123456789abcdef"))
_SIGNS = re.compile(r"<[*.]>|<\d*#>|<[^<>|]+(?:\|[^<>|]+)+>")
_SHORTEST = 6


@dataclass(frozen=True)
class Phrase:
    """text: as in the rule. literal: its longest run without signs, squeezed, looked for first."""

    text: str
    literal: str

    @cached_property
    def shape(self) -> str:
        return shape(self.literal)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Of a squeezed text. Made where the literal stands: most are never needed."""
        parts, at = [], 0
        for sign in _SIGNS.finditer(self.text):
            parts += [re.escape(squeeze(self.text[at : sign.start()])), _pattern(sign[0])]
            at = sign.end()
        parts.append(re.escape(squeeze(self.text[at:])))
        return re.compile("".join(parts))

    def search(self, squeezed: str, start: int = 0) -> re.Match[str] | None:
        return self.pattern.search(squeezed, start) if self.literal in squeezed else None


def squeeze(text: str) -> str:
    """The text as phrases see it."""
    return plain(text).translate(_DROPPED).lower()


def shape(squeezed: str) -> str:
    """What is left of a squeezed text without numbers and ids: of thousands of lines some dozens differ in it."""
    return squeezed.translate(_FIGURES)


def places(text: str) -> list[int]:
    """Of each character of the squeezed text its place in the text itself; the text is one of `plain`."""
    return [at for at, sign in enumerate(text) for _ in sign.translate(_DROPPED).lower()]


def plain(text: str) -> str:
    """The text without colours, and line breaks that are written out made spaces of the same length."""
    text = _COLOURS.sub("", text) if "\x1b" in text else text
    return _ESCAPED.sub(lambda found: " " * len(found[0]), text) if "\\" in text else text


@lru_cache(maxsize=4096)
def phrase(text: str) -> Phrase:
    """Raises ValueError for one that is too short to mean anything."""
    literals = [squeeze(run) for run in _SIGNS.split(text)]
    longest = max(literals, key=len)
    if len(longest) < _SHORTEST:
        raise ValueError(f"{text!r}: no run of {_SHORTEST} characters in it that could be looked for")
    return Phrase(text, longest)


def _pattern(sign: str) -> str:
    if sign == "<*>":
        return f".{{0,{GAP}}}?"
    if sign == "<.>":
        return rf"[-\w./:@]{{1,{NAME}}}?"
    if sign.endswith("#>"):
        return rf"\d{{{sign[1:-2] or '1,20'}}}"
    return f"(?:{'|'.join(re.escape(squeeze(word)) for word in sign[1:-1].split('|'))})"
