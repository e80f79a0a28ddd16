"""What Kata needs of the host: KVM that really opens, the vhost devices, room in /dev/shm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from caasctl.facts.kata import KataConfigs
from caasctl.facts.kata_host import Kvm, KvmOpens, Shm, Vhost
from caasctl.facts.os import Cpu, Kernel, Modules, OsRelease, Privileges
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.containerd import handlers as in_effect
from caasctl.needs.containerd import kata_tree
from caasctl.profile import NodeProfile

_GUEST_KIB = 2 * 1024 * 1024  # default_memory of Kata's configurations, 2048 MiB
_BOOTS_KIB = 512 * 1024  # a guest's kernel and agent; /dev/shm fills as a guest touches its memory, not when it starts
_ENOUGH = 0.75  # of the memory that is no hugepages
_FIRMWARE = {
    "GenuineIntel": "Advanced > CPU: Intel Virtualization Technology (VMX): Enabled",
    "AuthenticAMD": "Advanced > CPU: SVM Mode: Enabled",
}
_TWO_SIDES = (5, 5)  # kernels that keep a guest's and a host's transport apart
_MODULE = {"GenuineIntel": "kvm_intel", "AuthenticAMD": "kvm_amd"}


@check(
    "kata.kvm",
    "KVM works on this host",
    reads=(Kvm, KvmOpens, Cpu),
    why="Every Kata guest is a virtual machine: without KVM the sandbox fails with `Could not access KVM kernel module` or"
    " `failed to create VM: Kvm(...)`.",
    fix="Enable virtualisation in the firmware (or nested virtualisation on the hypervisor), load kvm_intel or kvm_amd.",
    source="kata-containers: src/runtime/cmd/kata-runtime/kata-check_amd64.go",
    gates=("kata",),
)
def kvm(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/dev/kvm is opened; CPU flags vmx and svm, /sys/module/kvm_*, nested."""
    if not profile.kata_handlers:
        return
    device, error = facts[Kvm], facts[KvmOpens].error
    privileges = facts.get(Privileges)
    if device.device and not error and facts[Cpu].vendor in _MODULE and not facts[Cpu].flags & {"vmx", "svm"}:
        yield _without_flags(device, facts[Cpu])
    elif device.device and not error:
        nested = ", inside a virtual machine (nested)" if device.guest else ""
        yield passed(f"/dev/kvm opens, {device.module or 'built in'}{nested}")
    elif device.device and error == "Permission denied" and privileges and not privileges.root:
        yield unknown("/dev/kvm: permission denied (needs root)", fix=Fix("run as root"))
    elif device.device:
        yield failed(
            f"/dev/kvm does not open: {error}",
            wanted="it opens",
            fix=Fix("chown root:kvm /dev/kvm && chmod 0660 /dev/kvm")
            if error == "Permission denied"
            else _enable(device, facts[Cpu]),
            evidence=(Evidence("/dev/kvm", error),),
        )
    else:
        fixed_by = "host" if _only_to_load(device, facts) else ""
        yield failed("/dev/kvm is not there", wanted="/dev/kvm", fix=_enable(device, facts[Cpu]), fixed_by=fixed_by)


def _only_to_load(device: Kvm, facts: Facts) -> bool:
    """Whether phase host brings it: it loads the processor's KVM module, where the processor has the flag (os.modules)."""
    modules, module = facts.get(Modules), _MODULE.get(facts[Cpu].vendor, "")
    able = bool(facts[Cpu].flags & {"vmx", "svm"}) and device.module != module
    return able and modules is not None and module in modules.available - modules.loaded


def _without_flags(device: Kvm, cpu: Cpu) -> Finding:
    return warned(
        f"/dev/kvm opens ({device.module or 'built in'}), but the CPU shows neither vmx nor svm",
        wanted="vmx or svm among the CPU's flags",
        fix=_enable(device, cpu),
        cause="A device that opens proves little: without the CPU's help guests may start and hang, and Kata's own check says"
        " `System is not capable of running Kata Containers`.",
    )


def _enable(device: Kvm, cpu: Cpu) -> Fix:
    """The first thing in the way: the processor's flag, then the module."""
    module = _MODULE.get(cpu.vendor, "kvm")
    if cpu.flags & {"vmx", "svm"}:
        loaded = device.module == module
        return Fix(f"modprobe {'-r ' + module + ' && modprobe ' if loaded else ''}{module} && dmesg | grep -i kvm")
    if device.guest:
        host = module if module != "kvm" else "kvm_intel"
        return Fix(
            f"on the hypervisor: nested virtualisation on (`options {host} nested=1`), this machine's CPU as host-passthrough",
            FixKind.EDIT,
            needs_reboot=True,
        )
    text = _FIRMWARE.get(cpu.vendor, "virtualisation (VT-x, SVM): Enabled")
    return Fix(text, FixKind.FIRMWARE, needs_reboot=True)


@check(
    "kata.vsock_conflict",
    "Nothing else holds the host's side of vsock",
    reads=(Vhost, Modules, Kernel),
    why="One transport only can be the host's side: with VMware's there, /dev/vhost-vsock is a node without a driver. Pods fail with"
    " `open /dev/vhost-vsock: no such device`, and `modprobe vhost_vsock` says `Device or resource busy`.",
    fix="Unload the other transport and keep it from being loaded (a blacklist line in /etc/modprobe.d), then load vhost_vsock.",
    source="kata-containers#1327, #3459; kernel: net/vmw_vsock/af_vsock.c, vsock_core_register, since 5.5",
    gates=("host", "kata"),
)
def vsock_conflict(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Transports in /sys/module, vhost_vsock among the modules that are loaded, the kernel, whether this is a guest."""
    modules, held = facts[Modules], _held(facts)
    if not profile.kata_handlers:
        return
    if "vhost_vsock" in modules.loaded | modules.builtin or not held:
        yield passed(
            "vhost_vsock is loaded"
            if "vhost_vsock" in modules.loaded | modules.builtin
            else "no other transport in the way"
        )
        return
    alone = "Before 5.5 the kernel takes one transport only." if facts[Kernel].version < _TWO_SIDES else ""
    yield failed(
        f"{held} is loaded and holds vsock",
        wanted="vhost_vsock",
        subject="/dev/vhost-vsock",
        fix=Fix(
            f"echo 'blacklist {held}' > /etc/modprobe.d/kata-vsock.conf && modprobe -r {held} && modprobe vhost_vsock"
        ),
        cause=f"`modprobe vhost_vsock` says `Device or resource busy` as long as it is there. {alone}".strip(),
        evidence=(Evidence(f"/sys/module/{held}", "loaded"),),
    )


def _held(facts: Facts) -> str:
    """The module in the way. Since 5.5 a guest's own transport is no rival: the two sides are registered apart, and VMware's
    takes the host's only where VMware's guests run here.
    """
    devices, kvm = facts[Vhost], facts.get(Kvm)
    if facts[Kernel].version < _TWO_SIDES:
        return next(iter((*devices.vmware, *devices.of_guest)), "")
    return next(iter(devices.vmware), "") if not (kvm and kvm.guest) else ""


@check(
    "kata.vhost",
    "Kata can talk to its guests",
    reads=(Vhost, Modules),
    after=("kata.vsock_conflict",),
    why="Shim and guest agent speak over vsock, and the guest's network goes through vhost-net: a pod fails with"
    " `host system doesn't support vsock: stat /dev/vhost-vsock` or `open /dev/vhost-net: no such file`.",
    fix="Load vhost_vsock and vhost_net now and at every boot (/etc/modules-load.d).",
    source="kata-containers#560, kata-containers#3459, kata-containers#6451",
    fixed_by="host",
    gates=("kata",),
)
def vhost(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/dev/vhost-vsock, /dev/vhost-net, the modules loaded and available."""
    if not profile.kata_handlers:
        return
    devices, modules = facts[Vhost], facts[Modules]
    pairs = (("/dev/vhost-vsock", "vhost_vsock", devices.vsock), ("/dev/vhost-net", "vhost_net", devices.net))
    missing = {path: module for path, module, there in pairs if not there}
    there = modules.available | modules.loaded | modules.builtin
    loadable = {path: module for path, module in missing.items() if module in there}
    lacking = {path: module for path, module in missing.items() if module not in there}
    if loadable:
        yield _load(loadable)
    if lacking:
        yield _no_module(lacking, modules, facts.get(OsRelease))
    if all(present for _, _, present in pairs):
        yield passed("/dev/vhost-vsock, /dev/vhost-net")


def _load(devices: Mapping[str, str]) -> Finding:
    return failed(
        f"not there: {', '.join(devices)}; the modules can be loaded",
        wanted=" and ".join(devices),
        fix=Fix(f"modprobe -a {' '.join(devices.values())}"),
    )


def _no_module(devices: Mapping[str, str], modules: Modules, os: OsRelease | None) -> Finding:
    release = modules.folder.rpartition("/")[2]
    names = " ".join(devices.values())
    if os and os.id == "ubuntu" and release:
        fix = Fix(f"apt-get install linux-modules-extra-{release} && modprobe -a {names}")
    else:
        options = " ".join(f"CONFIG_{module.upper()}=m" for module in devices.values())
        fix = Fix(f"boot a kernel that has {options}", FixKind.EDIT, needs_reboot=True)
    return failed(
        f"not there: {', '.join(devices)}; this kernel has no module {' and no module '.join(devices.values())}",
        wanted=" and ".join(devices),
        fix=fix,
        fixed_by="",
    )


@check(
    "kata.shm",
    "Guests' memory fits into /dev/shm",
    reads=(Shm,),
    why="QEMU keeps a guest's memory in /dev/shm: its limit, half of the memory by default, is the limit of all guests"
    " together, which the scheduler does not know. Beyond it guests die with `kvm run failed Bad address`.",
    fix="Give /dev/shm in /etc/fstab the size that pods may have, or let guests use hugepages (enable_hugepages).",
    source="kata-containers#12919",
)
def shm(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The size of the tmpfs at /dev/shm in /proc/mounts, MemTotal and Hugetlb in /proc/meminfo."""
    handlers = [name for name in in_effect(facts, profile) if "qemu" in name]
    if not handlers or _all_on_hugepages(facts, profile, handlers):
        return
    room = facts[Shm]
    usable = room.memory_kib - room.hugetlb_kib
    found = f"{_gib(room.size_kib)} of {_gib(room.memory_kib)} memory"
    if room.hugetlb_kib:
        found += f", of which {_gib(room.hugetlb_kib)} are hugepages"
    fix = _resize(max(usable * 9 // 10, 0), room)
    if room.size_kib < _GUEST_KIB:
        found = found if room.size_kib else "no tmpfs at /dev/shm"
        make = failed if room.size_kib < _BOOTS_KIB else warned
        yield make(found, wanted="room for one guest at least, 2 GiB", fix=fix)
    elif room.size_kib > usable:
        yield warned(
            found,
            wanted=f"at most {_gib(usable)}",
            fix=fix,
            cause="The limit is beyond what hugepages leave: guests are started and then killed for lack of memory, as"
            " hugepages that are reserved cannot back /dev/shm.",
        )
    elif room.size_kib < usable * _ENOUGH:
        yield warned(found, wanted=f"about {_gib(usable * 9 // 10)}", fix=fix)
    else:
        yield passed(found)


def _all_on_hugepages(facts: Facts, profile: NodeProfile, handlers: list[str]) -> bool:
    """Whether every QEMU handler runs on a configuration that takes hugepages instead."""
    configs, tree = facts.get(KataConfigs), kata_tree(facts, profile)
    found = [configs.in_effect(handler, tree) if configs else None for handler in handlers]
    return all(config is not None and config.hugepages for config in found)


def _resize(size_kib: int, room: Shm) -> Fix:
    size = f"{max(size_kib // 1024, 1)}M"
    mount = "remount," if room.size_kib else ""
    device = "/dev/shm" if room.size_kib else "-t tmpfs tmpfs /dev/shm"  # noqa: S108 - a mount point
    return Fix(
        f"mount -o {mount}size={size} {device}   # and in /etc/fstab: tmpfs /dev/shm tmpfs defaults,size={size} 0 0"
    )


def _gib(kib: int) -> str:
    return f"{kib / 1024 / 1024:.1f} GiB"


CHECKS: tuple[Check, ...] = (kvm, vsock_conflict, vhost, shm)
