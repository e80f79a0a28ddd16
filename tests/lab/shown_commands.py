"""Commands of caasctl that a page shows, and what its own command line says against them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache

import click
import typer

from caasctl.cli.app import app

_FENCED = re.compile(r"^(`{3,})(\w*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`(caasctl [^`]+)`(?!`)")
_OUTPUT = re.compile(r"<!-- output of: (caasctl .+?) -->")
_REDIRECTED = re.compile(r"\d?>+&?\s*\S+|<\s*\S+")
_BETWEEN = re.compile(r"[|;&()]+")
_SHELL = ("", "sh", "console")
_BEFORE = ("sudo", "exec", "then", "do", "$", "#")


def shown(page: str) -> Iterator[tuple[str, ...]]:
    """The words behind `caasctl` of every command in a shell block, a span of code, or a mark of output."""
    for _, language, text in _FENCED.findall(page):
        if language in _SHELL:
            for line in text.replace("\\\n", " ").splitlines():
                yield from _in_line(line)
    for said in (*_SPAN.findall(_FENCED.sub("", page)), *_OUTPUT.findall(page)):
        yield from map(_whole, _in_line(" ".join(said.split())))


def _whole(words: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence may speak of an option without its value."""
    return (*words, "VALUE") if complaint(words).endswith("requires an argument.") else words


def _in_line(line: str) -> Iterator[tuple[str, ...]]:
    words = shlex.shlex(_REDIRECTED.sub("", line), posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, "#"
    simple: list[str] = []
    for word in (*words, ";"):
        if not _BETWEEN.fullmatch(word):
            simple.append(word)
            continue
        while simple and (simple[0] in _BEFORE or re.match(r"\w+=", simple[0])):
            del simple[0]
        if simple and simple[0].rpartition("/")[2] == "caasctl":
            yield tuple(simple[1:])
        simple = []


@cache
def _root() -> click.Command:
    return typer.main.get_command(app)


@cache
def complaint(words: tuple[str, ...]) -> str:
    """What the command line has against these words; "" where it takes them. Nothing is run."""
    command, left = _root(), list(words)
    try:
        while isinstance(command, click.Group) and left and not left[0].startswith("-"):
            name = left.pop(0)
            inner = command.get_command(click.Context(command), name)
            if inner is None:
                return f"no command {name}"
            command = inner
        with command.make_context("caasctl", left):
            return ""
    except click.exceptions.Exit:  # --help
        return ""
    except click.MissingParameter:
        return "" if not left else f"something is missing behind {' '.join(words)}"
    except click.ClickException as error:
        return error.format_message()
