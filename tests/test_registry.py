"""What the lists of probes, checks and phases promise each other holds."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.lab.fact_use import use

from caasctl import planning
from caasctl.checks import ALL_CHECKS as CHECKS
from caasctl.facts import DOCTOR_PROBES
from caasctl.facts import PROBES as COMMON
from caasctl.model import Check
from caasctl.phases import ORDER
from caasctl.protocol import Phase, Probe

TOPICS = re.findall(r"`(os cgroup [a-z ]+)`", (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text())[0].split()
ALL_PHASES = ("host", "packages", "boot", "gpu", "kata", "containerd", "kubeadm", "cilium", "cluster")
PROBES = (*COMMON, *DOCTOR_PROBES)
PROBED = {probe.fact for probe in PROBES}
each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
each_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.fact.__name__)
each_phase = pytest.mark.parametrize("phase", ORDER, ids=lambda phase: phase.id)


def test_nothing_is_listed_twice() -> None:
    names = [*(check.id for check in CHECKS), *(probe.fact for probe in PROBES), *(f"phase {p.id}" for p in ORDER)]
    assert [name for name, times in Counter(names).items() if times > 1] == []


@each_check
def test_a_check_is_named_after_its_topic(check: Check) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9]+(_[a-z0-9]+)*", check.id)
    assert check.topic in TOPICS
    assert inspect.getmodule(check.run).__name__.split(".")[2].split("_")[0] == check.topic  # type: ignore[union-attr]


@each_check
def test_a_check_explains_itself(check: Check) -> None:
    for said in (check.title, check.looks_at, check.why, check.fix, check.source):
        assert said.strip()
        assert said.isascii()
    assert not check.title.endswith(".")


@each_check
def test_a_check_leans_on_what_there_is(check: Check) -> None:
    assert [kind.__name__ for kind in check.reads if kind not in PROBED] == []
    assert set(check.after) <= {other.id for other in CHECKS} - {check.id}
    assert set(check.gates) <= set(ALL_PHASES)
    assert check.fixed_by in ("", *(phase.id for phase in ORDER))


@each_check
def test_a_check_declares_the_facts_that_it_cannot_do_without(check: Check) -> None:
    asked = use(check.run)
    assert {kind.__name__ for kind in asked.needed} <= {kind.__name__ for kind in check.reads}
    assert {kind.__name__ for kind in check.reads} <= {kind.__name__ for kind in asked.every}


@each_probe
def test_a_fact_is_frozen_and_described(probe: Probe) -> None:
    assert dataclasses.is_dataclass(probe.fact)
    with pytest.raises(dataclasses.FrozenInstanceError):
        object.__new__(probe.fact).nothing = 1  # type: ignore[attr-defined]
    assert probe.fact.__doc__
    assert not probe.fact.__doc__.startswith(f"{probe.fact.__name__}(")  # the one that dataclass makes


@each_phase
def test_a_phase_leans_on_what_there_is(phase: Phase) -> None:
    assert [kind.__name__ for kind in (*phase.reads, *phase.disturbs) if kind not in PROBED] == []
    assert phase.desired.__doc__ or inspect.getmodule(phase.desired).__doc__


@each_phase
def test_a_phase_declares_every_fact_that_it_asks_for(phase: Phase) -> None:
    """And no more than its gate can do without, though it must not be given an old one."""
    read, asked = {kind.__name__ for kind in phase.reads}, {kind.__name__ for kind in use(phase.desired).every}
    gate = {kind.__name__ for check in CHECKS if phase.id in check.gates for kind in use(check.run).every}
    assert asked <= read <= asked | gate


@each_phase
def test_what_an_earlier_phase_disturbs_is_fresh_for_a_phase_and_its_gate(phase: Phase) -> None:
    """Also what a gate can do without: an old answer is worse than none."""
    earlier = ORDER[: ORDER.index(phase)]
    disturbed = {kind for before in earlier for kind in before.disturbs}
    asked = use(phase.desired).every.union(*(use(check.run).every for check in CHECKS if phase.id in check.gates))
    assert {kind.__name__ for kind in asked & disturbed} <= {kind.__name__ for kind in planning.needs(phase)}


@each_phase
def test_what_a_phase_mends_it_disturbs(phase: Phase) -> None:
    """Else its check would be judged by what was before the change."""
    for check in CHECKS:
        mends = check.fixed_by == phase.id and phase.id != "boot"  # boot's take effect with the next boot
        assert not mends or set(check.reads) & set(phase.disturbs), check.id


def test_phases_run_in_the_order_of_the_design() -> None:
    ids = [phase.id for phase in ORDER]
    assert ids == [name for name in ALL_PHASES if name in ids]
