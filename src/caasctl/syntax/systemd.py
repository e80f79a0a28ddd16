"""Words of a systemd unit: quoted so that systemd reads back exactly what was meant (systemd.syntax(7), systemd.service(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"[A-Za-z0-9_./:,=@+-]+")
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}
_SURROGATES = range(0xDC80, 0xDD00)  # how Python keeps a byte of an argument that is not UTF-8


def command(words: Iterable[str]) -> str:
    """The value of ExecStart=; the program is no place for variables, the words behind it are."""
    program, *rest = words
    return " ".join([_quoted(program), *(_quoted(word).replace("$", "$$") for word in rest)])


def paths(words: Iterable[str]) -> str:
    """The value of a list of paths, as RequiresMountsFor= takes."""
    return " ".join(map(_quoted, words))


def environment_file(variables: Mapping[str, str]) -> str:
    """What EnvironmentFile= reads: nothing is expanded there, and a backslash guards what is special in double quotes."""
    return "".join(f'{name}="{_guarded(value)}"\n' for name, value in variables.items())


def _quoted(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else '"' + "".join(map(_escaped, word)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _ESCAPED:
        return _ESCAPED[character]
    if code in _SURROGATES:
        return f"\\x{code - 0xDC00:02x}"
    return character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in character.encode())


def _guarded(value: str) -> str:
    return re.sub(r'(["\\$`])', r"\\\1", value)
