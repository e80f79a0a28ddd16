"""Failures of a node that ran: doctor names the root first, and where several things went wrong each of them, and nothing else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from tests.hosts.failures import FAILURES, NO_FAILURES, together
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


PAIRS = [pair for pair in combinations(FAILURES, 2) if together(*pair)][::4]  # bench/diagnoses.py tries all of them
TRIPLES = [three for three in combinations(FAILURES, 3) if together(*three)][::25]


@pytest.mark.parametrize("names", [*PAIRS, *TRIPLES], ids=" + ".join)
def test_where_several_things_went_wrong_each_is_a_root_and_nothing_else(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    found = sick(tmp_path, *names)
    roots = [root.sign.id for root in found.roots]
    assert all(set(roots) & set(FAILURES[name].root) for name in names), shown(found)
    assert set(roots) <= {one for name in names for one in FAILURES[name].root}, shown(found)
    assert not found.unexplained, shown(found)


@pytest.mark.parametrize("name", NO_FAILURES)
def test_what_is_no_failure_of_the_node_is_no_root(name: str, tmp_path: Path) -> None:
    node = Sick(tmp_path)
    NO_FAILURES[name](node)
    found = diagnosed(node.done())
    assert found.roots == found.unexplained == (), shown(found)
