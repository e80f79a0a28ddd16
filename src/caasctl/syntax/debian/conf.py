"""apt's configuration: `Name::Of::Thing "value";`, with braces or without, as apt.conf(5) describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping

_COMMENTS = re.compile(r'"[^"\n]*"|//[^\n]*|/\*.*?\*/|^\s*#(?!clear)[^\n]*', re.DOTALL | re.MULTILINE)
_WORD = re.compile(r'"([^"\n]*)"|([{};])|([^\s"{};]+)')


def parse(text: str) -> Mapping[str, tuple[str, ...]]:
    """Name in lower case, with :: between its parts -> its values in order: one, or those of a list."""
    found: dict[str, list[str]] = {}
    scopes: list[str] = []
    words: list[str] = []
    plain = _COMMENTS.sub(lambda said: said[0] if said[0].startswith('"') else " ", text)
    for quoted, mark, bare in _WORD.findall(plain):
        if mark == "{":
            scopes.append("".join(words).removesuffix("::"))
            words = []
        elif mark == "}":
            scopes[-1:], words = [], []
        elif mark == ";":
            _take(found, scopes, words)
            words = []
        else:
            words.append(bare or quoted)
    return {name: tuple(values) for name, values in found.items()}


def _take(found: dict[str, list[str]], scopes: list[str], words: list[str]) -> None:
    """`Name "value"`, or `"value"` of a list; `#clear Name` empties it."""
    if not words or words[0] == "#clear":
        for cleared in [name for name in found if words and name.startswith(words[-1].lower())]:
            del found[cleared]
        return
    *name, value = words
    key = "::".join(filter(None, (*scopes, "".join(name).removesuffix("::")))).lower()
    found.setdefault(key, []).append(value)
