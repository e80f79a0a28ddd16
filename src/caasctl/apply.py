"""init-node for real: phase by phase facts, gate, changes, verification. The only holder of a Writer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from caasctl import engine
from caasctl.facts import PROBES
from caasctl.faults import is_root, not_a_file
from caasctl.host import LiveHost
from caasctl.ledger import Ledger
from caasctl.model import CaasError, Exit, Facts, FactUnread, Finding
from caasctl.profile import NodeProfile
from caasctl.protocol import (
    Change,
    FileKind,
    Impossible,
    Known,
    NeedsReboot,
    Phase,
    PhaseReport,
    PhaseStatus,
    Probe,
    Resource,
    Unknown,
    texts,
)
from caasctl.recording import RecordingHost
from caasctl.resources.files import File, owned_files

LOCK = "/run/caasctl/lock"
STAGE = "/run/caasctl/stage"  # where resources stage what they try first, some of it with tokens and keys
_LONGEST = 200
Progress = Callable[[str], None]


class Interrupted(Exception):  # noqa: N818 - the user asked for it
    """The user wants to stop; raised between changes only."""


def run_id() -> str:
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{os.getpid()}"


@dataclass
class Run:
    """One init-node run. stop: asked between changes whether the user wants out. say: progress, one line each.

    probes: what is looked at; join-node adds the cluster that is to be joined.
    """

    host: LiveHost
    profile: NodeProfile
    ledger: Ledger
    say: Progress
    stop: Callable[[], bool]
    probes: Sequence[Probe] = PROBES

    def phases(self, phases: Sequence[Phase], facts: Facts) -> Iterator[PhaseReport]:
        """Reports as they come to be; ends at the first phase that is blocked, failed or needs a reboot."""
        self.host.remove_tree(STAGE)  # what a killed run left; its resource may be as wanted, and not look there again
        stale: set[type] = set()
        for at, phase in enumerate(phases):
            self.say(f"{at + 1}/{len(phases)} {phase.id}: {phase.title}")
            if stale & engine.needs(phase):
                facts, stale = engine.collect(RecordingHost(self.host), self.probes), set()
            report = self._phase(phase, facts)
            if report.changes:
                stale.update(phase.disturbs)
            yield report
            if report.status not in (PhaseStatus.UNCHANGED, PhaseStatus.CHANGED):
                return

    def _phase(self, phase: Phase, facts: Facts) -> PhaseReport:
        start = time.monotonic()
        found = engine.examine(facts, self.profile)
        report = PhaseReport(phase.id, phase.title, PhaseStatus.UNCHANGED, findings=engine.gate(phase, found))
        stopping = engine.blockers(phase, found)
        changes: list[Change] = []
        if stopping:
            return replace(report, status=PhaseStatus.BLOCKED, message=engine.held_back(stopping))
        try:
            reboot = self._change(phase, tuple(phase.desired(facts, self.profile)), changes)
            report = replace(report, status=PhaseStatus.CHANGED if changes else PhaseStatus.UNCHANGED)
            if reboot:
                report = replace(report, status=PhaseStatus.REBOOT, message=reboot, needs_reboot=True)
            if changes:
                report = replace(report, findings=engine.gate(phase, self._verified(phase)))
        except Interrupted:
            said = "stopped as you asked, between two changes; the same command goes on from here"
            report = replace(report, status=PhaseStatus.INTERRUPTED, message=said)
        except FactUnread as unread:
            report = replace(
                report,
                status=PhaseStatus.FAILED,
                message=f"cannot be planned: {unread.reason}",
                fix=f"{'mend that' if is_root() else 'run as root'}; `caasctl preflight` says what else could not be read",
            )
        except CaasError as error:
            said, fix = map(self.host.without, (": ".join(filter(None, (error.problem, error.cause))), error.fix))
            report = replace(report, status=PhaseStatus.FAILED, message=said, fix=fix)
        took = round((time.monotonic() - start) * 1000)
        return replace(report, changes=tuple(changes), duration_ms=took)

    def _change(self, phase: Phase, resources: tuple[Resource, ...], changes: list[Change]) -> str:
        """Makes the changes of a phase, appending each once it is made; returns why a reboot is needed, or nothing."""
        done: set[str] = set()
        reboot = ""
        for file in (file for resource in resources for file in owned_files(resource)):
            self._refuse_unseen(file)
        for resource in resources:
            now = resource.look(self.host)
            if isinstance(now, Unknown):
                raise CaasError(
                    f"{resource.name} cannot be looked at",
                    cause=now.reason,
                    fix="mend that, then run the same command again: caasctl changes nothing that it cannot see",
                )
            wanted = resource.target(now)
            because = tuple(name for name in resource.after if name in done)
            if now == wanted and not because:
                continue
            if self.stop():
                raise Interrupted
            change = Change(phase.id, resource, now, wanted, because)
            self.host.hide(getattr(resource, "secrets", ()), (*texts(now), *texts(wanted)))
            self.say(f"{phase.id}: {resource.name}")
            if done or not resource.reboots:  # a reboot that is owed again is nothing to take back
                self.ledger.record(change)
            outcome = resource.apply(self.host, now)
            if isinstance(outcome, Impossible):
                raise CaasError(outcome.problem, cause=f"{resource.name} cannot be changed here", fix=outcome.fix)
            changes.append(change)
            done.add(resource.name)
            reboot = outcome.why if isinstance(outcome, NeedsReboot) else reboot
        return reboot

    def _refuse_unseen(self, file: File) -> None:
        """Stops a phase before its first change where a later one would stop it half-way. Raises CaasError."""
        self.host.fit(file.path)
        now, there = file.look(self.host), self.host.stat(file.path, follow=False)
        if there and there.kind is not FileKind.FILE:
            raise not_a_file(file.path, there.kind, self.host.readlink(file.path))
        if isinstance(now, Unknown):
            raise CaasError(
                f"{file.path} cannot be read", cause=now.reason, fix="mend that, then run the same command again"
            )

    def _verified(self, phase: Phase) -> tuple[Finding, ...]:
        """Fresh findings, once it is seen that nothing of the phase differs any more but what a reboot brings."""
        facts = engine.collect(RecordingHost(self.host), self.probes)
        left = [
            c for c in engine.differ(self.host, phase, phase.desired(facts, self.profile)) if not c.resource.reboots
        ]
        if left:
            names = ", ".join(change.resource.name for change in left)
            raise CaasError(
                f"{names} did not stay as written",
                cause=f"after the change it differs again: {_said(left[0])}",
                fix="look for a program that rewrites it (configuration management, an operator), stop that, run again",
            )
        return engine.examine(facts, self.profile)


def _said(change: Change) -> str:
    """What a resource is now, in a clause: a state's parts are whole files, and may hold keys."""
    now = change.before
    if isinstance(now, Known):
        line = "" if change.resource.secret else (now.text.strip().splitlines() or [""])[0]
        return line[:_LONGEST] or "its text is not shown"
    return now.reason if isinstance(now, Unknown) else "it is gone"


def exit_code(reports: Sequence[PhaseReport]) -> Exit:
    """3 where a change failed, 1 where a gate stopped, 4 where a reboot is due, 130 where the user stopped it, else 0."""
    codes = {
        PhaseStatus.FAILED: Exit.FAILED_CHANGE,
        PhaseStatus.BLOCKED: Exit.FAILED_CHECK,
        PhaseStatus.REBOOT: Exit.REBOOT,
        PhaseStatus.INTERRUPTED: Exit.INTERRUPTED,
    }
    return next((code for status, code in codes.items() if any(r.status is status for r in reports)), Exit.OK)
