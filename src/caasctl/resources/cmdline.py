"""The running kernel's command line, which only a reboot changes, and grubby's way into BLS entries."""

from __future__ import annotations

from collections.abc import Sequence

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import IN_EFFECT, Done, Known, NeedsReboot, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import bls, cmdline, grub_menu

ENTRIES = "/boot/loader/entries"
_GRUBENV = "/boot/grub2/grubenv"


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


@dataclass(frozen=True)
class Grubby:
    """Arguments in all BLS entries; rescue entries get them too, as `grubby --update-kernel=ALL` does, but do not count."""

    wanted: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"grubby:{ENTRIES}"

    def look(self, host: Reader) -> State:
        try:
            entries = self._entries(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if not entries:
            return Unknown(f"{ENTRIES} holds no entry")
        lost = {argument for tokens in entries for argument in cmdline.missing(self.wanted, tokens)}
        return _judged([argument for argument in self.wanted if argument in lost])

    def target(self, now: State) -> State:
        return Known(IN_EFFECT) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        lost = _missing(now)
        if lost:
            host.execute("grubby", "--update-kernel=ALL", f"--args={' '.join(lost)}")
        return Done()

    def undo(self, now: State) -> Undo:
        lost = _missing(now)
        remove = ("grubby", "--update-kernel=ALL", f"--remove-args={' '.join(lost)}")
        return Undo(commands=(remove,)) if lost else Undo(nothing="the entries have the arguments already")

    def _entries(self, host: Reader) -> tuple[tuple[cmdline.Token, ...], ...]:
        variables = grub_menu.environment(host.read(_GRUBENV) or "")
        parsed = [bls.parse(path, host.read(path) or "") for path in glob(host, ENTRIES, ".conf")]
        return tuple(cmdline.tokens(entry.arguments(variables)) for entry in parsed if not entry.rescue)


def _judged(lost: Sequence[str]) -> State:
    return Known(f"missing: {' '.join(lost)}" if lost else IN_EFFECT)


def _text(state: State) -> str:
    return state.text if isinstance(state, Known) else ""


def _missing(now: State) -> tuple[str, ...]:
    return tuple(_text(now).removeprefix("missing: ").split()) if _text(now).startswith("missing: ") else ()


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


@dataclass(frozen=True)
class GrubbyWithout(Grubby):
    """Arguments that caasctl had grubby put into all BLS entries, taken out of them."""

    def look(self, host: Reader) -> State:
        try:
            entries = self._entries(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return _present([argument for argument in self.wanted if any(argument in {t.text for t in e} for e in entries)])

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            words = _text(now).removeprefix("still there: ")
            host.execute("grubby", "--update-kernel=ALL", f"--remove-args={words}")
        return Done()


def _present(found: Sequence[str]) -> State:
    return Known(f"still there: {' '.join(found)}" if found else IN_EFFECT)
