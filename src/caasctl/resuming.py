"""--auto-reboot: the unit that runs the same command after a reboot, three times at most, and takes itself away (docs/adr/0010)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from caasctl import formats, rebooted
from caasctl.frozen import dataclass
from caasctl.host import processes
from caasctl.model import HEADER, CaasError, CommandError, Exit, Unreadable, UsageError
from caasctl.protocol import Reader, Writer
from caasctl.syntax import systemd

UNIT = "caasctl-resume.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
WANTED = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
STATE, PROXIES = "/var/lib/caasctl/resume.json", "/var/lib/caasctl/resume.env"
REPORT, MOTD = "/var/lib/caasctl/resumed.txt", "/run/motd.d/caasctl"
JOURNAL = f"journalctl -u {UNIT}"
TRIES = 3
SCHEMA_VERSION = 1
STDIN = "-"
_LOST = ("/tmp", "/run", "/var/run", "/dev", "/proc", "/sys")  # noqa: S108 - none of these outlives a reboot
_STARTS_S = 60.0


@dataclass(frozen=True)
class Asked:
    """The command that is to go on, as the user gave it."""

    word: str
    profile: str
    settings: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    token_file: str | None = None
    discovery_file: str | None = None
    airgap: str | None = None

    def files(self) -> tuple[str, ...]:
        """The user's files that the command reads, absolute."""
        profile = self.profile if _is_file(self.profile) else None
        return tuple(os.path.abspath(path) for path in (profile, self.token_file, self.discovery_file) if path)

    def words(self) -> tuple[str, ...]:
        """The same command for any directory and nobody at a terminal; `--x=y`, for a value may begin with a dash."""
        profile = os.path.abspath(self.profile) if _is_file(self.profile) else self.profile
        pairs = [
            ("profile", profile),
            *(("set", each) for each in self.settings),
            *(("phase", each) for each in self.only),
        ]
        pairs += [("skip-phases", each) for each in self.skip]
        joins = (("token-file", self.token_file), ("discovery-file", self.discovery_file), ("airgap", self.airgap))
        pairs += [(name, os.path.abspath(path)) for name, path in joins if path]
        return (self.word, "--yes", "--auto-reboot", "--resumed", *(f"--{name}={value}" for name, value in pairs))


@dataclass(frozen=True)
class Pending:
    """boot_id: of the boot that asked for the reboot. tries: begun so far. whys: what the reboots so far were for."""

    boot_id: str
    word: str
    tries: int = 0
    whys: tuple[str, ...] = ()


class Then(Enum):
    """What a try leaves behind."""

    GONE = "gone"
    KEPT = "kept"
    REBOOT = "reboot"


def program() -> tuple[str, ...]:
    """How this caasctl is started from any directory, without the environment that it was started with."""
    script = os.path.abspath(sys.argv[0])
    return (sys.executable, *(("-m", "caasctl") if os.path.basename(script) == "__main__.py" else (script,)))


# -- before anything is changed ----------------------------------------------------------------------------------------
def refuse(host: Reader, asked: Asked, started: Sequence[str]) -> None:
    """Raises UsageError where the command could not go on after a reboot. started: what `program` says."""
    if asked.token_file == STDIN:
        raise UsageError("--auto-reboot cannot go on with a token from standard input", cause="after the reboot there is nobody to give it again",
                         fix="put it in a file of mode 0600 that stays, such as /root/join.txt: --token-file /root/join.txt")  # fmt: skip
    if host.stat("/run/systemd/system") is None:
        raise UsageError("--auto-reboot needs systemd", cause="another program is process 1 here: nothing would go on after the reboot",
                         fix="leave --auto-reboot away; reboot by hand when asked, then run the same command again")  # fmt: skip
    for path in (*asked.files(), *(word for word in started if word.startswith("/"))):
        if lost := next((place for place in _LOST if path.startswith(f"{place}/")), ""):
            raise UsageError(f"--auto-reboot needs {path} after the reboot", cause=f"what is in {lost} does not outlive one",
                             fix=f"move it to a place that stays, such as /root/{os.path.basename(path)}, and name that")  # fmt: skip
    _refuse_what_would_not_start(host, started)


def _refuse_what_would_not_start(host: Reader, started: Sequence[str]) -> None:
    try:
        said = host.query(*started, "version", timeout_s=_STARTS_S)
        why = (
            ""
            if said.ok and said.stdout.startswith("caasctl ")
            else (said.stderr.strip().splitlines() or ["it says nothing"])[-1]
        )
    except Unreadable as unreadable:
        why = unreadable.reason
    if why:
        raise UsageError("--auto-reboot cannot start this caasctl again", cause=f"`{' '.join(started)} version`, with systemd's environment: {why}",
                         fix="install caasctl (its wheel, into an environment of its own) and run that one")  # fmt: skip


# -- the unit ----------------------------------------------------------------------------------------------------------
def arm(host: Writer, asked: Asked, started: Sequence[str], pending: Pending) -> None:
    """Makes the command go on with the next boot: the state first, without which the unit does nothing. Raises CaasError."""
    for path in asked.files():
        if host.stat(path) is None:
            raise CaasError(f"{path} is gone", cause="the command reads it again after the reboot, so the host was not rebooted",
                            fix="put it back, then run the same command again")  # fmt: skip
    _write(host, pending)
    proxies = processes.proxied(())
    if proxies:
        host.write(PROXIES, systemd.environment_file(proxies).encode(), 0o600)
    host.write(UNIT_FILE, unit_text(asked, started).encode())
    host.execute("systemctl", "enable", "--", UNIT)


def unit_text(asked: Asked, started: Sequence[str]) -> str:
    mounts = dict.fromkeys([word for word in started if word.startswith("/")] + [*asked.files(), STATE])
    command = systemd.command((*started, *asked.words()))
    return formats.render("resume.service.j2", header=HEADER, word=asked.word, state=STATE, mounts=systemd.paths(mounts),
                          command=command, environment=PROXIES)  # fmt: skip


def remove(host: Writer, *, from_within: bool = False) -> tuple[str, ...]:
    """Takes the unit and its state away; says what could not be, which is no reason to fail.

    from_within: the unit is what runs here. A systemd that forgets it then gives it the usual 90 s to start, which are over.
    """
    there = [path for path in (STATE, WANTED, UNIT_FILE, PROXIES) if _is_there(host, path)]
    said = tuple(filter(None, (_removed(host, path) for path in there)))
    if from_within or not {WANTED, UNIT_FILE} & {*there}:
        return said
    try:
        host.execute("systemctl", "daemon-reload")
    except CaasError as error:
        return (*said, f"{error.problem}: {error.cause}")
    return said


def is_left(host: Reader) -> bool:
    """Whether a unit waits for a boot, or a line of one that has ended waits for who logs in."""
    return any(_is_there(host, path) for path in (STATE, WANTED, UNIT_FILE, MOTD))


def take_over(host: Writer) -> tuple[str, ...]:
    """For a run by hand: what was left to a unit is done by the one at the terminal now."""
    return tuple(filter(None, (*remove(host), _removed(host, MOTD))))


def cancel(host: Writer) -> tuple[str, ...]:
    """Forgets a reboot that was asked for, and all that would go on after it; says what could not be removed."""
    return (*take_over(host), *filter(None, (_removed(host, rebooted.PATH),)))


def _is_there(host: Reader, path: str) -> bool:
    try:
        return host.stat(path, follow=False) is not None
    except Unreadable:
        return True


def _removed(host: Writer, path: str) -> str:
    try:
        host.remove(path)
    except CaasError as error:
        return f"{error.problem}: {error.cause}"
    return ""


def reboot(host: Writer) -> None:
    """Raises CommandError, with the unit left as it is: whoever reboots, it goes on."""
    try:
        host.execute("systemctl", "reboot")
    except CommandError as error:
        error.fix = f"reboot by hand: {UNIT} goes on after it"
        raise


# -- a try -------------------------------------------------------------------------------------------------------------
def begin(host: Writer) -> Pending:
    """Counts a try, on disk before it begins. Raises CaasError where there is none left, or nothing to go on with."""
    pending = read(host)
    if pending is None:
        raise UsageError("there is nothing to go on with", cause=f"{STATE} is not there, or is no record of caasctl's",
                         fix="run the command without --resumed, which is for the unit only")  # fmt: skip
    if pending.boot_id and pending.boot_id == rebooted.boot_id(host):
        raise UsageError(
            "the host was not rebooted yet",
            cause="the boot that asked for the reboot still runs",
            fix="systemctl reboot",
        )
    if pending.tries >= TRIES:
        raise _used_up(host, pending)
    counted = replace(pending, tries=pending.tries + 1)
    _write(host, counted)
    return counted


def _used_up(host: Writer, pending: Pending) -> CaasError:
    remove(host)
    problem = f"{pending.word} was tried {TRIES} times after the reboot and did not come to an end"
    error = CaasError(problem, cause="each try was cut off: by a power cut, a reboot, or something that ended it",
                      fix=f"`{JOURNAL}` shows how far they came; then run it by hand")  # fmt: skip
    host.say("; ".join(leave(host, f"caasctl {problem}: {JOURNAL}", f"{problem}\n")))
    return error


def ended(code: int, why: str, pending: Pending) -> tuple[Then, str]:
    """Pure: what a try leaves behind, and how it ended in a clause. why: what a reboot is needed for."""
    left = pending.tries < TRIES
    if code == Exit.OK:
        return Then.GONE, "converged"
    if code == Exit.REBOOT and why in pending.whys:
        return Then.GONE, f"stopped: it needs the reboot again that it has just had ({why})"
    if code == Exit.REBOOT:
        return (
            (Then.REBOOT, "needs another reboot")
            if left
            else (Then.GONE, f"needs another reboot, after {TRIES} tries: reboot, then run it by hand")
        )
    if code in (Exit.LOCKED, Exit.INTERRUPTED):
        said = "found another run at work" if code == Exit.LOCKED else "was interrupted"
        return (
            (Then.KEPT, f"{said}; it goes on with the next boot")
            if left
            else (Then.GONE, f"{said}, in the last of {TRIES} tries")
        )
    return Then.GONE, f"stopped (exit code {int(code)})"


def leave(host: Writer, line: str, report: str) -> tuple[str, ...]:
    """Leaves the report and a line for who logs in next; says what could not be left."""
    lost = []
    for path, text, mode in ((REPORT, report, 0o600), (MOTD, f"{line}\n", 0o644)):
        try:
            host.write(path, text.encode("utf-8", "backslashreplace"), mode)
        except (CaasError, Unreadable) as error:
            lost.append(str(error))
    return tuple(lost)


def why_reboot(host: Reader) -> str:
    """What the reboot that is due is for, in the same words each time it is."""
    asked = rebooted.marker(host)
    return f"{asked.phase}: {asked.why}" if asked else ""


def read(host: Reader) -> Pending | None:
    try:
        text = host.read(STATE)
        data: Any = formats.parse_json(text or "", STATE)
    except (Unreadable, formats.FormatError):
        return None
    kinds = {"bootId": str, "word": str, "tries": int, "whys": list}
    if not isinstance(data, dict) or any(not isinstance(data.get(key), kind) for key, kind in kinds.items()):
        return None
    return Pending(data["bootId"], data["word"], data["tries"], tuple(map(str, data["whys"])))


def _write(host: Writer, pending: Pending) -> None:
    data = {
        "schemaVersion": SCHEMA_VERSION,
        "bootId": pending.boot_id,
        "word": pending.word,
        "tries": pending.tries,
        "whys": [*pending.whys],
    }
    host.write(STATE, formats.dump_json(data).encode(), 0o600)


def _is_file(profile: str) -> bool:
    return "/" in profile or profile.endswith((".yaml", ".yml"))
