"""Whose operation it is that a release hangs in: caasctl notes its own before it starts helm, since helm names nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import CaasError, RefusedError, Unreadable
from caasctl.protocol import Reader, Writer
from caasctl.resources.helm import commands
from caasctl.resources.helm.commands import NAME, NAMESPACE, TIMEOUT_S
from caasctl.syntax import clock
from caasctl.syntax.helm_release import Release, Revision

NOTE = "/var/lib/caasctl/helm.json"
COMMAND_S = TIMEOUT_S + 300.0  # the chart is fetched before Helm's own time begins
_LONGEST = timedelta(seconds=2 * TIMEOUT_S)  # Helm's own timeout, and as much again for a clock that differs
_GRAIN = timedelta(seconds=5)  # the time of a host is known in whole seconds of its boot and since
_LOCKED = "another operation"  # as Helm words it


@dataclass(frozen=True)
class _Note:
    """revision: that the operation makes, or takes away. started: None where the host's clock did not tell."""

    revision: int
    started: datetime | None


def run(host: Writer, argv: tuple[str, ...], direct: tuple[str, ...] | None = None) -> None:
    """Runs helm, with a note on disk for as long as the operation may hang; of a run that is killed it stays. Raises CaasError."""
    number = _last(host) + (argv[1] != "uninstall")
    now = clock.now(host)
    note = {"revision": number, "started": now.isoformat() if now else ""}
    host.write(NOTE, formats.dump_json(note).encode(), 0o600)
    try:
        host.execute(*argv, timeout_s=COMMAND_S, direct=direct)
    except CaasError as error:
        if _LOCKED in error.cause or not _hangs(host):
            host.remove(NOTE)
        raise
    host.remove(NOTE)


def others(host: Reader, release: Release) -> str:
    """The operation that is not caasctl's and may be going on, "" where none is. Raises Unreadable.

    A helm that works and one that was killed leave the same lock. What is too old is taken for killed; what has no time
    that this host's clock can judge is not.
    """
    last = release.last
    if last is None or not release.pending:
        return ""
    since = commands.deleted(host) if last.status == "uninstalling" else last.updated
    if _ours(_noted(host), last, since):
        return ""
    now = clock.now(host)
    if now and since and now - since > _LONGEST:
        return ""
    return f"revision {last.number}, {last.status}, since {f'{since:%Y-%m-%d %H:%M:%S} UTC' if since else 'an unknown time'}"


def refuse(busy: str, good: str) -> None:
    """good: the revision that ran before, "" without one. Raises RefusedError where somebody else's operation may be going on."""
    if not busy:
        return
    where = f"-n {NAMESPACE}"
    back = f"helm rollback {NAME} {good} {where}" if good else f"helm uninstall {NAME} {where}"
    raise RefusedError(
        f"somebody else's helm is at work on the release {NAME}: {busy}",
        cause="caasctl did not start it, and its lock says neither whose it is nor whether it was killed; "
        f"caasctl takes it for killed once it is {int(_LONGEST.total_seconds()) // 60} minutes old",
        fix=f"wait until `helm history {NAME} {where}` ends in deployed or failed, then run the same command again; where "
        f"it is known that no helm is at work: {back}",
    )


def _last(host: Reader) -> int:
    """The newest revision's number, 0 where there is none, or where helm does not tell: then it does nothing either."""
    try:
        last = commands.release(host).last
    except Unreadable:
        return 0
    return last.number if last else 0


def _ours(note: _Note | None, last: Revision, since: datetime | None) -> bool:
    """Number and time: what somebody else does later, after an operation of ours that came to nothing, has that number too."""
    if note is None or note.revision != last.number:
        return False
    if note.started is None or since is None:
        return True
    return note.started - _GRAIN <= since <= note.started + timedelta(seconds=COMMAND_S)


def _noted(host: Reader) -> _Note | None:
    try:
        told = formats.parse_json(host.read(NOTE) or "null", NOTE)
        return _Note(int(told["revision"]), datetime.fromisoformat(told["started"]) if told["started"] else None)
    except (formats.FormatError, TypeError, KeyError, ValueError):
        return None  # none of ours, then


def _hangs(host: Reader) -> bool:
    """Whether the release is still pending, or does not tell: then the note has to stay."""
    try:
        return commands.release(host).pending
    except Unreadable:
        return True
