"""Lines on a terminal, through rich: colour where it is wanted, hanging indents, nothing cut, commands never broken."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, Union

from caasctl.hidden import masked
from caasctl.report.visible import lines, visible

if TYPE_CHECKING:
    from rich.console import Console

Span = Union[str, tuple[str, str]]  # text, or text and a rich style
DEFAULT_WIDTH = 80
NARROWEST = 40
WIDEST = 120  # longer lines of prose are hard to read
STYLES = {
    "PASS": "green",
    "WARN": "yellow",
    "FAIL": "bold red",
    "UNKN": "magenta",
    "SKIP": "dim",
    "WAIV": "cyan",
}
_WORD = re.compile(r"\S+")
_QUOTED = re.compile(r"[^\s`]*`[^`]*`[^\s`]*|\S+")  # what stands in backticks is one word


class Paper:
    """Prints on one stream. Every text goes through `visible` here, whoever wrote it. console: where there is colour."""

    def __init__(self, out: TextIO, width: int, console: Console | None) -> None:
        self._out, self._console = out, console
        self._encoding = out.encoding or "utf-8"
        self._margin, self._blank = 0, False
        self.width = width

    @contextmanager
    def inset(self, columns: int) -> Iterator[None]:
        """What is printed within stands further to the right."""
        self._margin, self.width = self._margin + columns, self.width - columns
        try:
            yield
        finally:
            self._margin, self.width = self._margin - columns, self.width + columns

    def line(self, *spans: Span) -> None:
        """One line, however long it is."""
        said = [(span, "") if isinstance(span, str) else span for span in spans]
        self._print([(" " * self._margin, ""), *((self._safe(words), style) for words, style in said)])
        self._blank = False

    def blank(self) -> None:
        """An empty line, never two."""
        if not self._blank:
            self._print([])
        self._blank = True

    def hang(self, head: Sequence[Span], text: str, indent: int, style: str = "", *, keep: bool = False) -> None:
        """The head, then the text from column `indent` on (or right after a longer head), wrapped to that column.

        keep: what stands in backticks is not broken. Secrets are hidden: once more than where they were read.
        """
        used = sum(cells(span if isinstance(span, str) else span[0]) for span in head)
        wrapped = wrap(masked(text), self.width - max(used, indent), self.width - indent, keep=keep)
        if used > indent and cells(wrapped[0]) > self.width - used:
            self.line(*head)
            self.line(" " * indent, (wrapped[0], style))
        else:
            self.line(*head, " " * (indent - used), (wrapped[0], style))
        for more in wrapped[1:]:
            self.line(" " * indent, (more, style))

    def exact(self, text: str, indent: int, style: str = "") -> None:
        """Lines to be pasted: never broken."""
        for line in lines(text):
            self.line(" " * indent, (line, style))

    def _print(self, spans: Sequence[tuple[str, str]]) -> None:
        if self._console is None:
            self._out.write("".join(words for words, _ in spans).rstrip() + "\n")
            self._out.flush()
            return
        from rich.text import Text  # noqa: PLC0415 - as below

        text = Text()
        for words, style in spans:
            text.append(words, style)
        text.rstrip()
        self._console.print(text, soft_wrap=True)

    def _safe(self, text: str) -> str:
        return visible(text).encode(self._encoding, "backslashreplace").decode(self._encoding)


def open_paper(out: TextIO, width: int | None = None) -> Paper:
    """Paper over a stream: its width where it is a terminal, else 80. NO_COLOR and TERM=dumb leave plain text."""
    console = _console(out)
    if console is None or console.is_dumb_terminal or not console.is_terminal:
        return Paper(out, max(NARROWEST, min(width or DEFAULT_WIDTH, WIDEST)), None)
    wide = max(NARROWEST, min(width or console.width, WIDEST))
    return Paper(out, wide, None if console.no_color else console)


def _console(out: TextIO) -> Console | None:
    """None where it is certain that nothing is coloured: rich takes a tenth of the time of a report that goes into a pipe."""
    asked = "FORCE_COLOR" in os.environ or "TTY_COMPATIBLE" in os.environ
    if isinstance(out, io.StringIO) or not (asked or out.isatty()):
        return None
    from rich.console import Console  # noqa: PLC0415 - see above

    class Steady(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - rich would end the program with 1, which is an answer of ours

    return Steady(file=out, highlight=False, markup=False, emoji=False, legacy_windows=False)


def cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - rich costs

    return cell_len(text)


def crop(text: str, width: int) -> str:
    """The text cut to that many columns."""
    if text.isascii():
        return text[:width]
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - rich costs

    return set_cell_size(text, width) if cell_len(text) > width else text


def wrap(text: str, first: int, width: int, *, keep: bool = False) -> list[str]:
    """Lines of at most `first`, then `width` columns; a word that is longer stands alone and overflows."""
    wrapped: list[str] = []
    for line in lines(text):
        room = width if wrapped else first
        words = (_QUOTED if keep else _WORD).findall(line)
        wrapped += [line] if cells(line) <= room else fill(words, room, width, " ")
    return wrapped


def fill(words: Sequence[str], first: int, width: int, between: str) -> list[str]:
    """As many words in each line as fit; a word that is longer than a line stands alone."""
    done: list[str] = []
    current, room = "", first
    for word in words:
        longer = f"{current}{between}{word}" if current else word
        if current and cells(longer) > room:
            done.append(current)
            current, room = word, width
        else:
            current = longer
    return [*done, current]
