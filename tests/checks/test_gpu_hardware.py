"""Checks of GPUs and IOMMU groups on hosts by their hardware, through the probes: what fails, what warns, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lab import pci_hosts
from tests.lab.pci_tree import Function

from caasctl import engine
from caasctl.checks import CHECKS
from caasctl.host import LiveHost
from caasctl.model import Facts, Finding, Level
from caasctl.needs.gpu import groups
from caasctl.profile_load import load

IDS = tuple(check.id for check in CHECKS if check.topic in ("iommu", "gpu"))
SWITCHES = 'gpu.select=[{"vendor":"10de","class":"03"},{"vendor":"10de","class":"0680"}]'
Said = dict[str, tuple[str, ...]]


def look(top: Path, functions: tuple[Function, ...], iommu: str) -> Facts:
    return engine.collect(LiveHost(str(pci_hosts.write(top, functions, iommu=iommu))))


def findings(facts: Facts, *changes: str) -> tuple[Finding, ...]:
    return engine.examine(facts, load("single-node", changes), only=IDS)


def said(found: tuple[Finding, ...]) -> Said:
    """id -> subjects, of what neither passes nor waits for another check."""
    quiet = (Level.PASS, Level.SKIPPED)
    told = [finding for finding in found if finding.level not in quiet]
    return {f.id: tuple(g.subject for g in told if g.id == f.id) for f in told}


HARDWARE: dict[str, tuple[tuple[Function, ...], str, Said]] = {
    "four A10s below four root ports": (pci_hosts.FOUR_A10, "DMAR", {}),
    "HGX, its NVSwitches in one group": (
        pci_hosts.HGX_ONE_GROUP, "DMAR", {"gpu.bound": ("",), "gpu.nvswitch": ("",)}),
    "HGX, its NVSwitches in groups of their own": (
        pci_hosts.HGX_OWN_GROUPS, "DMAR", {"gpu.bound": ("",), "gpu.nvswitch": ("",)}),
    "a workstation card with sound, USB and UCSI": (pci_hosts.WORKSTATION, "DMAR", {"gpu.bound": ("",)}),
    "AMD, two models, one beside the boot disk": (
        pci_hosts.AMD_TWO_MODELS, "IVRS",
        {"iommu.group_viable": ("group 42",), "gpu.bound": ("",)}),
    "a card that fell off the bus": (pci_hosts.FELL_OFF, "DMAR", {"gpu.fell_off": ("0000:b1:00.0",)}),
    "the GPU is the boot display": (
        pci_hosts.BOOT_VGA, "DMAR", {"gpu.bound": ("",), "gpu.boot_vga": ("0000:65:00.0",)}),
    "ACS cleared, and a slot with half the lanes": (
        pci_hosts.TUNED, "DMAR", {"iommu.acs": ("0000:30:02.0",), "gpu.link": ("0000:31:00.0",)}),
    "a virtual machine with nothing": (pci_hosts.VM_WITH_NOTHING, "", {"iommu.firmware": ("",)}),
    "a virtual machine with an H100": (pci_hosts.VM_WITH_H100, "", {"iommu.firmware": ("",)}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARDWARE)
def test_what_is_said_of_a_host(tmp_path: Path, name: str) -> None:
    functions, iommu, wanted = HARDWARE[name]
    nobody_offers = (
        {} if functions is pci_hosts.VM_WITH_NOTHING else {"gpu.device_plugin": ("",)}
    )  # the default names no image
    assert said(findings(look(tmp_path, functions, iommu))) == wanted | nobody_offers


def verdicts(
    top: Path, functions: tuple[Function, ...], iommu: str = "DMAR", *changes: str
) -> dict[str, tuple[str, ...]]:
    return {group.number: group.refused for group in groups(look(top, functions, iommu), load("single-node", changes))}


@pytest.mark.parametrize(
    ("functions", "switches"),
    [(pci_hosts.HGX_ONE_GROUP, ["70"]), (pci_hosts.HGX_OWN_GROUPS, ["71", "72", "73", "74"])],
    ids=["one group", "their own"],
)
def test_groups_of_an_hgx_with_and_without_its_switches(
    tmp_path: Path, functions: tuple[Function, ...], switches: list[str]
) -> None:
    gpus = ["103", "107", "111", "115", "119", "123", "127", "131"]
    assert verdicts(tmp_path / "without", functions) == dict.fromkeys(gpus, ())
    assert verdicts(tmp_path / "with", functions, "DMAR", SWITCHES) == dict.fromkeys([*gpus, *switches], ())


def test_the_fabric_of_an_hgx_is_said_to_be_one_tenants_or_to_need_a_manager(tmp_path: Path) -> None:
    facts = look(tmp_path, pci_hosts.HGX_ONE_GROUP, "DMAR")
    (alone,) = (f for f in findings(facts) if f.id == "gpu.nvswitch")
    assert alone.found == "8 GPUs go to guests, 4 NVSwitches stay, and no fabric manager of this host has them"
    assert alone.fix is not None
    assert f"--set '{SWITCHES}'" in alone.fix.text.replace('": "', '":"').replace('", "', '","').replace("}, {", "},{")
    whole, shared = (f for f in findings(facts, SWITCHES) if f.id == "gpu.nvswitch")
    assert whole.found.startswith("4 NVSwitches go to guests: who gets one programs the fabric")
    assert whole.fix is not None
    assert "(nvidia.com/pgpu: 8 and nvidia.com/nvswitch: 1)" in whole.fix.text
    assert (shared.subject, shared.level) == ("group 70", Level.WARN)


def test_the_disk_that_the_host_runs_from_keeps_its_group(tmp_path: Path) -> None:
    found = verdicts(tmp_path, pci_hosts.AMD_TWO_MODELS, "IVRS")
    assert found == {"51": (), "42": ("0000:84:00.0 has disks that hold /",)}


def test_what_an_engineer_can_do_with_the_gpu_of_a_virtual_machine_without_an_iommu(tmp_path: Path) -> None:
    facts = look(tmp_path, pci_hosts.VM_WITH_H100, "")
    (firmware,) = (finding for finding in findings(facts) if finding.id == "iommu.firmware")
    assert firmware.level is Level.FAIL
    assert firmware.fix is not None
    assert firmware.fix.text.startswith(
        "build the node without its GPU (--set 'gpu.passthrough=\"off\"'), or give this"
    )
    (left,) = (f for f in findings(facts, 'gpu.passthrough="off"') if f.level is not Level.PASS)
    assert (left.id, left.level) == ("iommu.firmware", Level.WARN)
    assert left.fix is not None
    assert "without its GPU" not in left.fix.text


def test_without_gpus_nothing_is_said_of_them(tmp_path: Path) -> None:
    found = findings(look(tmp_path, pci_hosts.VM_WITH_NOTHING, "DMAR"))
    assert {finding.id for finding in found} == {"iommu.firmware", "iommu.enabled", "iommu.interrupt_remapping"}


@pytest.mark.parametrize("name", HARDWARE)
def test_nothing_changes_where_nothing_can_be_read_but_the_list(tmp_path: Path, name: str) -> None:
    """A tree that somebody copied by hand: no folder of sysfs is whole, and no check breaks or fails on what is not there."""
    functions, _, _ = HARDWARE[name]
    for function in functions:
        folder = tmp_path / "sys/bus/pci/devices" / function.address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"0x{function.ids[:4]}\n")
        (folder / "device").write_text(f"0x{function.ids[5:]}\n")
        (folder / "class").write_text(f"0x{function.class_code}\n")
    found = engine.examine(engine.collect(LiveHost(str(tmp_path))), load("single-node"), only=IDS)
    assert {f.id for f in found if f.level is Level.FAIL} <= {"iommu.firmware"}
    assert not [f for f in found if f.evidence and f.evidence[0].source == engine.TRACEBACK]
