"""/etc/default/grub and its drop-ins evaluated as data, as sh would source them; nothing is ever executed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from caasctl.frozen import dataclass

NORMAL_ENTRIES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")  # in the order in which they are written
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_FAR = r"\.|source|eval|exec|exit|return|unset|read|trap|alias|set"  # can change any variable, or end everything
_FAR_REACHING = re.compile(rf"\(\)|(?:^|[\s;&|({{])(?:{_FAR})(?=[\s;]|$)")
_CLOSERS = {"if": "fi", "while": "done", "until": "done", "for": "done", "case": "esac", "{": "}", "(": ")"}
_LEADERS = frozenset({"if", "then", "else", "elif", "while", "until", "do", "{", "!"})
_OPERATORS = re.compile(r"\n|;;|;|&&|&|\|\||\||\(|\)|<<|[<>]")
_INSIDE = re.compile(r'\\([$`"\\\n])|([^"\\$`]+|\\)')  # of double quotes: an escape, or plain text
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_PLAIN = re.compile(r"[^\s\\'\"$`;&|()<>]+|[\r\f\v]+")


@dataclass(frozen=True)
class Origin:
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Value:
    """A variable after all files. pieces: stretches and who wrote them. doubts: places that make it uncertain."""

    pieces: tuple[tuple[str, Origin], ...] = ()
    doubts: tuple[Origin, ...] = ()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    def origin(self, offset: int) -> Origin | None:
        """Who wrote the character at `offset`."""
        for text, origin in self.pieces:
            if offset < len(text):
                return origin
            offset -= len(text)
        return None


@dataclass(frozen=True)
class Assignment:
    """appends: its value uses the variable's own one, so what came before is kept."""

    name: str
    origin: Origin
    appends: bool


@dataclass(frozen=True)
class Oddity:
    """A statement that is not understood, or, in `broken`, what sh says of a file that it cannot read."""

    origin: Origin
    text: str


@dataclass(frozen=True)
class Evaluation:
    values: Mapping[str, Value]
    assignments: tuple[Assignment, ...] = ()
    odd: tuple[Oddity, ...] = ()
    broken: tuple[Oddity, ...] = ()

    def value(self, name: str) -> Value:
        return self.values.get(name, Value())

    def clobberer(self, name: str, path: str) -> Assignment | None:
        """The assignment that throws away what `path` puts into `name`, None where nothing does."""
        order = [made.origin.path for made in self.assignments]
        after = len(order) - order[::-1].index(path) if path in order else 0
        plain = [made for made in self.assignments[after:] if made.name == name and not made.appends]
        return plain[-1] if plain else None


@dataclass(frozen=True)
class _Part:
    """kind: text, variable (its name), odd (a substitution that is not followed)."""

    kind: str
    text: str
    line: int
    quoted: bool = False


@dataclass(frozen=True)
class _Token:
    """A word with its parts, or an operator, which has none."""

    raw: str
    line: int
    start: int
    parts: tuple[_Part, ...] = ()


class _BrokenError(Exception):
    """(line, what sh says of it)."""


def evaluate(files: Sequence[tuple[str, str]]) -> Evaluation:
    """The variables after sourcing (path, text) in the order given."""
    state = _State()
    for path, text in files:
        try:
            for statement in _statements(text):
                state.take(path, text, statement)
        except _BrokenError as broken:
            line, said = broken.args
            state.broken.append(Oddity(Origin(path, line), said))
            state.everything.append(Origin(path, line))
    known = dict.fromkeys(NORMAL_ENTRIES, ((), ())) | state.values
    values = {name: Value(pieces, (*doubts, *state.everything)) for name, (pieces, doubts) in known.items()}
    return Evaluation(values, tuple(state.assignments), tuple(state.odd), tuple(state.broken))


class _State:
    def __init__(self) -> None:
        self.values: dict[str, tuple[tuple[tuple[str, Origin], ...], tuple[Origin, ...]]] = {}
        self.assignments: list[Assignment] = []
        self.odd, self.broken = list[Oddity](), list[Oddity]()
        self.everything: list[Origin] = []

    def take(self, path: str, text: str, statement: Sequence[_Token]) -> None:
        words = statement[1:] if statement[0].raw == "export" else statement
        if all(_is_settled(word, exported=words is not statement) for word in words):
            for word in words:
                self._assign(path, word)
            return
        start, last = statement[0], statement[-1]
        origin, said = Origin(path, start.line), text[start.start : last.start + len(last.raw)]
        self.odd.append(Oddity(origin, said))
        if _FAR_REACHING.search(said):
            self.everything.append(origin)
        for name in set(_NAME.findall(said)):
            pieces, doubts = self.values.get(name, ((), ()))
            self.values[name] = (pieces, (*doubts, origin))

    def _assign(self, path: str, word: _Token) -> None:
        match = _ASSIGNED.match(word.raw)
        if match is None:
            return  # `export NAME` changes no value
        name, pieces, doubts = match[1], list[tuple[str, Origin]](), list[Origin]()
        for at, part in enumerate(word.parts):
            origin = Origin(path, part.line)
            if part.kind == "text":
                pieces.append((part.text[len(match[0]) :] if at == 0 else part.text, origin))
            elif part.kind == "variable" and (part.text in self.values or part.text.startswith("GRUB_")):
                was, doubted = self.values.get(part.text, ((), ()))
                pieces, doubts = [*pieces, *was], [*doubts, *doubted]
            else:
                doubts.append(origin)
        appends = any(part.kind == "variable" and part.text == name for part in word.parts)
        self.values[name] = (tuple(pieces), tuple(doubts))
        self.assignments.append(Assignment(name, Origin(path, word.line), appends))


def _is_settled(word: _Token, *, exported: bool) -> bool:
    """Whether a word assigns and does nothing else."""
    if not word.parts or not _ASSIGNED.match(word.raw):
        return exported and bool(_NAME.fullmatch(word.raw))
    loose = [part for part in word.parts if not part.quoted]
    if any(part.kind == "odd" and "=" in part.text.split("(")[0].split("`")[0] for part in word.parts):
        return False  # ${A:=b} assigns A
    return not (exported and any(part.kind != "text" for part in loose)) and not any("~" in part.text for part in loose)


def _statements(text: str) -> Iterator[tuple[_Token, ...]]:
    """Simple commands, and each compound or combined one whole."""
    gathered, open_, leads = list[_Token](), list[str](), True
    for token in chain(_tokens(text), [_Token("\n", 0, len(text))]):
        if not token.parts and token.raw in {"\n", ";"} and not open_:
            if not gathered and token.raw == ";":
                raise _BrokenError(token.line, '";" unexpected')
            if gathered and (gathered[-1].parts or gathered[-1].raw not in {"&&", "||", "|"}):
                yield tuple(gathered)
                gathered = []
            leads = True
            continue
        if leads or not token.parts:
            _nest(open_, token)
        gathered.append(token)
        leads = not token.parts or (leads and token.raw in _LEADERS)
    if open_ or gathered:
        raise _BrokenError(text.count("\n") + 1, f"end of file unexpected, awaiting {''.join(open_[-1:])}")


def _nest(open_: list[str], token: _Token) -> None:
    """Keeps the stack of closing words that are still to come."""
    if not token.parts and token.raw in {"(", ")"} and open_[-1:] == ["esac"]:
        return
    if token.raw in _CLOSERS:
        open_.append(_CLOSERS[token.raw])
    elif token.raw in _CLOSERS.values():
        if not open_ or open_[-1] != token.raw:
            raise _BrokenError(token.line, f'"{token.raw}" unexpected')
        open_.pop()


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text.startswith("\\\n", at):
            at, line = at + 2, line + 1
        elif text[at] == "#":
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
        elif operator := _OPERATORS.match(text, at):
            if operator[0] == "<<":
                yield _Token(text[at:], line, at)  # a here-document: not followed any further
                return
            yield _Token(operator[0], line, at)
            at, line = operator.end(), line + operator[0].count("\n")
        else:
            parts, end = _word(text, at, line)
            yield _Token(text[at:end], line, at, parts)
            at, line = end, line + text.count("\n", at, end)


def _word(text: str, at: int, line: int) -> tuple[tuple[_Part, ...], int]:
    parts, start = list[_Part](), at
    while at < len(text) and text[at] not in " \t" and not _OPERATORS.match(text, at):
        found, at = _unquoted(text, at, line + text.count("\n", start, at))
        parts += found
    return tuple(parts), at


def _unquoted(text: str, at: int, line: int) -> tuple[list[_Part], int]:
    character = text[at]
    if character == "'":
        end = text.find("'", at + 1)
        if end < 0:
            raise _BrokenError(line, "Unterminated quoted string")
        return [_Part("text", text[at + 1 : end], line, quoted=True)], end + 1
    if character == '"':
        return _double_quoted(text, at + 1, line)
    if character == "\\":
        kept = text[at + 1 : at + 2]
        return [_Part("text", "" if kept == "\n" else kept or "\\", line, quoted=True)], min(at + 2, len(text))
    if character in "$`":
        return _expansion(text, at, line, quoted=False)
    end = plain.end() if (plain := _PLAIN.match(text, at)) else at + 1
    return [_Part("text", text[at:end], line)], end


def _double_quoted(text: str, at: int, line: int) -> tuple[list[_Part], int]:
    parts, start = [_Part("text", "", line, quoted=True)], at
    while at < len(text) and text[at] != '"':
        here = line + text.count("\n", start, at)
        if stretch := _INSIDE.match(text, at):
            found, at = [_Part("text", stretch[2] or stretch[1].strip("\n"), here, quoted=True)], stretch.end()
        else:
            found, at = _expansion(text, at, here, quoted=True)
        parts += found
    if at >= len(text):
        raise _BrokenError(line, "Unterminated quoted string")
    return parts, at + 1


def _expansion(text: str, at: int, line: int, *, quoted: bool) -> tuple[list[_Part], int]:
    """$NAME, ${NAME}, or something that is skipped whole: another ${}, $( ), $(( )), ` `, $1, $'...'."""
    behind = text[at + 1 : at + 2]
    if match := _VARIABLE.match(text, at):
        return [_Part("variable", match[1] or match[2], line, quoted)], match.end()
    if text[at] == "`" or behind in {"(", "{"}:
        end = _closing(text, at if text[at] == "`" else at + 1, line)
    elif behind and (behind in "?$!#@*-0123456789" or (behind in "'\"" and not quoted)):
        end = at + 1 if behind in "'\"" else at + 2
    else:
        return [_Part("text", "$", line, quoted)], at + 1
    return [_Part("odd", text[at:end], line, quoted)], end


def _closing(text: str, at: int, line: int) -> int:
    """Behind the bracket or backquote that closes the one at `at`; quotes inside of brackets are skipped."""
    awaited, at = [_CLOSERS.get(text[at], "`")], at + 1
    while at < len(text):
        character = text[at]
        if character == awaited[-1]:
            awaited.pop()
            if not awaited:
                return at + 1
        elif character in "'\"" and awaited[0] != "`":
            at = _unquoted(text, at, line)[1] - 1
        elif character in "({" and awaited[0] != "`":
            awaited.append(_CLOSERS[character])
        at += 2 if character == "\\" else 1
    raise _BrokenError(line, "EOF in backquote substitution" if awaited[0] == "`" else f"Missing '{awaited[-1]}'")
