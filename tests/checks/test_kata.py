"""Checks of Kata's tree and of what it needs of the host, each seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import kata, kata_config, kata_host, kata_source
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kata import KataConfig, KataConfigs, KataTree, KataTrees, ShimGlibc
from caasctl.facts.kata_host import Kvm, KvmOpens, Machine, Shm, Vhost, Zstd
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.os import Cpu, Glibc, Kernel, Modules, OsRelease, Privileges
from caasctl.model import Check, Facts, Finding, FixKind, Level, findings
from caasctl.profile_load import load

BASE = "/opt/kata/share/defaults/kata-containers"
GO, RUST = "/opt/kata/bin/containerd-shim-kata-v2", "/opt/kata/runtime-rs/bin/containerd-shim-kata-v2"
CONFIGS = (f"{BASE}/configuration-clh.toml", f"{BASE}/configuration-qemu.toml")
RUST_CONFIGS = tuple(f"{BASE}/runtime-rs/configuration-{name}-runtime-rs.toml" for name in ("clh", "qemu"))
TREE = KataTree("/opt/kata", "3.19.1", GO, RUST, (*CONFIGS, *RUST_CONFIGS))
SPLIT = KataTree("/opt/kata", "4.1.0", "", RUST, RUST_CONFIGS)
INTEL = Cpu("GenuineIntel", 64, frozenset({"lm", "vmx"}))
AMD_OFF = Cpu("AuthenticAMD", 64, frozenset({"lm"}))
GIB = 1024 * 1024
NO_KATA = ("runtimes=[runc]",)
ALL = (*kata.CHECKS, *kata_source.CHECKS, *kata_host.CHECKS, *kata_config.CHECKS)
KERNEL = Kernel("6.1.0-44-amd64", (6, 1))


def modules(*available: str) -> Modules:
    return Modules(frozenset(), frozenset(), frozenset(available), "/usr/lib/modules/5.15.0-91-generic")


def judge(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> list[Finding]:
    return list(findings(check, Facts(facts), load(named, settings)))


def one(check: Check, *facts: object, settings: tuple[str, ...] = (), named: str = "single-node") -> Finding:
    (found,) = judge(check, *facts, settings=settings, named=named)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def test_without_a_kata_runtime_nothing_is_said() -> None:
    facts = (
        KataTrees(),
        KataConfigs(),
        Glibc((2, 31)),
        Kvm(device=False),
        KvmOpens("x"),
        INTEL,
        Vhost(vsock=False, net=False),
    )
    more = (
        modules(),
        Shm(0, GIB),
        KERNEL,
        Machine("x86_64"),
        Zstd(),
        PciFunctions(()),
        Kubelet(installed=True),
        Cluster(),
    )
    for check in ALL:
        assert judge(check, *facts, *more, settings=NO_KATA) == []


def test_checks_of_kata_hold_up_what_brings_kata_and_what_loads_its_modules() -> None:
    assert {gate for check in ALL for gate in check.gates} == {"host", "kata"}


def test_a_whole_tree_passes_for_each_handler() -> None:
    found = judge(kata.tree, KataTrees((TREE,)), KataConfigs())
    assert [(f.level, f.subject) for f in found] == [(Level.PASS, "kata-qemu"), (Level.PASS, "kata-clh")]
    assert found[0].found == f"/opt/kata 3.19.1, {BASE}/configuration-qemu.toml"


def test_no_tree_warns_and_says_what_pods_will_say() -> None:
    found = one(kata.tree, KataTrees(), KataConfigs())
    assert (found.level, found.found) == (Level.WARN, "none at /opt/kata")
    assert "invalid custom binary path" in found.cause


def test_a_tree_elsewhere_is_offered() -> None:
    found = one(kata.tree, KataTrees((replace(TREE, prefix="/usr"),)), KataConfigs())
    assert (found.found, text(found)) == ("none at /opt/kata, one at /usr", "in the profile: spec.kata.prefix: /usr")


def test_a_prefix_where_nobody_looks_is_unknown() -> None:
    found = one(kata.tree, KataTrees(), KataConfigs(), settings=("kata.prefix=/data/kata",))
    assert found.level is Level.UNKNOWN


def test_the_split_release_passes_on_its_rust_shim_but_not_for_gpus() -> None:
    assert {f.level for f in judge(kata.tree, KataTrees((SPLIT,)), KataConfigs())} == {Level.PASS}
    gpu = f"{BASE}/runtime-rs/configuration-qemu-nvidia-gpu-runtime-rs.toml"
    trees = KataTrees((replace(SPLIT, configs=(gpu,)),))
    found = one(kata.tree, trees, KataConfigs(), settings=("runtimes=[runc, kata-qemu-nvidia-gpu]",))
    assert found.level is Level.WARN
    assert "overlayfs" in found.cause


def test_a_shim_that_is_missing_fails() -> None:
    found = judge(kata.tree, KataTrees((replace(SPLIT, rust_shim=""),)), KataConfigs())[0]
    assert found.level is Level.FAIL
    assert "has no shim for" in found.found
    assert "kata-go-static" in found.cause
    assert text(found).startswith("tar -C / -xf kata-go-static-4.1.0-amd64.tar.zst")


def test_a_configuration_that_is_missing_fails() -> None:
    found = judge(kata.tree, KataTrees((replace(TREE, configs=CONFIGS[:1]),)), KataConfigs())[0]
    assert (found.level, found.subject) == (Level.FAIL, "kata-qemu")
    assert "Cannot find usable config file" in found.cause


def test_a_guest_kernel_that_is_missing_fails() -> None:
    gone = KataConfig(CONFIGS[1], "qemu", (("kernel", "/opt/kata/vmlinux"),), ("kernel /opt/kata/vmlinux",))
    qemu, clh = judge(kata.tree, KataTrees((TREE,)), KataConfigs((gone,)))
    assert (qemu.level, qemu.found) == (Level.FAIL, "missing: kernel /opt/kata/vmlinux")
    assert clh.level is Level.PASS


def test_a_shim_that_asks_for_a_newer_c_library_fails() -> None:
    facts = (Glibc((2, 31)), KataTrees((TREE,)))
    found = one(kata.glibc, *facts, ShimGlibc(((GO, "2.34"),)))
    assert (found.level, found.found) == (Level.FAIL, "the shim needs 2.34, the host has 2.31")
    assert "version `GLIBC_2.34' not found" in found.cause
    assert found.evidence[0].excerpt == "names GLIBC_2.34"
    by_version = one(kata.glibc, *facts)
    assert (by_version.level, by_version.evidence[0].excerpt) == (Level.FAIL, "Kata 3.19.1")


def test_a_c_library_that_is_new_enough_passes() -> None:
    facts = (Glibc((2, 36)), KataTrees((TREE,)), ShimGlibc(((GO, "2.34"),)))
    assert one(kata.glibc, *facts).found == "needs 2.34, the host has 2.36"


def test_a_static_shim_passes_anywhere() -> None:
    static = KataTrees((replace(TREE, version="4.1.0"),))
    assert one(kata.glibc, Glibc((2, 31)), static, ShimGlibc(((GO, ""),))).level is Level.PASS
    assert one(kata.glibc, Glibc((2, 31)), static).level is Level.PASS
    assert one(kata.glibc, Glibc((0, 0)), static).level is Level.PASS


def test_musl_does_not_run_a_dynamic_shim() -> None:
    found = one(kata.glibc, Glibc((0, 0)), KataTrees((TREE,)))
    assert found.found == "the shim needs 2.34, the host has another C library"


def test_a_shim_of_unknown_version_is_unknown() -> None:
    assert one(kata.glibc, Glibc((2, 31)), KataTrees((replace(TREE, version=""),))).level is Level.UNKNOWN
    assert judge(kata.glibc, Glibc((2, 31)), KataTrees((SPLIT,))) == []


def test_kvm_that_opens_passes_and_says_where_it_is_nested() -> None:
    found = one(kata_host.kvm, Kvm(device=True, module="kvm_intel", guest=True), KvmOpens(), INTEL)
    assert (found.level, found.found) == (Level.PASS, "/dev/kvm opens, kvm_intel, inside a virtual machine (nested)")


def test_a_device_that_does_not_open_is_not_enough() -> None:
    found = one(kata_host.kvm, Kvm(device=True, module="kvm"), KvmOpens("No such device"), INTEL)
    assert (found.level, found.found) == (Level.FAIL, "/dev/kvm does not open: No such device")
    assert text(found) == "modprobe kvm_intel && dmesg | grep -i kvm"


def test_a_device_that_opens_without_the_cpu_s_help_warns() -> None:
    found = one(kata_host.kvm, Kvm(device=True, module="kvm_pvm", guest=True), KvmOpens(), AMD_OFF)
    assert (found.level, found.found) == (
        Level.WARN,
        "/dev/kvm opens (kvm_pvm), but the CPU shows neither vmx nor svm",
    )
    assert "nested=1" in text(found)
    arm = Cpu("", 64, frozenset({"fp", "asimd"}))
    assert one(kata_host.kvm, Kvm(device=True, module="kvm"), KvmOpens(), arm).level is Level.PASS


def test_permission_denied_is_unknown_to_a_user_and_a_failure_to_root() -> None:
    facts = (Kvm(device=True, module="kvm_intel"), KvmOpens("Permission denied"), INTEL)
    assert one(kata_host.kvm, *facts, Privileges(root=False)).level is Level.UNKNOWN
    found = one(kata_host.kvm, *facts, Privileges(root=True))
    assert (found.level, text(found)) == (Level.FAIL, "chown root:kvm /dev/kvm && chmod 0660 /dev/kvm")


@pytest.mark.parametrize(
    ("kvm", "cpu", "kind", "said"),
    [
        (Kvm(device=False), INTEL, FixKind.COMMAND, "modprobe kvm_intel && dmesg"),
        (Kvm(device=False, module="kvm_intel"), INTEL, FixKind.COMMAND, "modprobe -r kvm_intel && modprobe kvm_intel"),
        (Kvm(device=False), AMD_OFF, FixKind.FIRMWARE, "SVM Mode: Enabled"),
        (Kvm(device=False), Cpu("GenuineIntel", 2, frozenset()), FixKind.FIRMWARE, "(VMX): Enabled"),
        (Kvm(device=False, guest=True), AMD_OFF, FixKind.EDIT, "options kvm_amd nested=1"),
    ],
)
def test_a_missing_device_s_fix_is_the_first_thing_in_the_way(kvm: Kvm, cpu: Cpu, kind: FixKind, said: str) -> None:
    found = one(kata_host.kvm, kvm, KvmOpens("No such file or directory"), cpu)
    assert (found.level, found.found) == (Level.FAIL, "/dev/kvm is not there")
    assert found.fix
    assert found.fix.kind is kind
    assert said in text(found)


def test_a_kvm_module_that_only_has_to_be_loaded_is_init_node_s() -> None:
    gone = (Kvm(device=False), KvmOpens("No such file or directory"))
    there = Modules(frozenset(), frozenset(), frozenset({"kvm_intel"}), "/lib/modules/6.1.0")
    assert one(kata_host.kvm, *gone, INTEL, there).fixed_by == "host"
    loaded = Modules(frozenset({"kvm_intel"}), frozenset(), frozenset({"kvm_intel"}), "/lib/modules/6.1.0")
    assert one(kata_host.kvm, *gone, INTEL, loaded).yours
    assert one(kata_host.kvm, *gone, AMD_OFF, there).yours


def test_vhost_devices_that_are_there_pass() -> None:
    assert one(kata_host.vhost, Vhost(vsock=True, net=True), modules()).level is Level.PASS


def test_vhost_modules_that_can_be_loaded_are_init_node_s() -> None:
    found = one(kata_host.vhost, Vhost(vsock=False, net=False), modules("vhost_vsock", "vhost_net"))
    assert (found.level, found.fixed_by, text(found)) == (Level.FAIL, "host", "modprobe -a vhost_vsock vhost_net")
    assert "stat /dev/vhost-vsock" in found.cause


def test_vhost_modules_that_the_kernel_lacks_are_the_user_s() -> None:
    ubuntu = OsRelease("ubuntu", ("debian",), "22.04", "Ubuntu 22.04")
    load_it, install_it = judge(kata_host.vhost, Vhost(vsock=False, net=False), modules("vhost_net"), ubuntu)
    assert (load_it.fixed_by, text(load_it)) == ("host", "modprobe -a vhost_net")
    assert install_it.fixed_by == ""
    assert text(install_it) == "apt-get install linux-modules-extra-5.15.0-91-generic && modprobe -a vhost_vsock"
    found = one(kata_host.vhost, Vhost(vsock=True, net=False), modules())
    assert text(found) == "boot a kernel that has CONFIG_VHOST_NET=m"


HELD = Vhost(vsock=True, net=True, vmware=("vmw_vsock_vmci_transport",))
AS_GUEST = Vhost(vsock=True, net=True, of_guest=("vmw_vsock_virtio_transport",))
OLD = Kernel("5.4.0-200-generic", (5, 4))


@pytest.mark.parametrize(
    ("devices", "kernel", "guest", "level"),
    [
        (HELD, KERNEL, False, Level.FAIL),  # VMware's guests run here
        (HELD, KERNEL, True, Level.PASS),  # this is one of them
        (HELD, OLD, True, Level.FAIL),
        (AS_GUEST, KERNEL, True, Level.PASS),
        (AS_GUEST, OLD, True, Level.FAIL),
        (Vhost(vsock=False, net=True), OLD, False, Level.PASS),
    ],
)
def test_another_transport_is_in_the_way_by_its_side_and_the_kernel(
    devices: Vhost, kernel: Kernel, level: Level, *, guest: bool
) -> None:
    kvm = Kvm(device=True, guest=guest)
    found = one(kata_host.vsock_conflict, devices, kernel, kvm, modules("vhost_vsock"))
    assert found.level is level
    if level is Level.FAIL:
        assert "modprobe -r vmw_vsock_" in text(found)
        assert found.yours
    loaded = replace(modules("vhost_vsock"), loaded=frozenset({"vhost_vsock"}))
    assert one(kata_host.vsock_conflict, devices, kernel, kvm, loaded).level is Level.PASS


def test_shared_memory_with_room_passes() -> None:
    assert one(kata_host.shm, Shm(90 * GIB, 100 * GIB)).found == "90.0 GiB of 100.0 GiB memory"


def test_the_default_half_warns_with_the_mount_to_make() -> None:
    found = one(kata_host.shm, Shm(50 * GIB, 100 * GIB))
    assert (found.level, found.found) == (Level.WARN, "50.0 GiB of 100.0 GiB memory")
    assert text(found).startswith("mount -o remount,size=92160M /dev/shm")
    assert "kvm run failed Bad address" in found.cause


def test_a_limit_beyond_what_hugepages_leave_warns() -> None:
    found = one(kata_host.shm, Shm(503 * GIB, 1007 * GIB, 906 * GIB))
    assert (found.level, found.wanted) == (Level.WARN, "at most 101.0 GiB")
    assert found.found == "503.0 GiB of 1007.0 GiB memory, of which 906.0 GiB are hugepages"


@pytest.mark.parametrize(("size", "said"), [(0, "no tmpfs at /dev/shm"), (64 * 1024, "0.1 GiB of 100.0 GiB memory")])
def test_no_room_for_one_guest_fails(size: int, said: str) -> None:
    found = one(kata_host.shm, Shm(size, 100 * GIB))
    assert (found.level, found.found) == (Level.FAIL, said)


def test_a_small_machine_s_half_boots_a_guest_and_warns() -> None:
    found = one(kata_host.shm, Shm(2 * GIB - 1024, 4 * GIB))
    assert (found.level, found.wanted) == (Level.WARN, "room for one guest at least, 2 GiB")


def test_shared_memory_matters_to_qemu_without_hugepages_only() -> None:
    tight = Shm(50 * GIB, 100 * GIB)
    assert judge(kata_host.shm, tight, settings=("runtimes=[runc, kata-clh]",)) == []
    assert (
        judge(kata_host.shm, tight, KataTrees((TREE,)), KataConfigs((KataConfig(CONFIGS[1], "qemu", hugepages=True),)))
        == []
    )
    assert judge(kata_host.shm, tight, KataTrees((TREE,)), KataConfigs((KataConfig(CONFIGS[1], "qemu"),))) != []
