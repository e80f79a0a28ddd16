"""The kernel's own lists: its configuration, the modules that it has, and the order of its releases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_OPTION = re.compile(r"^CONFIG_(\w+)=(.*)$", re.MULTILINE)
_NUMBERS = re.compile(r"\d+(?:[.-]\d+)*")
OPTION_OF_MODULE = {
    "overlay": "OVERLAY_FS",
    "br_netfilter": "BRIDGE_NETFILTER",
    "vhost_vsock": "VHOST_VSOCK",
    "vhost_net": "VHOST_NET",
    "kvm_intel": "KVM_INTEL",
    "kvm_amd": "KVM_AMD",
    "vfio_pci": "VFIO_PCI",
}


class Release(NamedTuple):
    """A kernel release that can be ordered within its flavour: 6.1.0-22-cloud-amd64 is (6, 1, 0, 22) of cloud-amd64."""

    numbers: tuple[int, ...]
    flavour: str


def config_options(text: str) -> Mapping[str, str]:
    """Options of a kernel configuration that are set, without CONFIG_; values as written, strings without quotes."""
    return {name: value.strip('"') for name, value in _OPTION.findall(text)}


def module_name(path: str) -> str:
    """vhost_vsock of kernel/drivers/vhost/vhost-vsock.ko.zst: the kernel itself knows no hyphens."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def modules_in(text: str) -> frozenset[str]:
    """Names in a modules.dep or modules.builtin: what stands before the colon of each line."""
    return frozenset(module_name(line.partition(":")[0]) for line in text.splitlines() if ".ko" in line)


def modules_loaded(text: str) -> frozenset[str]:
    """Names in /proc/modules."""
    return frozenset(line.split()[0] for line in text.splitlines() if line.split())


def built_in(options: Mapping[str, str]) -> frozenset[str]:
    """The modules that caasctl knows by their option and that this configuration builds into the kernel."""
    return frozenset(name for name, option in OPTION_OF_MODULE.items() if options.get(option) == "y")


def release(text: str) -> Release:
    """Numbers and flavour of a `uname -r`; builds of one distribution (el9_4, el9_5) are one flavour."""
    found = _NUMBERS.match(text)
    if not found:
        return Release((), text)
    numbers = tuple(int(number) for number in re.split(r"[.-]", found.group()))
    return Release(numbers, re.sub(r"[\d_]+", "", text[found.end() :]).lstrip("-."))


def newer(installed: tuple[str, ...], running: str) -> str:
    """The newest installed release of the running one's flavour, where it is newer; "" otherwise."""
    now = release(running)
    later = [name for name in installed if release(name).flavour == now.flavour and release(name).numbers > now.numbers]
    return max(later, key=lambda name: release(name).numbers, default="")
