"""The boot that a reset asks for: asked once, waited for, answered, and then there is nothing left to do."""

from __future__ import annotations

import json
from pathlib import Path

from caasctl import apply, engine, planning, profile_load, verdicts
from caasctl.facts import PROBES, ownership
from caasctl.facts.boot import CommandLine, GrubConfig
from caasctl.host import LiveHost
from caasctl.ledger import Ledger
from caasctl.model import Exit, Facts
from caasctl.protocol import Phase, PhaseReport, PhaseStatus
from caasctl.rebooted import BOOT_ID, PATH
from caasctl.resets import boot, done
from caasctl.resources.records import RUNS

PHASES = (boot.PHASE, done.PHASE)
LOOKED_AT = (
    *(probe for probe in PROBES if probe.fact in (*boot.PHASE.reads, CommandLine, GrubConfig)),
    *ownership.PROBES,
)
PROFILE = profile_load.load()


def plant(tree: Path, path: str, text: str) -> None:
    (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (tree / path[1:]).write_text(text)


def boots(tree: Path, boot_id: str, arguments: str) -> None:
    plant(tree, BOOT_ID, boot_id)
    plant(tree, "/proc/cmdline", arguments)


def run(tree: Path, name: str) -> tuple[list[PhaseReport], Exit]:
    host = LiveHost(str(tree))
    facts = engine.collect(host, LOOKED_AT)
    planned = planning.plan(host, facts, PROFILE, (), PHASES)
    made = apply.Run(host, PROFILE, Ledger(host, name), lambda _line: None, lambda: False, LOOKED_AT)
    return list(made.phases(PHASES, facts)), verdicts.plan_exit(planned)


def test_the_running_kernel_owes_one_boot_and_after_it_nothing_is_left(tmp_path: Path) -> None:
    boots(tmp_path, "one", "ro quiet intel_iommu=on")
    plant(tmp_path, "/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    plant(tmp_path, f"{RUNS}/1/0001.json", json.dumps({"resource": "grub", "files": []}))
    plant(tmp_path, PATH, json.dumps({"phase": "boot"}))  # of an init-node that asked for a boot
    plant(tmp_path, "/var/lib/caasctl/resume.json", "{}")
    reports, told = run(tmp_path, "2")
    assert [report.status for report in reports] == [PhaseStatus.CHANGED, PhaseStatus.REBOOT]
    assert told == Exit.REBOOT
    assert "intel_iommu=on" in reports[-1].message
    assert not (tmp_path / "var/lib/caasctl/resume.json").exists()
    assert (tmp_path / f"{RUNS[1:]}/1/undone").exists()
    assert (tmp_path / f"{RUNS[1:]}/2/undone").exists()
    assert json.loads((tmp_path / PATH[1:]).read_text())["phase"] == "reset-done"
    reports, told = run(tmp_path, "3")
    assert (reports[-1].status, told, reports[-1].changes) == (PhaseStatus.REBOOT, Exit.REBOOT, ())
    assert not (tmp_path / f"{RUNS[1:]}/3").exists()
    boots(tmp_path, "two", "ro quiet")
    reports, told = run(tmp_path, "4")
    assert [report.status for report in reports] == [PhaseStatus.UNCHANGED, PhaseStatus.UNCHANGED]
    assert told == Exit.OK
    assert not (tmp_path / PATH[1:]).exists()


def test_a_node_that_is_made_again_before_the_boot_can_be_reset_after_it(tmp_path: Path) -> None:
    boots(tmp_path, "one", "ro quiet intel_iommu=on")
    plant(tmp_path, "/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    plant(tmp_path, f"{RUNS}/1/0001.json", json.dumps({"resource": "grub", "files": []}))
    reports, _ = run(tmp_path, "2")
    assert reports[-1].status is PhaseStatus.REBOOT
    host = LiveHost(str(tmp_path))
    again = apply.Run(host, PROFILE, Ledger(host, "3"), lambda _line: None, lambda: False, LOOKED_AT)
    init = Phase("boot", "as init-node has it", lambda _facts, _profile: iter(()), (), ())
    list(again.phases((init,), Facts([])))
    boots(tmp_path, "two", "ro quiet intel_iommu=on")
    reports, told = run(tmp_path, "4")
    assert (reports[-1].status, told) == (PhaseStatus.REBOOT, Exit.REBOOT)
