"""Plain text and values as Markdown that GitHub and mkdocs read alike."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

_SPANS = re.compile(r"(`+[^`]+`+)")
_SIGNS = re.compile(r"([\\*\[\]<>])|\b_(?=\w)|_\b")
_ENTITIES = {"<": "&lt;", ">": "&gt;"}


def prose(text: str) -> str:
    """The text on one line; what Markdown would take for its own outside of `code` is written out."""
    parts = _SPANS.split(" ".join(text.split()))
    return "".join(part if at % 2 else _SIGNS.sub(_written_out, part) for at, part in enumerate(parts))


def _written_out(sign: re.Match[str]) -> str:
    return _ENTITIES.get(sign[0], f"\\{sign[0]}")


def code(text: str) -> str:
    """A span of code, whatever is in it."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def codes(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def block(text: str, language: str = "text") -> str:
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def value(data: Any) -> str:
    """A value of a profile, as it can be written into one."""
    return code(data if isinstance(data, str) and data else json.dumps(data))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """In a cell, GitHub takes the | of a span of code for a border, and mkdocs shows the sign that would keep it from that."""
    return _SPANS.sub(lambda span: _as_html(span[0]) if "|" in span[0] else span[0], text).replace("|", "&#124;")


def _as_html(span: str) -> str:
    fence = len(span) - len(span.lstrip("`"))
    return f"<code>{html.escape(span[fence:-fence].strip(), quote=False)}</code>"


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"
