"""Hosts by their hardware: the PCI functions of each as a table, after field reports and, for the virtual machine, the real thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.lab.pci_tree import ACS_OFF, GEN5_X16, GIB, MIB, Function, build, gpu, link, port, text

NVME = Function("0000:02:00.0", "144d:a80a", "010802", "nvme", "14", ("0000:00:01.0",), resets="flr")
BMC = Function(
    "0000:03:00.0", "1a03:2000", "030000", "ast", "15", ("0000:00:1c.0",), files={"boot_vga": "1\n"}, resets=""
)
NIC = Function("0000:4b:00.0", "15b3:101d", "020000", "mlx5_core", "96", ("0000:4a:02.0",), resets="flr")
BOARD = (port("0000:00:01.0", "1"), NVME, port("0000:00:1c.0", "2"), BMC, port("0000:4a:02.0", "95"), NIC)


def _a10(address: str, above: str, group: str, numa: int) -> tuple[Function, Function]:
    return port(above, f"{int(group) - 1}", numa=numa), gpu(
        address, "10de:2236", group, (above,), driver="vfio-pci", numa=numa
    )


# A hypervisor of a field report: four A10s below four root ports, bound by hand.
FOUR_A10 = (
    *BOARD,
    *_a10("0000:17:00.0", "0000:16:02.0", "25", 0),
    *_a10("0000:31:00.0", "0000:30:02.0", "31", 0),
    *_a10("0000:b1:00.0", "0000:b0:02.0", "182", 1),
    *_a10("0000:ca:00.0", "0000:c9:02.0", "188", 1),
)


def _hgx(*, shared: bool) -> tuple[Function, ...]:
    """Eight H100 below switches, and four NVSwitches: in one group where the switch above them has no ACS."""
    found: list[Function] = list(BOARD)
    for number in range(8):
        bus = 0x50 + number * 8
        root, up, down = (f"0000:{bus + at:02x}:{'01' if at == 0 else '00'}.0" for at in range(3))
        found += [port(root, f"{100 + number * 4}"), port(up, f"{101 + number * 4}", under=(root,), acs=None),
                  port(down, f"{102 + number * 4}", under=(root, up)),
                  gpu(f"0000:{bus + 3:02x}:00.0", "10de:2330", f"{103 + number * 4}", (root, up, down),
                      numa=number // 4, memory=128 * GIB)]  # fmt: skip
    above = ("0000:a0:01.0", "0000:a1:00.0")
    found += [
        port(above[0], "70", acs=None if shared else (0x5F, 0x1D)),
        port(above[1], "70", under=above[:1], acs=None),
    ]
    for number in range(4):
        down = f"0000:a2:{number:02x}.0"
        group = "70" if shared else f"{71 + number}"
        found += [port(down, group, under=above, acs=None if shared else (0x5F, 0x1D)),
                  Function(f"0000:{0xa3 + number:02x}:00.0", "10de:22a3", "068000", "", group, (*above, down), resets="",
                           bars=(32 * MIB,), link=GEN5_X16)]  # fmt: skip
    if shared:
        found.append(Function("0000:a7:00.0", "11f8:4128", "058000", "", "70", above, resets=""))
    return tuple(found)


HGX_ONE_GROUP, HGX_OWN_GROUPS = _hgx(shared=True), _hgx(shared=False)

# A workstation card with the plug for a headset: four functions in one group. The board's own display has the console.
_CARD, _ABOVE = "0000:65:00", ("0000:64:00.0",)
WORKSTATION = (
    *BOARD,
    port(_ABOVE[0], "40"),
    gpu(f"{_CARD}.0", "10de:1e30", "41", _ABOVE, driver="nouveau", class_code="030000", memory=256 * MIB,
        files={"boot_vga": "0\n"}),
    Function(f"{_CARD}.1", "10de:10f7", "040300", "snd_hda_intel", "41", _ABOVE, resets=""),
    Function(f"{_CARD}.2", "10de:1ad6", "0c0330", "xhci_hcd", "41", _ABOVE, resets=""),
    Function(f"{_CARD}.3", "10de:1ad7", "0c8000", "nvidia-gpu", "41", _ABOVE, resets=""),
)  # fmt: skip

# An AMD host with two models, one of them in a group with a disk behind a switch without ACS.
AMD_TWO_MODELS = (
    port("0000:40:01.1", "50"),
    gpu("0000:41:00.0", "10de:2331", "51", ("0000:40:01.1",), memory=128 * GIB),
    port("0000:80:01.1", "42", acs=(0x5F, 0x1D), numa=1),
    gpu("0000:83:00.0", "10de:26b9", "42", ("0000:80:01.1",), memory=64 * GIB, numa=1),
    Function("0000:84:00.0", "144d:a80a", "010802", "nvme", "42", ("0000:80:01.1",), 1),
)

# One accelerator of AMD's: no display, though a GPU.
MI300 = (
    *BOARD,
    port("0000:04:01.1", "50"),
    gpu("0000:05:00.0", "1002:74a1", "51", ("0000:04:01.1",), driver="amdgpu", class_code="120000", memory=256 * GIB),
)

# One of the four A10s fell off the bus: its registers read as all ones.
FELL_OFF = tuple(
    replace(f, link=("Unknown", "63", "Unknown", "63")) if f.address == "0000:b1:00.0" else f for f in FOUR_A10
)

# The only display is the GPU: firmware and console are on it.
BOOT_VGA = (
    port(_ABOVE[0], "40"),
    gpu(f"{_CARD}.0", "10de:2484", "41", _ABOVE, driver="nouveau", class_code="030000", memory=256 * MIB,
        files={"boot_vga": "1\n"}),
    Function(f"{_CARD}.1", "10de:228b", "040300", "snd_hda_intel", "41", _ABOVE, resets=""),
)  # fmt: skip

# NCCL's tuning cleared ACS of one port, and one card sits in a slot with half its lanes.
TUNED = tuple(
    replace(f, acs=ACS_OFF, link=("16.0 GT/s PCIe", "8", "16.0 GT/s PCIe", "8")) if f.address == "0000:30:02.0"
    else replace(f, link=("16.0 GT/s PCIe", "8", "16.0 GT/s PCIe", "16")) if f.address == "0000:31:00.0" else f
    for f in FOUR_A10
)  # fmt: skip


def _virtio(slot: int, device: str, code: str) -> Function:
    return Function(f"0000:00:0{slot}.0", f"1af4:{device}", code, "virtio-pci", numa=-1, bars=(512 << 10,), resets="")


VM_WITH_NOTHING = (
    Function("0000:00:00.0", "8086:0d57", "060000", numa=-1, resets=""),
    _virtio(1, "1042", "018000"),
    _virtio(3, "1041", "020000"),
)
# A cloud's virtual machine with one H100 of an HGX board, NVIDIA's driver on it, and no IOMMU: as it was recorded.
VM_WITH_H100 = (
    *VM_WITH_NOTHING,
    Function("0000:00:06.0", "10de:2330", "030200", "nvidia", numa=-1, bars=(16 * MIB, 0, 128 * GIB, 0, 32 * MIB),
             link=GEN5_X16, resets="flr"),
)  # fmt: skip


def write(top: Path, functions: tuple[Function, ...], *, iommu: str = "DMAR") -> Path:
    """The tree of a whole host: PCI, the IOMMU that the firmware announces, a kernel with VFIO loaded, mounted disks."""
    build(top, functions)
    if iommu:
        text(top, f"/sys/firmware/acpi/tables/{iommu}", iommu.encode() + bytes(33) + b"\x01" + bytes(10))
        text(top, f"/sys/class/iommu/{'ivhd0' if iommu == 'IVRS' else 'dmar0'}/address", "")
        text(top, "/proc/interrupts", "           CPU0\n  24:          0  IR-PCI-MSI 458752-edge      PCIe PME\n")
    else:  # as a virtual machine without one
        text(top, "/sys/firmware/acpi/tables/FACP", "")
        text(top, "/proc/cpuinfo", "processor : 0\nvendor_id : GenuineIntel\nflags : fpu hypervisor\n")
    text(top, "/proc/sys/kernel/osrelease", "6.12.43+deb13-amd64\n")
    text(top, "/proc/modules", "vfio_pci 16384 0 - Live 0x0\nvfio_iommu_type1 49152 0 - Live 0x0\n"
         "vfio 65536 2 vfio_pci,vfio_iommu_type1, Live 0x0\n")  # fmt: skip
    text(top, "/proc/cmdline", "root=/dev/nvme0n1p2 ro\n")
    text(top, "/proc/self/mountinfo", "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n")
    disks = [f for f in functions if f.class_code.startswith("0108")]
    for disk in disks[:1]:
        path = "/".join((f"/sys/devices/pci{(*disk.under, disk.address)[0][:-5]}", *disk.under, disk.address))
        link(top, "/sys/dev/block/259:2", f"{path}/nvme/nvme0/nvme0n1/nvme0n1p2")
    for function in functions:
        if function.driver == "vfio-pci":
            text(top, f"/dev/vfio/{function.group}", "")
            text(top, "/dev/vfio/vfio", "")
    return top
