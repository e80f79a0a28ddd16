"""What an NVIDIA driver on the host leaves behind: modules, DKMS sources, packages, units, tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader

# The driver's own; nvidiafb and nvidia_wmi_ec_backlight are the kernel's.
MODULES = ("nvidia", "nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia_peermem", "nvidia_vgpu_vfio", "gdrdrv")
_UNITS = "/etc/systemd/system"
_TOOLS = (
    "/usr/bin/nvidia-smi",
    "/usr/bin/nvidia-uninstall",
    "/usr/bin/nvidia-ctk",
    "/usr/bin/nvidia-container-runtime",
)
# Packages that bring the driver, its daemons or its runtime; firmware and libraries to look at cards do no harm.
_PACKAGE = re.compile(
    r"^Package: ((?:xserver-xorg-video-nvidia|nvidia-(?:driver|dkms|open|kernel|headless|compute-utils|persistenced"
    r"|fabricmanager|fabric-manager|container-toolkit|utils|imex)|libnvidia-compute|linux-modules-nvidia|cuda-drivers)"
    r"[\w.+-]*)\nStatus: \S+ \S+ installed$",
    re.MULTILINE,
)
_WORDS = ("nvidia", "cuda-drivers")  # without them there is no need to look at each line of a megabyte
_VERSION = re.compile(r"\s(\d+\.\d+(?:\.\d+)?)\s")


@dataclass(frozen=True)
class NvidiaLeftovers:
    """loaded: modules of NVIDIA's driver in the kernel. version: of the one that is loaded, "" if none.

    dkms: folders of /var/lib/dkms. packages: Debian's and Ubuntu's. units: enabled ones. tools: paths of programs.
    operator: folder that NVIDIA's GPU operator left, "" if none.
    """

    loaded: tuple[str, ...] = ()
    version: str = ""
    dkms: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    operator: str = ""


def _read(host: Reader) -> NvidiaLeftovers:
    loaded = frozenset(host.list("/sys/module") or ())
    version = _VERSION.search(host.read("/proc/driver/nvidia/version") or "")
    return NvidiaLeftovers(
        loaded=tuple(name for name in MODULES if name in loaded),
        version=version[1] if version else "",
        dkms=tuple(name for name in host.list("/var/lib/dkms") or () if name.startswith("nvidia")),
        packages=parse_packages(host.read("/var/lib/dpkg/status") or ""),
        units=tuple(dict.fromkeys(_units(host))),
        tools=tuple(path for path in _TOOLS if host.stat(path, follow=False)),
        operator="/run/nvidia" if host.list("/run/nvidia") else "",
    )


def parse_packages(status: str) -> tuple[str, ...]:
    """Of dpkg's status file: those that are installed, not merely removed with their configuration left."""
    return tuple(sorted(set(_PACKAGE.findall(status)))) if any(word in status for word in _WORDS) else ()


def _units(host: Reader) -> Iterator[str]:
    """NVIDIA's units that some target wants."""
    for target in host.list(_UNITS) or ():
        if target.endswith((".wants", ".requires")):
            yield from (name for name in host.list(f"{_UNITS}/{target}") or () if name.startswith("nvidia-"))


PROBES = (Probe(NvidiaLeftovers, _read),)
