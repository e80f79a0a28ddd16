"""What waits for whoever holds a lock of apt or dpkg: apt's own option knows dpkg's locks alone, and dpkg waits for none."""

from __future__ import annotations

import re
import time

from caasctl.faults import StoppedError
from caasctl.model import CommandError
from caasctl.protocol import Writer

WAIT_S = 300.0  # whoever holds one may be upgrading the host
# Not `Could not open lock file`, which ends in `Unable to lock directory` too: a file system that is read-only does not pass.
# apt 2.6: `E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)`; dpkg 1.21: `dpkg: error: dpkg frontend
# lock was locked by another process with pid 1`
_HELD = re.compile(r"Could not get lock [^\n]*|[^\n]*locked by another process[^\n]*")


def held(error: CommandError) -> bool:
    """Whether a command failed for a lock alone."""
    return bool(_HELD.search(error.cause))


def patiently(
    host: Writer,
    *argv: str,
    timeout_s: float,
    direct: tuple[str, ...] | None = None,
    wait_s: float = WAIT_S,
    poll_s: float = 2.0,
) -> None:
    """Runs the command again as long as it ends for a lock, and says who holds it.

    Raises CommandError, for a lock too once wait_s are over, and StoppedError between two tries, where nothing runs.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            host.execute(*argv, timeout_s=timeout_s, direct=direct)
        except CommandError as error:
            lock = _HELD.search(error.cause)
            if lock is None or time.monotonic() >= until:
                raise
            if host.stops():
                raise StoppedError(error.problem, cause=lock[0], fix="run the same command again") from error
            host.say(f"waits up to {wait_s / 60:.0f} minutes: {lock[0]}")
            time.sleep(poll_s)
        else:
            return
