"""KernelModule: loaded now. Sysctl: a live kernel setting. SwapOff: no swap area in use."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, Impossible, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import kernel, swap, sysctl

LOADED = Known("loaded")
NO_SWAP = Known("off")
_SWAP_ON = Known("on")
_SWAPOFF_TIMEOUT_S = 1800.0  # reads all that was swapped out back from disk


@dataclass(frozen=True)
class KernelModule:
    """A module of the running kernel, by its name with `_`; one that is built in counts as loaded."""

    module: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"module:{self.module}"

    def look(self, host: Reader) -> State:
        try:
            if self.module in kernel.modules_loaded(host.read("/proc/modules") or ""):
                return LOADED
            if self.module in (host.list("/sys/module") or ()) or self._built_in(host):
                return LOADED
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else LOADED

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != LOADED:
            host.execute("modprobe", self.module)
        return Done()

    def undo(self, now: State) -> Undo:
        left = "" if now == LOADED else "; it does no harm and is gone after a reboot"
        return Undo(nothing=f"{self.module} stays loaded{left}")

    def _built_in(self, host: Reader) -> bool:
        release = (host.read("/proc/sys/kernel/osrelease") or "").strip()
        lists = (host.read(f"{folder}/{release}/modules.builtin") for folder in ("/usr/lib/modules", "/lib/modules"))
        return any(self.module in kernel.modules_in(listed) for listed in lists if listed)


@dataclass(frozen=True)
class Sysctl:
    """A live kernel setting, key with dots. minimum: never lowered. module: the one that brings the key, if one does."""

    key: str
    value: str
    minimum: bool = False
    module: str = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"sysctl:{self.key}"

    def look(self, host: Reader) -> State:
        path = sysctl.proc_path(self.key)
        try:
            text = host.read(path)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if text is None:
            return Unknown(f"{path} appears once {self.module} is loaded" if self.module else f"{path} does not exist")
        return Known(" ".join(text.split()))

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        enough = self.minimum and now.text.isdigit() and int(now.text) >= int(self.value)
        return now if enough else Known(self.value)

    def apply(self, host: Writer, now: State) -> Outcome:
        wanted = self.target(now)
        if isinstance(wanted, Known) and wanted != now:
            host.write_value(sysctl.proc_path(self.key), wanted.text)
        return Done()

    def undo(self, now: State) -> Undo:
        if not isinstance(now, Known):
            return Undo(nothing=f"{self.key} was not there before; it keeps its value until the next boot")
        return Undo(values={sysctl.proc_path(self.key): now.text})


@dataclass(frozen=True)
class SysctlBack(Sysctl):
    """A live setting as it was before; one whose module or interface is gone has nothing to go back to."""

    def look(self, host: Reader) -> State:
        try:
            return super().look(host) if host.stat(sysctl.proc_path(self.key)) else Absent()
        except Unreadable as unreadable:
            return Unknown(str(unreadable))


@dataclass(frozen=True)
class SwapOff:
    """Every swap area out of use, as long as memory can take what is in them."""

    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return "swap:off"

    def look(self, host: Reader) -> State:
        try:
            active = swap.areas(host.read("/proc/swaps") or "")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("\n".join(f"{area.path} priority {area.priority}" for area in active)) if active else NO_SWAP

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else NO_SWAP

    def apply(self, host: Writer, now: State) -> Outcome:
        """Looks at memory again before each area: reading one back leaves less for the next."""
        if now == NO_SWAP:
            return Done()
        for area in swap.areas(host.read("/proc/swaps") or ""):
            available = swap.available_kib(host.read("/proc/meminfo") or "")
            if swap.spare_kib(area.used_kib, available) < 0:
                return _no_room(area, available)
            host.execute("swapoff", area.path, timeout_s=_SWAPOFF_TIMEOUT_S)
        return Done()

    def undo(self, now: State) -> Undo:
        if not isinstance(now, Known) or now == NO_SWAP:
            return Undo(nothing="no swap was in use")
        return Undo(commands=tuple(_swapon(line) for line in now.text.splitlines()))


@dataclass(frozen=True)
class SwapOn:
    """A swap area in use again, by the command that brings it; one whose device or file is gone stays off."""

    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"swap:{self.command[-1]}"

    def look(self, host: Reader) -> State:
        path = self.command[-1]
        try:
            if path in {area.path for area in swap.areas(host.read("/proc/swaps") or "")}:
                return _SWAP_ON
            return Known("off") if host.stat(path) else Absent()
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        return _SWAP_ON if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            host.execute(*self.command)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(commands=(("swapoff", self.command[-1]),))


def _swapon(line: str) -> tuple[str, ...]:
    """The command for a line of the state; priorities below 0 are the kernel's own choice and cannot be asked for."""
    path, _, priority = line.rpartition(" priority ")
    return ("swapon", path) if int(priority) < 0 else ("swapon", "-p", priority, path)


def _no_room(area: swap.Area, available_kib: int) -> Impossible:
    used, free, reserve = (kib // 1024 for kib in (area.used_kib, available_kib, swap.RESERVE_KIB))
    return Impossible(
        f"swap on {area.path} cannot be turned off: {used} MiB are in it, {free} MiB of memory are available",
        f"stop processes until {used + reserve} MiB are available (`free -m`), then run the same command again",
    )
