"""Outputs of failures (and of health) that users of other projects pasted: what doctor makes of each, noise and all.

wild/TOPIC.yaml: root or roots (the first is named first, and there is no other), unexplained, note, or nothing (no alarm at all).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from caasctl.diagnosis import Diagnosis, Root
from caasctl.doctor import Case, diagnose, hearing
from caasctl.doctor.rules import shipped_rules

FILES = sorted(Path(__file__).with_name("wild").glob("*.yaml"))
WILD: list[dict[str, Any]] = [case for file in FILES for case in yaml.safe_load(file.read_text())]
each = pytest.mark.parametrize("met", WILD, ids=lambda met: met["name"])


def judged(text: str) -> Diagnosis:
    return diagnose(Case(lines=hearing.pasted("pasted", [text])), shipped_rules())


def ids(tops: tuple[Root, ...]) -> list[str]:
    return [top.sign.id for top in tops]


@each
def test_the_roots_are_those_that_an_engineer_would_name(met: dict[str, Any]) -> None:
    wanted = met.get("roots") or [met[key] for key in ("root",) if key in met]
    found = ids(judged(met["text"]).roots)
    assert found[:1] == wanted[:1]
    assert set(found) == set(wanted)


@each
def test_what_has_no_cause_is_said_to_have_none(met: dict[str, Any]) -> None:
    found = judged(met["text"])
    assert [met[key] for key in ("unexplained",) if key in met] == ids(found.unexplained)[:1]
    assert met.get("note") in [None, *ids(found.notes)]


@each
def test_a_line_break_of_a_terminal_changes_nothing(met: dict[str, Any]) -> None:
    broken = "\n".join(line[at : at + 120] for line in met["text"].splitlines() for at in range(0, len(line), 120))
    assert ids(judged(broken).roots) == ids(judged(met["text"]).roots)


def test_every_case_says_where_it_is_from_and_what_is_expected() -> None:
    assert [
        met["name"]
        for met in WILD
        if not met["source"] or not {"root", "roots", "unexplained", "note", "nothing"} & set(met)
    ] == []
    assert len({met["name"] for met in WILD}) == len(WILD)
