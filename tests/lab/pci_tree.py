"""Trees of /sys as hardware has them, written from a short table: a line for each PCI function."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ACS_ON, ACS_OFF = (0x5F, 0x1D), (0x5F, 0x00)
GEN4_X16 = ("16.0 GT/s PCIe", "16", "16.0 GT/s PCIe", "16")
GEN5_X16 = ("32.0 GT/s PCIe", "16", "32.0 GT/s PCIe", "16")
MIB, GIB = 1 << 20, 1 << 30
_PREFETCHABLE, _PLAIN, _UNSET = 0x14220C, 0x40200, 0x20000000


@dataclass(frozen=True)
class Function:
    """ids: vendor:device. under: the bridges above, from the root. bars: bytes, the first is the registers.

    link: speed, width and their maximum. acs: capability and control, for a bridge. files: others in its folder.
    """

    address: str
    ids: str
    class_code: str
    driver: str = ""
    group: str = ""
    under: tuple[str, ...] = ()
    numa: int = 0
    bars: tuple[int, ...] = ()
    unassigned: tuple[int, ...] = ()
    link: tuple[str, str, str, str] | None = None
    resets: str = "flr bus"
    acs: tuple[int, int] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def port(address: str, group: str = "", *, acs: tuple[int, int] | None = ACS_ON, under: tuple[str, ...] = (),
         numa: int = 0) -> Function:  # fmt: skip
    """A PCIe root port, or a downstream port of a switch where it is under another bridge."""
    return Function(address, "8086:347a", "060400", "pcieport", group, under, numa, link=GEN5_X16, resets="pm", acs=acs)


def gpu(address: str, ids: str, group: str, under: tuple[str, ...], *, driver: str = "", numa: int = 0,
        class_code: str = "030200", memory: int = 32 * GIB, files: Mapping[str, str] | None = None) -> Function:  # fmt: skip
    return Function(address, ids, class_code, driver, group, under, numa, (16 * MIB, memory, 32 * MIB), link=GEN4_X16,
                    files=files or {})  # fmt: skip


def build(top: Path, functions: Iterable[Function]) -> Path:
    """Writes the tree below `top`, which it returns."""
    for function in functions:
        _write(top, function)
    return top


def text(top: Path, path: str, content: str | bytes) -> None:
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)


def link(top: Path, path: str, target: str) -> None:
    """target: a path of the tree; the link is relative, as sysfs's are."""
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(os.path.relpath(target, os.path.dirname(path)))


def folder_of(function: Function) -> str:
    first = (*function.under, function.address)[0]
    return "/".join((f"/sys/devices/pci{first[:-5]}", *function.under, function.address))


def _write(top: Path, function: Function) -> None:
    folder = folder_of(function)
    for name, content in _files(function).items():
        text(top, f"{folder}/{name}", content)
    link(top, f"/sys/bus/pci/devices/{function.address}", folder)
    if function.driver:
        link(top, f"{folder}/driver", f"/sys/bus/pci/drivers/{function.driver}")
    if function.group:
        link(top, f"{folder}/iommu_group", f"/sys/kernel/iommu_groups/{function.group}")
        link(top, f"/sys/kernel/iommu_groups/{function.group}/devices/{function.address}", folder)
        text(top, f"/sys/kernel/iommu_groups/{function.group}/type", "DMA-FQ\n")
    for name, target in function.links.items():
        link(top, f"{folder}/{name}", target)


def _files(function: Function) -> dict[str, str | bytes]:
    found: dict[str, str | bytes] = {
        "uevent": _uevent(function),
        "numa_node": f"{function.numa}\n",
        "driver_override": "(null)\n",
        "resource": _resource(function),
        "power_state": "D0\n",
    }
    if function.resets:
        found |= {"reset_method": f"{function.resets}\n", "reset": ""}
    if function.link:
        names = ("current_link_speed", "current_link_width", "max_link_speed", "max_link_width")
        found |= {name: f"{said}\n" for name, said in zip(names, function.link, strict=True)}
    if function.class_code.startswith("0604"):
        found["config"] = config(function.acs)
    return found | dict(function.files)


def _uevent(function: Function) -> str:
    driver = f"DRIVER={function.driver}\n" if function.driver else ""
    code, ids = f"{int(function.class_code, 16):X}", function.ids.upper()
    return f"{driver}PCI_CLASS={code}\nPCI_ID={ids}\nPCI_SLOT_NAME={function.address}\n"


def _resource(function: Function) -> str:
    lines, start = [], 0x102000000000
    for index in range(7):
        size = function.bars[index] if index < len(function.bars) else 0
        flags = _PREFETCHABLE if index else _PLAIN
        if not size:
            lines.append((0, 0, 0))
        elif index in function.unassigned:
            lines.append((0, size - 1, flags | _UNSET))
        else:
            lines.append((start, start + size - 1, flags))
    return "".join(f"{a:#018x} {b:#018x} {flags:#018x}\n" for a, b, flags in lines)


def config(acs: tuple[int, int] | None) -> bytes:
    """A port's configuration space: a PCIe capability at 0x40 (root port) and, where there is one, ACS at 0x148."""
    space = bytearray(4096)
    space[0x06], space[0x34], space[0x40:0x44] = 0x10, 0x40, bytes((0x10, 0, 0x42, 0))
    if acs:
        space[0x100:0x104] = (0x14810001).to_bytes(4, "little")  # AER, the next one at 0x148
        space[0x148:0x14C] = (0x0001000D).to_bytes(4, "little")
        space[0x14C:0x150] = acs[0].to_bytes(2, "little") + acs[1].to_bytes(2, "little")
    return bytes(space)
