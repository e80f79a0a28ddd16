"""docs/reference/commands.md: every command with its options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import unwrap
from typing import Any, get_type_hints

import typer
from click import Command, Group, Parameter
from docs.pages.markdown import block, code, codes, page, prose, table

from caasctl.cli.app import app

_HEAD = """\
Written by `docs/generate.py` from the command line itself; `--help` behind each prints the same. What each ends with: [Exit codes](../exit-codes.md)."""


def root() -> Command:
    return typer.main.get_command(app)


def commands(
    command: Command | None = None, words: tuple[str, ...] = ("caasctl",)
) -> Iterator[tuple[tuple[str, ...], Command]]:
    """(words that call it, command) of every command that does something."""
    command = command or root()
    if isinstance(command, Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*words, name))
    elif not command.hidden:
        yield words, command


def _section(words: tuple[str, ...], command: Command) -> str:
    rows = [(codes(one.names), prose(one.help), code(one.default) if one.default else "") for one in told(command)]
    parts = [f"## {' '.join(words)}", block(synopsis(words, command)), prose(command.help or "")]
    return "\n\n".join([*parts, *([table(("option", "", "default"), rows)] if rows else [])])


@dataclass(frozen=True)
class Told:
    """What a command says of one of its words. argument: it stands alone, without a name. default: "" where there is none to speak of."""

    names: tuple[str, ...]
    help: str
    default: str
    argument: bool


def told(command: Command) -> list[Told]:
    """The words of a command that are shown, as its function says: what click keeps of them differs between its versions."""
    hints = get_type_hints(unwrap(command.callback), include_extras=True) if command.callback else {}
    said = {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    shown = [(one, said[one.name]) for one in command.params if one.name in said and not said[one.name].hidden]
    return [
        Told(_names(one, hint), hint.help or "", _default(one), one.param_type_name == "argument")
        for one, hint in shown
    ]


def synopsis(words: tuple[str, ...], command: Command) -> str:
    return " ".join((*words, "[OPTIONS]", *(name for one in told(command) if one.argument for name in one.names)))


def _names(one: Parameter, hint: Any) -> tuple[str, ...]:
    if one.param_type_name == "argument":
        named = hint.metavar or (one.name or "").upper()
        return (named if one.required or named.startswith("[") else f"[{named}]",)
    choices = getattr(one.type, "choices", None)
    takes = "" if getattr(one, "is_flag", False) else f" {hint.metavar or '|'.join(map(_word, choices or ('TEXT',)))}"
    return tuple(name + takes for name in one.opts)


def _word(choice: object) -> str:
    return str(getattr(choice, "value", choice))


def _default(one: Parameter) -> str:
    default = getattr(one.default, "value", one.default)
    return default if isinstance(default, str) else ""


def text() -> str:
    return page("Commands", _HEAD, *(_section(*each) for each in sorted(commands(), key=lambda each: each[0])))
