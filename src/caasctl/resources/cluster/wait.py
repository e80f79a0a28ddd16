"""Waits until the pods of caasctl's daemonset run, and says why they do not."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Writer
from caasctl.resources.cluster import ask
from caasctl.resources.cluster.ask import Item
from caasctl.syntax.cluster import pods

_PHASE = re.compile(r"`caasctl init-node --phase (\w+)`")  # of the command that waits, not of one with another profile


@dataclass(frozen=True)
class Patience:
    """deadline_s: for all of it. poll_s: between two looks."""

    deadline_s: float = 300.0
    poll_s: float = 2.0

    def wait(self, host: Writer, refs: tuple[str, ...], namespace: str) -> None:
        """Returns once all run; raises CaasError with the reason of the one that does not."""
        end = time.monotonic() + self.deadline_s
        said = ""
        while seen := _seen(host, refs, namespace):
            if time.monotonic() >= end:
                raise _late(host, namespace, seen, self.deadline_s)
            if seen != said:
                host.say(f"waits for the device plugin: {seen}")
                said = seen
            time.sleep(self.poll_s)


def obstacle(found: Mapping[str, Item]) -> str | None:
    """Why the daemonset is not up yet, "" where it is, None where there is none. Of several nodes one that is away must not
    hold this one up.
    """
    item = next((item for item in found.values() if item["kind"] == "DaemonSet"), None)
    if item is None:
        return None
    status = item.get("status") or {}
    wanted, ready = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    renewed = int(status.get("updatedNumberScheduled") or 0)
    if int(status.get("observedGeneration") or 0) < int(item["metadata"].get("generation") or 0):
        return "it is being placed"
    if wanted and (not renewed or not ready or (wanted == 1 and ready != renewed)):
        return f"{ready}/{wanted} ready"
    return ""


def _seen(host: Writer, refs: tuple[str, ...], namespace: str) -> str:
    try:
        found = ask.live(host, refs, namespace)
        return obstacle(found) or ("" if obstacle(found) is not None else "it is not there")
    except Unreadable as unreadable:  # the API server may be away for a moment
        return str(unreadable)


def _late(host: Writer, namespace: str, seen: str, deadline_s: float) -> CaasError:
    try:
        why = next(filter(None, (pods.trouble(pod, ()) for pod in ask.pods(host, namespace))), None)
    except Unreadable:
        why = None
    if why:
        return CaasError(
            f"the device plugin does not run: {why.problem}", cause=why.cause, fix=_PHASE.sub(r"phase \1", why.fix)
        )
    return CaasError(f"the device plugin does not run after {deadline_s:.0f} s", cause=f"last seen: {seen}",
                     fix=f"`kubectl -n {namespace} describe pods` says more; mend it, then run the same command again")  # fmt: skip
