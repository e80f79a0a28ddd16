"""The two doors to a host (Reader, Writer) and the resource protocol: states, changes, phases. Types only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Protocol, Union

from caasctl.frozen import dataclass
from caasctl.model import Facts, Finding


class FileKind(str, Enum):
    FILE = "file"
    DIR = "dir"
    LINK = "link"
    CHAR = "char"
    BLOCK = "block"
    OTHER = "other"


@dataclass(frozen=True)
class Stat:
    """mode: permission bits only. size: bytes. ctime_ns: time of the last status change, 0 where a recording has none."""

    kind: FileKind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    ctime_ns: int = 0


NOT_FOUND = 127  # a shell's exit status for a command that is not there
IN_EFFECT = "in effect"


@dataclass(frozen=True)
class Completed:
    """A command that ran; rc 127 and `missing` where there is no such program on the host."""

    argv: tuple[str, ...]
    rc: int
    stdout: str = ""
    stderr: str = ""
    missing: bool = False

    @property
    def ok(self) -> bool:
        return self.rc == 0


class Reader(Protocol):
    """Looks at a host; has no method that changes it. Every method takes absolute paths of that host."""

    def read(self, path: str) -> str | None:
        """The text of a file, None where there is none. Raises Unreadable (permission, directory, not UTF-8, too large)."""

    def read_bytes(self, path: str) -> bytes | None:
        """As `read`, undecoded."""

    def tail(self, path: str, size_bytes: int) -> str | None:
        """The last whole lines of a file that may be large, at most so much of it; bytes that are no UTF-8 are replaced."""

    def list(self, path: str) -> tuple[str, ...] | None:
        """Names in a directory, sorted; None where there is none. Raises Unreadable."""

    def readlink(self, path: str) -> str | None:
        """The target of a symbolic link as written in it; None where the path is no link."""

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        """What is at the path; None where nothing is. Raises Unreadable."""

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        """Runs a command that only looks; any exit status returns. Raises Unreadable: too late, not recorded, another's tree."""


class Writer(Reader, Protocol):
    """Changes a host. Only the engine's apply holds one."""

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        """Replaces a file whole, in one step; makes parents. owner: (uid, gid) of all; None: of the file before, else root's."""

    def write_value(self, path: str, text: str) -> None:
        """Writes into a kernel file (/proc/sys, /sys) in place."""

    def remove(self, path: str) -> None:
        """Removes a file; nothing to do where there is none."""

    def tidy(self, path: str) -> None:
        """Removes what a run that was killed while it wrote the file left beside it. Raises CaasError, Unreadable."""

    def remove_tree(self, path: str) -> None:
        """Removes a directory with all in it: one below /run/caasctl, or one that `unpack` made. Nothing to do without it."""

    def unpack(self, archive: str, folder: str, sha256: str, top: str, see: Callable[[str, bytes], None]) -> None:
        """Unpacks what is below `top` in a tarball into a new folder; `see` gets each file's name and its content in blocks."""

    def store(self, path: str, blocks: Iterable[bytes]) -> None:
        """Writes a file of root's from blocks, as `write` does; it may be large."""

    def link(self, path: str, target: str) -> None:
        """Makes a symbolic link, or leads one elsewhere, in one step. Raises CaasError where something else lies there."""

    def move(self, path: str, to: str) -> None:
        """Renames what lies at a path within its folder, to a name that is free. Raises CaasError."""

    def private_folder(self, path: str) -> None:
        """Makes a directory of caasctl's own that only root may enter; one that is there already is closed to others."""

    def remove_folder(self, path: str) -> None:
        """Removes a directory that is empty; nothing to do where it is not, or where there is none."""

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        """Raises CommandError unless it exits 0; its output is progress. direct: what it reaches without caasctl's proxies, None: all."""

    def say(self, line: str) -> None:
        """Shows a line of progress, for what takes long and runs no command that speaks."""

    def stops(self) -> bool:
        """Whether the user wants out: for what waits, and would leave nothing half-way."""


@dataclass(frozen=True)
class Known:
    """A state that can be compared and shown. `mode` where permissions matter; `parts` are named sub-states."""

    text: str
    mode: int | None = None
    parts: tuple[tuple[str, State], ...] = ()


@dataclass(frozen=True)
class Absent:
    """It is not there."""


@dataclass(frozen=True)
class Unknown:
    """It could not be looked at: provisional in a dry run, a stop in apply."""

    reason: str


State = Union[Known, Absent, Unknown]


@dataclass(frozen=True)
class Done:
    """The change is made and in effect."""


@dataclass(frozen=True)
class NeedsReboot:
    """The change takes effect with the next boot."""

    why: str


@dataclass(frozen=True)
class Impossible:
    """caasctl cannot make this change here; `fix` is what the user can do."""

    problem: str
    fix: str


Outcome = Union[Done, NeedsReboot, Impossible]


@dataclass(frozen=True)
class Undo:
    """The way back, known and shown before the change.

    first: commands that take down what uses the files, run before any file of the run is back; where one fails, nothing
    else is taken back. files: path -> (bytes before, mode), None where the file was not there. commands: run after the
    files are back. loses: what goes for good, which undo asks about. nothing: why there is no way back, or none is needed.
    values: path of a kernel file -> its value before. folders: that the change may make, beside those of its files. links:
    path of a symbolic link -> what lay there, in the words of syntax/links, None for nothing. trees: that it unpacks.
    """

    files: Mapping[str, tuple[bytes, int] | None] | None = None
    commands: tuple[tuple[str, ...], ...] = ()
    nothing: str = ""
    first: tuple[tuple[str, ...], ...] = ()
    loses: str = ""
    values: Mapping[str, str] | None = None
    folders: tuple[str, ...] = ()
    links: Mapping[str, str | None] | None = None
    trees: tuple[str, ...] = ()

    @property
    def acts(self) -> bool:
        return bool(self.files or self.values or self.commands or self.first or self.links or self.trees)

    @property
    def text(self) -> str:
        said = [" ".join(argv) for argv in self.first]
        said += [f"restore {path}" if was else f"remove {path}" for path, was in (self.files or {}).items()]
        said += [f"set {path} to {was}" for path, was in (self.values or {}).items()]
        said += [f"make {path} {was} again" if was else f"remove {path}" for path, was in (self.links or {}).items()]
        said += [*(" ".join(argv) for argv in self.commands), *(f"remove {path}" for path in self.trees)]
        return "; ".join(said) or self.nothing


class Resource(Protocol):
    """One thing the host should have. Frozen; `name` is stable and shown in the plan."""

    @property
    def name(self) -> str:
        """As `file:/etc/crictl.yaml` or `unit:containerd`."""

    @property
    def after(self) -> tuple[str, ...]:
        """Names of resources whose change makes this one due too."""

    @property
    def secret(self) -> bool:
        """Whether its text must never be shown."""

    @property
    def reboots(self) -> bool:
        """Whether a change of it takes effect with the next boot only."""

    def look(self, host: Reader) -> State:
        """The state now."""

    def target(self, now: State) -> State:
        """The state that should be, given the one now: pure, and target(target(x)) == target(x)."""

    def apply(self, host: Writer, now: State) -> Outcome:
        """Brings the target about; `now` was looked at just before."""

    def undo(self, now: State) -> Undo:
        """The way back to `now`."""


@dataclass(frozen=True)
class Change:
    """A resource that differs (or follows one that does). Derived texts, diffs among them, are never stored."""

    phase: str
    resource: Resource
    before: State
    after: State
    because: tuple[str, ...] = ()
    provisional: str = ""  # why this may look different when its turn comes


class PhaseStatus(str, Enum):
    UNCHANGED = "unchanged"
    PLANNED = "planned"
    PROVISIONAL = "provisional"
    CHANGED = "changed"
    REBOOT = "reboot-required"
    BLOCKED = "blocked"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PhaseReport:
    """What a phase did, or would do. `message` explains a status that is not self-evident."""

    id: str
    title: str
    status: PhaseStatus
    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    message: str = ""
    fix: str = ""
    needs_reboot: bool = False
    duration_ms: int = 0


@dataclass(frozen=True)
class Phase:
    """An ordered step of init-node.

    desired: pure; depends on the profile, on what never changes, and on what is foreign, never on what it brings about.
    reads: the facts it needs. disturbs: those that its changes make stale. may_idle: it has no gate where it desires nothing, but never_idle.
    """

    id: str
    title: str
    desired: Callable[[Facts, Any], Iterable[Resource]]
    reads: tuple[type, ...]
    disturbs: tuple[type, ...]
    may_idle: bool = False
    never_idle: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """What to read for one fact: `read` gets a Reader and returns an instance of `fact`, or raises Unreadable."""

    fact: type
    read: Callable[[Reader], object]
