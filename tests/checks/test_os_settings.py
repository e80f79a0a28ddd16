"""Modules, kernel settings, swap: what init-node mends, and what only the user can."""

from __future__ import annotations

import pytest
from tests.checks.test_os import NODE, RUNC, judge, only, release

from caasctl.checks import os_settings as checks
from caasctl.facts.os import Cpu, Kernel, Memory, Modules
from caasctl.facts.os_swap import Swap, SwapUnit
from caasctl.facts.os_sysctl import SysctlConfig, SysctlLive
from caasctl.model import Level
from caasctl.profile_load import load
from caasctl.syntax import needs
from caasctl.syntax.swap import RESERVE_KIB, Area
from caasctl.syntax.sysctl import Setting

PLENTY = Memory(64 << 20, 32 << 20)
AREA = Area("/dev/sda2", "partition", 4 << 20, 1 << 20, -2)
UNIT = SwapUnit("dev-sda2.swap", "/etc/fstab line 3")
INTEL = Cpu("GenuineIntel", 32, frozenset({"vmx"}))
JAMMY = Kernel("5.15.0-113-generic", (5, 15))
ALL = ("overlay", "br_netfilter", "vhost_vsock", "vhost_net", "kvm_intel")
FOLDER = "/usr/lib/modules/5.15.0-113-generic"


def test_no_swap_passes() -> None:
    assert only(checks.swap_off, Swap(()), PLENTY).found == "off"


def test_active_swap_is_ours_to_turn_off_where_memory_can_take_it() -> None:
    found = only(checks.swap_off, Swap((AREA,), (UNIT,)), PLENTY)
    assert (found.level, found.ours) == (Level.FAIL, True)
    assert found.found == "/dev/sda2 (1024 of 4096 MiB used)"


def test_active_swap_is_the_users_where_memory_cannot_take_it() -> None:
    enough = Memory(64 << 20, AREA.used_kib + RESERVE_KIB)
    assert only(checks.swap_off, Swap((AREA,)), enough).ours
    found = only(checks.swap_off, Swap((AREA,)), Memory(64 << 20, AREA.used_kib + RESERVE_KIB - 1))
    assert found.yours
    assert found.fix
    assert "free 1 MiB" in found.fix.text


def test_swap_that_comes_back_at_boot_fails_and_names_its_source() -> None:
    found = only(checks.swap_off, Swap((), (UNIT,)), PLENTY)
    assert (found.level, found.ours) == (Level.FAIL, True)
    assert "/etc/fstab line 3" in found.found
    escaped = SwapUnit(r"dev-disk-by\x2duuid-aa.swap", "/etc/fstab line 3")
    found = only(checks.swap_off, Swap((), (escaped,)), PLENTY)
    assert found.fix
    assert found.fix.text == r"systemctl mask 'dev-disk-by\x2duuid-aa.swap'"


def test_masked_swap_passes_and_is_named() -> None:
    masked = SwapUnit("dev-sda2.swap", "/etc/fstab line 3", masked=True)
    assert only(checks.swap_off, Swap((), (masked,)), PLENTY).found == "off (/etc/fstab line 3: masked)"


def test_a_kubelet_that_takes_swap_keeps_it() -> None:
    keeps = load("single-node", ("kubernetes.kubelet={failSwapOn: false}",))
    assert only(checks.swap_off, Swap((AREA,)), PLENTY, profile=keeps).level is Level.PASS


def live(**changed: str | None) -> SysctlLive:
    right: dict[str, str | None] = {key: need.value for key, need in needs.sysctls(NODE, ipv6=True).items()}
    right["net.ipv6.conf.all.forwarding"] = "0"
    return SysctlLive({**right, **{key.replace("__", "."): value for key, value in changed.items()}})


def test_inotify_limits() -> None:
    assert only(checks.inotify, live()).found == "max_user_instances 8192, max_user_watches 524288"
    assert only(checks.inotify, live(fs__inotify__max_user_watches="1048576")).level is Level.PASS
    found = only(checks.inotify, live(fs__inotify__max_user_instances="128"))
    assert (found.level, found.ours, found.found) == (Level.WARN, True, "max_user_instances 128")


def modules(loaded: tuple[str, ...] = (), available: tuple[str, ...] = (), folder: str = FOLDER) -> Modules:
    return Modules(frozenset(loaded), frozenset({"overlay"}), frozenset(available), folder)


def test_loaded_and_built_in_modules_pass() -> None:
    assert only(checks.modules, modules(ALL[1:]), INTEL, JAMMY).found == ", ".join(ALL)
    assert only(checks.modules, modules(("br_netfilter",)), INTEL, JAMMY, profile=RUNC).level is Level.PASS


def test_modules_on_disk_are_ours_to_load() -> None:
    found = only(checks.modules, modules(("br_netfilter",), ALL), INTEL, JAMMY)
    assert (found.level, found.ours) == (Level.FAIL, True)
    assert found.found == "not loaded: vhost_vsock, vhost_net, kvm_intel"


@pytest.mark.parametrize(
    ("name", "release_text", "fix"),
    [
        ("ubuntu", "5.15.0-113-generic", "apt-get install -y linux-modules-extra-5.15.0-113-generic"),
        ("ubuntu", "5.14.15-custom", "install a kernel that has them"),
        ("rocky", "5.14.0-427.el9_4.x86_64", "dnf install -y kernel-modules-5.14.0-427.el9_4.x86_64"),
        ("debian", "6.1.0-22-amd64", "apt-get install -y linux-image-"),
        ("arch", "6.9.1-arch1-1", "install a kernel that has them"),
    ],
)
def test_modules_that_are_not_on_disk_are_the_users(name: str, release_text: str, fix: str) -> None:
    likes = ("rhel",) if name == "rocky" else ()
    running = Kernel(release_text, (5, 15))
    found = only(checks.modules, modules(ALL[1:2] + ALL[3:]), INTEL, running, release(name, "1", *likes))
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert found.found.startswith("vhost_vsock not in ")
    assert found.fix
    assert found.fix.text.startswith(fix)


def test_both_kinds_of_missing_modules_are_told_apart() -> None:
    found = judge(checks.modules, modules((), ("br_netfilter",)), INTEL, JAMMY, profile=NODE)
    assert [(finding.ours, finding.yours) for finding in found] == [(True, False), (False, True)]


def foreign(path: str, key: str = "net.ipv4.ip_forward", value: str = "0") -> Setting:
    return Setting(key, value, path, 12)


def test_settings_that_hold_pass_and_say_whom_they_outvote() -> None:
    found = only(checks.sysctl_overridden, SysctlConfig((foreign("/etc/sysctl.d/99-cis.conf"),)), live())
    assert found.level is Level.PASS
    assert "/etc/sysctl.d/99-cis.conf line 12" in found.evidence[0].source


def test_a_file_that_sorts_after_ours_is_named_with_its_line() -> None:
    found = only(checks.sysctl_overridden, SysctlConfig((foreign("/etc/sysctl.d/zzz-cis.conf"),)), live())
    assert (found.level, found.yours, found.subject) == (Level.FAIL, True, "net.ipv4.ip_forward")
    assert found.fix
    assert found.fix.text == "sed -i '12s/^/# /' /etc/sysctl.d/zzz-cis.conf"


def test_ufw_has_the_last_word_at_boot() -> None:
    found = only(checks.sysctl_overridden, SysctlConfig((), ufw=(foreign("/etc/ufw/sysctl.conf"),)), live())
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert "ufw sets it whenever the firewall starts" in found.cause


def test_a_later_file_that_agrees_is_no_matter() -> None:
    assert (
        only(checks.sysctl_overridden, SysctlConfig((foreign("/etc/sysctl.d/zzz.conf", value="1"),)), live()).level
        is Level.PASS
    )
    higher = foreign("/etc/sysctl.d/zzz.conf", "fs.inotify.max_user_watches", "9999999")
    assert only(checks.sysctl_overridden, SysctlConfig((higher,)), live()).level is Level.PASS


def test_an_unlinked_sysctl_conf_warns() -> None:
    found = only(checks.sysctl_overridden, SysctlConfig((), (foreign("/etc/sysctl.conf"),)), live())
    assert (found.level, found.fixed_by) == (Level.WARN, "")
    assert "sysctl --system" in found.cause


def test_a_live_value_that_differs_is_ours_to_set() -> None:
    found = only(checks.sysctl_overridden, SysctlConfig(()), live(vm__overcommit_memory="0", kernel__panic="0"))
    assert (found.level, found.ours, found.subject) == (Level.WARN, True, "now")
    assert found.found == "vm.overcommit_memory=0, kernel.panic=0"


def test_a_kubelet_that_insists_makes_settings_of_its_own_a_failure() -> None:
    """By default it sets vm.overcommit_memory and its like itself; with protectKernelDefaults it stops."""
    insists = load("single-node", ("kubernetes.kubelet={protectKernelDefaults: true}",))
    zero, later = live(vm__overcommit_memory="0"), foreign("/etc/sysctl.d/zzz-db.conf", "vm.overcommit_memory", "2")
    assert only(checks.sysctl_overridden, SysctlConfig(()), zero, profile=insists).level is Level.FAIL
    found = only(checks.sysctl_overridden, SysctlConfig((later,)), live(), profile=insists)
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert only(checks.sysctl_overridden, SysctlConfig((later,)), live()).level is Level.WARN


def test_a_key_whose_module_is_not_loaded_yet_is_not_judged() -> None:
    without = SysctlLive({**live().values, "net.bridge.bridge-nf-call-iptables": None})
    assert only(checks.sysctl_overridden, SysctlConfig(()), without).level is Level.PASS
