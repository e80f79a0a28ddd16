"""What time the host has: the time of its boot and how long it has been up, which a recording holds too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

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
    boot = re.search(r"^btime (\d+)$", stat, re.MULTILINE)
    up = re.match(r"(\d+)(?:\.\d+)? ", uptime)
    if not boot or not up:
        raise Unreadable("/proc/stat and /proc/uptime", "do not tell the time of the boot and since then")
    return Clock(datetime.fromtimestamp(int(boot[1]) + int(up[1]), timezone.utc), int(up[1]))


def read_clock(host: Reader) -> Clock:
    stat, uptime = host.read("/proc/stat"), host.read("/proc/uptime")
    if stat is None or uptime is None:
        raise Unreadable("/proc/uptime", "does not exist")
    return parse_clock(stat, uptime)


PROBES: tuple[Probe, ...] = (Probe(Clock, read_clock),)
