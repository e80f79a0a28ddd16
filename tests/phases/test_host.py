"""Phase host on stand-in nodes: what it wants, that it brings it about, and that it then wants the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crashing import Killed
from tests.standins.node import HEAD, Node

from caasctl import engine, planning
from caasctl.facts import network_sysctl, os, os_swap, os_sysctl
from caasctl.facts.network_routes import Route, Routes
from caasctl.host import LiveHost
from caasctl.model import HEADER, Facts
from caasctl.phases.host import MODULES_FILE, PHASE, SYSCTL_FILE
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.protocol import Done, Resource, Unknown
from caasctl.resources.files import File
from caasctl.resources.kernel import KernelModule, SwapOff, Sysctl
from caasctl.resources.units import Unit
from caasctl.syntax import needs, sysctl

NODE = load("single-node")
PROBES = (*os.PROBES, *os_swap.PROBES, *os_sysctl.PROBES)
ON_DISK = "\n".join(f"kernel/{name}.ko:" for name in ("br_netfilter", "vhost-vsock", "vhost-net", "kvm-intel"))
FSTAB = "UUID=aa / ext4 defaults 0 1\nUUID=bb none swap sw 0 0\n"


def plant(folder: Path, flags: str = "vmx") -> Node:
    """A fresh Ubuntu-like host: nothing loaded, the kernel's defaults, swap on a partition that fstab names by UUID."""
    host = Node(str(folder))
    host.plant("/proc/sys/kernel/osrelease", "6.8.0-40-generic\n")
    host.plant("/usr/lib/modules/6.8.0-40-generic/modules.dep", ON_DISK)
    host.plant("/usr/lib/modules/6.8.0-40-generic/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n")
    (folder / "lib").symlink_to("usr/lib")
    host.plant("/proc/modules", "ext4 1 0 - Live 0x0\n")
    host.plant("/proc/cpuinfo", f"processor : 0\nflags : fpu {flags}\n")
    host.plant("/proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n")
    host.plant("/proc/swaps", f"{HEAD}/dev/sda2 partition 2048 500 -2\n")
    host.plant("/etc/fstab", FSTAB)
    for key in needs.ALL_KEYS:
        if "bridge" not in key:
            host.plant(sysctl.proc_path(key), "0\n")
    host.plant("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n")
    host.plant("/usr/lib/sysctl.d/50-vendor.conf", "fs.inotify.max_user_watches = 1048576\nkernel.panic = 5\n")
    host.units()
    return host


def desired(host: LiveHost, profile: NodeProfile = NODE) -> tuple[Resource, ...]:
    facts = engine.collect(host, PROBES)
    return tuple(PHASE.desired(Facts([fact for kind in PHASE.reads if (fact := facts.get(kind))]), profile))


def converge(host: LiveHost, profile: NodeProfile = NODE) -> None:
    """As apply does: each resource is looked at when its turn comes."""
    for resource in desired(host, profile):
        now = resource.look(host)
        assert not isinstance(now, Unknown), now
        if resource.target(now) != now:
            assert resource.apply(host, now) == Done()


def differing(host: LiveHost, profile: NodeProfile = NODE) -> list[str]:
    return [change.resource.name for change in planning.differ(host, PHASE, desired(host, profile))]


def text(resources: tuple[Resource, ...], path: str) -> str:
    return next(resource.text for resource in resources if isinstance(resource, File) and resource.path == path)


def test_a_fresh_host_is_brought_there_and_then_nothing_differs(tmp_path: Path) -> None:
    host = plant(tmp_path)
    converge(host)
    assert differing(host) == []
    assert host.text("/proc/sys/net/bridge/bridge-nf-call-iptables") == "1"
    assert host.text("/proc/sys/vm/overcommit_memory") == "1"
    assert host.text("/proc/swaps") == HEAD
    masks = sorted(path.name for path in (tmp_path / "etc/systemd/system").iterdir())
    assert masks == [r"dev-disk-by\x2duuid-bb.swap", "dev-sda2.swap"]
    loaded = [command[1] for command in host.commands if command[0] == "modprobe"]
    assert loaded == ["br_netfilter", "vhost_vsock", "vhost_net", "kvm_intel"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    host = plant(tmp_path)
    converge(host)
    made = host.changes
    converge(host)
    assert host.changes == made


def test_what_it_wants_does_not_depend_on_what_it_brings_about(tmp_path: Path) -> None:
    host = plant(tmp_path)
    before = desired(host)
    converge(host)
    assert desired(host) == before


def test_killed_before_or_after_every_change_the_next_run_finishes(tmp_path: Path) -> None:
    whole = plant(tmp_path / "whole")
    converge(whole)
    for at in range(2 * whole.changes):
        folder = tmp_path / str(at)
        plant(folder)
        with pytest.raises(Killed):
            converge(Node(str(folder), at))
        again = Node(str(folder))
        converge(again)
        assert differing(again) == []
        assert desired(again) == desired(whole)


def test_the_plan_of_a_fresh_host_shows_what_waits_for_a_module(tmp_path: Path) -> None:
    host = plant(tmp_path)
    changes = {change.resource.name: change for change in planning.differ(host, PHASE, desired(host))}
    waiting = changes["sysctl:net.bridge.bridge-nf-call-iptables"]
    assert waiting.provisional.endswith("appears once br_netfilter is loaded")
    assert waiting.because == ("module:br_netfilter",)
    assert "sysctl:vm.panic_on_oom" not in changes


def test_undone_in_reverse_the_host_is_as_before(tmp_path: Path) -> None:
    host = plant(tmp_path)
    undos = []
    for resource in desired(host):
        now = resource.look(host)
        if resource.target(now) != now:
            undos.append(resource.undo(now))
            resource.apply(host, now)
    for undo in reversed(undos):
        for path, was in (undo.files or {}).items():
            assert was is None
            host.remove(path)
        for path, value in (undo.values or {}).items():
            host.write_value(path, value)
        for command in undo.commands:
            host.execute(*command)
    assert host.text("/proc/swaps") == f"{HEAD}/dev/sda2 partition 2048 0 -2\n"
    assert host.text("/proc/sys/kernel/panic").strip() == "0"
    assert host.read(MODULES_FILE) is None
    assert host.read(SYSCTL_FILE) is None
    assert list((tmp_path / "etc/systemd/system").iterdir()) == []


def test_files_are_ours_and_name_what_the_profile_needs(tmp_path: Path) -> None:
    wanted = desired(plant(tmp_path))
    modules = [line for line in text(wanted, MODULES_FILE).splitlines() if not line.startswith("#")]
    assert modules == ["overlay", "br_netfilter", "vhost_vsock", "vhost_net", "kvm_intel"]
    for path in (MODULES_FILE, SYSCTL_FILE):
        assert text(wanted, path).startswith(HEADER)


def test_every_line_of_the_sysctl_file_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    written = sysctl.settings(text(desired(plant(tmp_path)), SYSCTL_FILE), SYSCTL_FILE)
    meant = {key: need.value for key, need in needs.sysctls(NODE, ipv6=True).items()}
    assert {setting.key: setting.value for setting in written} == {**meant, "fs.inotify.max_user_watches": "1048576"}


def test_the_file_never_lowers_another_files_limit_but_overrides_its_other_values(tmp_path: Path) -> None:
    lines = text(desired(plant(tmp_path)), SYSCTL_FILE).splitlines()
    assert "fs.inotify.max_user_watches = 1048576" in lines
    assert "fs.inotify.max_user_instances = 8192" in lines
    assert "kernel.panic = 10" in lines


@pytest.mark.parametrize(("flags", "kvm"), [("svm", ["kvm_amd"]), ("sse", []), ("vmx", ["kvm_intel"])])
def test_the_kvm_module_follows_the_cpu(tmp_path: Path, flags: str, kvm: list[str]) -> None:
    lines = text(desired(plant(tmp_path, flags)), MODULES_FILE).splitlines()
    assert [line for line in lines if line.startswith("kvm")] == kvm


def test_without_kata_its_modules_stay_out(tmp_path: Path) -> None:
    wanted = desired(plant(tmp_path), load("single-node", ("runtimes=[runc]",)))
    assert [resource.module for resource in wanted if isinstance(resource, KernelModule)] == ["br_netfilter"]


def keys(resources: tuple[Resource, ...]) -> set[str]:
    return {resource.key for resource in resources if isinstance(resource, Sysctl)}


def test_ipv6_is_filtered_where_it_is_on_and_forwarded_only_for_ipv6_pods(tmp_path: Path) -> None:
    host, bridge, forward = plant(tmp_path), "net.bridge.bridge-nf-call-ip6tables", "net.ipv6.conf.all.forwarding"
    dual = load("single-node", ("cilium.values={ipv6: {enabled: true}}",))
    assert {bridge, forward} & keys(desired(host)) == {bridge}
    assert {bridge, forward} <= keys(desired(host, dual))
    host.plant("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n")
    assert {bridge, forward} & keys(desired(host, dual)) == set()


@pytest.mark.parametrize("named", ["eth0", "eth0.100"])
def test_a_default_route_that_the_kernel_was_advertised_outlives_forwarding(named: str, tmp_path: Path) -> None:
    """accept_ra first: the kernel drops such routes at the moment in which it begins to forward."""
    host = plant(tmp_path)
    for other, value in ((named, "1"), ("eth1", "0"), ("all", "1")):
        host.plant(f"/proc/sys/net/ipv6/conf/{other}/accept_ra", f"{value}\n")
    default = Routes(tuple(Route("::/0", "fe80::1", device) for device in (named, "eth1")))
    profile = load("single-node", ["network.podCIDR=fd00:10:244::/56", "network.serviceCIDR=fd00:10:96::/112"])

    def wanted() -> list[str]:
        facts = engine.collect(host, (*PROBES, *network_sysctl.PROBES))
        known = [fact for kind in PHASE.reads if (fact := facts.get(kind))]
        return [one.name for one in PHASE.desired(Facts([*known, default]), profile)]

    key = f"net.ipv6.conf.{named.replace('.', '/')}.accept_ra"
    assert sysctl.proc_path(key) == f"/proc/sys/net/ipv6/conf/{named}/accept_ra"
    before = wanted()
    assert [name for name in before if "accept_ra" in name] == [f"sysctl:{key}"]
    assert before.index(f"sysctl:{key}") < before.index("sysctl:net.ipv6.conf.all.forwarding")
    host.plant(sysctl.proc_path(key), "2\n")
    assert wanted() == before


def test_a_kubelet_that_takes_swap_keeps_it(tmp_path: Path) -> None:
    keeps = load("single-node", ("kubernetes.kubelet={failSwapOn: false}",))
    wanted = desired(plant(tmp_path), keeps)
    assert [resource for resource in wanted if isinstance(resource, (SwapOff, Unit))] == []


def test_a_swap_unit_of_the_administrators_own_is_disabled_not_masked(tmp_path: Path) -> None:
    host = plant(tmp_path)
    host.plant("/etc/systemd/system/data.swap", "[Swap]\nWhat=/data\n")
    assert Unit("data.swap", enabled=False) in desired(host)


def test_a_host_without_swap_wants_nothing_of_units(tmp_path: Path) -> None:
    host = plant(tmp_path)
    host.plant("/proc/swaps", HEAD)
    host.plant("/etc/fstab", "")
    assert [resource.name for resource in desired(host) if isinstance(resource, Unit)] == []
    assert "swap:off" not in differing(host)
