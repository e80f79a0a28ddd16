"""Kernel settings: live values, and the lines of sysctl.d with file, number and owner."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.facts.test_os_swap import plant

from caasctl.facts.os_sysctl import PROBES, SysctlConfig, SysctlLive
from caasctl.host import LiveHost
from caasctl.model import HEADER, Unreadable
from caasctl.syntax.sysctl import Setting

LIVE, CONFIG = PROBES


def live(folder: Path) -> SysctlLive:
    found = LIVE.read(LiveHost(str(folder)))
    assert isinstance(found, SysctlLive)
    return found


def config(folder: Path) -> SysctlConfig:
    found = CONFIG.read(LiveHost(str(folder)))
    assert isinstance(found, SysctlConfig)
    return found


def test_live_values_and_keys_that_are_not_there(tmp_path: Path) -> None:
    plant(tmp_path, {"/proc/sys/kernel/osrelease": "6.1\n", "/proc/sys/net/ipv4/ip_forward": "0\n"})
    found = live(tmp_path)
    assert found.values["net.ipv4.ip_forward"] == "0"
    assert found.values["net.bridge.bridge-nf-call-iptables"] is None
    assert not found.ipv6


@pytest.mark.parametrize(("disabled", "ipv6"), [("0", True), ("1", False)])
def test_ipv6_is_off_by_boot_argument_or_by_setting(tmp_path: Path, disabled: str, ipv6: bool) -> None:  # noqa: FBT001
    every = "/proc/sys/net/ipv6/conf/all"
    files = {
        f"{every}/forwarding": "0\n",
        f"{every}/disable_ipv6": f"{disabled}\n",
        "/proc/sys/kernel/osrelease": "6\n",
    }
    plant(tmp_path, files)
    assert live(tmp_path).ipv6 is ipv6


def test_a_tree_without_proc_has_no_live_values(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        live(tmp_path)


def test_our_lines_are_told_from_foreign_ones(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "/etc/sysctl.d/zz-caasctl.conf": f"{HEADER}fs.inotify.max_user_instances = 8192\n",
            "/usr/lib/sysctl.d/50-x.conf": "fs.inotify.max_user_instances=16384\n",
        },
    )
    found, key = config(tmp_path), "fs.inotify.max_user_instances"
    assert found.at_boot(key) == Setting(key, "8192", "/etc/sysctl.d/zz-caasctl.conf", 2, ours=True)
    assert found.foreign(key) == Setting(key, "16384", "/usr/lib/sysctl.d/50-x.conf", 1)
    assert found.at_boot("kernel.panic") is None


def test_sysctl_conf_is_read_at_boot_only_through_its_link(tmp_path: Path) -> None:
    plant(tmp_path, {"/etc/sysctl.conf": "net.ipv4.ip_forward=0\n"})
    assert config(tmp_path) == SysctlConfig((), (Setting("net.ipv4.ip_forward", "0", "/etc/sysctl.conf", 1),))
    (tmp_path / "etc/sysctl.d").mkdir()
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    linked = Setting("net.ipv4.ip_forward", "0", "/etc/sysctl.d/99-sysctl.conf", 1)
    assert config(tmp_path) == SysctlConfig((linked,))


@pytest.mark.parametrize(("enabled", "lines"), [("yes", 1), ("no", 0)])
def test_ufw_counts_where_it_is_enabled(tmp_path: Path, enabled: str, lines: int) -> None:
    plant(
        tmp_path, {"/etc/ufw/ufw.conf": f"# x\nENABLED={enabled}\n", "/etc/ufw/sysctl.conf": "net/ipv4/ip_forward=0\n"}
    )
    expected = (Setting("net.ipv4.ip_forward", "0", "/etc/ufw/sysctl.conf", 1),)
    assert config(tmp_path).ufw == expected[:lines]


def test_a_file_that_is_switched_off_says_nothing(tmp_path: Path) -> None:
    plant(tmp_path, {"/usr/lib/sysctl.d/50-x.conf": "kernel.panic=1\n", "/etc/sysctl.d/README": ""})
    (tmp_path / "etc/sysctl.d/50-x.conf").symlink_to("/dev/null")
    assert config(tmp_path) == SysctlConfig(())


def test_a_file_that_cannot_be_read_makes_the_fact_unreadable(tmp_path: Path) -> None:
    plant(tmp_path, {"/etc/sysctl.d/50-x.conf/inside": ""})
    with pytest.raises(Unreadable, match="is a directory"):
        config(tmp_path)
