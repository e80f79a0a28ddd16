"""Whether the clock that everything goes by can be believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from caasctl.facts.kubernetes_certificates import NodeCertificates
from caasctl.facts.os_clock import Clock
from caasctl.facts.os_clock_hardware import RTC, HardwareClock
from caasctl.model import Check, Evidence, Facts, Finding, Fix, check, failed, passed, warned
from caasctl.profile import NodeProfile

_APART = timedelta(hours=26)  # one that keeps local time may be 14 hours off


@check(
    "os.clock",
    "The system's clock and the hardware's agree",
    reads=(Clock, HardwareClock),
    why="With a clock that was set wrong every certificate is out of time: `x509: certificate has expired or is not yet valid`; renewing them"
    " makes it worse.",
    fix="Set the clock, and keep it right by a time service.",
    source="hwclock(8); Documentation/ABI/testing/rtc-cdev",
)
def clock(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/proc/stat and /proc/uptime against /sys/class/rtc/rtc0/since_epoch."""
    now, hardware = facts[Clock].now, facts[HardwareClock].at
    if hardware is None:
        return
    if abs(now - hardware) < _APART:
        yield passed(f"{now:%Y-%m-%d %H:%M} UTC")
        return
    told = f"the system says {now:%Y-%m-%d %H:%M} UTC, the hardware {hardware:%Y-%m-%d %H:%M}"
    evidence = (Evidence(RTC, str(int(hardware.timestamp()))),)
    if _fits(facts, now) < _fits(facts, hardware):
        yield failed(told, wanted="the same", evidence=evidence, fix=Fix("hwclock --hctosys && systemctl restart kubelet"),
                     cause="At the system's time the cluster's certificates are out of time, at the hardware's they are not: the system's clock"
                     " was set wrong. Renew no certificate.")  # fmt: skip
    else:
        yield warned(told, wanted="the same", evidence=evidence, fix=Fix("date -u   # right? then hwclock --systohc; else hwclock --hctosys"),
                     cause="One of them was set by hand, or has a dead battery.")  # fmt: skip


def _fits(facts: Facts, now: datetime) -> int:
    """How many of the cluster's certificates are in time then."""
    pki = facts.get(NodeCertificates)
    known = [one.certificate for one in pki.found if one.certificate] if pki else []
    return sum(one.not_before <= now <= one.not_after for one in known)


CHECKS: tuple[Check, ...] = (clock,)
