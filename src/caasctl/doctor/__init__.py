"""Doctor: symptom rules over what programs said, and which of the things that are wrong is the cause of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caasctl.diagnosis import Diagnosis, Line, Moment, Root, RuledOut, Says, Sign
from caasctl.doctor import causes, further, hearing, matching
from caasctl.doctor.rules import Rules
from caasctl.frozen import dataclass
from caasctl.model import Finding, Level


@dataclass(frozen=True)
class Case:
    """What there is to judge. established: the host is in a cluster, so that what fails is broken, and not only not made yet.

    named: checks about what the user points at: what they say comes first, and their warnings are shown.
    """

    findings: tuple[Finding, ...] = ()
    lines: tuple[Line, ...] = ()
    established: bool = False
    named: frozenset[str] = frozenset()


def diagnose(case: Case, rules: Rules) -> Diagnosis:
    """Roots first; nothing is a root that was not seen, and nothing is explained by what was not seen."""
    findings = causes.by_id(case.findings)
    heard, explained = matching.seen(rules.symptoms, case.lines)
    checks = causes.checked(findings, rules)
    known = _explained(causes.roots((*checks, *heard), rules, findings))
    past = causes.over((sign for sign in heard if sign.id not in known), findings, rules)
    signs = (*checks, *(sign for sign in heard if sign not in past))
    every = causes.roots(signs, rules, findings)
    tops = [top for top in every if _counts(top)]
    pointed = [top for top in every if top.sign.id in case.named and not _counts(top)]
    tops += _pointed_at(tops, case)
    roots, beside = _split([top for top in tops if top.sign.says is Says.CAUSE], case)
    unexplained = _telling(tops, rules)
    shown = _signs([*roots, *unexplained])
    well, unasked = causes.ruled_out(causes.Found(tuple(shown), findings), rules)
    strange = hearing.strange(case.lines, explained) if not roots else ()
    return Diagnosis(
        roots=tuple(roots),
        beside=tuple(top.sign for top in beside),
        unexplained=tuple(unexplained),
        notes=(*pointed, *(top for top in tops if top.sign.says is Says.NOTE)),
        over=past,
        unknown_lines=strange,
        ruled_out=well,
        undetermined=(*unasked, *_unseen(case)),
        timeline=_timeline(shown),
        looked_at=hearing.sources(case.lines),
        collect=further.collect(case.findings, case.lines, [*unexplained, *strange]) if not roots else (),
        rules=len(rules.symptoms),
        established=case.established or bool(case.named),
    )


def _explained(tops: Iterable[Root]) -> set[str]:
    """What follows from a check that fails: it is not over, whatever else is well."""
    certain = (top for top in tops if top.sign.checked and top.sign.finding.level is Level.FAIL)
    return {follow.sign.id for top in certain for follow in top.follows}


def _counts(top: Root) -> bool:
    """A warning from which nothing follows that was seen is preflight's business."""
    return top.sign.finding.level is Level.FAIL or bool(top.follows)


def _pointed_at(tops: Sequence[Root], case: Case) -> list[Root]:
    """What the user points at states its cause, where what it follows from has none that was seen."""
    blind = [follow.sign for top in tops if top.sign.says is Says.EFFECT for follow in top.follows]
    told = {follow.sign.id for top in tops if top.sign.says is not Says.EFFECT for follow in top.follows}
    return [Root(sign) for sign in dict.fromkeys(blind) if sign.id in case.named and sign.id not in told]


def _unseen(case: Case) -> list[RuledOut]:
    """What could not be looked at of that which the user points at."""
    unknown = [one for one in case.findings if one.level is Level.UNKNOWN and one.id in case.named]
    return [RuledOut(one.id, one.title, one.found) for one in unknown]


def _split(tops: Sequence[Root], case: Case) -> tuple[list[Root], list[Root]]:
    """Roots, and what only is not made yet: on a host in no cluster what fails is no cause while something else is one."""
    first = sorted(tops, key=lambda top: top.sign.id not in case.named)
    telling = [top for top in first if top.shows or top.sign.id in case.named]
    if case.established or not telling:
        return first, []
    return telling, [top for top in first if top not in telling]


def _telling(tops: Sequence[Root], rules: Rules) -> list[Root]:
    """The unexplained ones, without headings beside what tells more in the same text: they only say that a tool gave up."""
    headings = {rule.id for rule in rules.symptoms if rule.says is Says.EFFECT and rule.telling == 1}
    telling = [top for top in tops if top.sign.id not in headings and top.sign.says is not Says.NOTE]
    said = {one.source for top in telling for one in top.sign.finding.evidence}

    def counts(top: Root) -> bool:
        return top.sign.id not in headings or not said.issuperset(one.source for one in top.sign.finding.evidence)

    return [top for top in tops if top.sign.says is Says.EFFECT and counts(top)]


def _signs(tops: Iterable[Root]) -> list[Sign]:
    found = {top.sign.id: top.sign for top in tops}
    found |= {follow.sign.id: follow.sign for top in tops for follow in top.follows}
    return list(found.values())


def _timeline(signs: Iterable[Sign]) -> tuple[Moment, ...]:
    ends = [(sign, at) for sign in signs for at in dict.fromkeys((sign.first, sign.last)) if at]
    moments = {Moment(at, sign.id, _when(sign, at)) for sign, at in ends}
    return tuple(sorted(moments, key=lambda moment: (moment.at, moment.id)))


def _when(sign: Sign, at: str) -> str:
    if sign.times == 1 or sign.first == sign.last:
        return sign.finding.title
    return f"{sign.finding.title} ({'first' if at == sign.first else f'last of {sign.times}'})"
