"""Drivers of Linux that would take a function before vfio-pci does, by vendor and class."""

from __future__ import annotations

from collections.abc import Iterable

_BY_VENDOR_AND_CLASS = {
    ("10de", "03"): ("nouveau", "nova_core", "nvidiafb", "nvidia", "nvidia_drm", "nvidia_modeset", "nvidia_uvm"),
    ("10de", "0680"): ("nvidia",),  # NVSwitch
    ("1002", "03"): ("amdgpu", "radeon"),
    ("1002", "12"): ("amdgpu",),  # processing accelerators: Instinct since MI300
    ("8086", "03"): ("i915", "xe"),
}
_BY_CLASS = {
    "0108": ("nvme",),
    "0403": ("snd_hda_intel",),
    "0c03": ("xhci_pci", "xhci_hcd"),
    "0c80": ("ucsi_ccg", "i2c_nvidia_gpu"),
}
_OF_GPUS = frozenset(driver for drivers in _BY_VENDOR_AND_CLASS.values() for driver in drivers)


def competing(functions: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The drivers for functions given as (vendor, class code), 4 and 6 hex digits; each once."""
    found: dict[str, None] = {}
    for vendor, code in functions:
        found.update(dict.fromkeys(_BY_VENDOR_AND_CLASS.get((vendor, code[:4]), ())))
        found.update(dict.fromkeys(_BY_VENDOR_AND_CLASS.get((vendor, code[:2]), ())))
        found.update(dict.fromkeys(_BY_CLASS.get(code[:4], ())))
    return tuple(found)


def of_gpus(drivers: Iterable[str]) -> tuple[str, ...]:
    """Those that drive GPUs and nothing else: a host whose GPUs all go to guests has no use for them."""
    return tuple(driver for driver in drivers if driver in _OF_GPUS)
