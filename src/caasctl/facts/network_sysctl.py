"""Kernel settings of the network: forwarding, reverse path filter with the file that sets it, and whether there is IPv6."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

_CONF = "/proc/sys/net/ipv4/conf"
_CONF6 = "/proc/sys/net/ipv6/conf"
_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_RP_FILTER = re.compile(r"^-?net[./]ipv4[./]conf[./](?P<interface>.+)[./]rp_filter\s*=\s*(?P<value>\d+)\s*$")


@dataclass(frozen=True)
class Forwarding:
    """The live values of net.ipv4.ip_forward and net.ipv6.conf.all.forwarding; ipv6 is None where there is no IPv6."""

    ipv4: bool
    ipv6: bool | None = None


@dataclass(frozen=True)
class RpFilter:
    """Live values: 0 off, 1 strict, 2 loose. The kernel takes the greater one of `all` and the interface's."""

    all: int
    default: int
    interfaces: Mapping[str, int] = field(default_factory=dict)

    def effective(self, interface: str) -> int:
        return max(self.all, self.interfaces.get(interface, self.default))


@dataclass(frozen=True)
class RpFilterLine:
    """One assignment in a sysctl file. interface: all, default, a name or a pattern."""

    path: str
    line: int
    interface: str
    value: int


@dataclass(frozen=True)
class RpFilterFiles:
    """Assignments of rp_filter in the order in which they are made at boot: the last one for a key holds."""

    lines: tuple[RpFilterLine, ...] = ()

    def last(self, interface: str) -> RpFilterLine | None:
        return next((line for line in reversed(self.lines) if line.interface == interface), None)


@dataclass(frozen=True)
class Ipv6:
    """stack: sockets of AF_INET6 can be made. by_argument: ipv6.disable=1 is on the running kernel's command line.

    switched_off: net.ipv6.conf.all.disable_ipv6 is 1 (sockets work, addresses do not).
    """

    stack: bool
    by_argument: bool = False
    switched_off: bool = False


@dataclass(frozen=True)
class KernelRouters:
    """Interfaces on which the kernel itself takes router advertisements (accept_ra 1 or 2); networkd and NetworkManager set 0."""

    interfaces: tuple[str, ...] = ()


def parse_rp_filter(path: str, text: str) -> tuple[RpFilterLine, ...]:
    """The assignments of rp_filter in a sysctl file."""
    found = ((at, _RP_FILTER.match(line.strip())) for at, line in enumerate(text.splitlines(), 1))
    return tuple(RpFilterLine(path, at, m["interface"], int(m["value"])) for at, m in found if m)


def in_boot_order(paths: Iterable[str]) -> tuple[str, ...]:
    """Of files with one name the first folder's holds; then by name, whatever the folder (sysctl.d(5))."""
    by_name: dict[str, str] = {}
    for path in paths:
        by_name.setdefault(path.rpartition("/")[2], path)
    return tuple(by_name[name] for name in sorted(by_name))


def _flag(host: Reader, path: str) -> int:
    text = host.read(path)
    if text is None:
        raise Unreadable(path, "is not there")
    if not text.strip().isdigit():
        raise Unreadable(path, f"holds {text.strip()[:40]!r}, not a number")
    return int(text)


def read_forwarding(host: Reader) -> Forwarding:
    six = host.read("/proc/sys/net/ipv6/conf/all/forwarding")
    return Forwarding(_flag(host, "/proc/sys/net/ipv4/ip_forward") > 0, None if six is None else six.strip() == "1")


def read_rp_filter(host: Reader) -> RpFilter:
    names = set(host.list(_CONF) or ()) - {"all", "default"}
    values = {name: host.read(f"{_CONF}/{name}/rp_filter") for name in sorted(names)}
    live = {name: int(text) for name, text in values.items() if text and text.strip().isdigit()}
    return RpFilter(_flag(host, f"{_CONF}/all/rp_filter"), _flag(host, f"{_CONF}/default/rp_filter"), live)


def _sysctl_files(host: Reader) -> Iterator[str]:
    """For systemd the folders count only; procps adds /etc/sysctl.conf at the very end, unless it is linked."""
    paths = in_boot_order(path for folder in _FOLDERS for path in glob(host, folder, ".conf"))
    yield from paths
    if not any(path.endswith("/99-sysctl.conf") for path in paths):
        yield "/etc/sysctl.conf"


def read_rp_filter_files(host: Reader) -> RpFilterFiles:
    return RpFilterFiles(
        tuple(line for path in _sysctl_files(host) for line in parse_rp_filter(path, host.read(path) or ""))
    )


def read_ipv6(host: Reader) -> Ipv6:
    """The stack is there where /proc/net/if_inet6 is: ipv6.disable=1 keeps the module but not the protocol."""
    if host.read("/proc/net/dev") is None and host.read("/proc/sys/net/ipv4/ip_forward") is None:
        raise Unreadable("/proc/net/if_inet6", "/proc is not there")
    stack = host.read("/proc/net/if_inet6") is not None
    parameter = (host.read("/sys/module/ipv6/parameters/disable") or "0").strip() == "1"
    by_argument = parameter or "ipv6.disable=1" in (host.read("/proc/cmdline") or "").split()
    off = (host.read("/proc/sys/net/ipv6/conf/all/disable_ipv6") or "0").strip() == "1"
    return Ipv6(stack, by_argument, off)


def read_kernel_routers(host: Reader) -> KernelRouters:
    names = (name for name in host.list(_CONF6) or () if name not in ("all", "default", "lo"))
    return KernelRouters(tuple(n for n in names if (host.read(f"{_CONF6}/{n}/accept_ra") or "").strip() in ("1", "2")))


PROBES: tuple[Probe, ...] = (
    Probe(KernelRouters, read_kernel_routers),
    Probe(Forwarding, read_forwarding),
    Probe(RpFilter, read_rp_filter),
    Probe(RpFilterFiles, read_rp_filter_files),
    Probe(Ipv6, read_ipv6),
)
