"""Phase host: kernel modules and settings, now and at every boot; swap off and kept off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from caasctl import formats
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.kata_host import Kvm, KvmOpens, Vhost
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.facts.network_sysctl import Forwarding, KernelRouters, RpFilterFiles
from caasctl.facts.os import Cpu, Memory, Modules
from caasctl.facts.os_swap import Swap, SwapUnit
from caasctl.facts.os_sysctl import SysctlConfig, SysctlLive
from caasctl.model import HEADER, Facts
from caasctl.needs.network import auto_ipv6
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.kernel import KernelModule, SwapOff, Sysctl
from caasctl.resources.units import Unit
from caasctl.syntax import needs
from caasctl.syntax.needs import SysctlNeed

MODULES_FILE = "/etc/modules-load.d/zz-caasctl.conf"
SYSCTL_FILE = "/etc/sysctl.d/zz-caasctl.conf"
FORWARDS_IPV6 = "net.ipv6.conf.all.forwarding"
_GROUPS = (
    ("net.", "Pods reach each other and the world through this host; bridged packets are filtered too."),
    ("fs.inotify.", "Kubelet, containerd and every container that follows its logs take watches."),
    ("", "The kubelet insists on these where protectKernelDefaults is true."),
)


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    built_in = facts[Modules].builtin
    modules = needs.modules(facts[Cpu].flags, profile)
    asked = needs.sysctls(profile, ipv6=facts[SysctlLive].ipv6, pods_ipv6=auto_ipv6(facts, profile))
    wanted = _settings(facts[SysctlConfig], {**_routers(facts, asked), **asked})
    yield File(MODULES_FILE, formats.render("modules-load.conf.j2", header=HEADER, modules=modules))
    loaded = tuple(KernelModule(name) for name in modules if name not in built_in)
    yield from loaded
    yield File(SYSCTL_FILE, formats.render("sysctl.conf.j2", header=HEADER, groups=_grouped(wanted)))
    yield from _live(wanted, frozenset(module.module for module in loaded))
    if not needs.keeps_swap(profile):
        yield from _swap(facts[Swap].units)


def _routers(facts: Facts, asked: Mapping[str, SysctlNeed]) -> dict[str, SysctlNeed]:
    """A kernel that forwards IPv6 drops the default routes that routers advertised, and SSH with them, unless accept_ra is 2."""
    routes, kernel = facts.get(Routes), facts.get(KernelRouters)
    if FORWARDS_IPV6 not in asked or routes is None or kernel is None:
        return {}
    devices = dict.fromkeys(route.dev for route in routes.defaults(6) if route.dev in kernel.interfaces)
    return {f"net.ipv6.conf.{device.replace('.', '/')}.accept_ra": SysctlNeed("2") for device in devices}


def _settings(configured: SysctlConfig, wanted: Mapping[str, SysctlNeed]) -> dict[str, SysctlNeed]:
    """The needs, each minimum raised to what another file of the host asks for."""
    raised: dict[str, SysctlNeed] = {}
    for key, need in wanted.items():
        other = configured.foreign(key)
        higher = other is not None and need.minimum and needs.met(need, other.value)
        raised[key] = need._replace(value=other.value) if other and higher else need
    return raised


def _grouped(wanted: Mapping[str, SysctlNeed]) -> list[tuple[str, list[tuple[str, str]]]]:
    left = dict(wanted)
    groups = []
    for prefix, comment in _GROUPS:
        groups.append(
            (comment, [(key, left.pop(key).value) for key in wanted if key in left and key.startswith(prefix)])
        )
    return groups


def _live(wanted: Mapping[str, SysctlNeed], loadable: frozenset[str]) -> Iterator[Sysctl]:
    for key, need in wanted.items():
        after = (f"module:{need.module}",) if need.module in loadable else ()
        yield Sysctl(key, need.value, need.minimum, need.module if after else "", after)


def _swap(units: Iterable[SwapUnit]) -> Iterator[Resource]:
    """Units first: systemd must not turn on again what is turned off after them."""
    for unit in units:
        yield Unit(unit.name, enabled=False) if unit.pinned else Unit(unit.name, masked=True)
    yield SwapOff()


PHASE = Phase(
    "host",
    "Kernel modules, kernel settings, no swap",
    desired,
    reads=(Cpu, Modules, SysctlConfig, SysctlLive, Swap, Links, Routes, ControlPlane, KernelRouters),
    disturbs=(
        Modules,
        Vhost,
        Kvm,
        KvmOpens,
        SysctlConfig,
        SysctlLive,
        Forwarding,
        KernelRouters,
        RpFilterFiles,
        Swap,
        Memory,
        PciUse,
        NvidiaLeftovers,
    ),
)
