"""The command for a node that broke: doctor."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import Annotated

import typer

from caasctl.cli.app import Bundle, Format, Output, Root, Settings, Verbose, app, finish
from caasctl.model import UsageError

_SPAN = re.compile(r"(?:\d{1,6}(?:s|m|h|d))+")
_PART = re.compile(r"(\d+)(\w)")
_LONGEST = timedelta(days=36500)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Logs = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="FILE|-", help="What kubeadm, ctr, helm, cilium or anything else printed."),
]
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file", metavar="FILE", help="A kubeadm, containerd, Kata, CDI, pod or Cilium values file of yours."
    ),
]
Here = Annotated[bool, typer.Option("--here", help="Looks at this host as well, where --log or --file is given.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NS", help="The namespace of the pod, else default.")
]
Judge = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        metavar="P",
        help="A shipped profile's name or a file; without it the one that this node was made by, else single-node.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="SPAN",
        help="As 15m or 2h: older lines of the host's journals do not count; a --log counts whole.",
    ),
]


@app.command()
def doctor(
    target: Annotated[str | None, typer.Argument(metavar="[pod/NAME]", help="A pod whose start is followed.")] = None,
    *,
    namespace: Namespace = None,
    logs: Logs = None,
    files: Files = None,
    here: Here = False,
    since: Since = None,
    profile: Judge = None,
    settings: Settings = None,
    facts: Bundle = None,
    root: Root = "/",
    output: Output = Format.TEXT,
    verbose: Verbose = False,
) -> None:
    """What is wrong at the root, what follows from it, what it is not. Reads only, and needs no network.

    With --log or --file only what is given is judged; add --here, --facts or --root to judge it together with a host.
    """
    from caasctl import doctoring  # noqa: PLC0415

    judges_host = here or facts is not None or root != "/" or bool(target) or not (logs or files)
    _refuse_what_would_be_ignored(target, namespace, since if not judges_host else None)
    _say_waiting(logs or [])
    session, note = doctoring.opened(profile, settings or (), facts, root, here=judges_host)
    words = [*([target, "-n", namespace or "default"] if target else []), *_repeated("--log", logs)]
    words += _repeated("--file", files) + (["--here"] if here else []) + (["--since", since] if since else [])
    asked = doctoring.Asked(
        tuple(logs or ()),
        tuple(files or ()),
        _span(since),
        judges_host,
        tuple(words),
        target or "",
        namespace or "default",
        note,
    )
    finish(doctoring.examine(session, asked), output, verbose=verbose)


def _refuse_what_would_be_ignored(target: str | None, namespace: str | None, since: str | None) -> None:
    """Raises UsageError. since: where no journal of a host is read."""
    if since is not None:
        raise UsageError("--since is about a host's journals, and only what is given is judged here", cause="a --log counts whole",
                         fix="leave --since out, or add --here")  # fmt: skip
    if namespace and not target:
        raise UsageError("-n names the namespace of a pod, and no pod is named", cause="doctor looks at all pods of this node anyway",
                         fix=f"caasctl doctor pod/NAME -n {namespace}, or leave -n out")  # fmt: skip


def _say_waiting(logs: list[str]) -> None:
    from caasctl.host.stream import waits_for  # noqa: PLC0415

    for said in filter(None, map(waits_for, logs)):
        print(f"caasctl: {said}", file=sys.stderr, flush=True)


def _repeated(option: str, values: list[str] | None) -> list[str]:
    return [word for value in values or () for word in (option, value)]


def _span(text: str | None) -> timedelta | None:
    """Raises UsageError."""
    if text is None:
        return None
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise UsageError(
            f"--since {text!r} is no span of time",
            cause="it says how far back lines count",
            fix="write it as 15m, 2h, 1h30m or 1d",
        )
    parts = (timedelta(**{_UNITS[unit]: int(number)}) for number, unit in _PART.findall(found[0]))
    return min(sum(parts, timedelta()), _LONGEST)
