"""The host's own time, from what its kernel says of the boot: recordings hold it too."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from caasctl.protocol import Reader


def moment(stat: str, uptime: str) -> tuple[datetime, int] | None:
    """Of /proc/stat and /proc/uptime: now to the second, in UTC, and seconds since the boot; None where they do not tell."""
    boot = re.search(r"^btime (\d{1,11})$", stat, re.MULTILINE)
    up = re.match(r"(\d{1,11})(?:\.\d+)? ", uptime)
    if not boot or not up:
        return None
    return datetime.fromtimestamp(int(boot[1]) + int(up[1]), timezone.utc), int(up[1])


def now(host: Reader) -> datetime | None:
    found = moment(host.read("/proc/stat") or "", host.read("/proc/uptime") or "")
    return found[0] if found else None
