"""Failures of a node that ran: doctor names the root first, and where several things went wrong each of them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.hosts.failures import FAILURES
from tests.hosts.mishaps import MISHAPS
from tests.hosts.sick import Sick

from caasctl import doctoring
from caasctl.commands import Session
from caasctl.diagnosis import Diagnosis

ALL = {**FAILURES, **MISHAPS}


def diagnosed(host: str) -> Diagnosis:
    found = doctoring.examine(Session("single-node", (), host), doctoring.Asked()).diagnosis
    assert isinstance(found, Diagnosis)
    return found


def sick(folder: Path, *names: str) -> Diagnosis:
    node = Sick(folder)
    for name in names:
        ALL[name].happen(node)
    return diagnosed(node.done())


def shown(found: Diagnosis) -> str:
    tops = {"ROOTS": found.roots, "UNEXPLAINED": found.unexplained, "NOTES": found.notes}
    lines = [
        f"{word} {top.sign.id} <- {[f.sign.id for f in top.follows]}" for word, some in tops.items() for top in some
    ]
    return "\n".join([*lines, *(f"STRANGE {line.text[:100]}" for line in found.unknown_lines)])


@pytest.mark.parametrize("name", ALL)
def test_the_root_of_a_failure_is_the_only_root(name: str, tmp_path: Path) -> None:
    found = sick(tmp_path, name)
    assert [root.sign.id for root in found.roots] in [[one] for one in ALL[name].root], shown(found)
    assert not found.unexplained, shown(found)
