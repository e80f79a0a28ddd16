"""Packages that are half there, and who holds dpkg's and apt's locks: texts, trees, and real programs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.facts.test_os_swap import plant

from caasctl.facts.os_dpkg import (
    LOCKS,
    PROBES,
    DpkgState,
    LockHolder,
    PackageLocks,
    parse_lockers,
    parse_states,
    program_of,
)
from caasctl.host import LiveHost
from caasctl.model import Unreadable

STATUS = """Package: bash
Status: install ok installed
Version: 5.2

Package: containerd
Status: install ok half-configured
Version: 1.6.20

Package: runc
Status: install reinstreq half-installed
Version: 1.1.5

Package: man-db
Status: install ok triggers-pending
Version: 2.11

Package: kubelet
Status: hold ok config-files
Version: 1.36.4-1.1
"""
LOCKED = """1: POSIX  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
2: FLOCK  ADVISORY  WRITE 12 fe:01:99 0 EOF
3: OFDLCK ADVISORY  READ -1 fe:01:7 0 EOF
4: POSIX  ADVISORY  READ 13 fe:01:98 0 EOF
5: POSIX  ADVISORY  WRITE 0 fe:01:97 0 EOF
"""
STATE, LOCKERS = (probe.read for probe in PROBES)


def test_what_dpkg_left_half_done_is_named_and_triggers_are_not() -> None:
    found = parse_states(STATUS)
    assert dict(found.cut_short) == {"containerd": "half-configured", "runc": "half-installed"}
    assert found.held_away == ("kubelet",)


@pytest.mark.parametrize("text", ["", "rubbish", "Package: x\nStatus: \n"])
def test_a_status_file_that_says_nothing_has_nothing_half_done(text: str) -> None:
    assert parse_states(text) == DpkgState(there=True)


def test_a_host_without_dpkg_and_one_with_a_journal(tmp_path: Path) -> None:
    assert STATE(LiveHost(str(tmp_path))) == DpkgState(there=False)
    plant(tmp_path, {"/var/lib/dpkg/status": "", "/var/lib/dpkg/updates/0000": "", "/var/lib/dpkg/updates/tmp.i": ""})
    assert STATE(LiveHost(str(tmp_path))) == DpkgState(there=True, journal=("0000",))


def test_only_write_locks_of_processes_that_can_be_named_count() -> None:
    assert parse_lockers(LOCKED) == (4711,)
    assert parse_lockers("") == ()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3\0/usr/bin/unattended-upgrade\0--download-only\0", "unattended-upgrade"),
        ("apt-get\0-o\0Acquire::http::Proxy=http://u:p@h\0install\0", "apt-get"),
        ("/usr/bin/dpkg\0--status-fd\0", "dpkg"),
        ("", "comm"),
    ],
)
def test_a_program_is_named_without_its_arguments(command: str, name: str) -> None:
    assert program_of(command, "comm") == name


def test_a_lock_is_traced_to_the_service_of_its_holder(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "/proc/locks": LOCKED,
            "/proc/4711/comm": "unattended-upgr\n",
            "/proc/4711/cmdline": "/usr/bin/python3\0/usr/bin/unattended-upgrade\0",
            "/proc/4711/cgroup": "0::/system.slice/apt-daily-upgrade.service\n",
        },
    )
    (tmp_path / "proc/4711/fd").mkdir()
    (tmp_path / "proc/4711/fd/3").symlink_to(LOCKS[0])
    holder = LockHolder(LOCKS[0], 4711, "unattended-upgrade", "apt-daily-upgrade.service")
    assert LOCKERS(LiveHost(str(tmp_path))) == PackageLocks((holder,))


def test_a_package_manager_whose_files_cannot_be_seen_is_unknown_and_another_program_is_not() -> None:
    with pytest.raises(Unreadable):
        LOCKERS(Closed("apt-get"))  # type: ignore[arg-type]
    assert LOCKERS(Closed("crond")) == PackageLocks()  # type: ignore[arg-type]


class Closed:
    """A host as an ordinary user sees it: whose process holds a lock, and not which."""

    def __init__(self, comm: str) -> None:
        self.comm = comm

    def read(self, path: str) -> str:
        return LOCKED if path == "/proc/locks" else self.comm

    def list(self, path: str) -> tuple[str, ...]:
        raise Unreadable(path, "permission denied")


# -- real programs ------------------------------------------------------------------------------------------------------
HOLD = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True);"
    " time.sleep(60)"
)


def test_a_lock_that_another_process_holds_is_seen_on_this_machine(tmp_path: Path) -> None:
    """The lock file is another one than apt's own, bound in its place: nothing of this machine waits for the test."""
    wanted = Path(LOCKS[1])
    if shutil.which("unshare") is None or not wanted.exists():
        pytest.skip("needs unshare and a machine with dpkg")
    script = f'mount --bind {tmp_path} /var/lib/dpkg && exec {sys.executable} -c "$0" /var/lib/dpkg/lock'
    (tmp_path / "lock").touch()
    argv = ("unshare", "-m", "--propagation", "private", "sh", "-c", script, HOLD)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            if holder.stdout.readline().strip() != "held":
                pytest.skip("a mount namespace cannot be had here")
            found = LOCKERS(LiveHost())
            assert isinstance(found, PackageLocks)
            assert (LOCKS[1], holder.pid) in [(each.path, each.pid) for each in found.holders]
        finally:
            holder.kill()
    assert holder.pid not in [each.pid for each in LOCKERS(LiveHost()).holders]  # type: ignore[attr-defined]


def package(folder: Path, name: str, postinst: str = "") -> Path:
    """A real package, built by dpkg-deb."""
    tree = folder / f"{name}.tree"
    plant(tree, {"/DEBIAN/control": f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n",
                 f"/usr/share/{name}": "x"})  # fmt: skip
    if postinst:
        plant(tree, {"/DEBIAN/postinst": f"#!/bin/sh\n{postinst}\n"})
        (tree / "DEBIAN/postinst").chmod(0o755)
    made = folder / f"{name}.deb"
    subprocess.run(("dpkg-deb", "--root-owner-group", "-b", str(tree), str(made)), check=True, capture_output=True)
    return made


def dpkg(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Dpkg on a folder; scripts run on this machine, they need no more than a shell."""
    argv = ("dpkg", f"--root={root}", "--force-script-chrootless", "--force-not-root", "--log=/dev/null", *arguments)
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def tree(folder: Path) -> Path:
    for name in ("info", "updates", "triggers"):
        (folder / "var/lib/dpkg" / name).mkdir(parents=True)
    (folder / "var/lib/dpkg/status").touch()
    (folder / "var/lib/dpkg/available").touch()
    return folder


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb: not on this machine")


@needs_dpkg
def test_a_package_whose_script_fails_is_half_configured_until_dpkg_finishes_it(tmp_path: Path) -> None:
    root, flag = tree(tmp_path / "root"), tmp_path / "flag"
    assert dpkg(root, "-i", str(package(tmp_path, "good"))).returncode == 0
    assert STATE(LiveHost(str(root))) == DpkgState(there=True)
    bad = package(tmp_path, "bad", f"test -e {flag}")
    assert dpkg(root, "-i", str(bad)).returncode == 1
    assert STATE(LiveHost(str(root))).cut_short == {"bad": "half-configured"}  # type: ignore[attr-defined]
    flag.touch()
    assert dpkg(root, "--configure", "-a").returncode == 0
    assert STATE(LiveHost(str(root))) == DpkgState(there=True)


@needs_dpkg
def test_a_dpkg_that_is_killed_leaves_its_journal(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    slow = package(tmp_path, "slow", f"touch {tmp_path}/at; sleep 30")
    argv = (
        "dpkg",
        f"--root={root}",
        "--force-script-chrootless",
        "--force-not-root",
        "--log=/dev/null",
        "-i",
        str(slow),
    )
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as killed:
        until = time.monotonic() + 60
        while not (tmp_path / "at").exists() and time.monotonic() < until:
            time.sleep(0.05)
        killed.kill()
    found = STATE(LiveHost(str(root)))
    assert isinstance(found, DpkgState)
    assert found.journal
    assert dpkg(root, "--force-all", "--remove", "slow").returncode in (0, 1)
