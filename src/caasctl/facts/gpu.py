"""PCI functions: what they are, which driver and IOMMU group they are in. One file and two links each: hosts have thousands."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.profile import GpuSelector, GpuSpec
from caasctl.protocol import Probe, Reader
from caasctl.syntax.pci import DEVICES, full

_SWITCH = "0680"


@dataclass(frozen=True)
class PciFunction:
    """address: 0000:65:00.0. vendor, device: 4 hex digits. class_code: 6. driver, iommu_group: "" where in none.

    numa_node: -1 where the firmware does not say.
    """

    address: str
    vendor: str
    device: str
    class_code: str
    driver: str = ""
    iommu_group: str = ""
    numa_node: int = -1

    @property
    def bridge(self) -> bool:
        """A host or PCI bridge: it stays in a group without hindering anyone."""
        return self.class_code.startswith(("0600", "0604"))

    @property
    def nvswitch(self) -> bool:
        """A switch of NVIDIA's NVLink fabric."""
        return self.vendor == "10de" and self.class_code.startswith(_SWITCH)


@dataclass(frozen=True)
class PciFunctions:
    """All functions, by address; () on a host without PCI."""

    functions: tuple[PciFunction, ...]

    def selected(self, gpu: GpuSpec) -> tuple[PciFunction, ...]:
        """Those that the profile means to pass through; none where passthrough is off."""
        if gpu.passthrough == "off":
            return ()
        without = {full(address) for address in gpu.exclude}
        return tuple(
            function
            for function in self.functions
            if function.address not in without and any(_meets(function, selector) for selector in gpu.select)
        )


def _meets(function: PciFunction, selector: GpuSelector) -> bool:
    """A switch is met only where it is meant: who has one programs the fabric of the whole board."""
    meant = selector.address or selector.device or selector.class_.startswith(_SWITCH)
    if function.nvswitch and not meant:
        return False
    return (
        selector.vendor.lower() in {"", function.vendor}
        and selector.device.lower() in {"", function.device}
        and function.class_code.startswith(selector.class_.lower())
        and (not selector.address or full(selector.address) == function.address)
    )


def read_functions(host: Reader) -> PciFunctions:
    return PciFunctions(tuple(_read(host, address) for address in host.list(DEVICES) or ()))


def _read(host: Reader, address: str) -> PciFunction:
    folder = f"{DEVICES}/{address}"
    event = parse_uevent(host.read(f"{folder}/uevent") or "")
    vendor, _, device = event.get("PCI_ID", "").lower().partition(":")
    group = host.readlink(f"{folder}/iommu_group") or ""
    return PciFunction(
        address=address,
        vendor=vendor or _hex(host, f"{folder}/vendor"),
        device=device or _hex(host, f"{folder}/device"),
        class_code=event.get("PCI_CLASS", "").lower().zfill(6)
        if "PCI_CLASS" in event
        else _hex(host, f"{folder}/class"),
        driver=event.get("DRIVER") or (host.readlink(f"{folder}/driver") or "").rpartition("/")[2],
        iommu_group=group.rpartition("/")[2],
        numa_node=_node(host, f"{folder}/numa_node"),
    )


def parse_uevent(text: str) -> dict[str, str]:
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def _hex(host: Reader, path: str) -> str:
    return (host.read(path) or "").strip().lower().removeprefix("0x")


def _node(host: Reader, path: str) -> int:
    text = (host.read(path) or "").strip()
    return int(text) if text.removeprefix("-").isdecimal() else -1


PROBES = (Probe(PciFunctions, read_functions),)
