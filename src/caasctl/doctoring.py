"""What doctor does: from a host, its recording, pasted output or a user's file to a report with a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from caasctl import doctor, engine, ledger
from caasctl.checks import ALL_CHECKS, DOCTOR_CHECKS
from caasctl.commands import Session, pasted
from caasctl.diagnosis import Diagnosis, Line, Link, RuledOut
from caasctl.doctor import hearing
from caasctl.doctor.chain import pod_chain, pod_name
from caasctl.doctor.rules import shipped_rules
from caasctl.facts import DOCTOR_PROBES
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.os_clock import Clock
from caasctl.host.stream import STDIN, user_blocks
from caasctl.model import CaasError, Exit, Facts, Finding, Level, Report, Unreadable
from caasctl.phases import ORDER

WORD = "doctor"
ELSEWHERE = "wherever it was said"  # pasted output alone: it need not be of this machine


@dataclass(frozen=True)
class Asked:
    """logs: files of pasted output, - for standard input. target, namespace: a pod whose start is to be followed. host: look at the host (or its recording) as well."""

    logs: tuple[str, ...] = ()
    since: timedelta | None = None
    host: bool = True
    words: tuple[str, ...] = ()
    target: str = ""
    namespace: str = "default"


def examine(session: Session, asked: Asked) -> Report:
    """Raises UsageError for a log that cannot be read."""
    lines = tuple(line for log in asked.logs for line in hearing.pasted(_name(log), user_blocks(log)))
    case = _of_host(session, asked, lines) if asked.host else _Seen(doctor.Case(lines=lines), Facts())
    chain, of_pod = _followed(session, case.facts, asked)
    found = replace(
        doctor.diagnose(replace(case.case, findings=(*case.case.findings, *of_pod)), shipped_rules()), chain=chain
    )
    found = replace(found, changed=_changed(session, case.facts, case.case.findings) if asked.host else ())
    code = exit_code(found, case.case.findings)
    report = session.report([WORD, *asked.words], code, case.case.findings, facts=case.facts if asked.host else None)
    report = report if asked.host else replace(report, host=ELSEWHERE, profile="")
    return replace(report, diagnosis=found)


def _followed(session: Session, facts: Facts, asked: Asked) -> tuple[tuple[Link, ...], tuple[Finding, ...]]:
    """The start of the pod that was asked for, link by link, and what is to be done about the first that is broken."""
    if not asked.target:
        return (), ()
    links, broken = pod_chain(facts, session.profile, asked.namespace, pod_name(asked.target))
    return links, pasted((broken,), session.settings) if broken else ()


@dataclass(frozen=True)
class _Seen:
    case: doctor.Case
    facts: Facts


def _of_host(session: Session, asked: Asked, brought: tuple[Line, ...]) -> _Seen:
    facts = engine.collect(session.host, (*session.probes, *DOCTOR_PROBES))
    clock, cluster = facts.get(Clock), facts.get(Cluster)
    now = clock.now if clock else datetime.now(timezone.utc)
    found = pasted(engine.examine(facts, session.profile, checks=ALL_CHECKS), session.settings)
    lines = (*brought, *hearing.heard(facts, asked.since, now))
    return _Seen(doctor.Case(found, lines, bool(cluster and cluster.kubelet_conf)), facts)


def _changed(session: Session, facts: Facts, found: Sequence[Finding]) -> tuple[RuledOut, ...]:
    """What caasctl made on this host and what is not as it would make it now; () where it made nothing."""
    try:
        made = frozenset[str]().union(*(ledger.phases(session.host, run) for run in ledger.runs(session.host)))
        planned = engine.plan(session.host, facts, session.profile, found, [p for p in ORDER if p.id in made])
    except (
        CaasError,
        Unreadable,
    ):  # doctor works on the worst of hosts; that a plan cannot be made is init-node's to say
        return ()
    return tuple(
        RuledOut(phase.id, change.resource.name, "differs from what init-node makes")
        for phase in planned
        for change in phase.changes
        if not change.provisional and not change.because
    )


def exit_code(found: Diagnosis, findings: Sequence[Finding]) -> Exit:
    """Precedence 70, 1, 6, 0: a cause; something that cannot be explained, or not be looked at; nothing."""
    if any(seen.source == engine.TRACEBACK for finding in findings for seen in finding.evidence):
        return Exit.BUG
    if found.roots:
        return Exit.FAILED_CHECK
    own = {check.id for check in DOCTOR_CHECKS}
    unasked = any(finding.level is Level.UNKNOWN and finding.id in own for finding in findings)
    return Exit.UNDETERMINED if found.unexplained or found.unknown_lines or unasked else Exit.OK


def _name(log: str) -> str:
    return "standard input" if log == STDIN else log
