"""A trial boot: new kernel arguments are tried once, by a menu entry of their own, before they become permanent."""

from __future__ import annotations

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import HEADER, MARK, CaasError, Unreadable
from caasctl.protocol import (
    IN_EFFECT,
    Absent,
    Done,
    FileKind,
    Known,
    NeedsReboot,
    Outcome,
    Reader,
    Resource,
    State,
    Undo,
    Unknown,
    Writer,
)
from caasctl.resources.grub import GrubActivation, environment
from caasctl.syntax import cmdline, grub, grub_menu
from caasctl.syntax.grub_menu import trial

ARMED = "the next boot tries them, once"
HOW = ("tried once by a menu entry of its own; if the machine does not come back, power-cycle it: it boots as before; "
       "after the reboot the same command makes it permanent")  # fmt: skip
_ENTRY = "the default entry with the new arguments"  # a part of the state: what the script is to print
MODE = 0o755  # grub-mkconfig runs it
_VARIABLE = "GRUB_CMDLINE_LINUX_DEFAULT"


@dataclass(frozen=True)
class TrialBoot:
    """The permanent transaction, and before it, where it brings what the running kernel is without, a trial.

    ours: the arguments that our drop-in appends. drop_in: that file. permanent: the transaction that writes it, and removes
    the trial's script. obstacle: why there is no trial here, "" where there is one.
    """

    permanent: Resource
    drop_in: Resource
    ours: tuple[str, ...]
    activation: GrubActivation
    obstacle: str = ""
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    @property
    def name(self) -> str:
        return self.permanent.name

    @property
    def members(self) -> tuple[Resource, ...]:
        """The files that a finished run leaves or removes."""
        return tuple(getattr(self.permanent, "members", ()))

    # -- look ----------------------------------------------------------------------------------------------------------
    def look(self, host: Reader) -> State:
        try:
            entry = self.entry(host)
            return self._seen(host, entry) if entry else self.permanent.look(host)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def entry(self, host: Reader) -> str:
        """The menu entry that a trial would boot, "" where none is due. Raises Unreadable.

        None is due where the running kernel has our arguments, or the boot after next would have them anyway.
        """
        running = None if self.obstacle else host.read("/proc/cmdline")
        if running is None or not self._lost(cmdline.tokens(running)):
            return ""
        config = host.read(self.activation.config) or ""
        now = self.drop_in.look(host)
        lasting = grub_menu.parse(config).lasting(environment.variables(host, self.activation.config))
        if now == self.drop_in.target(now) or lasting is None or not lasting.normal:
            return ""
        if not self._lost(cmdline.of_words(lasting.arguments)):
            return ""
        return self._retold(lasting, now)

    def _retold(self, lasting: grub_menu.Entry, now: State) -> str:
        """The default entry, our arguments of now taken out and all that are missing then put behind."""
        text = now.text if isinstance(now, Known) and MARK.lower() in now.text.lower() else ""
        appended = grub.evaluate([(self.activation.drop_in, text)]).value(_VARIABLE).text
        old = [word for _, word in cmdline.split(appended)]
        left = list(lasting.arguments)
        for word in old:
            at = len(left) - 1 - left[::-1].index(word) if word in left else len(left)
            left[at : at + 1] = []
        more = cmdline.missing(self.activation.wanted, cmdline.of_words(left))
        return trial.retold(lasting, old, more)

    def _seen(self, host: Reader, entry: str) -> State:
        script = _file(host, trial.SCRIPT)
        if isinstance(script, Unknown):
            return script
        armed = environment.armed(host, self.activation.config) and not self._owed(host)
        return Known(ARMED if armed else "not tried yet", parts=((trial.SCRIPT, script), (_ENTRY, Known(entry))))

    def _owed(self, host: Reader) -> str:
        """Why the menu does not try what is wanted, "" where it does."""
        found = grub_menu.parse(host.read(self.activation.config) or "").with_id(trial.ID)
        if found is None:
            return f"{self.activation.config} has no entry {trial.ID}"
        lost = cmdline.missing(self.activation.wanted, cmdline.of_words(found.arguments))
        return f"its entry {trial.ID} has: {' '.join(found.arguments)}" if lost else ""

    def _lost(self, have: tuple[cmdline.Token, ...]) -> bool:
        return bool(cmdline.missing(self.ours, have))

    # -- target and apply ----------------------------------------------------------------------------------------------
    def target(self, now: State) -> State:
        entry = _entry(now)
        if not isinstance(now, Known) or not entry:
            return self.permanent.target(now)
        script = dict(now.parts)[trial.SCRIPT]
        fits = isinstance(script, Known) and script.mode == MODE and trial.tried(script.text) == self.activation.wanted
        if now.text != ARMED or not fits:
            script = self._script(entry)
        return Known(ARMED, parts=((trial.SCRIPT, script), (_ENTRY, Known(entry))))

    def _script(self, entry: str) -> Known:
        (made,) = grub_menu.parse(entry).entries
        text = formats.render("grub-trial.sh.j2", header=HEADER, arguments=self.activation.wanted, kernel=made.kernel, entry=entry)  # fmt: skip
        return Known(text, MODE)

    def apply(self, host: Writer, now: State) -> Outcome:
        if not _entry(now):
            return self.permanent.apply(host, now)
        wanted = self.target(now)
        if now != wanted:
            self._refuse_another(host)
            self._arm(host, dict(now.parts)[trial.SCRIPT], dict(wanted.parts)[trial.SCRIPT])  # type: ignore[union-attr]
        return Done()

    def _arm(self, host: Writer, old: State, new: State) -> None:
        """Script, menu, grubenv, in this order: whatever is missing when it is killed, the next boot is as before, or the trial."""
        was, there = host.read_bytes(self.activation.config), host.stat(self.activation.config)
        try:
            _put(host, new)
            self._bring_about(host, was)
        except (CaasError, Unreadable):
            environment.disarm(host, self.activation.config, self.activation.mkconfig)
            _put(host, old)
            if was is not None and host.read_bytes(self.activation.config) != was:
                host.write(self.activation.config, was, there.mode if there else 0o600)
            raise

    def _bring_about(self, host: Writer, was: bytes | None) -> None:
        config = self.activation.config
        self._judge(self.activation.side_menu(host), host)
        self.activation.generate(host, was)
        if owed := self._owed(host):
            said = f"`{' '.join(self.activation.update)}` did not bring about a trial entry"
            raise CaasError(said, cause=owed, fix=_OTHERWISE)
        host.execute(f"{self.activation.mkconfig.removesuffix('-mkconfig')}-reboot", trial.ID)
        if not environment.armed(host, config):
            cause = f"{environment.of(config)} does not hold {trial.NEXT}={trial.ID} after it was set"
            raise CaasError("the trial entry could not be armed", cause=cause, fix=_OTHERWISE)

    def _judge(self, menu: grub_menu.Menu, host: Reader) -> None:
        """The generated menu must have the trial, with the arguments in effect, and boot something else by default."""
        found = menu.with_id(trial.ID)
        lost = cmdline.missing(self.activation.wanted, cmdline.of_words(found.arguments)) if found else ()
        lasting = menu.lasting(environment.variables(host, self.activation.config))
        if found is None or lost or lasting is None or lasting.id == trial.ID:
            said = f"{' '.join(lost)} would not take effect in it" if lost else "it is not in the menu" if found is None else (
                "GRUB_DEFAULT would start it at every boot")  # fmt: skip
            raise CaasError("the trial entry is not as it should be", cause=said, fix=_OTHERWISE)

    def _refuse_another(self, host: Reader) -> None:
        other = environment.variables(host, self.activation.config).get(trial.NEXT, "")
        if other not in {"", trial.ID}:
            path = environment.of(self.activation.config)
            raise CaasError(f"another menu entry is to be started once: {other}", cause=f"{trial.NEXT} in {path}; a trial would take its place",
                            fix=f"reboot into it first, or drop it: grub-editenv {path} unset {trial.NEXT}")  # fmt: skip

    def undo(self, now: State) -> Undo:
        if not _entry(now) or not isinstance(now, Known):
            return self.permanent.undo(now)
        script = dict(now.parts)[trial.SCRIPT]
        before = (script.text.encode(), script.mode or MODE) if isinstance(script, Known) else None
        disarming = environment.disarming(self.activation.config, self.activation.mkconfig)
        return Undo({trial.SCRIPT: before}, (disarming, self.activation.update))

    # -- what is said --------------------------------------------------------------------------------------------------
    def told(self, now: State) -> str:
        """What the plan says of the change from `now`, beyond its files."""
        if _entry(now):
            return HOW
        said = str(getattr(self.permanent, "then", ""))
        script = dict(now.parts).get(trial.SCRIPT) if isinstance(now, Known) else None
        if self.obstacle:
            return f"{said}; trial boot: {self.without_trial}"
        return (
            f"the running kernel has them: permanent now, and the trial entry goes; {said}"
            if isinstance(script, Known)
            else said
        )

    def promise(self, now: State) -> str:
        """What must be known before the first change: how the new arguments come to be permanent."""
        return f"the new kernel command line is {HOW}" if _entry(now) else self.without_trial

    @property
    def without_trial(self) -> str:
        return f"none, new kernel arguments are permanent at once: {self.obstacle}" if self.obstacle else ""


_OTHERWISE = "see what writes the menu here, or set spec.boot.trialBoot to off, which writes the arguments at once; then run the same command again"  # fmt: skip


@dataclass(frozen=True)
class AfterTrial:
    """The drop-in as it will be written once the trial has booted; shown in the plan, never written by this."""

    trial: TrialBoot
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = True
    when: str = "written by the same command after the reboot, once the kernel runs with these arguments; until then nothing permanent changes"

    @property
    def name(self) -> str:
        return f"after-trial:{self.trial.activation.drop_in}"

    def look(self, host: Reader) -> State:
        try:
            return self.trial.drop_in.look(host) if self.trial.entry(host) else Known(IN_EFFECT)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        return now if now == Known(IN_EFFECT) else self.trial.drop_in.target(now)

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - it waits for a boot
        ours = " ".join(self.trial.ours)
        return NeedsReboot(f"the menu entry {trial.ID} tries {ours} at the next boot, once; after it the same command makes "
                           "that permanent. If the machine does not come back, power-cycle it: it boots as before")  # fmt: skip

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing=f"{self.trial.activation.drop_in} is not written before the trial has booted")


def _entry(now: State) -> str:
    """The menu entry of a state in which a trial is due."""
    entry = dict(now.parts).get(_ENTRY) if isinstance(now, Known) else None
    return entry.text if isinstance(entry, Known) else ""


def _file(host: Reader, path: str) -> State:
    there = host.stat(path, follow=False)
    if there is None:
        return Absent()
    if there.kind is not FileKind.FILE:
        return Unknown(f"{path} is no plain file")
    return Known(host.read(path) or "", there.mode)


def _put(host: Writer, state: State) -> None:
    if isinstance(state, Known):
        host.write(trial.SCRIPT, state.text.encode(), state.mode or MODE)
    else:
        host.remove(trial.SCRIPT)
