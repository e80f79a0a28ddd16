"""What grubby is asked for, entry by entry, and that the way back leaves what the user had. The host only notes its commands."""

from __future__ import annotations

from pathlib import Path

from tests.resources.test_grub import Recording, write

from caasctl.commanding import run_command
from caasctl.facts.boot import CommandLine, parse_grub_config
from caasctl.facts.boot_entries import read_entries
from caasctl.facts.ownership import OwnFiles, Record
from caasctl.host import LiveHost
from caasctl.model import Facts
from caasctl.profile_load import load
from caasctl.protocol import IN_EFFECT, Done, Known
from caasctl.resets import done
from caasctl.resources.grubby import Grubby, GrubbyWithout

ENTRIES = "/boot/loader/entries"
IOMMU, CGROUP = "intel_iommu=on", "cgroup_no_v1=all"
OLD, NEW = "/boot/vmlinuz-5.14.0-1", "/boot/vmlinuz-5.14.0-2"
TAKE_OUT = ("grubby", f"--update-kernel={OLD}", f"--remove-args={IOMMU}")


def entry(top: Path, version: str, arguments: str, linux: str = "") -> None:
    text = f"title Rocky {version}\nversion {version}\nlinux {linux or f'/vmlinuz-{version}'}\n"
    write(top, f"{ENTRIES}/a-{version}.conf", f"{text}options root=/dev/sda1 ro {arguments}\n")


def two_kernels(top: Path, old: str, new: str) -> Recording:
    entry(top, "5.14.0-1", old)
    entry(top, "5.14.0-2", new)
    return Recording(str(top))


def test_what_one_entry_had_stays_in_it_when_the_other_loses_it_again(tmp_path: Path) -> None:
    host, resource = two_kernels(tmp_path, "quiet", IOMMU), Grubby((CGROUP, IOMMU))
    now = resource.look(host)
    assert now == Known(f"missing: {CGROUP}; in {OLD}: {IOMMU}")
    assert resource.apply(host, now) == Done()
    assert host.ran == [("grubby", "--update-kernel=ALL", f"--args={CGROUP}"),
                        ("grubby", f"--update-kernel={OLD}", f"--args={IOMMU}")]  # fmt: skip
    assert resource.undo(now).commands == (("grubby", "--update-kernel=ALL", f"--remove-args={CGROUP}"), TAKE_OUT)


def test_another_value_that_made_room_comes_back(tmp_path: Path) -> None:
    host, resource = two_kernels(tmp_path, "intel_iommu=off", "quiet $tuned_params"), Grubby((IOMMU,))
    write(tmp_path, "/boot/grub2/grubenv", "tuned_params=intel_iommu=off\n")
    now = resource.look(host)
    back = ("grubby", f"--update-kernel={OLD}", "--args=intel_iommu=off", f"--remove-args={IOMMU}")
    assert resource.undo(now).commands == (back, ("grubby", f"--update-kernel={NEW}", f"--remove-args={IOMMU}"))


def test_what_new_kernels_would_get_is_the_users_too(tmp_path: Path) -> None:
    host, resource = two_kernels(tmp_path, "", ""), Grubby((IOMMU, "iommu=pt", CGROUP))
    write(tmp_path, "/etc/default/grub", 'GRUB_CMDLINE_LINUX="quiet intel_iommu=on"\n')
    write(tmp_path, "/etc/kernel/cmdline", "root=/dev/sda1 iommu=pt\n")
    words = f"{IOMMU} iommu=pt"
    assert resource.look(host) == Known(f"missing: {CGROUP}; in {OLD}: {words}; in {NEW}: {words}")


def test_two_entries_of_one_kernel_are_not_told_apart_and_nothing_of_the_users_goes(tmp_path: Path) -> None:
    host, resource = two_kernels(tmp_path, IOMMU, "quiet"), Grubby((IOMMU,))
    entry(tmp_path, "5.14.0-2", "quiet", linux=OLD)
    now = resource.look(host)
    assert now == Known(f"missing: in {OLD}: {IOMMU} instead of {IOMMU}")
    assert resource.undo(now).commands == ()


def test_an_entry_that_went_with_its_kernel_needs_no_way_back(tmp_path: Path) -> None:
    host = two_kernels(tmp_path, IOMMU, IOMMU)
    assert run_command(host, "grubby", TAKE_OUT).text == f"`{' '.join(TAKE_OUT)}` ran"
    (tmp_path / f"{ENTRIES[1:]}/a-5.14.0-1.conf").unlink()
    assert run_command(host, "grubby", TAKE_OUT).text.endswith(f"no boot entry starts {OLD} any more")
    assert host.ran == [TAKE_OUT]


def test_a_reset_takes_out_of_an_entry_only_what_caasctl_put_there(tmp_path: Path) -> None:
    host, resource = two_kernels(tmp_path, IOMMU, IOMMU), GrubbyWithout((TAKE_OUT,))
    now = resource.look(host)
    assert now == Known(f"still there: {IOMMU}")
    resource.apply(host, now)
    assert host.ran == [TAKE_OUT]
    entry(tmp_path, "5.14.0-1", "quiet")
    assert resource.look(host) == resource.target(now) == Known(IN_EFFECT)


def test_after_a_reset_no_reboot_is_owed_for_what_the_users_entry_asks_for(tmp_path: Path) -> None:
    host = two_kernels(tmp_path, IOMMU, IOMMU)
    facts = (CommandLine(f"ro {IOMMU}"), parse_grub_config([]), OwnFiles(), read_entries(LiveHost(host.root)))
    assert _reset(*facts, Record(commands=(TAKE_OUT,))) == []
    everywhere = ("grubby", "--update-kernel=ALL", f"--remove-args={IOMMU}")
    assert _reset(*facts, Record(commands=(everywhere,))) == ["cmdline:/proc/cmdline"]


def _reset(*facts: object) -> list[str]:
    return [each.name for each in done.PHASE.desired(Facts(facts), load()) if each.name.startswith("cmdline")]
