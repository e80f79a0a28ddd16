"""Memory, processors, disks, clock, name, reboot: by role, at the limits."""

from __future__ import annotations

import pytest
from tests.checks.test_os import only, release

from caasctl.checks import os_system as checks
from caasctl.facts.os import Cpu, Memory
from caasctl.facts.os_system import DISK_PATHS, Disk, Hostname, RebootPending, Space, TimeSync
from caasctl.model import Level
from caasctl.profile_load import load

WORKER = load("worker")
GIB = 1 << 20


@pytest.mark.parametrize(("mib", "level"), [(1700, Level.PASS), (1699, Level.FAIL)])
def test_a_control_plane_has_kubeadms_minimum(mib: int, level: Level) -> None:
    assert only(checks.memory, Memory(mib << 10, mib << 10)).level is level


def test_a_worker_with_little_memory_is_warned() -> None:
    assert only(checks.memory, Memory(GIB, GIB), profile=WORKER).level is Level.WARN


def test_hugepages_are_no_memory_for_processes() -> None:
    found = only(checks.memory, Memory(907 * GIB, GIB, hugetlb_kib=906 * GIB))
    assert found.level is Level.FAIL
    assert found.found == "907.0 GiB, 906.0 GiB of them in hugepages"
    assert found.fix
    assert "hugepages=" in found.fix.text


def test_processors_by_role() -> None:
    one, two = Cpu("", 1, frozenset()), Cpu("", 2, frozenset())
    assert only(checks.cpus, one).level is Level.FAIL
    assert only(checks.cpus, two).level is Level.PASS
    assert only(checks.cpus, one, profile=WORKER).level is Level.PASS


def disk(path: str = "", *, mount: str = "/", total: int = 500 * GIB, free: int = 400 * GIB, inodes: int = 50) -> Disk:
    """All paths on a roomy file system but one."""
    roomy = {name: Space(name, "/", 500 * GIB, 400 * GIB, 100, 90) for name in DISK_PATHS}
    return Disk(tuple({**roomy, **({path: Space(path, mount, total, free, 100, inodes)} if path else {})}.values()))


def test_room_everywhere_passes_with_what_is_free() -> None:
    assert only(checks.disk_space, disk()).found == "free: 400.0 GiB on /"


@pytest.mark.parametrize(
    ("path", "space", "level", "says"),
    [
        (
            "/var/lib/containerd",
            disk("/var/lib/containerd", free=4 * GIB),
            Level.FAIL,
            "4.0 GiB free of 500.0 GiB on /",
        ),
        ("/var/lib/containerd", disk("/var/lib/containerd", free=70 * GIB), Level.FAIL, "14 %"),
        (
            "/var/lib/containerd",
            disk("/var/lib/containerd", total=60 * GIB, free=15 * GIB),
            Level.WARN,
            "15.0 GiB free",
        ),
        ("/var/lib/kubelet", disk("/var/lib/kubelet", free=49 * GIB), Level.FAIL, "9 %"),
        ("/var/lib/kubelet", disk("/var/lib/kubelet", inodes=4), Level.FAIL, "4 inodes free of 100"),
        ("/var/lib/etcd", disk("/var/lib/etcd", mount="/var/lib/etcd", free=GIB), Level.WARN, "1.0 GiB free"),
        ("/boot", disk("/boot", mount="/boot", free=100 << 10), Level.WARN, "100 MiB free"),
        ("/run", disk("/run", mount="/run", free=8 << 10), Level.FAIL, "8 MiB free"),
    ],
)
def test_a_full_file_system_is_named_by_what_it_will_hold(path: str, space: Disk, level: Level, says: str) -> None:
    found = only(checks.disk_space, space)
    assert (found.level, found.subject) == (level, path)
    assert says in found.found


def test_what_a_role_does_not_use_does_not_matter() -> None:
    assert only(checks.disk_space, disk("/var/lib/etcd", free=1), profile=WORKER).level is Level.PASS
    assert only(checks.disk_space, disk("/boot", free=1)).level is Level.PASS
    assert only(checks.disk_space, disk("/opt", free=1)).level is Level.PASS


def test_own_eviction_limits_are_the_users_business() -> None:
    own = load("single-node", ("kubernetes.kubelet={evictionHard: {nodefs.available: 1%}}",))
    assert only(checks.disk_space, disk("/var/lib/kubelet", free=49 * GIB), profile=own).level is Level.PASS


@pytest.mark.parametrize(
    ("sync", "level", "fix"),
    [
        (TimeSync("chrony", synchronised=True), Level.PASS, ""),
        (TimeSync("chrony", synchronised=False, evidence="chronyc"), Level.WARN, "chronyc -n sources"),
        (TimeSync("systemd-timesyncd", synchronised=False, evidence="x"), Level.WARN, "timedatectl timesync-status"),
        (TimeSync("chrony", None, "chronyc -n tracking"), Level.UNKNOWN, ""),
        (TimeSync("", None), Level.WARN, "apt-get install -y chrony"),
    ],
)
def test_the_clock(sync: TimeSync, level: Level, fix: str) -> None:
    found = only(checks.time_sync, sync, release("ubuntu", "24.04", "debian"))
    assert found.level is level
    assert fix in (found.fix.text if found.fix else "")


def test_enterprise_linux_gets_its_own_command() -> None:
    found = only(checks.time_sync, TimeSync("", None), release("rocky", "9.4", "rhel"))
    assert found.fix
    assert found.fix.text.startswith("dnf install")


@pytest.mark.parametrize(
    ("host", "level", "fix"),
    [
        (Hostname("node-1", ("127.0.1.1",)), Level.PASS, ""),
        (Hostname("node-1.example.com", (), by_itself=True), Level.PASS, ""),
        (Hostname("node-1"), Level.WARN, "echo '127.0.1.1 node-1' >> /etc/hosts"),
        (Hostname("Node-1", ("127.0.1.1",)), Level.WARN, "hostnamectl set-hostname node-1"),
        (Hostname("gpu_node_1"), Level.FAIL, "hostnamectl set-hostname gpu-node-1"),
        (Hostname("localhost.localdomain", ("127.0.0.1",)), Level.FAIL, "hostnamectl set-hostname node-1"),
        (Hostname("", ()), Level.FAIL, "hostnamectl set-hostname node-1"),
        (Hostname("-a"), Level.FAIL, "hostnamectl set-hostname a"),
        (Hostname("a" * 64), Level.FAIL, f"hostnamectl set-hostname {'a' * 63}"),
        (Hostname("a" * 40 + "." + "b" * 23), Level.FAIL, f"hostnamectl set-hostname {'a' * 40}.{'b' * 22}"),
    ],
)
def test_the_hostname_becomes_the_nodes_name(host: Hostname, level: Level, fix: str) -> None:
    found = only(checks.hostname, host)
    assert found.level is level
    assert (found.fix.text if found.fix else "") == fix


def test_a_due_reboot_warns_and_names_its_packages() -> None:
    assert only(checks.reboot_pending, RebootPending(pending=False)).level is Level.PASS
    found = only(checks.reboot_pending, RebootPending(pending=True, packages=("libc6",)))
    assert (found.level, found.found) == (Level.WARN, "asked for by libc6")
    assert only(checks.reboot_pending, RebootPending(pending=True)).found == "asked for"


def test_a_path_that_df_did_not_name_is_unknown() -> None:
    named = Disk(tuple(space for space in disk().spaces if space.path != "/run"))
    found = only(checks.disk_space, named)
    assert (found.level, found.subject) == (Level.UNKNOWN, "/run")
