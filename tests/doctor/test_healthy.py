"""What a healthy node says as it boots and becomes a node: lines of real kernels, systemds and containerds, in which nothing is seen."""

from __future__ import annotations

from pathlib import Path

from caasctl.diagnosis import Line, Says
from caasctl.doctor import Case, diagnose
from caasctl.doctor.matching import seen
from caasctl.doctor.rules import shipped_rules

ROWS = [row.partition(": ") for row in Path(__file__).with_name("healthy.txt").read_text().splitlines()]
LINES = tuple(Line(kind, f"journal of {kind}", text) for kind, _, text in sorted(ROWS))


def test_there_are_lines_of_each_program() -> None:
    kinds = [line.kind for line in LINES]
    assert {kind for kind in kinds if kinds.count(kind) > 20} == {"kernel", "containerd", "unit"}


def test_no_rule_sees_more_than_a_note_in_them() -> None:
    found, _ = seen(shipped_rules().symptoms, LINES)
    told = {sign.id: [one.excerpt for one in sign.finding.evidence] for sign in found if sign.says is not Says.NOTE}
    assert told == {}


def test_none_of_them_sounds_like_trouble_that_nobody_knows() -> None:
    found = diagnose(Case(lines=LINES), shipped_rules())
    assert [line.text for line in found.unknown_lines] == []
