"""A text by its lines, for many patterns: each is tried only where something stands that it cannot match without.

To look for a literal takes a hundredth of a pattern's time. What has no literal gets one in another view of the text: with one letter for all
hexadecimal digits a MAC address is `aa:aa:aa:aa:aa:aa`; without digits an address is `...`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import NamedTuple

_DIGITS, _SMALL, _LARGE = b"0123456789", b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEX = _DIGITS + b"abcdefABCDEF"
_ODD = "\u0130\u0131\u017f\u212a"  # letters that patterns without case take for i, s and k


def _table(*classes: tuple[bytes, bytes], other: bytes = b"") -> bytes:
    """A translation; of two classes that hold a byte the last counts. other: for what is in none, b"" for itself."""
    table = bytearray(other * 256 or bytes(range(256)))
    for signs, letter in classes:
        for sign in signs:
            table[sign] = letter[0]
    return bytes(table)


_SAME = bytes(range(256))
# view -> (translation, bytes that are left out)
_IN_WORDS = b"+/=_-" + _DIGITS + _SMALL + _LARGE
_IN_URLS = b":/@\"' \t\r\n\x0b\x0c"
_VIEWS = {
    "text": (_SAME, b""),
    "lower": (bytes(range(256)).lower(), b""),
    "small": (_table((_DIGITS + _SMALL, b"a")), b""),
    "hexadecimal": (_table((_HEX, b"a")), b""),
    "words": (_table((_SMALL + _LARGE, b"g"), (_HEX, b"a"), other=b" "), b""),
    "no digits": (_SAME, _DIGITS),
    "no hexadecimal": (_SAME, _HEX),
    "no names": (_SAME, bytes(set(range(256)) - set(_IN_URLS))),
}


_TO_WORDS = bytes(sign if sign in _IN_WORDS else ord(" ") for sign in range(256))
_LONG = 12  # the shortest word that says something: a MAC address


class Need(NamedTuple):
    """One of the literals, in a view of the text: without it a pattern does not match."""

    view: str
    literals: tuple[bytes, ...]


NOTHING = Need("text", (b"",))  # any line


class Lines:
    """found and sub look at single lines: for patterns that match in one line. What a sub writes holds no need of another pattern."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._before: str | None = text
        self._data = text.encode("utf-8", "replace")
        self._views: dict[str, bytes] = {}
        self._starts: dict[str, list[int]] = {}
        self._having: dict[tuple[Need, ...], list[int]] = {}
        self._odd = not text.isascii() and any(letter in text for letter in _ODD)

    @property
    def text(self) -> str:
        if self._before is None:
            self._before = "\n".join(self._lines)
        return self._before

    def words(self) -> str:
        """Its long words of letters, digits and the signs of base64, each once, on lines of their own."""
        words = set(self.text.encode("utf-8", "replace").translate(_TO_WORDS).split())
        return b"\n".join(word for word in words if len(word) >= _LONG).decode("ascii")

    def __getitem__(self, at: int) -> str:
        return self._lines[at]

    def found(self, pattern: re.Pattern[str], *needs: Need) -> Iterator[re.Match[str]]:
        for at in self.having(*needs):
            yield from pattern.finditer(self._lines[at])

    def sub(self, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str], *needs: Need) -> None:
        for at in self.having(*needs):
            old = self._lines[at]
            self._lines[at] = pattern.sub(new, old)
            if self._lines[at] != old:
                self._before = None

    def having(self, *needs: Need) -> list[int]:
        """The lines in which one of the needs stands, in order."""
        if self._odd or NOTHING in needs:
            return list(range(len(self._lines)))
        if needs not in self._having:
            places = {at for need in needs for literal in need.literals for at in self._with(need.view, literal)}
            self._having[needs] = sorted(places)
        return self._having[needs]

    def _with(self, view: str, literal: bytes) -> Iterator[int]:
        data = self._view(view)
        at = data.find(literal)
        while at >= 0:
            starts = self._lines_of(view)
            line = bisect_right(starts, at) - 1
            yield line
            at = data.find(literal, starts[line + 1])

    def _view(self, view: str) -> bytes:
        if view not in self._views:
            table, left_out = _VIEWS[view]
            data = self._data.translate(table, left_out)
            self._views[view] = b" " + data + b" " if view == "words" else data
        return self._views[view]

    def _lines_of(self, view: str) -> list[int]:
        """Where each line begins; in the view of words also, whose literals begin with what stands before a word."""
        name = view if view.startswith("no ") else "text"
        if name not in self._starts:
            parts = self._view(name).split(b"\n")
            self._starts[name] = [0, *accumulate(len(part) + 1 for part in parts)]
        return self._starts[name]
