"""The command that proves a node by pods: smoke."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from caasctl.cli.app import Format, Output, Profile, Settings, Verbose, app, finish


@app.command()
def smoke(
    *,
    gpu: Annotated[bool, typer.Option("--gpu", help="One more pod for each GPU resource of this node.")] = False,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="With busybox in it; else spec.smoke.image.")
    ] = None,
    profile: Profile = "single-node",
    settings: Settings = None,
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """Pods that prove runtimes, network and GPUs, in a namespace of their own that is gone afterwards."""
    from caasctl import commands, named, smoking  # noqa: PLC0415
    from caasctl.report import progress  # noqa: PLC0415

    named.not_empty("--image", image)
    told = [*(settings or ()), *([f'smoke.image="{image}"'] if image else ())]
    session = commands.Session(profile, told)
    words = [smoking.WORD, *(["--gpu"] if gpu else [])]
    with progress.Progress(sys.stderr) as shown:
        result = smoking.smoke_test(session, gpu=gpu, words=words, step=shown.step, hear=shown.hear)
    finish(result, output, verbose=verbose)
