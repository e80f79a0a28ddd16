"""What doctor does: from a host, its recording, pasted output or a user's file to a report with a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from caasctl import brought, doctor, engine, hidden, planning, profile_load, undo_plan
from caasctl.checks import ALL_CHECKS, DOCTOR_CHECKS
from caasctl.commands import Session
from caasctl.diagnosis import Diagnosis, Line, Link, RuledOut
from caasctl.doctor import files as kinds
from caasctl.doctor import hearing
from caasctl.doctor.chain import pod_chain, pod_name
from caasctl.doctor.rules import shipped_rules
from caasctl.facts import DOCTOR_PROBES, made_by
from caasctl.facts.given import Given
from caasctl.facts.kubernetes import Cluster
from caasctl.facts.made_by import MadeBy
from caasctl.facts.os_clock import Clock
from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.host.stream import STDIN, user_blocks
from caasctl.model import CaasError, Exit, Facts, Finding, Level, Report, Unreadable
from caasctl.needs import containerd_keys
from caasctl.pasting import pasted
from caasctl.phases import ORDER

WORD = "doctor"
ELSEWHERE = "wherever it was said"  # pasted output alone: it need not be of this machine


@dataclass(frozen=True)
class Asked:
    """logs: files of pasted output, - for standard input. files: configuration to judge. host: look at the host (or its
    recording) as well. target, namespace: a pod whose start is to be followed.
    """

    logs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    since: timedelta | None = None
    host: bool = True
    words: tuple[str, ...] = ()
    target: str = ""
    namespace: str = "default"
    note: str = ""


def opened(
    profile: str | None, settings: Sequence[str], facts: str | None, root: str, *, here: bool
) -> tuple[Session, str]:
    """The session, and which profile it is where none was named: the one that this node was made by. here: a host is judged.

    Raises ProfileError, UsageError.
    """
    made = made_by.read(LiveHost()) if here and profile is None and facts is None and root == "/" else MadeBy()
    if not made.word:
        return Session(profile or profile_load.DEFAULT, settings, facts, root), ""
    known = [setting for setting in made.settings if hidden.HIDDEN not in setting]
    try:
        session = Session(made.profile, [*known, *settings])
    except CaasError as error:
        if settings:
            raise
        told = f"{made.profile}, by which this node was made, cannot be used: {error.problem}"
        return Session(profile_load.DEFAULT, ()), f"{told}. Judged by {profile_load.DEFAULT}; --profile names another."
    if (made.profile, known) == (profile_load.DEFAULT, []):
        return session, ""
    lacks = " without its secrets" if len(known) < len(made.settings) else ""
    return session, f"Judged by what the {made.word} of {made.at[:10]} was given{lacks}; --profile names another."


def examine(session: Session, asked: Asked) -> Report:
    """Raises UsageError for a log or file that cannot be read."""
    files = tuple(kinds.read(path) for path in asked.files)
    lines = tuple(line for log in asked.logs for line in hearing.pasted(_name(log), user_blocks(log)))
    seen = _of_host(session, asked, lines, files) if asked.host else _brought(session, lines, files)
    chain, of_pod = _followed(session, seen.facts, asked)
    case = replace(seen.case, findings=(*seen.case.findings, *of_pod), named=seen.case.named | {f.id for f in of_pod})
    found = doctor.diagnose(case, shipped_rules())
    found = replace(found, chain=chain, looked_at=(*brought.sources(files), *found.looked_at))
    if asked.host:
        found = replace(
            found, changed=_changed(session, seen.facts, case.findings), keys=containerd_keys.told(seen.facts)
        )
    code = exit_code(found, case.findings, case.named)
    report = session.report(
        [WORD, *asked.words],
        code,
        case.findings,
        facts=seen.facts if asked.host else None,
        notes=(asked.note,) if asked.note else (),
    )
    report = report if asked.host else replace(report, host=", ".join(asked.files) or ELSEWHERE, profile="")
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


def _brought(session: Session, lines: tuple[Line, ...], files: tuple[Given, ...]) -> _Seen:
    """What was pasted and what is in files, wherever they are from."""
    found = brought.alone(files, session.profile) if files else ()
    return _Seen(doctor.Case(found, lines, named=brought.about(files) if files else frozenset()), Facts())


def _of_host(session: Session, asked: Asked, said: tuple[Line, ...], files: tuple[Given, ...]) -> _Seen:
    host = brought.laid_over(session.host, files)
    facts = brought.with_files(engine.collect(host, (*session.probes, *DOCTOR_PROBES)), files)
    clock, cluster = facts.get(Clock), facts.get(Cluster)
    now = clock.now if clock else datetime.now(timezone.utc)
    found = pasted(engine.examine(facts, session.profile, checks=ALL_CHECKS), session.settings)
    lines = (*said, *hearing.heard(facts, asked.since, now))
    named = brought.about(files) if files else frozenset()
    case = doctor.Case(brought.told(found, files), lines, bool(cluster and cluster.kubelet_conf), named)
    return _Seen(case, facts)


def _changed(session: Session, facts: Facts, found: Sequence[Finding]) -> tuple[RuledOut, ...]:
    """What caasctl made on this host and what is not as it would make it now; () where it made nothing."""
    try:
        made = undo_plan.made(session.host)
        planned = planning.plan(session.host, facts, session.profile, found, [p for p in ORDER if p.id in made])
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


def exit_code(found: Diagnosis, findings: Sequence[Finding], named: frozenset[str] = frozenset()) -> Exit:
    """Precedence 70, 1, 6, 0: a cause; something that cannot be explained, or not be looked at; nothing.

    named: checks that must have been able to look, beside doctor's own.
    """
    if any(seen.source == engine.TRACEBACK for finding in findings for seen in finding.evidence):
        return Exit.BUG
    if found.roots:
        return Exit.FAILED_CHECK
    own = named | {check.id for check in DOCTOR_CHECKS}
    unasked = any(finding.level is Level.UNKNOWN and finding.id in own for finding in findings)
    return Exit.UNDETERMINED if found.unexplained or found.unknown_lines or unasked else Exit.OK


def _name(log: str) -> str:
    return "standard input" if log == STDIN else log
