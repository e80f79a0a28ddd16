"""How systemd finds the services that a node is made of: whether they run, since when, how often and of what they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

UNITS = ("containerd.service", "kubelet.service")
_WORDS = "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,ActiveEnterTimestampMonotonic"
SHOW = ("systemctl", "show", "-p", _WORDS, *UNITS)
_KILLED, _DUMPED = 2, 3  # CLD_KILLED, CLD_DUMPED of waitid(2)


@dataclass(frozen=True)
class Service:
    """Words of systemd: load as loaded, not-found, masked; active and sub as `activating (auto-restart)`; result as exit-code.

    restarts: by systemd itself, since it was last started by hand or at boot. status: of its last end, an exit status or, where
    `signalled`, a signal. active_at_s: seconds after the boot at which it became active, 0 where it never did.
    """

    load: str = "not-found"
    active: str = ""
    sub: str = ""
    result: str = ""
    restarts: int = 0
    status: int = 0
    signalled: bool = False
    active_at_s: int = 0

    @property
    def state(self) -> str:
        return f"{self.active} ({self.sub})"

    @property
    def runs(self) -> bool:
        return self.active == "active"


@dataclass(frozen=True)
class Services:
    """By unit; one that systemd does not list is not in it."""

    known: Mapping[str, Service] = field(default_factory=dict)

    def get(self, unit: str) -> Service:
        return self.known.get(unit, Service())


def parse(text: str) -> Services:
    """Of `systemctl show` with several units: a block each, with an empty line between."""
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n"))
    return Services({told["Id"]: _service(told) for told in blocks if "Id" in told})


def _service(told: Mapping[str, str]) -> Service:
    return Service(
        told.get("LoadState", "not-found"),
        told.get("ActiveState", ""),
        told.get("SubState", ""),
        told.get("Result", ""),
        _count(told, "NRestarts"),
        _count(told, "ExecMainStatus"),
        _count(told, "ExecMainCode") in (_KILLED, _DUMPED),
        _count(told, "ActiveEnterTimestampMonotonic") // 1_000_000,
    )


def _count(told: Mapping[str, str], key: str) -> int:
    word = told.get(key, "")
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 20 else 0  # noqa: PLR2004 - no number of systemd


def read(host: Reader) -> Services:
    done = host.query(*SHOW, timeout_s=3)
    what = "systemctl show containerd kubelet"
    if done.missing:
        raise Unreadable(what, "there is no systemd here")
    if not done.ok:
        raise Unreadable(what, (done.stderr.strip().splitlines() or ["failed"])[-1][:120])
    found = parse(done.stdout)
    if not found.known:
        raise Unreadable(what, "did not say how the services stand")
    return found


PROBES: tuple[Probe, ...] = (Probe(Services, read),)
