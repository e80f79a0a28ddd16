"""The commands for nodes without a way out: airgap list, airgap pack."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl.cli.app import Bundle, Format, Output, Profile, Root, Settings, airgaps
from caasctl.model import Exit, UsageError

_DEFAULT = "single-node"


@airgaps.command("list")
def airgap_list(
    *,
    profile: Profile = _DEFAULT,
    settings: Settings = None,
    facts: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
) -> None:
    """Every package, repository, file, chart and image that the profile needs on this host, or on that of --facts."""
    from caasctl import commands, packing  # noqa: PLC0415
    from caasctl.report import airgap as text  # noqa: PLC0415

    if output in (Format.JUNIT, Format.HTML):
        raise UsageError(f"there is no {output.value} of this list", cause="it is for reports of checks",
                         fix="-o text, -o json or -o yaml")  # fmt: skip
    session = commands.Session(profile, settings, facts, root)
    found, target = packing.listed(session)
    text.write_list(found, target, session.profile.metadata.name, output.value, sys.stdout)


@airgaps.command("pack")
def airgap_pack(
    *,
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="DIR", help="Where it goes: an empty folder, a new one, or one of an earlier run."
        ),
    ],
    profile: Profile = _DEFAULT,
    settings: Settings = None,
    facts: Bundle = None,
) -> None:
    """Fetches and checks all that the profile needs into DIR, for a host without a way out; run it again, and it fetches what lacks."""
    from caasctl import commands, packing  # noqa: PLC0415
    from caasctl.host.processes import through  # noqa: PLC0415
    from caasctl.report import airgap as text  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415

    session = commands.Session(profile, settings, facts)
    with progress.Progress(sys.stderr) as shown, through(session.profile.spec.proxy):
        run = packing.packing(session, out, shown.step, shown.hear)
        manifest = run.run()
    text.write_packed(manifest, run.folder, run.digest, run.kept, run.failures, sys.stdout)
    raise typer.Exit(Exit.FAILED_CHANGE if run.failures else Exit.OK)
