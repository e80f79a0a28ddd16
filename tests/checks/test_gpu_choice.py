"""Checks of what the profile chooses for guests and leaves to the host, passing and failing, with literal facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks.gpu_choice import given_back, named, nvswitch, resource_name
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.ownership import GPU_SCRIPT
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
        (('gpu.select=[{"address":"33:00.0"}]', 'gpu.passthrough="off"'), []),
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


def test_what_is_excluded_and_on_vfio_pci_is_to_be_given_back() -> None:
    sound = PciFunction("0000:32:00.1", "10de", "1aef", "040300", "vfio-pci", "26")
    (found,) = judge(given_back, GPU, BESIDE, sound, settings=('gpu.exclude=["32:00.0"]',))
    assert (found.level, found.subject, found.found) == (Level.WARN, BESIDE.address, "excluded, still on vfio-pci")
    assert found.fix is not None
    assert f"sh {GPU_SCRIPT} release 0000:32:00.0= 0000:32:00.1=" in found.fix.text
    (alone,) = judge(given_back, BESIDE, settings=('gpu.exclude=["32:00.0"]',))
    assert alone.fix is not None
    assert alone.fix.needs_reboot
    (switch,) = judge(given_back, GPU, replace(SWITCH, driver="vfio-pci"))
    assert (switch.level, switch.found) == (Level.WARN, "not selected, still on vfio-pci")
    assert [f.level for f in judge(given_back, GPU, SWITCH)] == [Level.PASS]
    assert judge(given_back, GPU) == judge(given_back, GPU, settings=('gpu.passthrough="off"',)) == []


def test_a_resource_of_nvidias_for_another_vendors_cards_is_warned_of() -> None:
    accelerator = PciFunction("0000:05:00.0", "1002", "74a1", "120000", "vfio-pci", "9")
    (found,) = judge(resource_name, accelerator, settings=('gpu.select=[{"class":"12"}]',))
    assert found.level is Level.WARN
    assert found.fix is not None
    setting = found.fix.text.partition("'")[2][:-1]
    assert judge(resource_name, accelerator, settings=('gpu.select=[{"class":"12"}]', setting)) == []
    assert judge(resource_name, GPU) == []
