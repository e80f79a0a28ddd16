"""Checks of what the profile chooses for guests and leaves to the host, passing and failing, with literal facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks.gpu_choice import named, nvswitch
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25")
BESIDE = replace(GPU, address="0000:32:00.0", iommu_group="26")
SWITCH = PciFunction("0000:81:00.0", "10de", "22a3", "068000", "nvidia", "70")
MANAGED = NvidiaLeftovers(("nvidia",), units=("nvidia-fabricmanager.service",))


def judge(
    check: Check, *functions: PciFunction, left: NvidiaLeftovers | None = None, settings: tuple[str, ...] = ()
) -> list[Finding]:
    facts = Facts((PciFunctions(functions), PciDetails({}), PciUse(), left or NvidiaLeftovers()))
    return list(findings(check, facts, load("single-node", settings)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (('gpu.exclude=["0000:33:00.0"]',), [(Level.FAIL, "0000:33:00.0")]),
        (('gpu.exclude=["32:00.0"]',), [(Level.PASS, "")]),
        (('gpu.exclude=["33:00.0"]', 'gpu.passthrough="off"'), []),
        (('gpu.exclude=["33:00.0"]', 'gpu.select=[{"vendor":"1002"}]'), []),
        (('gpu.select=[{"address":"31:00.0"},{"address":"33:00.0"}]',), [(Level.WARN, "0000:33:00.0")]),
        (('gpu.select=[{"address":"33:00.0"}]', "gpu.passthrough=required"), [(Level.FAIL, "0000:33:00.0")]),
        ((), []),
    ],
)
def test_an_address_that_is_not_on_the_host(settings: tuple[str, ...], said: list[tuple[Level, str]]) -> None:
    assert [(f.level, f.subject) for f in judge(named, GPU, BESIDE, settings=settings)] == said
    assert named.gates == ("gpu",)


def test_switches_that_stay_need_a_fabric_manager_where_gpus_go_to_guests() -> None:
    assert [f.level for f in judge(nvswitch, GPU, SWITCH)] == [Level.WARN]
    assert [f.level for f in judge(nvswitch, GPU, SWITCH, left=MANAGED)] == [Level.PASS]
    assert [f.level for f in judge(nvswitch, GPU, replace(SWITCH, driver=""), left=MANAGED)] == [Level.WARN]
    assert judge(nvswitch, SWITCH) == judge(nvswitch, GPU) == []
