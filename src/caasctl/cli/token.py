"""The commands about bootstrap tokens: token create, token list."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from caasctl.cli.app import Format, Output, app, listable
from caasctl.model import UsageError

tokens = typer.Typer(help="Tokens by which nodes join this cluster.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokens, name="token")


@tokens.command("create")
def token_create(
    *,
    control_plane: Annotated[
        bool, typer.Option("--control-plane", help="For one more control plane, with the key to its certificates.")
    ] = False,
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="For how long: 2h, 90m; 0 is for ever.")] = "24h",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What lists say of it.")] = "",
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where it is written, for you only (mode 0600).")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Prints it, with its secrets, on stdout.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Makes what a new node joins this cluster by: a token, the CA's hash, for a control plane the key to its certificates."""
    from caasctl import named, profile_load  # noqa: PLC0415
    from caasctl import tokens as what  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415
    from caasctl.report import token as told  # noqa: PLC0415

    fmt = listable(output, "a token")
    named.not_empty("--out", out)
    if out is None and not show:
        raise UsageError("there is nowhere to put the token", cause="whoever has it can join this cluster, so it is printed only when asked for",
                         fix="add --out FILE, which is written for you only; or --show, which prints it")  # fmt: skip
    asked = what.judged(what.Asked(ttl, description, control_plane, os.path.abspath(out) if out else ""))
    with progress.Progress(sys.stderr) as shown:
        made = what.create(asked, profile_load.load(), shown.step)
    told.write(made.invitation, made.out, made.notes, fmt, sys.stdout, show=show)
    if fmt == "text":
        told.say_notes(made.notes, sys.stderr)


@tokens.command("list")
def token_list(*, output: Output = Format.TEXT) -> None:
    """The cluster's tokens: until when, for what; never their secrets."""
    from caasctl import tokens as what  # noqa: PLC0415
    from caasctl.report import token as told  # noqa: PLC0415

    fmt = listable(output, "tokens")
    told.write_list(what.listed(), fmt, sys.stdout)
