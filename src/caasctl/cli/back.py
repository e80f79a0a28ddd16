"""The commands that go back: undo."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl.cli.app import app
from caasctl.model import Exit


@app.command()
def undo(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run to take back; without it the last.")] = None,
    *,
    show: Annotated[bool, typer.Option("--list", help="Only lists the runs that can be taken back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Also takes down what does not come back.")] = False,
) -> None:
    """Takes back what a run of init-node changed; what was edited since is left and said."""
    from caasctl import way_back  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415

    if show:
        print("\n".join(way_back.undoable()) or "nothing to take back")
        raise typer.Exit(Exit.OK)
    lost = way_back.lost_by_undo(run, yes=yes)
    if lost and not typer.confirm(f"This takes down {lost}. Go on?", default=False, err=True):
        raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        steps = way_back.undo(run, shown.hear)
    said = [f"{'undone' if step.done else 'LEFT  '}  {step.resource}: {step.text}" for step in steps]
    print("\n".join(said) or "nothing to take back")
    raise typer.Exit(Exit.OK if all(step.done for step in steps) else Exit.FAILED_CHANGE)
