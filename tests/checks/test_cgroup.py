"""Control groups: version 2 alone, with its controllers."""

from __future__ import annotations

import pytest

from caasctl.checks.cgroup import controllers, unified
from caasctl.facts.boot import BootLoader, CommandLine, parse_grub_config
from caasctl.facts.cgroup import CgroupLayout, Mount
from caasctl.facts.os import Systemd
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load

NODE = load("single-node")
ROOT = "/sys/fs/cgroup"
ALL = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")
HYBRID = CgroupLayout(
    "hybrid", (), (), (Mount(ROOT, "tmpfs"), Mount(f"{ROOT}/unified", "cgroup2"), Mount(f"{ROOT}/memory", "cgroup"))
)


def only(check: Check, *facts: object) -> Finding:
    found = list(findings(check, Facts(facts), NODE))
    assert len(found) == 1
    return found[0]


def test_unified_passes() -> None:
    assert only(unified, CgroupLayout("unified", ALL)).level is Level.PASS


def test_hybrid_is_said_as_it_is_and_phase_boot_mends_it() -> None:
    found = only(unified, HYBRID, Systemd(True, 245, "hybrid"))
    assert found.ours
    assert found.found == f"hybrid: tmpfs at {ROOT}, cgroup2 only at {ROOT}/unified, 1 v1 hierarchies beside it"
    assert "no proof" in found.cause
    assert only(unified, HYBRID).ours, "where systemd's default is not known, the layout decides"


@pytest.mark.parametrize("kind", ["bls", "systemd-boot", ""])
def test_a_boot_loader_that_phase_boot_does_not_configure_is_the_users(kind: str) -> None:
    found = only(unified, HYBRID, Systemd(True, 245, "hybrid"), BootLoader(kind))
    assert found.yours
    assert found.fix is not None
    assert found.fix.text.startswith("append systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to")
    assert only(unified, HYBRID, Systemd(True, 245, "hybrid"), BootLoader("grub")).ours


def test_without_systemd_no_argument_helps() -> None:
    found = only(unified, HYBRID, Systemd(False, 0, ""), BootLoader("grub"))
    assert found.yours
    assert "no systemd" in found.cause


def test_a_configured_switch_is_phase_boots_too() -> None:
    grub = parse_grub_config([("/etc/default/grub", 'GRUB_CMDLINE_LINUX="systemd.unified_cgroup_hierarchy=0"\n')])
    assert only(unified, HYBRID, Systemd(True, 252, "unified"), grub).ours


@pytest.mark.parametrize(
    ("systemd", "running", "cause"),
    [
        (Systemd(False, 252, "unified"), "quiet", "another init"),
        (Systemd(True, 252, "unified"), "systemd.unified_cgroup_hierarchy=0", "on /proc/cmdline"),
        (Systemd(True, 252, "unified"), "quiet", "no argument says otherwise"),
    ],
)
def test_where_no_argument_brings_version_1_about_the_user_must_act(systemd: Systemd, running: str, cause: str) -> None:
    found = only(unified, HYBRID, systemd, CommandLine(running))
    assert found.yours
    assert cause in found.cause


def test_nothing_mounted_is_said() -> None:
    assert only(unified, CgroupLayout("none", ())).found == f"none: nothing is mounted at {ROOT}"


def test_all_controllers_pass_and_version_1_has_none_to_judge() -> None:
    assert only(controllers, CgroupLayout("unified", ALL)).level is Level.PASS
    assert list(findings(controllers, Facts([HYBRID]), NODE)) == []
    assert controllers.after == ("cgroup.unified",)


def test_what_kubelet_does_without_warns_and_what_nobody_uses_is_silent() -> None:
    assert only(controllers, CgroupLayout("unified", ALL[:6])).level is Level.PASS
    found = only(controllers, CgroupLayout("unified", ("cpu", "cpuset", "io", "memory", "pids")))
    assert (found.level, found.found.rpartition("; ")[2]) == (Level.WARN, "missing: hugetlb")


def test_a_disabled_controller_names_the_argument() -> None:
    found = only(
        controllers,
        CgroupLayout("unified", ("cpu", "io", "pids", "cpuset", "hugetlb")),
        CommandLine("cgroup_disable=memory"),
    )
    assert found.yours
    assert found.found.endswith("missing: memory")
    assert found.cause == "cgroup_disable=memory on /proc/cmdline takes them away"
    kernel = only(controllers, CgroupLayout("unified", ALL[:4]), CommandLine("quiet"))
    assert kernel.fix is not None
    assert kernel.fix.text == "boot a kernel with CONFIG_CGROUP_PIDS=y"
