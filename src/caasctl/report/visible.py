"""Foreign text made safe to show: what a terminal would obey or hide is written out instead."""

from __future__ import annotations

import re

_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SPACE = 0x20
_DELETE = 0x7F
_BYTE = 0xFF
_PLANE = 0xFFFF


def visible(text: str) -> str:
    r"""One line: control characters as `^[`, other invisible ones as `\x9b` or `\u202e`. Idempotent."""
    return _ACTIVE.sub(lambda match: _written(ord(match.group())), text)


def one_line(text: str) -> str:
    """The text with line breaks as single blanks, made visible."""
    return visible(" ".join(line.strip(" \t") for line in text.split("\n")).strip())


def lines(text: str) -> list[str]:
    """The lines of a text, tabs expanded, each made visible; blank lines at both ends left out."""
    return [visible(line.expandtabs(8)).rstrip() for line in text.strip("\n").rstrip().split("\n")]


def storable(text: str) -> str:
    """The text for UTF-8 data formats: bytes that were no UTF-8 (lone surrogates) are written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _written(code: int) -> str:
    if code < _SPACE or code == _DELETE:
        return f"^{chr(code ^ 0x40)}"
    if code <= _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _PLANE else f"\\U{code:08x}"
