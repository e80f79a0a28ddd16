"""The running kernel's command line, which only a reboot changes."""

from __future__ import annotations

from collections.abc import Sequence

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import IN_EFFECT, Done, Known, NeedsReboot, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import cmdline


@dataclass(frozen=True)
class Cmdline:
    """The arguments that the running kernel should have. Whatever configures them comes before it in the phase."""

    wanted: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = True

    @property
    def name(self) -> str:
        return "cmdline:/proc/cmdline"

    def look(self, host: Reader) -> State:
        try:
            text = host.read("/proc/cmdline")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if text is None:
            return Unknown("/proc/cmdline is not there")
        return _judged(cmdline.missing(self.wanted, cmdline.tokens(text)))

    def target(self, now: State) -> State:
        return Known(IN_EFFECT) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - nothing on a running host can change it
        if now == self.target(now):
            return Done()
        return NeedsReboot(f"the running kernel was started without {_text(now).removeprefix('missing: ')}")

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the arguments go with the configuration that brings them, at the next boot")


def _judged(lost: Sequence[str]) -> State:
    return Known(f"missing: {' '.join(lost)}" if lost else IN_EFFECT)


def _text(state: State) -> str:
    return state.text if isinstance(state, Known) else ""


@dataclass(frozen=True)
class CmdlineWithout:
    """The running kernel, started with arguments of caasctl's that no menu entry has any more: only a boot is without them."""

    unwanted: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = True

    @property
    def name(self) -> str:
        return "cmdline:/proc/cmdline"

    def look(self, host: Reader) -> State:
        try:
            text = host.read("/proc/cmdline")
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        have = {found.text for found in cmdline.tokens(text or "")}
        return _present([argument for argument in self.unwanted if argument in have])

    def target(self, now: State) -> State:
        return Known(IN_EFFECT) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - nothing on a running host can change it
        if now == self.target(now):
            return Done()
        return NeedsReboot(
            f"the running kernel still has {_text(now).removeprefix('still there: ')}, which no menu entry has any more"
        )

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the arguments went with the configuration that brought them")


def _present(found: Sequence[str]) -> State:
    return Known(f"still there: {' '.join(found)}" if found else IN_EFFECT)
