"""GRUB's configuration in effect: judged by the arguments in the generated entries, generated to a side file first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Known, Reader, State, Unknown, Writer
from caasctl.resources.grub import environment
from caasctl.syntax import boot_arguments, cmdline, grub, grub_menu
from caasctl.syntax.grub_menu import trial

DEFAULTS, DROP_INS = "/etc/default/grub", "/etc/default/grub.d"
WORK = "/run/caasctl/grub"
SIDE = f"{WORK}/grub.cfg"
_DEFAULT_ARGUMENTS = "GRUB_CMDLINE_LINUX_DEFAULT"
_GENERATE_S = 600.0  # os-prober mounts every disk
_ALLOWED = re.compile(r"[ -~\n]*")
# sh: "<program>: <line>: <file>: ..." while it sources a file, "<file>: <line>: ..." for `sh -n`; bash: "<file>: line <n>: ..."
_CULPRIT = re.compile(
    r"(?::\s(?P<before>\d+):\s)?(?P<path>/etc/default/grub(?:\.d/[^\s:]+)?|/etc/grub\.d/[^\s:]+)(?::\s(?:line\s)?(?P<line>\d+):)?"
)


@dataclass(frozen=True)
class GrubActivation:
    """Makes drop-ins take effect in grub.cfg.

    wanted: all arguments that normal entries should carry, those of the user's own files too. config: the generated
    menu. mkconfig: the program that prints one. update: the command that writes `config`. drop_in: our own file.
    """

    wanted: tuple[str, ...]
    drop_in: str
    config: str = "/boot/grub/grub.cfg"
    mkconfig: str = "grub-mkconfig"
    update: tuple[str, ...] = ("update-grub",)

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        idle = not self.wanted and isinstance(files.get(self.drop_in), Absent)
        try:
            text = host.read(self.config)
            owed = "" if text is None and idle else self._owed(host, text, self.wanted)
        except Unreadable as unreadable:
            return Known(IN_EFFECT) if idle else Unknown(str(unreadable))
        return Known(owed or IN_EFFECT)

    def _owed(self, host: Reader, text: str | None, wanted: tuple[str, ...]) -> str:
        """What is to be regenerated for, "" where nothing is."""
        if text is None:
            return f"there is no {self.config} yet"
        menu = grub_menu.parse(text)
        lost = tuple(dict.fromkeys(argument for entry in menu.entries for argument in _lost(entry, wanted)))
        if lost:
            return f"normal entries of {self.config} lack {' '.join(lost)}"
        if environment.armed(host, self.config):
            return f"{environment.of(self.config)} still starts the trial entry once"
        if menu.with_id(trial.ID) and host.stat(trial.SCRIPT) is None:
            return f"{self.config} still has the trial entry"
        left = self._left(host, menu)
        return f"{self.config} still carries {' '.join(left)}" if left else ""

    def _left(self, host: Reader, menu: grub_menu.Menu) -> tuple[str, ...]:
        """Arguments that only caasctl can have brought there and that no file asks for now: a killed run leaves them."""
        values = _values(host)
        if any(value.doubts for value in values):
            return ()
        asked = {word for value in values for _, word in cmdline.split(value.text)}
        names = boot_arguments.NAMES | {found.name for found in cmdline.of_words(self.wanted)}
        found = [word for entry in menu.entries if entry.normal for word in cmdline.of_words(entry.arguments)]
        return tuple(dict.fromkeys(word.text for word in found if word.name in names and word.text not in asked))

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Our file, and every other that grub-mkconfig sources, must be something that sh can read."""
        for path, data in staged.items():
            text = data.decode()
            if not _ALLOWED.fullmatch(text):
                raise CaasError(f"{path} would hold a character that GRUB's files cannot carry",
                                cause="an argument of spec.boot.kernelArgs is not plain ASCII", fix="change that argument")  # fmt: skip
            host.execute("sh", "-n", "-c", text)
        for path in _sourced(host):
            if path not in staged:
                _readable(host, path)

    def activate(self, host: Writer) -> None:
        asked, was = self._asked(host), host.read_bytes(self.config)
        certain = not any(value.doubts for value in _values(host))
        if certain and not self._owed(host, None if was is None else was.decode(errors="replace"), asked):
            return  # a rollback of what never reached the menu: the user's own pending edits are not ours to bring there
        environment.disarm(host, self.config, self.mkconfig)
        menu = self.side_menu(host)
        for entry in menu.entries:
            if lost := _lost(entry, asked):
                raise self._overruled(host, entry, lost)
        if was and _normal(grub_menu.parse(was.decode(errors="replace"))) and not _normal(menu):
            raise CaasError(f"{self.mkconfig} generates a menu without any entry that boots Linux",
                            cause=f"{self.config} has such entries now; it was left as it is",
                            fix=f"run `{self.mkconfig} > /dev/null` and mend what it says")  # fmt: skip
        self.generate(host, was)

    def generate(self, host: Writer, was: bytes | None) -> None:
        """Writes the real menu; where that fails, what it was comes back."""
        there = host.stat(self.config)
        try:
            _guarded(host, *self.update)
        except CaasError:
            if was is not None and host.read_bytes(self.config) != was:
                host.write(self.config, was, there.mode if there else 0o600)
            raise

    def prove(self, host: Writer) -> None:
        text = host.read(self.config)
        menu = grub_menu.parse(text or "")
        lost = sorted({argument for entry in menu.entries for argument in _lost(entry, self.wanted)})
        if lost or not _normal(menu):
            said = f"its normal entries lack {' '.join(lost)}" if lost else "it has no entry that boots Linux"
            raise CaasError(f"`{' '.join(self.update)}` did not bring about {self.config}", cause=said,
                            fix=f"see what writes {self.config} here, then run the same command again")  # fmt: skip

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (self.update,)

    def side_menu(self, host: Writer) -> grub_menu.Menu:
        host.write(SIDE, b"", 0o600)
        try:
            _guarded(host, self.mkconfig, "-o", SIDE)
            return grub_menu.parse(host.read(SIDE) or "")
        finally:
            host.remove_tree(WORK)

    def _asked(self, host: Reader) -> tuple[str, ...]:
        """What the files on disk should bring about: all that is wanted, or, after a rollback, what the old drop-in appends."""
        configured = [word for value in _values(host) for _, word in cmdline.split(value.text)]
        if not cmdline.missing(self.wanted, cmdline.of_words(configured)):
            return self.wanted
        value = grub.evaluate([(self.drop_in, host.read(self.drop_in) or "")]).value(_DEFAULT_ARGUMENTS)
        return tuple(word for _, word in cmdline.split(value.text))

    def _overruled(self, host: Reader, entry: grub_menu.Entry, lost: tuple[str, ...]) -> CaasError:
        after = _evaluate(host).clobberer(_DEFAULT_ARGUMENTS, self.drop_in)
        if after:
            cause = f"{after.origin} assigns {_DEFAULT_ARGUMENTS} anew, after {self.drop_in} has appended to it"
            fix = f'append there instead: {_DEFAULT_ARGUMENTS}="${_DEFAULT_ARGUMENTS} ..."'
        else:
            cause = f"the entry {entry.title!r} has: {' '.join(entry.arguments)}"
            fix = "take the argument that overrules it out of /etc/default/grub or its drop-ins"
            if "--" in entry.arguments:
                fix = (
                    "take `--` out of GRUB_CMDLINE_LINUX and its like: what follows it goes to init, not to the kernel"
                )
        return CaasError(f"{' '.join(lost)} would not take effect", cause=cause, fix=fix)


def _lost(entry: grub_menu.Entry, wanted: tuple[str, ...]) -> tuple[str, ...]:
    return cmdline.missing(wanted, cmdline.of_words(entry.arguments)) if entry.normal else ()


def _normal(menu: grub_menu.Menu) -> bool:
    return any(entry.normal for entry in menu.entries)


def _sourced(host: Reader) -> Iterator[str]:
    for path in (DEFAULTS, *glob(host, DROP_INS, ".cfg")):
        if host.stat(path):
            yield path


def _evaluate(host: Reader) -> grub.Evaluation:
    return grub.evaluate([(path, host.read(path) or "") for path in _sourced(host)])


def _values(host: Reader) -> tuple[grub.Value, ...]:
    evaluation = _evaluate(host)
    return tuple(evaluation.value(name) for name in grub.NORMAL_ENTRIES)


def _readable(host: Writer, path: str) -> None:
    """What sh judges, our parser points to: sh names the end of the file where a quote was left open."""
    try:
        host.execute("sh", "-n", path)
    except CommandError as error:
        broken = [str(place.origin) for place in grub.evaluate([(path, host.read(path) or "")]).broken]
        raise _blamed(broken[0] if broken else _culprit(error.cause) or path, error) from error


def _guarded(host: Writer, *argv: str) -> None:
    """Runs a command of GRUB's; where it fails over a user's file, the error names file and line."""
    try:
        host.execute(*argv, timeout_s=_GENERATE_S)
    except CommandError as error:
        named = _culprit(error.cause)
        if named:
            raise _blamed(named, error) from error
        evaluation = _evaluate(host)
        doubts = {str(doubt) for value in evaluation.values.values() for doubt in value.doubts}
        running = sorted(doubts | {str(odd.origin) for odd in evaluation.odd})
        if running:
            error.fix = f"mend what it says; commands are run at {', '.join(running)}; then run the same command again"
        raise


def _culprit(said: str) -> str:
    """The user's file that a message names, with its line where it has one; "" where it names none."""
    found = _CULPRIT.search(said)
    line = (found["line"] or found["before"]) if found else ""
    return (f"{found['path']}:{line}" if line else found["path"]) if found else ""


def _blamed(where: str, error: CommandError) -> CommandError:
    fix = f"mend {where} (every kernel upgrade stops at it too), then run the same command again"
    return CommandError(f"GRUB's configuration cannot be generated, because of {where}", cause=error.cause, fix=fix)
