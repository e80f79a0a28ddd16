"""Files that doctor is given: judged alone, each on a host with nothing else, or laid over the host that they are for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from caasctl import engine
from caasctl.checks import CHECKS, FILE_CHECKS
from caasctl.doctor import files as kinds
from caasctl.doctor.files.kind import Kind, World
from caasctl.facts import PROBES
from caasctl.facts.given import Given, GivenFiles, dotted
from caasctl.formats.documents import Path
from caasctl.host.overlay import Overlay
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, Level
from caasctl.profile import NodeProfile
from caasctl.protocol import Reader

_NOT_OF_A_FILE = ("caasctl init-node", "mv ")  # what mends a host, and takes a file away from its readers
_SHORT = 2  # letters of a key that may as well be a word of prose
_WORSE = (Level.FAIL, Level.WARN)


def alone(files: Sequence[Given], profile: NodeProfile) -> tuple[Finding, ...]:
    """What can be said of the files without a host."""
    checks = [check for check in FILE_CHECKS if not check.reads]  # the others compare with a host
    own = engine.examine(Facts([GivenFiles(tuple(files))]), profile, checks=checks)
    reused = [finding for file in files if not file.error for finding in _reused(file, profile)]
    return (*own, *reused)


def laid_over(host: Reader, files: Sequence[Given]) -> Reader:
    """The host with each file in the place of its own."""
    places: dict[str, str] = {}
    silent: tuple[str, ...] = ()
    for file in files:
        kind = kinds.kind_of(file)
        places |= kind.places(file)
        silent += kind.silent
    return Overlay(places, host, silent=silent) if places else host


def with_files(facts: Facts, files: Sequence[Given]) -> Facts:
    return Facts([*facts.known(), GivenFiles(tuple(files))], facts.unread()) if files else facts


def about(files: Iterable[Given]) -> frozenset[str]:
    """The ids of the checks that are about what is in these files."""
    of_kinds = {name for file in files for name in kinds.kind_of(file).checks}
    return frozenset(of_kinds | {check.id for check in FILE_CHECKS})


def told(found: Iterable[Finding], files: Sequence[Given]) -> tuple[Finding, ...]:
    """The host's findings, with the files called as the user calls them."""
    made = list(found)
    for file in files:
        kind = kinds.kind_of(file)
        made = [_told(one, file, kind) if one.id in kind.checks else one for one in made]
    return tuple(made)


def sources(files: Iterable[Given]) -> tuple[str, ...]:
    return tuple(f"{file.name} ({file.kind})" for file in files)


def _reused(file: Given, profile: NodeProfile) -> Iterator[Finding]:
    """What the checks of a host say of it there; where releases differ, of which it is so."""
    kind = kinds.kind_of(file)
    worlds, wanted = kind.worlds(file), kind.profile(profile, file)
    said: dict[Finding, list[str]] = {}
    for world in worlds:
        for finding in _in_world(world, kind, wanted):
            said.setdefault(replace(finding, duration_ms=0), []).append(world.holds)
    for finding, holds in said.items():
        beside = f" ({', '.join(holds)})" if len(holds) < len(worlds) and all(holds) else ""
        yield _told(replace(finding, found=finding.found + beside), file, kind)


def _in_world(world: World, kind: Kind, profile: NodeProfile) -> tuple[Finding, ...]:
    host = Overlay(world.files, None, world.programs, world.answers)
    checks = [check for check in CHECKS if check.id in kind.checks]
    return engine.examine(engine.collect(host, PROBES), profile, checks=checks)


def _told(finding: Finding, file: Given, kind: Kind) -> Finding:
    """With the user's name of the file, where in it, and a fix that is about it."""
    for path in kind.places(file):
        finding = _renamed(finding, path, file.name)
    if kind.words_of_profile:
        finding = _renamed(finding, kind.words_of_profile, f"in {file.name}")
    if finding.level not in _WORSE:
        return finding
    fix, check = finding.fix, _by_id()[finding.id]
    if fix is None or fix.text.startswith(_NOT_OF_A_FILE):
        fix = Fix(f"in {file.name}: {check.fix}", FixKind.EDIT)
    return replace(finding, fix=fix, fixed_by="", subject=finding.subject or file.name, evidence=_seen(finding, file))


def _by_id() -> dict[str, Check]:
    return {check.id: check for check in CHECKS}


def _renamed(finding: Finding, path: str, name: str) -> Finding:
    def say(text: str) -> str:
        return text.replace(path, name)

    fix = finding.fix and replace(finding.fix, text=say(finding.fix.text))
    evidence = tuple(Evidence(say(seen.source), say(seen.excerpt)) for seen in finding.evidence)
    return replace(finding, found=say(finding.found), wanted=say(finding.wanted), subject=say(finding.subject),
                   cause=say(finding.cause), fix=fix, evidence=evidence)  # fmt: skip


def _seen(finding: Finding, file: Given) -> tuple[Evidence, ...]:
    """The line of the key that the finding speaks of, before what it has shown itself."""
    said = next((seen.excerpt for seen in finding.evidence if seen.excerpt), finding.found)
    best, line = (0, 0, 0), 0
    for document in file.documents:
        for path, number in document.lines.items():
            rank = _speaks_of(said, path)
            if rank > best:
                best, line = rank, number
    if not line:
        return finding.evidence or (Evidence(file.name, finding.found),)
    lines = file.text.split("\n")
    shown = said if finding.evidence else lines[line - 1].strip()[:120]
    return (Evidence(f"{file.name}:{line}", shown), *finding.evidence[1:])


def _speaks_of(said: str, path: Path) -> tuple[int, int, int]:
    """How well a text names a key: by its whole path, else by its name, the earlier the better; (0, 0, 0) where it does not."""
    key = path[-1] if path else None
    if not isinstance(key, str) or len(key) <= _SHORT:
        return (0, 0, 0)
    whole = dotted(path)
    if len(path) > 1 and whole in said:
        return (2, len(path), 0)
    found = re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w-])", said)
    return (1, len(said) - found.start(), len(path)) if found else (0, 0, 0)
