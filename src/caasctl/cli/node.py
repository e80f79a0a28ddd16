"""The commands about a node: preflight, init-node, join-node, undo, render."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated

import typer

from caasctl.cli.again import Turn, turn
from caasctl.cli.app import (
    Airgap,
    AutoReboot,
    Bundle,
    DiscoveryFile,
    DryRun,
    Format,
    OnlyPhase,
    Output,
    Profile,
    Resumed,
    Root,
    Settings,
    SkipPhases,
    TokenFile,
    Verbose,
    Yes,
    app,
    finish,
)
from caasctl.model import Exit

if TYPE_CHECKING:
    from caasctl.commands import Session
    from caasctl.protocol import Phase, PhaseReport


@app.command()
def preflight(
    *,
    profile: Profile = "single-node",
    settings: Settings = None,
    check: Annotated[list[str] | None, typer.Option("--check", metavar="ID", help="Only this check.")] = None,
    facts: Bundle = None,
    root: Root = "/",
    airgap: Airgap = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where anything fails or warns.")] = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Is this host fit, what must you do, what will init-node do. Reads only."""
    from caasctl.checks import CHECKS  # noqa: PLC0415
    from caasctl.commands import Session  # noqa: PLC0415
    from caasctl.report import explain  # noqa: PLC0415

    only = [explain.find(name, CHECKS).id for name in check or []]
    session = Session(profile, settings, facts, root)
    _look_into(session, airgap)
    finish(session.preflight(only, strict=strict), output, verbose=verbose)


@app.command("init-node")
def init_node(
    *,
    profile: Profile = "single-node",
    settings: Settings = None,
    dry_run: DryRun = False,
    phase: OnlyPhase = None,
    skip_phases: SkipPhases = None,
    facts: Bundle = None,
    root: Root = "/",
    airgap: Airgap = None,
    yes: Yes = False,
    auto_reboot: AutoReboot = False,
    resumed: Resumed = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Brings this host to a working node, phase by phase; run it again after a reboot or a failure."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.resuming import Asked  # noqa: PLC0415

    wanted = commands.chosen(phase, skip_phases)
    if not dry_run:
        commands.may_change(yes=yes, bundle=facts, root=root)
    chosen = tuple(settings or ()), tuple(phase or ()), tuple(skip_phases or ())
    asked = Asked("init-node", profile, *chosen, airgap=airgap)
    with turn(asked, auto=auto_reboot, resumed=resumed, dry_run=dry_run, here=facts is None and root == "/") as now:
        session = commands.Session(profile, settings, facts, root)
        _look_into(session, airgap)
        _run(session, now, wanted, output, dry_run=dry_run, yes=yes, verbose=verbose)


@app.command("join-node")
def join_node(
    *,
    token_file: TokenFile = None,
    discovery_file: DiscoveryFile = None,
    profile: Profile = "worker",
    settings: Settings = None,
    dry_run: DryRun = False,
    phase: OnlyPhase = None,
    skip_phases: SkipPhases = None,
    facts: Bundle = None,
    root: Root = "/",
    airgap: Airgap = None,
    yes: Yes = False,
    auto_reboot: AutoReboot = False,
    resumed: Resumed = False,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Brings this host into a cluster, as a worker or a control plane; else as init-node."""
    from caasctl import commands  # noqa: PLC0415
    from caasctl.resuming import Asked  # noqa: PLC0415

    wanted = commands.chosen(phase, skip_phases)
    if not dry_run:
        commands.may_change(yes=yes, bundle=facts, root=root, word="join-node")
    chosen = tuple(settings or ()), tuple(phase or ()), tuple(skip_phases or ())
    asked = Asked("join-node", profile, *chosen, token_file, discovery_file, airgap)
    with turn(asked, auto=auto_reboot, resumed=resumed, dry_run=dry_run, here=facts is None and root == "/") as now:
        session = commands.Session(profile, settings, facts, root)
        session.joins(token_file, discovery_file)
        _look_into(session, airgap)
        _run(session, now, wanted, output, dry_run=dry_run, yes=yes, verbose=verbose)


def _look_into(session: Session, airgap: str | None) -> None:
    """Judges an air gap's folder, which may be large."""
    from caasctl.report import progress  # noqa: PLC0415

    if airgap is not None:
        with progress.Progress(sys.stderr, brief=True) as shown:
            session.airgapped(airgap, shown.step)
        told = session.profile.airgap
        if told:
            print(f"caasctl: all comes from {told.folder}; SHA-256 of its SHA256SUMS: {told.digest}", file=sys.stderr)


def _words(now: Turn) -> list[str]:
    asked = now.asked
    words = [asked.word, *(w for name in asked.only for w in ("--phase", name))]
    words += [w for name in asked.skip for w in ("--skip-phases", name)]
    return [*words, *(["--auto-reboot"] if now.auto and not now.resumed else [])]


def _run(
    session: Session,
    now: Turn,
    wanted: Sequence[Phase],
    output: Format,
    *,
    dry_run: bool,
    yes: bool,
    verbose: bool,
) -> None:
    """Plans, asks, changes, reports, and ends with the report's code."""
    from caasctl.host import LiveHost  # noqa: PLC0415
    from caasctl.interrupts import nothing_changed_yet  # noqa: PLC0415
    from caasctl.report import as_json, banner, progress  # noqa: PLC0415
    from caasctl.settling import settle  # noqa: PLC0415

    words = _words(now)
    session.started_by, session.as_json = now.started_by, as_json
    with nothing_changed_yet():
        if not dry_run:
            with progress.Progress(sys.stderr) as shown:
                settle(LiveHost(), shown.step)
        known, planned = session.plan(wanted, words)
        now.planned = planned
        if dry_run or planned.exit_code == Exit.FAILED_CHECK:
            finish(planned, output, verbose=verbose)
        if any(report.changes for report in takewhile(_goes_on, planned.phases)):
            banner.write(planned, sys.stderr, auto_reboot=now.auto)
            if not yes and not _agreed():
                print("nothing was changed", file=sys.stderr)
                raise typer.Exit(Exit.OK)
    with progress.Progress(sys.stderr) as shown:
        now.report = session.apply(wanted, known, words, shown.step, shown.hear)
    finish(now.report, output, verbose=verbose)


def _goes_on(phase: PhaseReport) -> bool:
    """Whether what comes behind a planned phase has its turn in this run."""
    from caasctl.protocol import PhaseStatus  # noqa: PLC0415

    return phase.status not in (PhaseStatus.REBOOT, PhaseStatus.FAILED)


def _agreed() -> bool:
    """Raises KeyboardInterrupt for a Ctrl-C at the question."""
    try:
        return typer.confirm("Make these changes?", default=False, err=True)
    except typer.Abort as stopped:
        raise KeyboardInterrupt from stopped
