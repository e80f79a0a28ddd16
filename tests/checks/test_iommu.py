"""The IOMMU: firmware, kernel, interrupts, each for a node with and without GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks.iommu import CHECKS, enabled, firmware, interrupt_remapping
from caasctl.facts.boot import BootLoader, CommandLine
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Cpu, Kernel, KernelConfig
from caasctl.model import Check, Facts, Finding, FixKind, Level, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load

NODE = load("single-node")
REQUIRED = load("gpu-single-node")
OFF = load("single-node", ('boot.iommu="off"',))
GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25", 0)
LOST = PciFunction("0000:ca:00.0", "10de", "2236", "030200")
ON = Iommu(("DMAR",), units=("dmar0",), groups=9, group_types={"DMA-FQ": 9}, remapping=True)
DARK = Iommu(("DMAR",))


def judge(check: Check, *facts: object, profile: NodeProfile = NODE) -> list[Finding]:
    return list(findings(check, Facts(facts), profile))


def only(check: Check, *facts: object, profile: NodeProfile = NODE) -> Finding:
    found = judge(check, *facts, profile=profile)
    assert len(found) == 1
    return found[0]


def test_a_table_passes() -> None:
    assert only(firmware, DARK).found == "DMAR"
    assert only(firmware, Iommu((), units=("smmu3.0",))).level is Level.PASS


@pytest.mark.parametrize(("vendor", "word"), [("GenuineIntel", "VT-d"), ("AuthenticAMD", "AMD-Vi"), ("", "SMMU")])
def test_no_table_wants_the_firmwares_menu(vendor: str, word: str) -> None:
    found = only(firmware, Iommu(()), Cpu(vendor, 2, frozenset()), PciFunctions((GPU,)))
    assert found.yours
    assert found.fix is not None
    assert found.fix.kind is FixKind.FIRMWARE
    assert word in found.fix.text


def test_no_table_warns_where_no_gpu_needs_it_and_a_guest_is_told_of_its_host() -> None:
    assert only(firmware, Iommu(())).level is Level.WARN
    assert only(firmware, Iommu(()), profile=REQUIRED).level is Level.FAIL
    guest = only(firmware, Iommu(()), Cpu("GenuineIntel", 2, frozenset({"hypervisor"})))
    assert guest.fix is not None
    assert "intel-iommu" in guest.fix.text


def test_every_check_is_silent_where_the_profile_wants_no_iommu() -> None:
    assert [finding for check in CHECKS for finding in judge(check, Iommu(()), profile=OFF)] == []


def test_units_and_a_group_for_each_gpu_pass() -> None:
    found = only(enabled, ON, PciFunctions((GPU,)))
    assert (found.level, found.found) == (Level.PASS, "dmar0; 9 groups, 9 DMA-FQ")
    assert [evidence.excerpt for evidence in found.evidence] == ["iommu_group 25"]


def test_a_gpu_without_a_group_fails_by_its_address() -> None:
    found = only(enabled, ON, PciFunctions((GPU, LOST)))
    assert (found.level, found.subject) == (Level.FAIL, "0000:ca:00.0")


def test_vt_d_that_is_off_is_the_users_where_phase_boot_does_not_configure_the_boot_loader() -> None:
    found = only(enabled, DARK, CommandLine("quiet"), BootLoader("bls"))
    assert found.fixed_by == ""
    assert found.fix is not None
    assert found.fix.text.startswith("append intel_iommu=on to")
    assert only(enabled, DARK, CommandLine("quiet"), BootLoader("grub")).fixed_by == "boot"


@pytest.mark.parametrize("running", ["quiet", "intel_iommu=off", "intel_iommu=on intel_iommu=off"])
def test_vtd_that_an_argument_turns_on_is_phase_boots(running: str) -> None:
    found = only(enabled, DARK, CommandLine(running), KernelConfig({"INTEL_IOMMU": "y"}, ""), PciFunctions((GPU,)))
    assert found.ours
    assert found.level is Level.FAIL
    assert only(enabled, DARK, CommandLine(running)).level is Level.WARN


@pytest.mark.parametrize(
    ("iommu", "running", "options", "cause", "fix"),
    [
        (DARK, "iommu=off", {"INTEL_IOMMU": "y"}, "iommu=off is on /proc/cmdline", "take iommu=off out"),
        (Iommu(("IVRS",)), "amd_iommu=off", {"AMD_IOMMU": "y"}, "amd_iommu=off is on", "take amd_iommu=off out"),
        (Iommu(("IVRS",)), "", {"INTEL_IOMMU": "y"}, "without CONFIG_AMD_IOMMU", "apt-get install linux-image-amd64"),
        (DARK, "intel_iommu=on", {"INTEL_IOMMU": "y"}, "did not come up", "journalctl -k -b | grep -e DMAR"),
    ],
)
def test_what_no_argument_of_ours_turns_on_is_the_users(
    iommu: Iommu, running: str, options: dict[str, str], cause: str, fix: str
) -> None:
    kernel = Kernel("6.1.0-41-cloud-amd64", (6, 1))
    found = only(enabled, iommu, CommandLine(running), KernelConfig(options, ""), kernel, profile=REQUIRED)
    assert found.yours
    assert cause in found.cause
    assert found.fix is not None
    assert fix in found.fix.text


def test_remapping_passes_and_without_an_iommu_there_is_nothing_to_judge() -> None:
    assert only(interrupt_remapping, ON).level is Level.PASS
    assert judge(interrupt_remapping, DARK) == []


@pytest.mark.parametrize(
    ("iommu", "running", "word"),
    [
        (Iommu(("DMAR",), units=("dmar0",), remapping=False), "intremap=off", "take intremap=off out"),
        (
            Iommu(("DMAR",), units=("dmar0",), remapping=False, firmware_remapping=False),
            "",
            "interrupt remapping (beside",
        ),
        (Iommu(("DMAR",), units=("dmar0",), remapping=False), "", "x2APIC"),
    ],
)
def test_interrupts_that_are_not_remapped_fail_with_the_reason(iommu: Iommu, running: str, word: str) -> None:
    found = only(interrupt_remapping, iommu, CommandLine(running), PciFunctions((GPU,)))
    assert found.yours
    assert found.fix is not None
    assert word in found.fix.text


def test_an_iommu_that_the_profile_leaves_alone_stops_phase_gpu_where_a_gpu_is_in_no_group() -> None:
    found = only(enabled, Iommu(()), PciFunctions((GPU, LOST)), profile=OFF)
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert "gpu" in enabled.gates
    assert "0000:ca:00.0 is in no IOMMU group" in found.found
    assert found.fix is not None
    assert "--set 'gpu.passthrough=\"off\"'" in found.fix.text
    assert only(enabled, ON, PciFunctions((GPU,)), profile=OFF).level is Level.PASS
    assert (
        only(interrupt_remapping, replace(ON, remapping=False), PciFunctions((GPU,)), profile=OFF).level is Level.FAIL
    )
