"""Waits until Cilium is up, says what it last saw, and stops as soon as the host's own network is lost."""

from __future__ import annotations

import time

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Writer
from caasctl.resources.helm.commands import obstacle
from caasctl.resources.helm.lifeline import Lifeline

STRIKES = 3  # one lost ping is no lost network


class LostError(CaasError):
    """Somebody who reached this host before the change no longer does."""


@dataclass(frozen=True)
class Patience:
    """deadline_s: for all of it. poll_s: between two looks. repeat_s: after which an unchanged state is said again."""

    deadline_s: float = 600.0
    poll_s: float = 3.0
    repeat_s: float = 15.0

    def wait(self, host: Writer, address: str, lifeline: Lifeline) -> None:
        """Returns once all is up and nobody is lost; raises LostError, or CaasError with what was last seen."""
        end = time.monotonic() + self.deadline_s
        strikes, said, said_at = 0, "", 0.0
        while True:
            seen, lost = _seen(host, address), lifeline.lost(host)
            strikes = strikes + 1 if lost else 0
            if not seen and not lost:
                return
            if strikes >= STRIKES:
                raise LostError(lost)
            now = time.monotonic()
            if now >= end:
                raise _late(self.deadline_s, seen or lost)
            if (line := f"waits for Cilium: {lost or seen}") != said or now - said_at >= self.repeat_s:
                host.say(line)
                said, said_at = line, now
            time.sleep(self.poll_s)

    def lost(self, host: Writer, lifeline: Lifeline) -> str:
        """What is lost for good, by as many looks as it takes to be sure; "" where nothing is."""
        for _ in range(STRIKES - 1):
            if not lifeline.lost(host):
                return ""
            time.sleep(self.poll_s)
        return lifeline.lost(host)


def _seen(host: Writer, address: str) -> str:
    try:
        return obstacle(host, address)[1]
    except Unreadable as unreadable:  # the API server may be away for a moment
        return str(unreadable)


def _late(deadline_s: float, seen: str) -> CaasError:
    return CaasError(
        f"Cilium is not up after {deadline_s:.0f} s",
        cause=f"last seen: {seen}",
        fix="mend what it names (kubectl -n kube-system describe pods), then run the same command again: it waits on",
    )
