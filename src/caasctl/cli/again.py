"""--auto-reboot around a run: what is refused before it, what happens at its end, whichever end that is."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from caasctl.model import CaasError, Exit, LockedError

if TYPE_CHECKING:
    from caasctl.host import LiveHost
    from caasctl.model import Report
    from caasctl.resuming import Asked, Pending


@dataclass
class Turn:
    """One run. auto: it may reboot the host by itself. resumed: the unit started it. report: set once the host's lock was held.

    planned: what it would do, set before.
    """

    asked: Asked
    auto: bool
    resumed: bool
    report: Report | None = None
    planned: Report | None = None

    @property
    def started_by(self) -> str:
        return " (started by caasctl-resume.service)" if self.resumed else ""


@contextmanager
def turn(asked: Asked, *, auto: bool, resumed: bool, dry_run: bool, here: bool) -> Iterator[Turn]:
    """Wraps a run of init-node or join-node. here: it is about this host."""
    from caasctl import resuming  # noqa: PLC0415
    from caasctl.host import LiveHost  # noqa: PLC0415

    host = LiveHost(progress=_say)
    now = Turn(asked, auto, resumed)
    if auto and here and not resumed:
        resuming.refuse(host, asked, resuming.program())
    pending = resuming.begin(host) if resumed and not dry_run else None
    try:
        yield now
    except BaseException as end:
        if not dry_run and (pending or now.report):
            _settle(host, now, pending, end)
        raise


def _settle(host: LiveHost, now: Turn, pending: Pending | None, end: BaseException) -> None:
    """Under the lock: where another run holds it already, that one decides what is left behind."""
    from caasctl import apply, resuming  # noqa: PLC0415

    reboots = now.auto and not pending and _code(end) == Exit.REBOOT
    if not (pending or reboots or resuming.is_left(host)):
        return
    try:
        with host.lock(apply.LOCK, f"caasctl {now.asked.word}, at its end"):
            if pending:
                _end_of_try(host, now, pending, end)
            elif reboots:
                _reboot(host, now, resuming.Pending("", now.asked.word))
            else:  # a run by hand takes over from a unit that is left
                _warn(resuming.take_over(host))
    except LockedError:
        if reboots:
            raise


def _end_of_try(host: LiveHost, now: Turn, pending: Pending, end: BaseException) -> None:
    from caasctl import resuming  # noqa: PLC0415

    then, how = resuming.ended(_code(end), resuming.why_reboot(host), pending)
    line = f"caasctl {pending.word} after the reboot, try {pending.tries} of {resuming.TRIES}: {how}"
    _say(line)
    _warn(resuming.leave(host, f"{line}. Report: {resuming.REPORT}, log: {resuming.JOURNAL}", _report(now, end)))
    if then is resuming.Then.GONE:
        _warn(resuming.remove(host, from_within=True))
    elif then is resuming.Then.REBOOT:
        _reboot(host, now, pending)


def _reboot(host: LiveHost, now: Turn, pending: Pending) -> None:
    from caasctl import rebooted, resuming  # noqa: PLC0415

    whys = (*pending.whys, resuming.why_reboot(host))
    try:
        resuming.arm(host, now.asked, resuming.program(), replace(pending, boot_id=rebooted.boot_id(host), whys=whys))
    except CaasError:
        resuming.remove(host)
        raise
    _say(f"after the reboot {resuming.UNIT} goes on; how it ends is in `{resuming.JOURNAL}` and {resuming.REPORT}")
    _say("rebooting now: every session on this host ends, SSH connections too")
    resuming.reboot(host)


def _report(now: Turn, end: BaseException) -> str:
    """What the run printed, or the error that it ended with."""
    from caasctl.report import banner, write  # noqa: PLC0415

    out = io.StringIO()
    report = now.report or now.planned
    if report:
        write(report, "text", out, width=100)
    if isinstance(end, CaasError):
        banner.error(end, out, width=100)
    return out.getvalue() or f"{type(end).__name__}: {end}\n"


def _code(end: BaseException) -> int:
    if isinstance(end, (typer.Exit, CaasError)):
        return int(end.exit_code)
    return Exit.INTERRUPTED if isinstance(end, (KeyboardInterrupt, typer.Abort)) else Exit.BUG


def _warn(lost: tuple[str, ...]) -> None:
    for said in lost:
        _say(f"warning: {said}")


def _say(line: str) -> None:
    if line:
        print(f"caasctl: {line}", file=sys.stderr, flush=True)
