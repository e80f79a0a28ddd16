"""The messages of the field report, pasted: what doctor names first, whatever the terminal made of them."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from caasctl.diagnosis import Diagnosis
from caasctl.doctor import Case, diagnose, hearing
from caasctl.doctor.rules import shipped_rules

MET: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("seed.yaml").read_text())
each = pytest.mark.parametrize("met", MET, ids=lambda met: met["name"])


def judged(text: str) -> Diagnosis:
    return diagnose(Case(lines=hearing.pasted("pasted", [text])), shipped_rules())


def named(found: Diagnosis) -> dict[str, list[str]]:
    parts = {"roots": found.roots, "unexplained": found.unexplained, "notes": found.notes}
    return {part: [top.sign.id for top in tops] for part, tops in parts.items()}


def holds(met: dict[str, Any], found: Diagnosis) -> bool:
    said = named(found)
    if "note" in met:
        return said["roots"] == said["unexplained"] == [] and (met["note"] == "*" or met["note"] in said["notes"])
    if "unexplained" in met:
        return said["roots"] == [] and met["unexplained"] in said["unexplained"]
    wanted = met.get("roots") or [met["root"]]
    return said["unexplained"] == [] and (set(said["roots"]) == set(wanted))


@each
def test_what_was_printed_is_named(met: dict[str, Any]) -> None:
    found = judged(met["text"])
    assert holds(met, found), named(found)


@each
def test_however_the_terminal_broke_it(met: dict[str, Any]) -> None:
    lines = met["text"].splitlines()
    hard = "\n".join(line[at : at + 80] for line in lines for at in range(0, len(line), 80))
    soft = "\n".join(textwrap.fill(line, 100, subsequent_indent="    ") for line in lines)
    assert holds(met, judged(hard)), named(judged(hard))
    assert holds(met, judged(soft)), named(judged(soft))
