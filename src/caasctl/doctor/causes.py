"""Which of the signs are roots: over the graph of what follows from what, by signs that were all seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from caasctl.diagnosis import Follow, Root, RuledOut, Says, Sign
from caasctl.doctor.rules import Rules
from caasctl.frozen import dataclass
from caasctl.model import Evidence, Finding, Level

_FAR = 3  # steps back from a complaint to what may have caused it: further off everything causes everything


@dataclass(frozen=True)
class Found:
    """What was found of one host: the signs, and the findings of every check that was asked, by id."""

    signs: tuple[Sign, ...]
    findings: Mapping[str, tuple[Finding, ...]]


def by_id(findings: Iterable[Finding]) -> dict[str, tuple[Finding, ...]]:
    made: dict[str, tuple[Finding, ...]] = {}
    for finding in findings:
        made[finding.id] = (*made.get(finding.id, ()), finding)
    return made


def checked(findings: Mapping[str, tuple[Finding, ...]], rules: Rules) -> tuple[Sign, ...]:
    """A sign of each check that fails or warns, its subjects together."""
    bad = {name: [f for f in found if f.level in (Level.FAIL, Level.WARN)] for name, found in findings.items()}
    return tuple(_of_check(name, found, rules) for name, found in bad.items() if found)


def _of_check(name: str, found: Sequence[Finding], rules: Rules) -> Sign:
    worst = min(found, key=lambda finding: finding.level is not Level.FAIL)
    alike = [finding for finding in found if finding.level is worst.level]
    subjects = ", ".join(dict.fromkeys(finding.subject for finding in alike if finding.subject))
    seen: tuple[Evidence, ...] = tuple(dict.fromkeys(one for finding in alike for one in finding.evidence))
    others = "; ".join(dict.fromkeys(finding.found for finding in alike))
    says = Says.EFFECT if name in rules.effects else Says.CAUSE
    return Sign(replace(worst, subject=subjects, found=others, evidence=seen[:3]), says, len(alike), checked=True)


@dataclass(frozen=True)
class _Graph:
    """The part of what follows from what whose ends were both seen."""

    signs: Mapping[str, Sign]
    down: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls, signs: Iterable[Sign], causes: Mapping[str, tuple[str, ...]], blocked: Mapping[str, frozenset[str]]
    ) -> _Graph:
        """blocked: checks that were not asked -> those whose failure says that they do not hold either."""
        seen = {sign.id: sign for sign in signs}

        def effects(name: str, top: str) -> Iterator[str]:
            for effect in causes.get(name, ()):
                if effect in seen:
                    yield effect
                elif top in blocked.get(effect, ()):
                    yield from effects(effect, top)

        down = {name: [e for e in dict.fromkeys(effects(name, name)) if e != name] for name in seen}
        return cls(seen, _strong(seen, down))

    def tops(self) -> list[Sign]:
        below = {effect for effects in self.down.values() for effect in effects}
        return [sign for name, sign in self.signs.items() if name not in below]

    def root(self, top: Sign) -> Root:
        """All that follows from a sign, nearest first."""
        by, nearest, queue = {top.id: ""}, [], [top.id]
        while queue:
            name = queue.pop(0)
            for effect in self.down[name]:
                if effect not in by:
                    by[effect] = name
                    nearest.append(Follow(self.signs[effect], name))
                    queue.append(effect)
        return Root(top, tuple(nearest))


def roots(signs: Sequence[Sign], rules: Rules, findings: Mapping[str, tuple[Finding, ...]]) -> tuple[Root, ...]:
    """Every sign that follows from no other, with what follows from it; the most telling first."""
    tell = {rule.id: rule.telling for rule in rules.symptoms}
    blocked = {name: _blockers(name, findings) for name in findings if findings[name][0].level is Level.SKIPPED}
    graph = _Graph.of(signs, rules.causes, blocked)
    found = [graph.root(top) for top in graph.tops()]

    def weight(root: Root) -> tuple[int, int, int, int, int]:
        follows = sum(tell.get(follow.sign.id, 6) for follow in root.follows)
        fails = root.sign.finding.level is Level.FAIL
        reach = len(below([root.sign.id], rules.causes))
        return (fails, bool(root.follows), follows, tell.get(root.sign.id, 5), reach)

    return tuple(sorted(found, key=weight, reverse=True))


def _strong(seen: Mapping[str, Sign], down: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """A warning explains only what nothing else does, and never a check that fails and says itself what is wrong."""
    weak = {name for name, sign in seen.items() if sign.checked and sign.finding.level is Level.WARN}
    certain = {effect for name, effects in down.items() if name not in weak for effect in effects}
    certain |= {name for name, sign in seen.items() if sign.checked and sign.says is Says.CAUSE and name not in weak}
    return {name: tuple(e for e in effects if name not in weak or e not in certain) for name, effects in down.items()}


def _blockers(name: str, findings: Mapping[str, tuple[Finding, ...]]) -> frozenset[str]:
    """What a check that was skipped waits for, and what that waits for."""
    direct = {blocker for finding in findings.get(name, ()) for blocker in finding.blocked_by}
    return frozenset(direct).union(*(_blockers(blocker, findings) for blocker in direct))


def below(names: Iterable[str], causes: Mapping[str, tuple[str, ...]], far: int = 99) -> dict[str, int]:
    """All that may follow from these, with the number of steps."""
    steps: dict[str, int] = {}
    edge = list(dict.fromkeys(names))
    for step in range(1, far + 1):
        edge = [e for name in edge for e in causes.get(name, ()) if e not in steps]
        steps.update(dict.fromkeys(edge, step))
        if not edge:
            break
    return steps


def turned(causes: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Of each id what it may follow from."""
    up: dict[str, list[str]] = defaultdict(list)
    for name, effects in causes.items():
        for effect in effects:
            up[effect].append(name)
    return {name: tuple(of) for name, of in up.items()}


def ruled_out(found: Found, rules: Rules) -> tuple[tuple[RuledOut, ...], tuple[RuledOut, ...]]:
    """What could have caused something that was seen: the checks that are well, and those that could not be asked; nearest first."""
    seen = [sign.id for sign in found.signs if sign.says is not Says.NOTE]
    steps = below(seen, turned(rules.causes), _FAR)
    near = sorted((step, name) for name, step in steps.items() if name not in set(seen))
    well, unasked = [], []
    for _, name in near:
        judged = found.findings.get(name, ())
        if judged and all(finding.level is Level.PASS for finding in judged):
            well.append(RuledOut(name, judged[0].title, "; ".join(dict.fromkeys(f.found for f in judged))))
        elif any(finding.level is Level.UNKNOWN for finding in judged):
            unasked += [RuledOut(name, f.title, f.found) for f in judged if f.level is Level.UNKNOWN][:1]
    return tuple(well), tuple(unasked)


def over(signs: Iterable[Sign], found: Mapping[str, tuple[Finding, ...]], rules: Rules) -> tuple[Sign, ...]:
    """Symptoms of the past: something was said, and every state that it could come from or lead to is well now.

    Where a check fails that follows right from it, it is not over.
    Further off something else may be ill, or not be seen: then what stands beside it tells. Of an effect one state that is well is
    enough, as long as none is ill; of a cause every check beside it must be well, a state among them.
    """
    up = turned(rules.causes)

    def levels(names: Iterable[str]) -> set[Level]:
        return {finding.level for name in names for finding in found.get(name, ())}

    def past(sign: Sign) -> bool:
        if sign.lasting and sign.says is Says.CAUSE:
            return False
        if any(one.level is Level.FAIL for name in rules.causes.get(sign.id, ()) for one in found.get(name, ())):
            return False
        beside = {*rules.causes.get(sign.id, ()), *up.get(sign.id, ())}
        around = levels({*below([sign.id], rules.causes), *below([sign.id], up)} & rules.effects)
        near = levels(beside & rules.effects)
        if around == {Level.PASS}:
            return True
        if sign.says is Says.EFFECT:
            return around <= {Level.PASS, Level.UNKNOWN} and Level.PASS in near
        return near == levels(beside) == {Level.PASS}

    return tuple(sign for sign in signs if past(sign))
