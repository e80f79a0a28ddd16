"""The commands that go back: undo."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl.cli.app import DryRun, Yes, app
from caasctl.model import Exit


@app.command()
def undo(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run to take back; without it the last.")] = None,
    *,
    show: Annotated[bool, typer.Option("--list", help="Only lists the runs that can be taken back.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Takes back what a run of init-node changed; what was edited since is left and shown."""
    from caasctl import way_back  # noqa: PLC0415
    from caasctl.host import LiveHost  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415
    from caasctl.report import undo as told  # noqa: PLC0415

    host = LiveHost()
    if show:
        print("\n".join(way_back.undoable(host)) or "nothing to take back")
        raise typer.Exit(Exit.OK)
    plan = way_back.planned(host, run)
    if plan is None:
        print("nothing to take back")
        raise typer.Exit(Exit.OK)
    if not dry_run:
        way_back.may_change(yes=yes)
    told.write(plan, sys.stdout if dry_run else sys.stderr)
    way_back.refuse(host, plan)
    if dry_run:
        raise typer.Exit(Exit.OK)
    if not yes and not typer.confirm("Take this back?", default=False, err=True):
        print("nothing was changed", file=sys.stderr)
        raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        steps = way_back.undo(plan, shown.step, shown.hear)
    told.steps(steps, plan.before, sys.stdout)
    raise typer.Exit(Exit.FAILED_CHANGE if any(step.failed for step in steps) else Exit.OK)
