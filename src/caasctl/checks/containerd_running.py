"""Whether containerd's service is up and stays up, and what it ended of."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.os_clock import Clock
from caasctl.facts.os_journal import ContainerdJournal
from caasctl.facts.os_services import Service, Services
from caasctl.hidden import masked, said
from caasctl.model import Check, Evidence, Facts, Finding, Fix, check, failed, passed
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.output import reason

_UNIT = "containerd.service"
_STEADY_S = 600
_WANTED = "active (running), and no restarts"
_LOOK = "journalctl -u containerd -n 50 --no-pager"
_ENDS = {
    "start-limit-hit": "systemd has given up: it ended again and again within seconds.",
    "oom-kill": "The kernel ended it for want of memory.",
    "timeout": "It did not come up in the time that systemd gives it.",
    "watchdog": "It gave systemd no sign of life.",
    "resources": "systemd could not start it: a file, a limit or a cgroup that it needs cannot be had.",
    "exec-condition": "A condition of its unit does not hold.",
}


@check(
    "containerd.running",
    "containerd runs and does not restart",
    reads=(Services, ContainerdJournal, Clock),
    why="Without containerd the kubelet starts no container: `unknown service runtime.v1.RuntimeService`, `connect: no such file or "
    "directory`, `connection refused`.",
    fix="Read in its journal of what it ended: journalctl -u containerd -n 50 --no-pager.",
    source="https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html (Restart=, Result)",
)
def running(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`systemctl show containerd.service`, and the last words in its journal."""
    service = facts[Services].get(_UNIT)
    if service.load == "not-found":
        return
    if service.load == "masked":
        yield failed("masked", wanted=_WANTED, cause="Nothing can start it.",
                     fix=Fix("systemctl unmask containerd && systemctl start containerd"))  # fmt: skip
    elif service.runs and _steady(service, facts.get(Clock)):
        yield passed(service.state + (f", {service.restarts} restarts, none of late" if service.restarts else ""))
    elif service.active == "inactive" and service.result in ("", "success"):
        yield failed(service.state, wanted=_WANTED, cause="Somebody stopped it, or it was never started.",
                     fix=Fix("systemctl enable --now containerd"))  # fmt: skip
    else:
        yield _fails(service, facts.get(ContainerdJournal))


def _steady(service: Service, clock: Clock | None) -> bool:
    return not service.restarts or clock is None or clock.up_s - service.active_at_s >= _STEADY_S


def _fails(service: Service, journal: ContainerdJournal | None) -> Finding:
    own = [line for line in journal.lines if line.kind == "containerd"] if journal else []
    why = masked(said(reason("\n".join(line.text for line in own))))
    ended = f", {'signal' if service.signalled else 'status'} {service.status}" if service.status else ""
    again = "systemctl reset-failed containerd; systemctl restart containerd"
    cause = " ".join(filter(None, (_ENDS.get(service.result, ""), f"It said last: {why[:300]}" if why else "")))
    return failed(
        f"{service.state}, {service.result}{ended}, {service.restarts} restarts",
        wanted=_WANTED,
        cause=cause,
        fix=Fix(f"mend what it says, then: {again}" if why else f"{_LOOK}   # mend what it says, then: {again}"),
        evidence=(Evidence(own[-1].source, why[:300]),) if own and why else (),
    )


CHECKS: tuple[Check, ...] = (running,)
