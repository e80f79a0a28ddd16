"""What time the hardware's clock has, which nobody sets by `date -s`."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader

RTC = "/sys/class/rtc/rtc0/since_epoch"


@dataclass(frozen=True)
class HardwareClock:
    """at: its time when it was looked at, as if it kept UTC (some keep local time); None where there is no such clock."""

    at: datetime | None = None


def parse(text: str) -> HardwareClock:
    """Of rtc0/since_epoch: seconds since 1970."""
    found = re.fullmatch(r"\d{1,11}", text.strip())
    return HardwareClock(datetime.fromtimestamp(int(found[0]), timezone.utc) if found else None)


def read(host: Reader) -> HardwareClock:
    return parse(host.read(RTC) or "")


PROBES: tuple[Probe, ...] = (Probe(HardwareClock, read),)
