"""Name, disks, clock, reboots and kernels on disk, from what hosts and their programs print."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.facts.test_os import tree

from caasctl.bundle import BundleHost
from caasctl.facts import os_system as facts
from caasctl.facts.os_system import BootId, Disk, Hostname, InstalledKernels, RebootPending, Space, TimeSync
from caasctl.host import LiveHost
from caasctl.model import Unreadable

DF = """File                Mounted on           1K-blocks     Avail   Inodes    IFree
/                   /                     30428648  12345678  3907584  3600000
/boot               /boot                   983352    512000    65536    65200
/run                /run                  26400000  26300000        -        -
/var/lib/containerd /var/lib/container d 100000000  90000000        0        0
"""
UNITS = "Id=chrony.service\nActiveState=active\n\nId=systemd-timesyncd.service\nActiveState=inactive\n"
SHOW = "systemctl show -p Id,ActiveState " + " ".join(facts._TIME_UNITS)
TRACKING = "Reference ID    : A9FEA97B (169.254.169.123)\nStratum         : 4\nLeap status     : Normal\n"
UNSYNCHRONISED = "Reference ID    : 00000000 ()\nStratum         : 0\nLeap status     : Not synchronised\n"
ASK_DF = (
    "df -k --output=file,target,size,avail,itotal,iavail --"
    " / /boot /opt /run /usr /var /var/cache /var/cache/apt /var/cache/apt/archives /var/lib /var/lib/containerd /var/lib/dpkg"
    " /var/lib/etcd /var/lib/kubelet"
)


def read(kind: type, host: BundleHost | LiveHost) -> object:
    return next(probe.read(host) for probe in facts.PROBES if probe.fact is kind)


def test_df_rows_keep_mount_points_with_blanks_and_uncounted_inodes() -> None:
    rows = facts.parse_df(DF)
    assert rows["/boot"] == ("/boot", 983352, 512000, 65536, 65200)
    assert rows["/run"] == ("/run", 26400000, 26300000, 0, 0)
    assert rows["/var/lib/containerd"][0] == "/var/lib/container d"
    assert facts.parse_df("") == {}
    assert facts.parse_df("File\nbroken\n") == {}


def test_each_path_is_measured_where_it_would_be(tmp_path: Path) -> None:
    host = tree(tmp_path, {}, commands={ASK_DF: DF})
    found = read(Disk, host)
    assert isinstance(found, Disk)
    assert {space.path: space.mount for space in found.spaces} == {
        "/var/lib/containerd": "/var/lib/container d",
        "/var/lib/kubelet": "/",
        "/var/lib/etcd": "/",
        "/boot": "/boot",
        "/run": "/run",
        "/opt": "/",
        "/usr": "/",
        "/var/lib/dpkg": "/",
        "/var/cache/apt/archives": "/",
    }


def test_a_df_that_prints_nothing_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no rows"):
        read(Disk, tree(tmp_path, {}, commands={ASK_DF: ""}))


def test_this_machines_disks_are_measured() -> None:
    found = read(Disk, LiveHost())
    assert isinstance(found, Disk)
    assert all(isinstance(space, Space) and space.total_kib >= space.free_kib > 0 for space in found.spaces)
    assert [space.path for space in found.spaces] == list(facts.DISK_PATHS)


@pytest.mark.parametrize(
    ("commands", "found"),
    [
        ({SHOW: UNITS, "chronyc -n tracking": TRACKING}, TimeSync("chrony", True, "chronyc -n tracking")),
        ({SHOW: UNITS, "chronyc -n tracking": UNSYNCHRONISED}, TimeSync("chrony", False, "chronyc -n tracking")),
        (
            {SHOW: UNITS, "chronyc -n tracking": "506 Cannot talk to daemon\n"},
            TimeSync("chrony", None, "chronyc -n tracking"),
        ),
        ({SHOW: UNITS.replace("=active", "=failed")}, TimeSync("", None)),
        (
            {SHOW: UNITS.replace("chrony.", "ntpd."), "timedatectl show -p NTPSynchronized --value": "no\n"},
            TimeSync("ntpd", False, "timedatectl show -p NTPSynchronized"),
        ),
        (
            {SHOW: "Id=systemd-timesyncd.service\nActiveState=active\n"},
            TimeSync("systemd-timesyncd", False, "no /run/systemd/timesync/synchronized"),
        ),
    ],
)
def test_the_time_service_that_runs_tells(tmp_path: Path, commands: dict[str, str], found: TimeSync) -> None:
    assert read(TimeSync, tree(tmp_path, {}, commands=commands)) == found


def test_timesyncds_mark_needs_no_command(tmp_path: Path) -> None:
    found = read(TimeSync, tree(tmp_path, {"/run/systemd/timesync/synchronized": ""}))
    assert found == TimeSync("systemd-timesyncd", synchronised=True, evidence="/run/systemd/timesync/synchronized")


def test_without_systemd_and_daemons_the_clock_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        read(TimeSync, tree(tmp_path, {}))


@pytest.mark.parametrize(
    ("hosts", "switch", "found"),
    [
        ("127.0.0.1 localhost\n127.0.1.1 Node-1.example node-1 # me\n", "", Hostname("node-1", ("127.0.1.1",))),
        (
            "# 10.0.0.1 node-1\n127.0.0.1 localhost\n",
            "hosts: files myhostname dns\n",
            Hostname("node-1", (), by_itself=True),
        ),
        ("", "hosts: files dns\n", Hostname("node-1")),
    ],
)
def test_the_hosts_file_resolves_the_name(tmp_path: Path, hosts: str, switch: str, found: Hostname) -> None:
    files = {"/proc/sys/kernel/hostname": "node-1\n", "/etc/hosts": hosts, "/etc/nsswitch.conf": switch}
    assert read(Hostname, tree(tmp_path, files)) == found


def test_a_due_reboot_names_its_packages_once(tmp_path: Path) -> None:
    files = {
        "/run/reboot-required": "*** restart ***\n",
        "/run/reboot-required.pkgs": "linux-base\nlibc6\nlinux-base\n",
    }
    assert read(RebootPending, tree(tmp_path, files)) == RebootPending(pending=True, packages=("linux-base", "libc6"))
    assert read(RebootPending, tree(tmp_path / "b", {})) == RebootPending(pending=False)


def test_what_a_removed_kernel_left_is_no_kernel(tmp_path: Path) -> None:
    files = {"/usr/lib/modules/6.1.0-22-amd64/modules.dep": "", "/usr/lib/modules/5.10.0-1-amd64/updates/x.ko": ""}
    assert read(InstalledKernels, tree(tmp_path, files)) == InstalledKernels(("6.1.0-22-amd64",))
    assert read(InstalledKernels, tree(tmp_path / "b", {})) == InstalledKernels(())


def test_the_boot_id_is_read_or_unreadable(tmp_path: Path) -> None:
    assert read(BootId, tree(tmp_path, {"/proc/sys/kernel/random/boot_id": "abc\n"})) == BootId("abc")
    with pytest.raises(Unreadable):
        read(BootId, tree(tmp_path / "b", {}))


@pytest.mark.parametrize("text", ["", "garbage"])
def test_a_tracking_without_leap_status_says_nothing(text: str) -> None:
    assert facts.parse_tracking(text) is None
    assert facts.parse_units(text) == {}
