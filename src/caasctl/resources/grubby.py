"""grubby's way into Boot Loader Specification entries, and out of them again with what the user had there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import IN_EFFECT, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.syntax import bls, cmdline, grub, grub_menu

ENTRIES = "/boot/loader/entries"
_GRUBENV, _DEFAULTS, _NEW_KERNELS = "/boot/grub2/grubenv", "/etc/default/grub", "/etc/kernel/cmdline"
_ALL = "ALL"
_UPDATE, _REMOVE = "--update-kernel=", "--remove-args="
_ONE = re.compile(r"in (?P<kernel>/\S+): (?P<add>.+?)(?: instead of (?P<had>.+))?")


@dataclass(frozen=True)
class _Entry:
    """have: what the kernel would get. written: the same without what variables of GRUB's put in, as grubby sees it."""

    kernel: str
    rescue: bool
    have: tuple[cmdline.Token, ...]
    written: tuple[cmdline.Token, ...]


@dataclass(frozen=True)
class _Ask:
    """One call of grubby. kernel: its path, or ALL. add: the arguments. had: those that they take the place of."""

    kernel: str
    add: tuple[str, ...]
    had: tuple[str, ...] = ()

    @property
    def there(self) -> tuple[str, ...]:
        return ("grubby", f"{_UPDATE}{self.kernel}", f"--args={' '.join(self.add)}")

    @property
    def back(self) -> tuple[str, ...]:
        """() where all that was added was in an entry of the same kernel before: the two cannot be told apart."""
        had = (f"--args={' '.join(self.had)}",) if self.had else ()
        ours = [word for word in self.add if word not in self.had]
        return ("grubby", f"{_UPDATE}{self.kernel}", *had, f"{_REMOVE}{' '.join(ours)}") if ours else ()

    @property
    def text(self) -> str:
        instead = f" instead of {' '.join(self.had)}" if self.had else ""
        return " ".join(self.add) if self.kernel == _ALL else f"in {self.kernel}: {' '.join(self.add)}{instead}"


@dataclass(frozen=True)
class Grubby:
    """Arguments in all BLS entries; of rescue entries only where no entry has anything of that name: they do not count.

    `--update-kernel=ALL` also changes what new kernels get, and every other value of an argument: the way back could not
    tell whose that was. So it is for arguments that are nowhere yet; of others each kernel gets what it lacks.
    """

    wanted: tuple[str, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"grubby:{ENTRIES}"

    def look(self, host: Reader) -> State:
        try:
            entries = _entries(host)
            elsewhere = _elsewhere(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if all(entry.rescue for entry in entries):
            return Unknown(f"{ENTRIES} holds no entry")
        asks = _asks(self.wanted, entries, elsewhere)
        return Known(f"missing: {'; '.join(ask.text for ask in asks)}" if asks else IN_EFFECT)

    def target(self, now: State) -> State:
        return Known(IN_EFFECT) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        for ask in _parsed(now):
            host.execute(*ask.there)
        return Done()

    def undo(self, now: State) -> Undo:
        back = tuple(ask.back for ask in _parsed(now) if ask.back)
        return Undo(commands=back) if back else Undo(nothing="the entries have the arguments already")


@dataclass(frozen=True)
class GrubbyWithout:
    """Arguments that caasctl had grubby put into BLS entries, taken out of them. ways: grubby's calls for that."""

    ways: tuple[tuple[str, ...], ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"grubby:{ENTRIES}"

    def look(self, host: Reader) -> State:
        try:
            found = dict.fromkeys(word for _, words in self._due(host) for word in words)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known(f"still there: {' '.join(found)}" if found else IN_EFFECT)

    def target(self, now: State) -> State:
        return Known(IN_EFFECT) if isinstance(now, Known) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if now != self.target(now):
            for argv, _ in tuple(self._due(host)):
                host.execute(*argv)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="the arguments were caasctl's")

    def _due(self, host: Reader) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """(call, those of its arguments that are still there)."""
        entries = _entries(host)
        for argv in self.ways:
            kernel = kernel_of(argv)
            there = {one.text for entry in entries if kernel in (_ALL, entry.kernel) for one in entry.have}
            if words := tuple(word for word in removed(argv) if word in there):
                yield argv, words


def removed(argv: Sequence[str]) -> tuple[str, ...]:
    """The arguments that a command takes out of boot entries; () for any other command."""
    takes = argv[0] == "grubby" and argv[-1].startswith(_REMOVE)
    return tuple(argv[-1].removeprefix(_REMOVE).split()) if takes else ()


def kernel_of(argv: Sequence[str]) -> str:
    """The kernel's path that a call of grubby is for, or ALL."""
    return argv[1].removeprefix(_UPDATE)


def unknown_kernel(host: Reader, argv: Sequence[str]) -> str:
    """The kernel that a command is for and that no entry starts any more, "" without one. Raises Unreadable."""
    kernel = kernel_of(argv) if removed(argv) else _ALL
    return "" if kernel == _ALL or kernel in {entry.kernel for entry in _entries(host)} else kernel


def _entries(host: Reader) -> tuple[_Entry, ...]:
    variables = grub_menu.environment(host.read(_GRUBENV) or "")
    own = {name: text for name, text in variables.items() if name == "kernelopts"}  # the one that grubby knows
    parsed = [bls.parse(path, host.read(path) or "") for path in glob(host, ENTRIES, ".conf")]
    return tuple(
        _Entry(entry.kernel, entry.rescue, cmdline.tokens(entry.arguments(variables)), cmdline.tokens(entry.arguments(own)))
        for entry in parsed
        if entry.linux
    )  # fmt: skip


def _elsewhere(host: Reader) -> tuple[cmdline.Token, ...]:
    """What new kernels get, which grubby changes with ALL as well."""
    defaults = grub.evaluate([(_DEFAULTS, host.read(_DEFAULTS) or "")]).value("GRUB_CMDLINE_LINUX").text
    return (*cmdline.tokens(defaults), *cmdline.tokens(host.read(_NEW_KERNELS) or ""))


def _asks(wanted: Sequence[str], entries: Sequence[_Entry], elsewhere: Iterable[cmdline.Token]) -> tuple[_Ask, ...]:
    normal = [entry for entry in entries if not entry.rescue]
    lost = {entry: _whole(wanted, cmdline.missing(wanted, entry.have)) for entry in normal}
    taken = {one.name for entry in entries for one in (*entry.have, *entry.written)} | {one.name for one in elsewhere}
    nowhere = tuple(
        word
        for word in wanted
        if cmdline.token(word).name not in taken and any(word in words for words in lost.values())
    )
    asks = [_Ask(_ALL, nowhere)] if nowhere else []
    for kernel in dict.fromkeys(entry.kernel for entry in normal):
        same = [entry for entry in normal if entry.kernel == kernel]
        add = [word for word in wanted if word not in nowhere and any(word in lost[entry] for entry in same)]
        if add:
            asks.append(_of_kernel(kernel, add, same))
    return tuple(asks)


def _of_kernel(kernel: str, add: Sequence[str], entries: Sequence[_Entry]) -> _Ask:
    names = {cmdline.token(word).name for word in add}
    had = dict.fromkeys(one.text for entry in entries for one in entry.written if one.name in names)
    return _Ask(kernel, tuple(add), tuple(had))


def _whole(wanted: Sequence[str], lost: Iterable[str]) -> tuple[str, ...]:
    """With all that is wanted of the same names: grubby puts what it is given in the place of every value of a name."""
    names = {cmdline.token(word).name for word in lost}
    return tuple(word for word in wanted if cmdline.token(word).name in names)


def _parsed(now: State) -> tuple[_Ask, ...]:
    text = now.text if isinstance(now, Known) else ""
    if not text.startswith("missing: "):
        return ()
    clauses = text.removeprefix("missing: ").split("; ")
    found = ((clause, _ONE.fullmatch(clause)) for clause in clauses)
    return tuple(
        _Ask(one["kernel"], tuple(one["add"].split()), tuple((one["had"] or "").split()))
        if one
        else _Ask(_ALL, tuple(clause.split()))
        for clause, one in found
    )
