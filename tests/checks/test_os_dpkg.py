"""dpkg's state, locks and room: each finding seen, and what only looks like it silent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.checks.test_os import judge, only, release

from caasctl.checks.os_dpkg import dpkg_whole, package_locks, package_space
from caasctl.facts.containerd import ContainerdBinaries, RuncBinaries
from caasctl.facts.kubernetes_tools import HostTools, Packages, Tools
from caasctl.facts.os_dpkg import LOCKS, DpkgState, LockHolder, PackageLocks
from caasctl.facts.os_system import Disk, Space
from caasctl.model import Check, FixKind, Level

GIB = 1024 * 1024
WHOLE = DpkgState(there=True)
DEBIAN = release("debian", "12")
BARE: tuple[object, ...] = (DEBIAN, Packages(), ContainerdBinaries(), RuncBinaries(), Tools(), HostTools())
PATHS = {name: f"/usr/bin/{name}" for name in ("kubelet", "kubeadm", "kubectl", "crictl", "helm")}
FULL: tuple[object, ...] = (
    ContainerdBinaries(("/usr/bin/containerd",), "/usr/bin/containerd"),
    RuncBinaries(("/usr/sbin/runc",)),
    Tools({}, PATHS),
    DEBIAN,
    Packages(),
    HostTools(
        {name: f"/usr/bin/{name}" for name in ("ip", "iptables", "mount", "nsenter", "losetup", "ethtool", "tc")}
    ),
)
HELD = PackageLocks((LockHolder(LOCKS[0], 7, "apt-get"), LockHolder(LOCKS[1], 7, "apt-get")))


def disk(**free_mib: int) -> Disk:
    """Every path on one file system but those that are named, with _ for /."""
    paths = ("/usr", "/var/cache/apt/archives", "/var/lib/dpkg")
    own = {f"/{name.replace('_', '/')}": mib for name, mib in free_mib.items()}
    mounts = {path: next((mount for mount in own if path.startswith(mount) and mount != "/"), "/") for path in paths}
    return Disk(tuple(Space(path, mounts[path], 50 * GIB, own.get(mounts[path], 20480) * 1024) for path in paths))


@pytest.mark.parametrize("check", [package_locks, package_space])
@pytest.mark.parametrize("facts", [(DpkgState(there=False), *BARE), (WHOLE, *FULL)])
def test_where_nothing_is_installed_by_dpkg_it_is_in_nobody_s_way(check: Check, facts: tuple[object, ...]) -> None:
    assert judge(check, HELD, disk(usr=1), *facts) == []


def test_a_lock_names_its_holder_once_and_how_to_wait() -> None:
    found = only(package_locks, HELD, WHOLE, *BARE)
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert found.found == f"apt-get, process 7, holds {LOCKS[0]}, {LOCKS[1]}"
    assert found.fix
    assert found.fix.kind is FixKind.WAIT
    assert "tail --pid=7 -f /dev/null" in found.fix.text
    assert only(package_locks, PackageLocks(), WHOLE, *BARE).level is Level.PASS


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (LockHolder(LOCKS[0], 7, "unattended-upgrade", "apt-daily-upgrade.service"), "unattended-upgrades, process 7"),
        (LockHolder(LOCKS[2], 7, "apt-get", "apt-daily.service"), "Debian's daily look for updates"),
        (LockHolder(LOCKS[0], 7, "apt-get", "cloud-final.service"), "cloud-init"),
        (LockHolder(LOCKS[0], 7, "packagekitd", "packagekit.service"), "PackageKit"),
    ],
)
def test_who_ends_by_himself_is_known(holder: LockHolder, said: str) -> None:
    found = only(package_locks, PackageLocks((holder,)), WHOLE, *BARE)
    assert said in found.found
    assert found.level is Level.WARN  # the phase waits
    assert found.fix
    assert "ends by itself" in found.fix.text
    assert holder.unit in found.fix.text


def test_what_was_cut_short_has_each_its_own_way_on() -> None:
    state = DpkgState(
        there=True, cut_short={"w": "half-installed", "x": "unpacked", "y": "half-configured"}, journal=("0000",)
    )
    journal, halves, rest = judge(dpkg_whole, state, *BARE)
    assert [each.level for each in (journal, halves, rest)] == [Level.FAIL] * 3
    assert journal.fix
    assert journal.fix.text == "dpkg --configure -a"
    assert halves.fix
    assert halves.fix.text == "apt-get install --reinstall w"
    assert rest.found == "x (unpacked), y (half-configured)"


def test_what_a_run_of_init_node_left_half_done_the_next_one_mends() -> None:
    found = only(
        dpkg_whole,
        DpkgState(there=True, cut_short={"kubelet": "unpacked", "socat": "unpacked"}, journal=("0001",)),
        *BARE,
    )
    assert (found.level, found.yours, found.fixed_by) == (Level.FAIL, False, "packages")


def test_of_many_packages_a_few_are_named() -> None:
    many = {f"p{number}": "unpacked" for number in range(9)}
    assert only(dpkg_whole, DpkgState(there=True, cut_short=many), *BARE).found.endswith("and 4 more")


def test_a_broken_dpkg_is_a_warning_where_nothing_is_to_be_installed() -> None:
    assert only(dpkg_whole, DpkgState(there=True, journal=("0000",)), *FULL).level is Level.WARN
    assert only(dpkg_whole, WHOLE, *FULL).level is Level.PASS
    assert judge(dpkg_whole, DpkgState(there=False), *BARE) == []


def test_the_needs_of_one_file_system_are_added() -> None:
    assert only(package_space, WHOLE, disk(), *BARE).level is Level.PASS
    found = only(package_space, WHOLE, Disk(tuple(
        Space(path, "/", 50 * GIB, 900 * 1024) for path in ("/usr", "/var/cache/apt/archives", "/var/lib/dpkg"))), *BARE)  # fmt: skip
    assert (found.level, found.subject) == (Level.FAIL, "/")
    assert found.wanted.startswith("1000 MiB")


def test_a_file_system_of_its_own_is_judged_alone() -> None:
    found = only(package_space, WHOLE, disk(var_cache=100), *BARE)
    assert (found.found, found.subject) == ("100 MiB free on /var/cache", "/var/cache")
    assert found.fix
    assert found.fix.text.startswith("apt-get clean")
    other = only(package_space, WHOLE, disk(usr=600), *BARE)
    assert other.subject == "/usr"
    assert other.fix
    assert "apt-get clean" not in other.fix.text


ASK = """
from caasctl.checks.os_dpkg import package_space
from caasctl.facts.os_system import PROBES, Disk
from caasctl.host import LiveHost
from caasctl.model import Facts, findings
from caasctl.profile_load import load
from tests.checks.test_os_dpkg import BARE, WHOLE
disk = next(probe for probe in PROBES if probe.fact is Disk).read(LiveHost())
for found in findings(package_space, Facts((disk, WHOLE, *BARE)), load("single-node", ())):
    print(found.level.value, found.subject, found.found, found.wanted, sep="|")
"""


def test_a_file_system_that_is_full_is_found_on_this_machine() -> None:
    """A small tmpfs over apt's archives, in a mount namespace of its own."""
    cache = "/var/cache/apt/archives"
    if shutil.which("unshare") is None or not os.path.isdir(cache):
        pytest.skip("needs unshare and a machine with apt")
    script = f'mount -t tmpfs -o size=16m none {cache} && exec {sys.executable} -c "$0"'
    top = Path(__file__).resolve().parents[2]
    said = subprocess.run(("unshare", "-m", "--propagation", "private", "sh", "-c", script, ASK), cwd=top, check=False,
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    if "mount" in said.stderr or "unshare" in said.stderr:
        pytest.skip("a mount namespace cannot be had here")
    assert f"fail|{cache}|16 MiB free on {cache}|200 MiB for {cache}" in said.stdout.splitlines(), said.stderr
