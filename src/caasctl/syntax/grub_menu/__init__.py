"""A generated grub.cfg as data: its menu entries, which of them recover, and which one boots next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from caasctl.frozen import dataclass

_SECTION = re.compile(r"^### (BEGIN|END) (\S+) ###")
_LINUX = re.compile(r"linux(?:16|efi)?")
_DEFAULT = re.compile(r"^set default=(.*)$")
_RENAMED = re.compile(r"if \[ \"x\$default\" = '(.*?)' \]; then default='(.*?)'; fi;")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_RECOVERY_WORDS = frozenset({"single", "recovery"})


@dataclass(frozen=True)
class Entry:
    """A menu entry that boots Linux, or has no Linux line (arguments and kernel empty: memtest, firmware, chainload).

    place: index among its siblings, for it and each submenu above it. titles, ids: likewise. section: the script below
    /etc/grub.d that wrote it, "" where none says so. arguments: unquoted words behind the kernel. block: its lines as they are written.
    """

    title: str
    id: str = ""
    place: tuple[int, ...] = ()
    titles: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    section: str = ""
    kernel: str = ""
    arguments: tuple[str, ...] = ()
    block: str = field(default="", compare=False, repr=False)

    @property
    def recovery(self) -> bool:
        return "-recovery-" in self.id or "(recovery mode)" in self.title or bool(_RECOVERY_WORDS & {*self.arguments})

    @property
    def normal(self) -> bool:
        """Boots this host's Linux with GRUB_CMDLINE_LINUX_DEFAULT: neither recovery, nor another system, nor a user's own."""
        generated = self.section.rpartition("/")[2].startswith("10_linux") or not self.section
        return bool(self.kernel) and generated and not self.recovery and "memtest" not in self.kernel


@dataclass(frozen=True)
class Menu:
    """entries: in order. default: as `set default` says, with the names that GRUB_DEFAULT's old titles now have.

    blscfg: entries come from /boot/loader/entries as well.
    """

    entries: tuple[Entry, ...]
    default: str = "0"
    blscfg: bool = False

    def booted(self, environment: Mapping[str, str]) -> Entry | None:
        """The entry that GRUB starts without a key pressed; `environment` is grubenv's."""
        wanted = environment.get("next_entry") or expand(self.default, environment) or "0"
        return self._find(wanted) or self._find("0")

    def lasting(self, environment: Mapping[str, str]) -> Entry | None:
        """The entry that GRUB starts without a key pressed when no other is armed for one boot."""
        return self.booted({name: value for name, value in environment.items() if name != "next_entry"})

    def with_id(self, wanted: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.id == wanted), None)

    def _find(self, wanted: str) -> Entry | None:
        path = [part.replace("\0", ">") for part in wanted.replace(">>", "\0").split(">")]
        for entry in self.entries:
            rest = entry.place[len(path) :]
            if len(entry.place) >= len(path) and not any(rest) and _leads(entry, path):
                return entry
        return None


def _leads(entry: Entry, path: Sequence[str]) -> bool:
    for at, part in enumerate(path):
        named = part in {entry.titles[at], entry.ids[at]} and part
        if not named and not (part.isdecimal() and int(part) == entry.place[at]):
            return False
    return True


def parse(text: str) -> Menu:
    """The menu of a grub.cfg; conditions are not followed, entries in them count as there."""
    reader = _MenuReader()
    for line in text.replace("\\\n", " ").splitlines():
        reader.read(line)
    defaults = [value for value in reader.defaults if "next_entry" not in value]
    default = defaults[-1] if defaults else "0"
    return Menu(tuple(reader.entries), reader.renamed.get(default, default), reader.blscfg)


class _MenuReader:
    """Follows the blocks of a grub.cfg line by line."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.defaults: list[str] = []
        self.renamed: dict[str, str] = {}
        self.blscfg = False
        self._section = ""
        self._blocks: list[tuple[str, str, str, int]] = []  # kind, title, id, index; kind "" is no menu block
        self._counts: list[int] = [0]
        self._raw: list[str] = []  # the lines of the menu entry that is open

    def read(self, line: str) -> None:
        self._raw.append(line)
        self.take(line.strip())

    def take(self, line: str) -> None:
        if section := _SECTION.match(line):
            self._section = section[2] if section[1] == "BEGIN" else ""
        elif line.startswith(("menuentry ", "submenu ", "menuentry\t")):
            self._open(line)
        elif line == "}":
            self._close()
        elif line.endswith("{") and not line.startswith("#"):
            self._blocks.append(("", "", "", 0))
        elif line == "blscfg" or line.startswith("blscfg "):
            self.blscfg = True
        elif found := _DEFAULT.match(line):
            self.defaults.append("".join(words(found[1])[:1]))
        elif line.startswith("if ["):
            self.renamed |= {old[1:]: new for old, new in _RENAMED.findall(line) if old.startswith("x")}
        elif _LINUX.match(line):
            self._linux(line)

    def _open(self, line: str) -> None:
        head, _, body = line.partition(" {")
        said = words(head)
        kind, title = said[0], said[1] if len(said) > 1 else ""
        self._blocks.append((kind, title, _identity(said), self._counts[-1]))
        self._counts[-1] += 1
        if kind == "submenu":
            self._counts.append(0)
            return
        self._raw = self._raw[-1:]
        path = [block for block in self._blocks if block[0]]
        place = tuple(index for *_, index in path)
        titles, ids = tuple(block[1] for block in path), tuple(block[2] for block in path)
        self.entries.append(Entry(title, ids[-1], place, titles, ids, self._section))
        for part in body.split(";"):
            self.take(part.strip())

    def _close(self) -> None:
        kind = self._blocks.pop()[0] if self._blocks else ""
        if kind == "submenu":
            self._counts.pop()
        elif kind == "menuentry":
            self.entries[-1] = replace(self.entries[-1], block="\n".join(self._raw))

    def _linux(self, line: str) -> None:
        said = words(line)
        inside = bool(self._blocks) and self._blocks[-1][0] == "menuentry"
        if inside and said[1:] and _LINUX.fullmatch(said[0]):
            self.entries[-1] = replace(self.entries[-1], kernel=said[1], arguments=tuple(said[2:]))


def _identity(said: Sequence[str]) -> str:
    for at, word in enumerate(said):
        if word.startswith("--id="):
            return word[5:]
        if word in {"--id", "$menuentry_id_option", "${menuentry_id_option}"}:
            return said[at + 1] if at + 1 < len(said) else ""
    return ""


def words(line: str) -> list[str]:
    """The words of a line of GRUB's script, unquoted; variables stay as they are written."""
    return [word.text for word in placed_words(line)]


@dataclass(frozen=True)
class Word:
    """A word, unquoted, and where it is written: line[start:end]."""

    text: str
    start: int
    end: int


def placed_words(line: str) -> list[Word]:
    """As `words`, with their places."""
    found, start = list[Word](), 0
    for end, word in _words(line):
        if word is not None:
            start += len(line[start:end]) - len(line[start:end].lstrip(" \t"))
            found.append(Word(word, start, end))
        start = end
    return found


def _words(line: str) -> Iterator[tuple[int, str | None]]:
    """(where it ends, a word), None for what lies between separators that follow each other."""
    word: str | None = None
    quote, at = "", 0
    while at < len(line):
        character = line[at]
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote, word = character, word or ""
        elif character == "\\" and quote != "'" and at + 1 < len(line):
            kept = character if quote and line[at + 1] not in '$"\\' else ""
            word, at = (word or "") + kept + line[at + 1], at + 1
        elif not quote and character in " \t":
            yield at, word
            word = None
        elif not quote and character == "#" and word is None:
            return
        else:
            word = (word or "") + character
        at += 1
    yield len(line), word


def environment(text: str) -> Mapping[str, str]:
    """The variables of a grubenv block."""
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def expand(text: str, variables: Mapping[str, str]) -> str:
    """The text with $NAME and ${NAME} replaced; a name that is not there is empty."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], ""), text)
