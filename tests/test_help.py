"""--help of every command: each argument and option with what it is for."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout

import click
import pytest
import typer

import caasctl.cli  # noqa: F401 - its commands are in the app once it is loaded
from caasctl.cli.app import app


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*words, name))


def shown(words: tuple[str, ...]) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        app([*words, "--help"], standalone_mode=False, terminal_width=200)
    return out.getvalue()


def explained(text: str) -> dict[str, str]:
    """What stands beside each argument and option: in its line, or in those below that begin further in."""
    beside: dict[str, str] = {}
    at = ""
    for line in text.partition("\nCommands:")[0].splitlines():
        start = re.match(r"  (\S+(?:,? [-\[<A-Z|]\S*)*)(.*)", line)
        at = start[1] if start else at
        beside[at] = beside.get(at, "") + (start[2] if start else line if line.startswith("   ") else "")
    beside.pop("", None)
    return beside


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_every_argument_and_option_is_explained(words: tuple[str, ...]) -> None:
    text = shown(words)
    assert text.startswith("Usage:")
    told = explained(text[re.search(r"(?m)^(Arguments|Options):", text).start() :])  # type: ignore[union-attr]
    assert any("--help" in name for name in told)
    assert [name for name, said in told.items() if not re.search(r"[a-z]{3}", re.sub(r"\[[^\]]*\]", "", said))] == []


def test_an_argument_s_own_words_are_shown() -> None:
    assert "A check, a symptom" in shown(("explain",))
    assert "Records it for --facts" in shown(("facts",))
