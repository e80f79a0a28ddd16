"""docs/reference/commands.md: every command with its options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import unwrap
from typing import Any, get_type_hints

import typer
from click import Command, Group, Parameter
from docs.pages.markdown import block, code, page, prose, table

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
    told = _told(command)
    shown = [one for one in command.params if one.name in told and not told[one.name].hidden]
    usage = [_usage(one, told[one.name or ""]) for one in shown if one.param_type_name == "argument"]
    rows = [(_names(one, told[one.name or ""]), prose(told[one.name or ""].help or ""), _default(one)) for one in shown]
    parts = [f"## {' '.join(words)}", block(" ".join((*words, "[OPTIONS]", *usage))), prose(command.help or "")]
    return "\n\n".join([*parts, *([table(("option", "", "default"), rows)] if rows else [])])


def _told(command: Command) -> dict[str, Any]:
    """What the function says of each parameter, by name: what click keeps of it differs between its versions."""
    hints = get_type_hints(unwrap(command.callback), include_extras=True) if command.callback else {}
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def _usage(one: Parameter, told: Any) -> str:
    named = told.metavar or (one.name or "").upper()
    return named if one.required or named.startswith("[") else f"[{named}]"


def _names(one: Parameter, told: Any) -> str:
    if one.param_type_name == "argument":
        return code(_usage(one, told))
    choices = getattr(one.type, "choices", None)
    takes = "" if getattr(one, "is_flag", False) else f" {told.metavar or '|'.join(map(_word, choices or ('TEXT',)))}"
    return ", ".join(code(name + takes) for name in one.opts)


def _word(choice: object) -> str:
    return str(getattr(choice, "value", choice))


def _default(one: Parameter) -> str:
    default = getattr(one.default, "value", one.default)
    return code(default) if isinstance(default, str) and default else ""


def text() -> str:
    return page("Commands", _HEAD, *(_section(*each) for each in sorted(commands(), key=lambda each: each[0])))
