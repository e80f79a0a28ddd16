"""Binding: the functions of an IOMMU group on vfio-pci, all of them; taken from no program that has one open."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Done, Impossible, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.gpu import holders

DEVICES = "/sys/bus/pci/devices"
VFIO = "vfio-pci"
NO_DRIVER = "no driver"
_TAKES_S = 90.0  # a driver that lets go of its GPU saves the GPU's state first


@dataclass(frozen=True)
class Binding:
    """group: its number now, for the name only. addresses: all functions of the group but bridges. script: gpu.sh."""

    group: str
    addresses: tuple[str, ...]
    script: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"vfio:{self.addresses[0]}"

    @property
    def then(self) -> str:
        more = f" with {', '.join(self.addresses[1:])}" if len(self.addresses) > 1 else ""
        group = f"group {self.group}" if self.group else "the group that it will be in"
        return f"{group}{more}; stops before it is taken from a program that has it open"

    def look(self, host: Reader) -> State:
        try:
            if alone := [a for a in self.addresses if not host.readlink(f"{DEVICES}/{a}/iommu_group")]:
                return Unknown(
                    f"{alone[0]} is in no IOMMU group: the IOMMU is not on yet, which phase boot and a reboot bring about"
                )
            return Known("\n".join(f"{address} {driver_of(host, address)}" for address in self.addresses))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        return Known("\n".join(f"{address} {VFIO}" for address in self.addresses)) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        due = tuple(address for address, driver in _drivers(now) if driver != VFIO)
        for address in due:
            if held := holders.of(host, address):
                return _held(address, driver_of(host, address), held)
        host.execute("/bin/sh", self.script, "bind", *due, timeout_s=_TAKES_S)
        if left := [address for address in due if driver_of(host, address) != VFIO]:
            raise CaasError(f"{', '.join(left)} did not go to {VFIO}", cause="the kernel says why in its log",
                            fix=f"`dmesg | grep -e {left[0]} -e vfio`; mend that, then run the same command again")  # fmt: skip
        return Done()

    def undo(self, now: State) -> Undo:
        had = tuple(f"{a}={'' if d == NO_DRIVER else d}" for a, d in _drivers(now) if d != VFIO)
        if not had:
            return Undo(nothing=f"they were on {VFIO} before")
        return Undo(first=(("/bin/sh", self.script, "release", *had),))


def driver_of(host: Reader, address: str) -> str:
    """Raises Unreadable where the function is gone."""
    if host.stat(f"{DEVICES}/{address}") is None:
        raise Unreadable(f"{DEVICES}/{address}", "it is not there any more: taken out, or fallen off the bus")
    return (host.readlink(f"{DEVICES}/{address}/driver") or "").rpartition("/")[2] or NO_DRIVER


def _drivers(state: State) -> Iterator[tuple[str, str]]:
    for line in state.text.splitlines() if isinstance(state, Known) else ():
        address, _, driver = line.partition(" ")
        yield address, driver


def _held(address: str, driver: str, held: tuple[str, ...]) -> Impossible:
    return Impossible(
        f"{address} ({driver}) is in use: {', '.join(held)}",
        "stop that (nvidia-persistenced and monitoring agents too), then run the same command again",
    )
