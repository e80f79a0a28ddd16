"""The reboot marker: what each boot answers, that a wait or a miss changes nothing, and that a miss is said once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from caasctl import apply, ledger, planning, profile_load, rebooted, verdicts
from caasctl.facts.boot import CommandLine
from caasctl.facts.boot_entries import BootEntries, BootEntry
from caasctl.frozen import dataclass
from caasctl.host import LiveHost
from caasctl.model import Exit, Facts
from caasctl.profile import NodeProfile
from caasctl.protocol import Absent, Change, Known, Phase, PhaseReport, PhaseStatus, Resource, State, Unknown
from caasctl.rebooted import Answer, Marker
from caasctl.resources.cmdline import Cmdline
from caasctl.resources.files import File

PROFILE = profile_load.load()
ONE, TWO = "11111111-aaaa\n", "22222222-bbbb\n"
OWED = {"cmdline:/proc/cmdline": "missing: intel_iommu=on audit=1"}
MARKER = Marker("one", "run1", "boot", "the kernel was started without intel_iommu=on", OWED)
WANTED = ("intel_iommu=on", "audit=1")
DEBIAN = BootEntry("Debian GNU/Linux", "/boot/vmlinuz-6.1", ("root=/dev/vda1", "ro", "intel_iommu=on", "audit=1"))
RESCUE = BootEntry("Debian (recovery mode)", "/boot/vmlinuz-6.1", ("root=/dev/vda1", "ro", "single"), normal=False)


def differs(text: str | None, resource: Resource | None = None) -> Change:
    """A change of the kernel's command line, or of `resource`; None: it cannot be looked at."""
    before: State = Unknown("dark") if text is None else Known(text)
    return Change("boot", resource or Cmdline(WANTED), before, Known("in effect"))


@pytest.mark.parametrize(
    ("now", "differing", "answer"),
    [
        ("one", ["missing: intel_iommu=on audit=1"], Answer.WAITS),
        ("two", ["missing: intel_iommu=on audit=1"], Answer.MISSED),
        ("two", ["missing: audit=1"], Answer.MISSED),
        ("two", ["missing: hugepages=2"], Answer.MET),  # asked for only since: a profile was changed
        ("two", [], Answer.MET),
        ("one", [], Answer.MET),  # it is not wanted any more
        ("", ["missing: intel_iommu=on audit=1"], Answer.WAITS),
        ("two", [None], Answer.NONE),
    ],
)
def test_a_boot_answers(now: str, differing: list[str | None], answer: Answer) -> None:
    assert rebooted.weigh(MARKER, now, [differs(text) for text in differing]) is answer


def test_what_was_changed_since_is_made_before_the_reboot(host: LiveHost) -> None:
    edited = differs("old", File("/etc/default/grub.d/zz-caasctl.cfg", "new"))
    owed = differs("missing: audit=1")
    assert rebooted.weigh(MARKER, "one", [edited, owed]) is Answer.NONE
    assert rebooted.weigh(MARKER, "two", [edited, owed]) is Answer.MISSED  # as after a trial that did not come up


def test_what_only_follows_from_the_command_line_is_not_asked_of_the_boot(host: LiveHost) -> None:
    """A trial's file is there once the arguments have been seen: it is as it was, also after a boot that had them."""
    file = File("/etc/drop-in", "x", reboots=True)
    absent = Change("boot", file, Absent(), Known("x"))
    rebooted.note(host, "r", "boot", "w", [absent, differs("missing: audit=1")])
    marker = rebooted.marker(host)
    assert marker
    assert marker.owed == {"cmdline:/proc/cmdline": "missing: audit=1"}
    assert rebooted.weigh(marker, "two", [absent, differs("missing: hugepages=2")]) is Answer.MET
    rebooted.note(host, "r", "boot", "w", [absent])
    marker = rebooted.marker(host)
    assert marker
    assert rebooted.weigh(marker, "two", [absent]) is Answer.MISSED


# -- on a tree ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def host(tmp_path: Path) -> LiveHost:
    tree = LiveHost(str(tmp_path))
    boot(tree, ONE, "ro")
    return tree


def boot(host: LiveHost, boot_id: str, arguments: str) -> None:
    host.write(rebooted.BOOT_ID, boot_id.encode())
    host.write("/proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-6.1 root=/dev/vda1 {arguments}\n".encode())


def _desired(_facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
    yield File("/etc/drop-in", "intel_iommu=on audit=1\n")
    yield Cmdline(WANTED)


BOOT = Phase("boot", "Arguments", _desired, (), ())
FACTS = Facts([CommandLine("BOOT_IMAGE=/boot/vmlinuz-6.1 root=/dev/vda1 ro single")])


def run(host: LiveHost, facts: Facts = FACTS) -> PhaseReport:
    runner = apply.Run(host, PROFILE, ledger.Ledger(host, "run1"), lambda _: None, lambda: False, probes=())
    (report,) = runner.phases([BOOT], facts)
    return report


def plan(host: LiveHost) -> PhaseReport:
    (report,) = planning.plan(host, FACTS, PROFILE, (), [BOOT])
    return report


def state(host: LiveHost) -> dict[str, bytes]:
    return {
        str(path.relative_to(host.root)): path.read_bytes() for path in Path(host.root).rglob("*") if path.is_file()
    }


def test_a_phase_that_needs_a_reboot_leaves_a_marker_that_only_root_reads(host: LiveHost) -> None:
    assert run(host).status is PhaseStatus.REBOOT
    there = host.stat(rebooted.PATH)
    assert there
    assert there.mode == 0o600
    said = json.loads(host.read(rebooted.PATH) or "")
    assert (said["bootId"], said["run"], said["phase"]) == ("11111111-aaaa", "run1", "boot")
    assert "intel_iommu=on" in said["why"]


def test_before_the_reboot_nothing_is_changed_again(host: LiveHost) -> None:
    run(host)
    before = state(host)
    for report in (plan(host), run(host), plan(host)):
        assert report.status is PhaseStatus.REBOOT
        assert report.changes == ()
        assert "not rebooted yet since run run1" in report.message
        assert verdicts.run_exit([report]) is Exit.REBOOT
    assert verdicts.plan_exit([plan(host)]) is Exit.REBOOT
    assert state(host) == before


def test_a_file_that_was_edited_before_the_reboot_is_mended_and_the_reboot_asked_for_again(host: LiveHost) -> None:
    run(host)
    host.write("/etc/drop-in", b"edited\n")
    assert plan(host).status is PhaseStatus.PLANNED
    report = run(host)
    assert [change.resource.name for change in report.changes] == ["file:/etc/drop-in", "cmdline:/proc/cmdline"]
    assert report.status is PhaseStatus.REBOOT


def test_a_boot_that_brought_it_takes_the_marker_away(host: LiveHost) -> None:
    run(host)
    boot(host, TWO, "ro intel_iommu=on audit=1")
    assert plan(host).status is PhaseStatus.UNCHANGED
    assert host.read(rebooted.PATH)  # a plan changes nothing
    assert run(host).status is PhaseStatus.UNCHANGED
    assert host.read(rebooted.PATH) is None


def test_a_boot_that_missed_fails_once_before_any_change_and_the_next_run_tries_again(host: LiveHost) -> None:
    run(host)
    boot(host, TWO, "ro single")
    host.remove("/etc/drop-in")  # as where only the trial's own entry had the arguments
    before = state(host)
    planned = plan(host)
    assert planned.status is PhaseStatus.FAILED
    assert verdicts.plan_exit([planned]) is Exit.FAILED_CHANGE
    assert state(host) == before
    missed = run(host)
    assert (missed.status, missed.message) == (PhaseStatus.FAILED, planned.message)
    assert "missing: intel_iommu=on audit=1" in missed.message
    assert "the running kernel is /boot/vmlinuz-6.1" in missed.message
    assert "journalctl -b -1" in missed.fix
    before.pop(rebooted.PATH[1:])
    assert state(host) == before
    again = run(host)
    assert again.status is PhaseStatus.REBOOT
    assert len(again.changes) == 2


def test_a_marker_of_another_phase_is_left_alone(host: LiveHost) -> None:
    rebooted.note(host, "run0", "gpu", "vfio", [])
    before = host.read(rebooted.PATH)
    boot(host, TWO, "ro intel_iommu=on audit=1")
    run(host)
    assert host.read(rebooted.PATH) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"bootId": 1}', '{"bootId": "", "run": "", "phase": "boot", "why": ""}']
)
def test_a_marker_that_cannot_be_understood_neither_stops_nor_skips(host: LiveHost, text: str) -> None:
    host.write(rebooted.PATH, text.encode())
    assert plan(host).status is PhaseStatus.PLANNED
    assert run(host).status is PhaseStatus.REBOOT


def test_what_cannot_be_looked_at_leaves_the_marker(host: LiveHost) -> None:
    run(host)
    boot(host, TWO, "ro")
    host.remove("/proc/cmdline")
    assert "cannot be looked at" in run(host).message
    assert host.read(rebooted.PATH)


# -- what was booted instead -------------------------------------------------------------------------------------------
def missed(host: LiveHost, *facts: object) -> str:
    host.write(
        rebooted.PATH, json.dumps({"bootId": "one", "run": "r", "phase": "boot", "why": "w", "owed": OWED}).encode()
    )
    boot(host, TWO, "ro")
    return rebooted.judge(host, "boot", Facts(facts), [differs("missing: audit=1")]).said


def running(*arguments: str, image: str = "/boot/vmlinuz-6.1") -> CommandLine:
    return CommandLine(" ".join([f"BOOT_IMAGE={image}", "root=/dev/vda1", *arguments]))


def test_the_entry_that_was_booted_is_named(host: LiveHost) -> None:
    entries = BootEntries("/boot/grub/grub.cfg", (DEBIAN, RESCUE), DEBIAN)
    said = missed(host, running("ro", "single"), entries)
    assert "of the entry 'Debian (recovery mode)', while 'Debian GNU/Linux' is the default" in said
    assert "that no entry of /boot/grub/grub.cfg has now" in missed(host, running("ro", "single", "typed=1"), entries)
    plain = replace(DEBIAN, arguments=("root=/dev/vda1", "ro"))
    said = missed(host, running("ro", image="(hd0,gpt2)/boot/vmlinuz-6.1"), BootEntries("/x", (plain,), plain))
    assert "of the default entry 'Debian GNU/Linux'" in said
    assert "it was not GRUB that started this kernel" in missed(host, CommandLine("ro"))


def test_what_became_of_a_trial_entry_is_told(host: LiveHost) -> None:
    assert "one-shot" not in missed(host)
    host.write(rebooted.TRIAL, b"#!/bin/sh\n", 0o755)
    assert "was started and did not come up, or another entry was chosen at the menu" in missed(host)
    host.write(rebooted.GRUBENV, b"# GRUB Environment Block\nnext_entry=caasctl-trial\n####")
    assert "still due in /boot/grub/grubenv" in missed(host)


def test_another_reason_to_reboot_says_nothing_of_boot_loaders(host: LiveHost) -> None:
    @dataclass(frozen=True)
    class Driver(Cmdline):
        name: str = "driver:vfio"

    marker = {"bootId": "one", "run": "r", "phase": "gpu", "why": "w", "owed": {"driver:vfio": "nvidia"}}
    host.write(rebooted.PATH, json.dumps(marker).encode())
    said = rebooted.judge(host, "gpu", Facts([running("ro")]), [differs("nvidia", Driver(()))]).said
    assert said.endswith("vfio nvidia")
