"""What undo does, from named inputs to steps; no arguments, no printing, no exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from caasctl import apply, engine, ledger
from caasctl.facts import PROBES
from caasctl.facts.containerd_live import PodCgroups
from caasctl.faults import is_root
from caasctl.host import LiveHost
from caasctl.interrupts import no_sudden_end
from caasctl.model import RefusedError, UsageError
from caasctl.protocol import Reader
from caasctl.syntax import kubeadm

Say = Callable[[str], None]
GOES_ON = "undo goes on to its end: half of a way back is none"


def lost_by_undo(run: str | None, *, yes: bool) -> str:
    """What goes for good when a run is taken back, to be asked about. Raises UsageError where there is nobody to ask."""
    host = LiveHost()
    there = ledger.runs(host) if is_root() and not yes else ()
    lost = "; ".join(ledger.losses(host, run or there[-1])) if there else ""
    if lost and not sys.stdin.isatty():
        raise UsageError(f"undo takes down {lost}", cause="there is no terminal to ask on, and it does not come back",
                         fix="add --yes if it may go")  # fmt: skip
    return lost


def undo(run: str | None, progress: Say) -> tuple[ledger.Step, ...]:
    """Takes back a run, the last one where none is named. Raises UsageError, LockedError."""
    if not is_root():
        raise UsageError("undo changes this host and needs root", cause="it was started by another user",
                         fix="start it with sudo: `sudo caasctl undo --list` only looks")  # fmt: skip
    host = LiveHost(progress=progress)
    there = ledger.runs(host)
    if not run and not there:
        return ()
    with no_sudden_end(GOES_ON), host.lock(apply.LOCK, f"pid {os.getpid()}: caasctl undo\n"):
        refuse_under_pods(host, run or there[-1])
        return tuple(ledger.take_back(host, run or there[-1]))


def refuse_under_pods(host: Reader, run: str) -> None:
    """Raises RefusedError where taking a run back would give live pods a containerd with another cgroup driver.

    A run that began the cluster takes its pods down before.
    """
    if "containerd" not in ledger.phases(host, run) or kubeadm.RESET in ledger.takes_down(host, run):
        return
    pods = engine.collect(host, [probe for probe in PROBES if probe.fact is PodCgroups]).get(PodCgroups)
    if pods and pods.live:
        raise RefusedError(
            f"pods run on the containerd whose configuration undo would take back: {', '.join(pods.live[:3])}",
            cause="the old configuration may place pods by another cgroup driver, or not know their runtime",
            fix="drain the node (kubectl drain, then stop the kubelet and `crictl rmp -fa`), then undo",
        )


def undoable() -> tuple[str, ...]:
    return ledger.runs(LiveHost())
