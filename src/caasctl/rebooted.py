"""The reboot marker: what a phase expects of the next boot, on disk until a boot has answered. It stops or explains, never skips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from caasctl import formats
from caasctl.facts.boot import CommandLine
from caasctl.facts.boot_entries import BootEntries, BootEntry
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Facts, Unreadable
from caasctl.protocol import Change, Known, PhaseReport, PhaseStatus, Reader, State, Unknown, Writer
from caasctl.syntax import grub_menu

PATH = "/var/lib/caasctl/reboot.json"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
SCHEMA_VERSION = 1
_MISSING = "missing:"
_RESETS = "reset-"  # how the phases of a reset begin
TRIAL, TRIAL_ENTRY, GRUBENV = "/etc/grub.d/42_caasctl_trial", "caasctl-trial", "/boot/grub/grubenv"
FIX = (
    "look at the host's console and at `journalctl -b -1`; the same command sets it up and asks for a reboot once more"
)


@dataclass(frozen=True)
class Marker:
    """boot_id: of the boot that is to end. owed: resource -> what it said when the reboot was asked for."""

    boot_id: str
    run: str
    phase: str
    why: str
    owed: Mapping[str, str]


class Answer(Enum):
    """What a boot has answered. NONE: nothing was asked, or more is to be changed before it can answer."""

    NONE = "none"
    WAITS = "waits"
    MET = "met"
    MISSED = "missed"


@dataclass(frozen=True)
class Judgement:
    answer: Answer
    problem: str = ""
    cause: str = ""
    fix: str = ""

    @property
    def said(self) -> str:
        return ": ".join(filter(None, (self.problem, self.cause)))


def boot_id(host: Reader) -> str:
    """The id of this boot, "" where the kernel tells none."""
    try:
        return (host.read(BOOT_ID) or "").strip()
    except Unreadable:
        return ""


def note(host: Writer, run: str, phase: str, why: str, changes: Iterable[Change]) -> None:
    """Puts the marker of a phase that needs a reboot on disk."""
    said = {change.resource.name: _text(change.before) for change in changes if change.resource.reboots}
    # Who lists what is missing tells exactly; what only follows from that, as a file that a trial brings, would be taken for a miss.
    owed = {name: text for name, text in said.items() if text.startswith(_MISSING)} or said
    data = {
        "schemaVersion": SCHEMA_VERSION,
        "bootId": boot_id(host),
        "run": run,
        "phase": phase,
        "why": why,
        "owed": owed,
    }
    host.write(PATH, formats.dump_json(data).encode(), 0o600)


def forget(host: Writer) -> None:
    host.remove(PATH)


def superseded(host: Writer, phases: Iterable[str]) -> None:
    """Forgets the reboot that a reset asked for where a node is made again: a later reset would take it for one that missed."""
    asked = marker(host)
    if asked and asked.phase.startswith(_RESETS) and not any(phase.startswith(_RESETS) for phase in phases):
        forget(host)


def marker(host: Reader) -> Marker | None:
    """The marker on disk; None where there is none that can be understood: the host itself is asked then, as always."""
    try:
        text = host.read(PATH)
        return None if text is None else _of(formats.parse_json(text, PATH))
    except (Unreadable, formats.FormatError):
        return None


def _of(data: Any) -> Marker | None:
    known = data if isinstance(data, dict) else {}
    boot, run, phase, why = (known.get(key) for key in ("bootId", "run", "phase", "why"))
    owed = known.get("owed")
    if not isinstance(owed, dict) or not all(isinstance(word, str) for word in (boot, run, phase, why)):
        return None
    return Marker(str(boot), str(run), str(phase), str(why), {str(name): str(text) for name, text in owed.items()})


def judge(host: Reader, phase: str, facts: Facts, differing: Iterable[Change]) -> Judgement:
    """What has come of the reboot that a phase asked for; `differing` is only worked out where there is a marker of it."""
    asked = marker(host)
    if asked is None or asked.phase != phase:
        return Judgement(Answer.NONE)
    changes = tuple(differing)
    answer = weigh(asked, boot_id(host), changes)
    owed = _still_owed(asked, changes)
    if answer is Answer.WAITS:
        return Judgement(answer, f"not rebooted yet since run {asked.run} asked for it", asked.why)
    if answer is Answer.MISSED:
        said = f"the host was rebooted, but did not come up as phase {phase} had set it up"
        return Judgement(answer, said, _why_missed(host, facts, owed), FIX)
    return Judgement(answer)


def weigh(asked: Marker, now: str, differing: Sequence[Change]) -> Answer:
    """Pure: the marker, the id of this boot ("" where not known), and what differs now."""
    if any(change.resource.reboots and isinstance(change.before, Unknown) for change in differing):
        return Answer.NONE
    if not _still_owed(asked, differing):
        return Answer.MET
    if now and asked.boot_id and now != asked.boot_id:
        return Answer.MISSED
    more = any(not change.resource.reboots for change in differing)  # a profile that was changed since, a file edited
    return Answer.NONE if more else Answer.WAITS


def stops(host: Writer, phase: str, facts: Facts, differing: Iterable[Change]) -> str:
    """Why a phase changes nothing before a reboot, "" where it goes on.

    A boot that missed raises CaasError and takes the marker with it: who runs the command again tries again.
    """
    judged = judge(host, phase, facts, differing)
    if judged.answer in (Answer.MET, Answer.MISSED):
        forget(host)
    if judged.answer is Answer.MISSED:
        raise CaasError(judged.problem, cause=judged.cause, fix=judged.fix)
    return judged.said if judged.answer is Answer.WAITS else ""


def planned(blank: PhaseReport, judged: Judgement) -> PhaseReport | None:
    """What a phase would say before it changes anything; None where it would go on."""
    if judged.answer is Answer.WAITS:
        return replace(blank, status=PhaseStatus.REBOOT, message=judged.said, needs_reboot=True)
    if judged.answer is Answer.MISSED:
        return replace(blank, status=PhaseStatus.FAILED, message=judged.said, fix=judged.fix)
    return None


def _text(state: State) -> str:
    return state.text if isinstance(state, Known) else "absent"


def _still_owed(asked: Marker, differing: Iterable[Change]) -> tuple[Change, ...]:
    """What was asked of the boot, in part or whole, and is as it was; what is asked for only since then does not count."""

    def same(change: Change) -> bool:
        was, now = asked.owed.get(change.resource.name, ""), _text(change.before)
        return bool({*was.split()} & {*now.split()} - {_MISSING})

    return tuple(change for change in differing if change.resource.reboots and same(change))


# -- what was booted instead -------------------------------------------------------------------------------------------
def _why_missed(host: Reader, facts: Facts, owed: Sequence[Change]) -> str:
    lacking = [f"{change.resource.name.partition(':')[2]} {_text(change.before)}" for change in owed]
    loader = [_booted(facts), _trial(host)] if any(c.resource.name.startswith("cmdline:") for c in owed) else []
    return "; ".join(filter(None, [*lacking, *loader]))


def _booted(facts: Facts) -> str:
    """The kernel and the entry that run, by the arguments of the running kernel."""
    line, entries = facts.get(CommandLine), facts.get(BootEntries)
    words = [token.text for token in line.tokens] if line else []
    image = next((word.partition("=")[2] for word in words if word.startswith("BOOT_IMAGE=")), "")
    if not image:
        return "no BOOT_IMAGE there: it was not GRUB that started this kernel" if words else ""
    said = f"the running kernel is {image}"
    if entries is None or not entries.source:
        return said
    running = [word for word in words if not word.startswith("BOOT_IMAGE=")]
    entry = next((one for one in entries.entries if _is_of(one, image, running)), None)
    if entry is None:
        return f"{said}, with arguments that no entry of {entries.source} has now"
    default = entries.default
    if default is None or (default.arguments, default.kernel) == (entry.arguments, entry.kernel):
        return f"{said}, of the default entry {entry.title!r}" if default else f"{said}, of the entry {entry.title!r}"
    return f"{said}, of the entry {entry.title!r}, while {default.title!r} is the default"


def _is_of(entry: BootEntry, image: str, running: Sequence[str]) -> bool:
    named = image.rpartition(")")[2]  # (hd0,gpt2)/vmlinuz-6.1 where entries are BLS files
    return entry.kernel in (image, named) and list(entry.arguments) == list(running)


def _trial(host: Reader) -> str:
    """What has become of a one-shot entry; nothing where there is none."""
    try:
        if host.stat(TRIAL) is None:
            return ""
        noted = grub_menu.environment(host.read(GRUBENV) or "").get("next_entry", "")
    except Unreadable as unreadable:
        return f"whether the one-shot entry {TRIAL_ENTRY} was started cannot be told ({unreadable})"
    if TRIAL_ENTRY in noted:
        return f"GRUB has not taken the one-shot entry {TRIAL_ENTRY}, which is still due in {GRUBENV}: another boot loader or disk was booted"
    return f"the one-shot entry {TRIAL_ENTRY} was started and did not come up, or another entry was chosen at the menu"
