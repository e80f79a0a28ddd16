"""The IOMMU and PCI functions from trees as sysfs has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.gpu import PciFunction, PciFunctions, parse_uevent, read_functions
from caasctl.facts.iommu import parse_interrupts, read_iommu
from caasctl.host import LiveHost
from caasctl.profile import GpuSelector, GpuSpec

REMAPPED = """           CPU0       CPU1
   8:          1          0  IR-IO-APIC    8-edge      rtc0
  24:          0          9  IR-PCI-MSI 458752-edge      PCIe PME
 NMI:          0          0   Non-maskable interrupts
"""
A10 = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25", 0)
NVME = PciFunction("0000:01:00.0", "144d", "a80a", "010802", "nvme", "14", 0)


def write(top: Path, path: str, data: bytes) -> None:
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (REMAPPED, True),
        (REMAPPED.replace("IR-", ""), False),
        (REMAPPED.replace("IR-IO-APIC", "GICv3").replace("IR-PCI-MSI", "ITS-PCI-MSI"), None),
        ("", None),
        ("garbage\n", None),
    ],
)
def test_remapped_chips_begin_with_ir(text: str, found: bool | None) -> None:  # noqa: FBT001 - a table's column
    assert parse_interrupts(text) is found


def test_an_intel_host(tmp_path: Path) -> None:
    write(tmp_path, "/sys/firmware/acpi/tables/DMAR", b"DMAR" + bytes(33) + b"\x01" + bytes(10))
    write(tmp_path, "/sys/firmware/acpi/tables/FACP", b"")
    write(tmp_path, "/sys/class/iommu/dmar0", b"")
    write(tmp_path, "/sys/kernel/iommu_groups/0/type", b"DMA-FQ\n")
    write(tmp_path, "/sys/kernel/iommu_groups/1/type", b"identity\n")
    write(tmp_path, "/proc/interrupts", REMAPPED.encode())
    iommu = read_iommu(LiveHost(str(tmp_path)))
    assert (iommu.tables, iommu.units, iommu.groups) == (("DMAR",), ("dmar0",), 2)
    assert iommu.group_types == {"DMA-FQ": 1, "identity": 1}
    assert (iommu.remapping, iommu.firmware_remapping) == (True, True)


def test_a_host_with_nothing_readable_has_no_iommu(tmp_path: Path) -> None:
    iommu = read_iommu(LiveHost(str(tmp_path)))
    assert (iommu.tables, iommu.acpi, iommu.units, iommu.remapping) == ((), False, (), None)
    write(tmp_path, "/sys/firmware/acpi/tables/DMAR", b"DMAR")
    assert read_iommu(LiveHost(str(tmp_path))).firmware_remapping is None


def test_a_function_of_a_real_sysfs(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/pci/devices/0000:31:00.0"
    event = b"DRIVER=vfio-pci\nPCI_CLASS=30200\nPCI_ID=10DE:2236\nPCI_SLOT_NAME=0000:31:00.0\n"
    write(tmp_path, "/sys/bus/pci/devices/0000:31:00.0/uevent", event)
    write(tmp_path, "/sys/bus/pci/devices/0000:31:00.0/numa_node", b"0\n")
    (folder / "iommu_group").symlink_to("../../../../kernel/iommu_groups/25")
    assert read_functions(LiveHost(str(tmp_path))).functions == (A10,)


def test_a_function_of_a_tree_made_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/pci/devices/0000:31:00.0"
    for name, text in (("vendor", "0x10de\n"), ("device", "0x2236\n"), ("class", "0x030200\n")):
        write(tmp_path, f"/sys/bus/pci/devices/0000:31:00.0/{name}", text.encode())
    (folder / "driver").symlink_to("../../../../bus/pci/drivers/nouveau")
    (function,) = read_functions(LiveHost(str(tmp_path))).functions
    assert function == PciFunction("0000:31:00.0", "10de", "2236", "030200", "nouveau", "", -1)
    assert read_functions(LiveHost(str(tmp_path / "empty"))).functions == ()
    assert parse_uevent("broken") == {}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (GpuSpec(), (A10,)),
        (GpuSpec(passthrough="off"), ()),
        (GpuSpec(exclude=("31:00.0",)), ()),
        (GpuSpec(select=(GpuSelector(address="01:00.0"),)), (NVME,)),
        (GpuSpec(select=(GpuSelector(vendor="10DE", device="2236"), GpuSelector(class_="0108"))), (NVME, A10)),
    ],
)
def test_the_profile_selects(spec: GpuSpec, found: tuple[PciFunction, ...]) -> None:
    assert PciFunctions((NVME, A10)).selected(spec) == found
    assert not A10.bridge
