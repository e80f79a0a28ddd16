"""KernelModule, Sysctl, SwapOff: twice is once, killed anywhere recovers, undo restores, no memory refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crashing import Killed
from tests.standins.node import HEAD, Node

from caasctl.host import LiveHost
from caasctl.model import CommandError
from caasctl.protocol import Absent, Done, Impossible, Known, Resource, State, Unknown
from caasctl.resources.kernel import LOADED, NO_SWAP, KernelModule, SwapOff, Sysctl
from caasctl.syntax.swap import RESERVE_KIB

PANIC = "/proc/sys/kernel/panic"
BRIDGE = Sysctl("net.bridge.bridge-nf-call-iptables", "1", module="br_netfilter", after=("module:br_netfilter",))
STATES = st.one_of(
    st.builds(Known, st.text("0123456789", min_size=1)), st.just(Absent()), st.builds(Unknown, st.text())
)


def node(folder: Path, at: int = -1) -> Node:
    host = Node(str(folder), at)
    host.plant("/proc/sys/kernel/osrelease", "6.1.0-22-amd64\n")
    host.plant("/lib/modules/6.1.0-22-amd64/modules.dep", "kernel/net/br_netfilter.ko:\nkernel/vhost/vhost-vsock.ko:\n")
    host.plant("/lib/modules/6.1.0-22-amd64/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n")
    host.plant("/proc/modules", "ext4 1 0 - Live 0x0\n")
    host.plant(PANIC, "0\n")
    host.plant("/proc/meminfo", f"MemAvailable: {RESERVE_KIB + 700} kB\n")
    host.plant("/proc/swaps", f"{HEAD}/dev/sda2 partition 2048 500 -2\n/swap.img file 2048 100 5\n")
    return host


def apply(resource: Resource, host: Node) -> object:
    return resource.apply(host, resource.look(host))


@given(state=STATES, wanted=st.integers(0, 10**6), minimum=st.booleans())
def test_targets_are_their_own_targets(state: State, wanted: int, minimum: bool) -> None:  # noqa: FBT001
    for resource in (Sysctl("kernel.panic", str(wanted), minimum), KernelModule("overlay"), SwapOff()):
        assert resource.target(resource.target(state)) == resource.target(state)


def test_a_module_is_loaded_once(tmp_path: Path) -> None:
    host, module = node(tmp_path), KernelModule("vhost_vsock")
    assert module.look(host) == Absent()
    assert [apply(module, host), apply(module, host)] == [Done(), Done()]
    assert (module.look(host), host.commands) == (LOADED, [("modprobe", "vhost_vsock")])


def test_what_is_built_in_counts_as_loaded(tmp_path: Path) -> None:
    host = node(tmp_path)
    host.plant("/sys/module/loop/parameters/max_loop", "0\n")
    assert KernelModule("overlay").look(host) == LOADED
    assert KernelModule("loop").look(host) == LOADED


def test_a_module_that_is_not_on_disk_fails_with_modprobes_words(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        apply(KernelModule("kvm_intel"), node(tmp_path))
    assert "Module kvm_intel not found in directory /lib/modules/6.1.0-22-amd64" in caught.value.cause


def test_a_value_is_set_once_and_taken_back(tmp_path: Path) -> None:
    host, panic = node(tmp_path), Sysctl("kernel.panic", "10")
    undo = panic.undo(panic.look(host))
    assert [apply(panic, host), apply(panic, host)] == [Done(), Done()]
    assert (panic.look(host), host.changes) == (Known("10"), 1)
    assert undo.values == {"/proc/sys/kernel/panic": "0"}


def test_a_minimum_is_never_lowered(tmp_path: Path) -> None:
    host = node(tmp_path)
    host.plant("/proc/sys/fs/inotify/max_user_watches", "1048576\n")
    watches = Sysctl("fs.inotify.max_user_watches", "524288", minimum=True)
    assert watches.target(watches.look(host)) == Known("1048576")
    assert watches.target(Known("8192")) == Known("524288")
    assert watches.target(Known("not a number")) == Known("524288")
    apply(watches, host)
    assert host.changes == 0


def test_a_key_of_a_module_is_unknown_until_the_module_is_there(tmp_path: Path) -> None:
    host = node(tmp_path)
    before = BRIDGE.look(host)
    assert isinstance(before, Unknown)
    assert before.reason == "/proc/sys/net/bridge/bridge-nf-call-iptables appears once br_netfilter is loaded"
    assert BRIDGE.target(before) == before
    assert "was not there" in BRIDGE.undo(before).nothing
    apply(KernelModule("br_netfilter"), host)
    apply(BRIDGE, host)
    assert BRIDGE.look(host) == Known("1")


def test_a_key_that_is_a_directory_or_missing_is_unknown(tmp_path: Path) -> None:
    host = node(tmp_path)
    assert Sysctl("kernel.nothing", "1").look(host) == Unknown("/proc/sys/kernel/nothing does not exist")
    assert Sysctl("kernel", "1").look(host) == Unknown("/proc/sys/kernel: is a directory")


def test_swap_goes_off_once_and_comes_back_with_its_priority(tmp_path: Path) -> None:
    host, off = node(tmp_path), SwapOff()
    before = off.look(host)
    assert before == Known("/dev/sda2 priority -2\n/swap.img priority 5")
    assert [apply(off, host), apply(off, host)] == [Done(), Done()]
    assert (off.look(host), host.changes) == (NO_SWAP, 2)
    for command in off.undo(before).commands:
        host.execute(*command)
    assert off.look(host) == before
    assert off.undo(NO_SWAP).nothing == "no swap was in use"


def test_swap_stays_where_memory_cannot_take_it(tmp_path: Path) -> None:
    host = node(tmp_path)
    host.plant("/proc/meminfo", f"MemAvailable: {RESERVE_KIB + 499} kB\n")
    outcome = apply(SwapOff(), host)
    assert isinstance(outcome, Impossible)
    assert "/dev/sda2" in outcome.problem
    assert host.changes == 0


def test_a_kernel_without_swap_has_none(tmp_path: Path) -> None:
    assert SwapOff().look(LiveHost(str(tmp_path))) == NO_SWAP


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("make", [SwapOff, lambda: KernelModule("vhost_vsock"), lambda: Sysctl("kernel.panic", "10")])
def test_killed_anywhere_the_next_run_finishes(tmp_path: Path, make: Callable[[], Resource], at: int) -> None:
    resource, dying = make(), node(tmp_path, at)
    try:
        apply(resource, dying)
    except Killed:
        assert dying.changes <= 2
    again = Node(str(tmp_path))
    apply(resource, again)
    assert resource.look(again) == resource.target(resource.look(again))
    apply(resource, Node(str(tmp_path), at=0))  # would die at a change


REAL = """
import json
from caasctl.host import LiveHost
from caasctl.resources.kernel import Sysctl
host, forward = LiveHost(), Sysctl("net.ipv4.ip_forward", "1")
said = []
for _ in range(2):
    said.append(forward.look(host).text)
    forward.apply(host, forward.look(host))
said.append(forward.look(host).text)
print(json.dumps(said))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: sets a sysctl of a network namespace of its own")
def test_a_real_kernel_takes_the_value() -> None:
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", REAL], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[1:] == ["1", "1"]
