"""The command that plans an upgrade: upgrade --dry-run."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from caasctl.cli.app import Bundle, DryRun, Format, Output, Profile, Root, Settings, Verbose, app, listable
from caasctl.model import UsageError


@app.command()
def upgrade(
    *,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="v1.37.1, or v1.37.x for the newest patch known.")],
    dry_run: DryRun = False,
    profile: Profile = "single-node",
    settings: Settings = None,
    facts: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Plans this node's way to another Kubernetes, one minor at a time, with every command; it makes none of them."""
    from caasctl import commands, upgrading  # noqa: PLC0415
    from caasctl.report import upgrade as told  # noqa: PLC0415

    session = commands.Session(profile, settings, facts, root)
    place = [*(["--facts", facts] if facts else []), *(["--root", root] if root != "/" else [])]
    if not dry_run:
        raise UsageError("caasctl plans an upgrade, it does not make one", cause="each step is yours, on each node in its turn",
                         fix=" ".join(filter(None, ("caasctl upgrade --dry-run --to", shlex.quote(to), session.settings, shlex.join(place)))))  # fmt: skip
    fmt, target = listable(output, "an upgrade"), upgrading.target(to)
    found = upgrading.plan(session, target)
    told.write(found.report, upgrading.versions(found.now), found.target, found.steps, fmt, sys.stdout, verbose=verbose)
    raise typer.Exit(found.report.exit_code)
