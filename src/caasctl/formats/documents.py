"""Configuration texts of strangers: read within bounds, document by document, with the line of each key."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.formats import FormatError
from caasctl.frozen import dataclass

Path = tuple[Any, ...]  # keys and places in lists, from the top of a document
MOST_BYTES = 4 << 20
_NODES = 300_000
_KEYS = 5_000  # of one mapping
_DEEP = 100
_DOCUMENTS = 300
_DOTS = 100
_BLANK = 5_000_000  # lines before documents, all together: a parser passes some millions in a second
_BETWEEN = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%(?:YAML|TAG)\b[^\n]*$", re.MULTILINE)
_HEADER = re.compile(r"""^\s*\[{1,2}\s*([^\[\]]+(?:"[^"]*"[^\[\]]*)*)\]{1,2}\s*(?:#.*)?$""")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_TAB = re.compile(r"^ *\t", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """data: as parsed. lines: key path -> line, counted from 1 through the whole file."""

    data: Any
    lines: Mapping[Path, int] = dataclasses.field(default_factory=dict)

    def line(self, *path: Any) -> int:
        """Where a key stands, or the nearest one above it that is known; 0 where nothing is."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def of_yaml(text: str, what: str) -> tuple[Document, ...]:
    """The documents that hold something. Raises FormatError with line and column, also for aliases that stand for too much."""
    found = []
    for part in _parts(text, what):
        lines = _walk(part, what)
        if lines:
            found.append(Document(formats.parse_yaml(part, what, quick=True), lines))
    return tuple(found)


def of_json(text: str, what: str) -> tuple[Document, ...]:
    data = _bounded(formats.parse_json(text, what, unique=True), what)
    try:
        return (Document(data, _walk(text, what)),)
    except FormatError:
        return (Document(data),)


def of_toml(text: str, what: str) -> tuple[Document, ...]:
    for number, line in enumerate(text.splitlines(), 1):
        # The time that a parser takes grows with the square of a dotted key's length.
        if line.count(".") > _DOTS and not line.lstrip().startswith("#") and _dotted_too_long(line):
            raise _too(what, f"a key of more than {_DOTS} parts in line {number}")
    return (Document(_bounded(formats.parse_toml(text, what), what), _lines_of_toml(text)),)


def _dotted_too_long(line: str) -> bool:
    return any(part.count(".") > _DOTS for part in re.split(r"[=,{}\[\]#]", line))


def _bounded(data: Any, what: str) -> Any:
    """The data, where a check may walk through it. Raises FormatError."""
    level, count = [data], 0
    for _ in range(_DEEP):
        tables = [one for one in level if isinstance(one, dict)]
        if any(len(table) > _KEYS for table in tables):
            raise _too(what, f"a table of more than {_KEYS} keys")
        level = [value for table in tables for value in table.values()] + [
            value for one in level if isinstance(one, list) for value in one
        ]
        count += len(level)
        if count > _NODES:
            raise _too(what, f"more than {_NODES} values")
        if not level:
            return data
    raise _too(what, f"nested more than {_DEEP} levels deep")


def _parts(text: str, what: str) -> Iterator[str]:
    """The documents, each with line breaks before it for what went before: what is said of lines is then right."""
    text = _DIRECTIVE.sub("", text)  # each counts for the document behind it, which is parsed alone
    starts = [0, *(match.end() for match in _BETWEEN.finditer(text))]
    if len(starts) > _DOCUMENTS:
        raise FormatError(
            f"{what} has {len(starts)} documents", cause=f"more than {_DOCUMENTS} are not read", fix="split it"
        )
    ends = [*(match.start() for match in _BETWEEN.finditer(text)), len(text)]
    before = [text.count("\n", 0, start) for start in starts]
    if sum(before) > _BLANK:
        raise FormatError(f"{what} has too many lines for {len(starts)} documents", cause="each is read with the lines before it",
                          fix="split it")  # fmt: skip
    for lines, start, end in zip(before, starts, ends, strict=True):
        yield "\n" * lines + text[start:end]


def _with_tab(text: str, what: str, error: FormatError) -> FormatError:
    """Of a tab the parsers say that it `cannot start any token`."""
    found = _TAB.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else 0
    if not found or not re.search(rf"line {line}\b|line {line + 1}\b", error.problem):
        return error
    return FormatError(
        f"{what} is not valid YAML at line {line}: a tab in its indentation",
        cause="YAML is indented by blanks only",
        fix="put blanks in the place of the tab",
    )


@dataclasses.dataclass
class _Open:
    """A mapping or list that is being read. at: its next place; key: the key whose value comes, None where a key comes."""

    path: Path
    mapping: bool
    anchor: str | None
    size: int = 1
    at: int = 0
    key: Any = None
    keyed: bool = False


def _walk(text: str, what: str) -> dict[Path, int]:
    """The line of each key path. Raises FormatError for what would be too much to read: aliases count for all they stand for."""
    import yaml  # noqa: PLC0415 - 20 ms

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Walk(what).through(yaml.parse(text, Loader=loader))
    except RecursionError as error:
        raise _too(what, "nested too deeply") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        at = f" at line {where.line + 1}, column {where.column + 1}" if where else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        told = FormatError(f"{what} is not valid YAML{at}: {said}", fix="correct that line")
        raise _with_tab(text, what, told) from error


class _Walk:
    """Through the events of a document, without making anything of them."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.lines: dict[Path, int] = {}
        self.open: list[_Open] = []
        self.sizes: dict[str, int] = {}

    def through(self, events: Any) -> dict[Path, int]:
        for event in events:
            kind = type(event).__name__
            if kind in ("MappingStartEvent", "SequenceStartEvent"):
                self._begin(event, mapping=kind == "MappingStartEvent")
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                self._end()
            elif kind in ("ScalarEvent", "AliasEvent"):
                self._leaf(event, alias=kind == "AliasEvent")
        return self.lines

    def _place(self, event: Any, text: str | None = None) -> Path | None:
        """The path of what comes now; None for a key."""
        if not self.open:
            self.lines.setdefault((), event.start_mark.line + 1)
            return ()
        top = self.open[-1]
        if not top.mapping:
            path = (*top.path, top.at)
            top.at += 1
        elif not top.keyed:
            top.key, top.keyed = text, True
            top.at += 1
            if top.at > _KEYS:
                raise _too(self.what, f"a mapping of more than {_KEYS} keys")
            self.lines.setdefault((*top.path, text), event.start_mark.line + 1)
            return None
        else:
            path, top.keyed = (*top.path, top.key), False
        self.lines.setdefault(path, event.start_mark.line + 1)
        return path

    def _begin(self, event: Any, *, mapping: bool) -> None:
        path = self._place(event)
        if len(self.open) >= _DEEP:
            raise _too(self.what, f"nested more than {_DEEP} levels deep (line {event.start_mark.line + 1})")
        self.open.append(_Open(path if path is not None else (), mapping, event.anchor))

    def _end(self) -> None:
        done = self.open.pop()
        self._count(done.size, done.anchor)

    def _leaf(self, event: Any, *, alias: bool) -> None:
        self._place(event, None if alias else event.value)
        self._count(self.sizes.get(event.anchor, 1) if alias else 1, None if alias else event.anchor)

    def _count(self, size: int, anchor: str | None) -> None:
        if anchor:
            self.sizes[anchor] = size
        if self.open:
            self.open[-1].size += size
        if size > _NODES or (self.open and self.open[-1].size > _NODES):
            raise _too(self.what, f"with its aliases written out more than {_NODES} values")


def _too(what: str, why: str) -> FormatError:
    return FormatError(
        f"{what} cannot be read: {why}", cause="no configuration is like that", fix="write it out plainly"
    )


def _lines_of_toml(text: str) -> dict[Path, int]:
    """By line: of tables and of keys that begin one."""
    lines: dict[Path, int] = {(): 1}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _names(header[1])
        elif row := _KEY.match(line):
            lines.setdefault((*table, *_names(row[1])), number)
            continue
        else:
            continue
        for length in range(1, len(table) + 1):
            lines.setdefault(table[:length], number)
    return lines


def _names(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(text))
