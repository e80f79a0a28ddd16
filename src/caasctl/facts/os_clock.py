"""What time the host has: the time of its boot and how long it has been up, which a recording holds too."""

from __future__ import annotations

from datetime import datetime

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.clock import moment

# Of a boot: a kubelet that failed once for a containerd that was late, its static pods, leases of a control plane.
COMES_UP_S = 240


@dataclass(frozen=True)
class Clock:
    """now: the host's own time to the second, in UTC, when it was looked at; right or wrong as the host's clock is.

    up_s: seconds since the boot, COMES_UP_S where it does not matter.
    """

    now: datetime
    up_s: int = COMES_UP_S

    @property
    def settles(self) -> bool:
        """Whether what starts by itself at a boot may still be on its way."""
        return self.up_s < COMES_UP_S


def parse_clock(stat: str, uptime: str) -> Clock:
    """Of /proc/stat and /proc/uptime. Raises Unreadable."""
    found = moment(stat, uptime)
    if found is None:
        raise Unreadable("/proc/stat and /proc/uptime", "do not tell the time of the boot and since then")
    return Clock(*found)


def read_clock(host: Reader) -> Clock:
    stat, uptime = host.read("/proc/stat"), host.read("/proc/uptime")
    if stat is None or uptime is None:
        raise Unreadable("/proc/uptime", "does not exist")
    return parse_clock(stat, uptime)


PROBES: tuple[Probe, ...] = (Probe(Clock, read_clock),)
