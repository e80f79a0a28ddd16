"""Drivers: NVIDIA's is not on the host, VFIO's is there, and guests may lock their memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.gpu_memlock import Memlock
from caasctl.facts.gpu_vfio import VfioNodes
from caasctl.facts.os import Kernel, KernelConfig, Modules, OsRelease
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.gpu import NVIDIA, VFIO_PCI, is_gpu, is_switch, selection, to_bind
from caasctl.profile import NodeProfile

_VFIO = {"vfio": "VFIO", "vfio_pci": "VFIO_PCI", "vfio_iommu_type1": "VFIO_IOMMU_TYPE1"}
_NVIDIA_DRIVER = "nvidia"
_UNINSTALL = "/usr/bin/nvidia-uninstall"
_CONTAINER_TOOLS = ("/usr/bin/nvidia-ctk", "/usr/bin/nvidia-container-runtime")
_DEBIANS = frozenset({"debian", "ubuntu"})


def _concerns(facts: Facts, profile: NodeProfile) -> bool:
    """Whether a card of NVIDIA's is to be passed through: elsewhere its driver is nobody's business."""
    return any(function.vendor == NVIDIA for function in selection(facts, profile))


@check(
    "gpu.no_host_driver",
    "NVIDIA's driver is not loaded on the host",
    reads=(PciFunctions, PciDetails, NvidiaLeftovers),
    why="Guests bring their own driver. The host's takes every card at boot before anybody else can, and its daemons keep them "
    "open, so that an unbind hangs.",
    fix="Remove the driver's packages, update the initramfs, reboot; where the profile leaves a card or NVSwitches to the host, "
    "keep it for those and take it from the others only.",
    source="https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-kata.html",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def no_host_driver(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/sys/module/nvidia*, /proc/driver/nvidia, and the driver of each GPU and NVSwitch, selected or left to the host."""
    if not _concerns(facts, profile):
        return
    found, keep = facts[NvidiaLeftovers], _staying(facts, profile)
    drives = [f.address for f in selection(facts, profile) if f.driver == _NVIDIA_DRIVER]
    if not (found.loaded or drives):
        yield passed("not loaded")
        return
    said = f"{' '.join(found.loaded)} {found.version}".strip() + (f", drives {', '.join(drives)}" if drives else "")
    evidence = (Evidence("/sys/module", " ".join(found.loaded)),) if found.loaded else ()
    kept = _names(keep)
    if keep and drives:
        yield failed(said, wanted=f"on none but {kept}, which the profile leaves to the host", fix=_unbind(drives), evidence=evidence)  # fmt: skip
    elif any(function.driver == _NVIDIA_DRIVER for function in keep):
        yield passed(f"{said}; for {kept}, which the profile leaves to the host", evidence=evidence)
    elif keep:
        yield warned(said, wanted="none of NVIDIA's modules", fix=_either(kept), evidence=evidence)
    else:
        remove = _removal(facts, found)
        fix = remove if profile.spec.gpu.passthrough == "required" else _choice(remove)
        yield failed(said, wanted="none of NVIDIA's modules", fix=fix, evidence=evidence)


def _staying(facts: Facts, profile: NodeProfile) -> tuple[PciFunction, ...]:
    """NVIDIA's GPUs and switches that are the host's: what its driver may be there for."""
    chosen, every = selection(facts, profile), facts[PciFunctions].functions
    own = (f for f in every if f.vendor == NVIDIA and (is_gpu(f) or is_switch(f)))
    return tuple(f for f in own if f not in chosen and f.driver != VFIO_PCI)


def _names(functions: tuple[PciFunction, ...]) -> str:
    return ", ".join(f"{f.address}{' (NVSwitch)' if is_switch(f) else ''}" for f in functions)


def _unbind(addresses: list[str]) -> Fix:
    each = f"for a in {' '.join(addresses)}; do echo $a >/sys/bus/pci/drivers/nvidia/unbind; done"
    return Fix(f"stop what has these cards open (fuser -v /dev/nvidia*), then: {each}", FixKind.EDIT)


def _either(kept: str) -> Fix:
    return Fix(f"keep it where {kept} is to have it; else remove NVIDIA's driver as it was installed", FixKind.EDIT)


def _choice(removal: Fix) -> Fix:
    """Nobody has asked for guests with GPUs by name: whose containers of runc use them must not read `purge` alone."""
    return replace(removal, kind=FixKind.EDIT, text="leave the GPUs to the host and its driver: --set 'gpu.passthrough=\"off\"'; or, where "
                   f"guests are to have them: {removal.text}")  # fmt: skip


def _removal(facts: Facts, found: NvidiaLeftovers) -> Fix:
    release = facts.get(OsRelease)
    debian = bool(release and _DEBIANS.intersection({release.id, *release.id_like}))
    if found.packages:
        return Fix(f"apt-get purge -y {' '.join(found.packages)} && update-initramfs -u -k all", needs_reboot=True)
    if _UNINSTALL in found.tools:
        return Fix("nvidia-uninstall --silent", needs_reboot=True)
    if debian or release is None:
        return Fix("remove NVIDIA's driver as it was installed (no package of dpkg and no nvidia-uninstall is here)",
                   FixKind.EDIT, needs_reboot=True)  # fmt: skip
    return Fix("dnf remove -y '*nvidia*' && dracut -f --regenerate-all", needs_reboot=True)


@check(
    "gpu.leftovers",
    "Nothing of NVIDIA's is left that loads its driver again",
    reads=(PciFunctions, PciDetails, NvidiaLeftovers),
    why="DKMS builds the driver anew for the next kernel, a package's unit loads it at the next boot, and the container toolkit's "
    "runtime and CDI files name devices that this host no longer has.",
    fix="Remove packages, DKMS trees and units.",
    source="NVIDIA driver installation guide; NVIDIA/nvidia-container-toolkit",
    after=("iommu.firmware", "iommu.enabled", "gpu.no_host_driver"),
)
def leftovers(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/var/lib/dkms, /var/lib/dpkg/status, enabled units, nvidia-ctk and its like, /run/nvidia."""
    if not _concerns(facts, profile):
        return
    found = facts[NvidiaLeftovers]
    kinds = (("package", found.packages), ("DKMS tree", found.dkms), ("unit", found.units),
             ("program", found.tools), ("the GPU operator's", (found.operator,) if found.operator else ()))  # fmt: skip
    said = [f"{kind} {name}" for kind, names in kinds for name in names]
    keep = _staying(facts, profile)
    if not said:
        yield passed("none")
    elif any(function.driver == _NVIDIA_DRIVER for function in keep):
        yield passed(f"{', '.join(said)}; for {_names(keep)}, which the profile leaves to the host")
    else:
        yield warned(", ".join(said), wanted="none", fix=_either(_names(keep)) if keep else _clean(found))


def _clean(found: NvidiaLeftovers) -> Fix:
    if found.packages:
        return Fix(f"apt-get purge -y {' '.join(found.packages)}")
    if _UNINSTALL in found.tools:
        return Fix("nvidia-uninstall --silent")
    if found.units:
        return Fix(f"systemctl disable --now {' '.join(found.units)}")
    if found.dkms:
        name = found.dkms[0]
        return Fix(f"for v in /var/lib/dkms/{name}/[0-9]*; do dkms remove {name}/${{v##*/}} --all; done")
    if found.tools:
        return Fix(_tools(found.tools), FixKind.EDIT)
    return Fix(f"uninstall the GPU operator, if it still runs; {found.operator} goes with the next boot", FixKind.WAIT)


def _tools(paths: tuple[str, ...]) -> str:
    if any(path in _CONTAINER_TOOLS for path in paths):
        return "remove the package nvidia-container-toolkit"
    return f"remove what brought {paths[0]} (dpkg -S, rpm -qf name the package)"


@check(
    "gpu.vfio_modules",
    "The kernel has VFIO",
    reads=(PciFunctions, PciDetails, PciUse, Modules),
    why="Without them no device goes to a guest: `failed to open /dev/vfio/vfio`, `No available IOMMU models`.",
    fix="Phase gpu loads them; where the kernel has none, boot the distribution's own kernel with all its modules.",
    source="https://docs.kernel.org/driver-api/vfio.html",
    fixed_by="gpu",
    after=("iommu.firmware", "iommu.enabled"),
    gates=("gpu",),
)
def vfio_modules(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """vfio, vfio_pci and vfio_iommu_type1: /proc/modules, /sys/module, modules.builtin, modules.dep, the kernel's options."""
    if not to_bind(facts, profile):
        return
    modules, config = facts[Modules], facts.get(KernelConfig)
    here = modules.loaded | modules.builtin
    wanted = [name for name in _VFIO if name not in here]
    missing = [name for name in wanted if name not in modules.available]
    if missing:
        built = config.options if config else {}
        as_module = [name for name in missing if built.get(_VFIO[name]) == "m"]
        yield failed(f"this kernel has no {', '.join(missing)}", wanted=", ".join(_VFIO),
                     fix=_kernel(facts, packaged=bool(as_module)), fixed_by="")  # fmt: skip
    elif wanted:
        yield failed(f"not loaded: {', '.join(wanted)}", wanted=", ".join(_VFIO), fix=Fix("caasctl init-node"))
    else:
        yield passed(", ".join(f"{name}{'' if name in modules.loaded else ' (built in)'}" for name in _VFIO))
        yield from _character_devices(facts, profile)


def _character_devices(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """NVIDIA's plugin goes by /dev/iommu alone: it then gives out nodes that such a kernel does not make."""
    nodes = facts.get(VfioNodes)
    bound = any(function.driver == VFIO_PCI for function in to_bind(facts, profile))
    if nodes and bound and nodes.iommufd and not nodes.devices:
        yield warned("/dev/iommu is there, /dev/vfio/devices is not", wanted="both or neither", subject="character devices",
                     cause="The kernel has IOMMUFD and no VFIO_DEVICE_CDEV (6.2 to 6.5, or built so): NVIDIA's device plugin fails with "
                     "`iommufd device not available for device`.",
                     fix=Fix("boot a kernel of 6.6 or newer that is built with CONFIG_VFIO_DEVICE_CDEV=y", FixKind.EDIT, needs_reboot=True),
                     fixed_by="")  # fmt: skip


def _kernel(facts: Facts, *, packaged: bool) -> Fix:
    kernel, release = facts.get(Kernel), facts.get(OsRelease)
    name = kernel.release if kernel else "$(uname -r)"
    if packaged and release and release.id == "ubuntu":
        return Fix(f"apt-get install -y linux-modules-extra-{name}")
    if packaged:
        return Fix(f"install the modules of kernel {name} (they are built, and not on this disk)", FixKind.EDIT)
    return Fix("boot the distribution's own kernel, built with CONFIG_VFIO_PCI", FixKind.EDIT, needs_reboot=True)


@check(
    "gpu.memlock",
    "Guests may lock the memory that their GPU reaches",
    reads=(PciFunctions, PciDetails, Memlock),
    why="VFIO pins all memory of the guest. Root may; Kata without root is stopped: `VFIO_MAP_DMA failed: Cannot allocate memory`, "
    "and in the kernel's log `RLIMIT_MEMLOCK exceeded`.",
    fix="Give containerd LimitMEMLOCK=infinity, or run Kata's guests as root.",
    source="Linux drivers/vfio/vfio_iommu_type1.c; systemd.exec(5)",
)
def memlock(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The key rootless in Kata's configuration files for QEMU; LimitMEMLOCK in containerd's unit and its drop-ins."""
    found = facts[Memlock]
    if not found.rootless or not selection(facts, profile):
        return
    if found.limit == "infinity":
        yield passed("LimitMEMLOCK=infinity")
        return
    fix = Fix("mkdir -p /etc/systemd/system/containerd.service.d && printf '[Service]\\nLimitMEMLOCK=infinity\\n' > "
              "/etc/systemd/system/containerd.service.d/memlock.conf && systemctl daemon-reload && systemctl restart containerd")  # fmt: skip
    yield failed(
        f"LimitMEMLOCK={found.limit or '(default, 8 MiB)'}, rootless in {found.rootless[0]}", wanted="infinity", fix=fix
    )


CHECKS = (no_host_driver, leftovers, vfio_modules, memlock)
