"""TOML to data and back, and edits that leave all else as it was. The only home of tomlkit, loaded on use."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from caasctl.formats.fault import FormatError

KeyPath = tuple[str, ...]
Edits = Sequence[tuple[KeyPath, Any]]
Adapt = Callable[[Any, str], Any]  # (table, name) -> the child table, fit to be edited


class _Removed:
    """The value of an edit that takes a key away."""


REMOVED = _Removed()


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """Plain data of a TOML text. Raises FormatError with line and column."""
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - ten times as fast as tomlkit, and right where that one is not

        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{what} is not valid TOML: {error}", fix="correct that line") from error
    return _plain_toml(text, what)


def _plain_toml(text: str, what: str) -> dict[str, Any]:
    """By tomlkit, which Python 3.10 has to do with."""
    import tomlkit.exceptions  # noqa: PLC0415 - 30 ms

    try:
        return dict(tomlkit.parse(text).unwrap())
    except (tomlkit.exceptions.TOMLKitError, RecursionError) as error:
        raise FormatError(f"{what} is not valid TOML: {error}", fix="correct that line") from error


def dump_toml(data: Mapping[str, Any]) -> str:
    import tomlkit  # noqa: PLC0415 - 30 ms

    return tomlkit.dumps(data)


def edit_toml(text: str, edits: Edits, what: str) -> str:
    """The text with keys set (or REMOVED) and all else as it was, comments and order included.

    Proven by parsing it again: raises FormatError where the result is not exactly the old data with the edits.
    """
    expected = parse_toml(text, what)
    for path, value in edits:
        _edit_plain(expected, path, value, what)
    if expected == parse_toml(text, what):
        return text
    for arrange, adapt in ((str, _as_it_is), (str, _spell_out), (_in_order, _as_it_is), (_in_order, _spell_out)):
        edited = _try_toml(arrange(text), edits, adapt)
        if edited is not None and _is(edited, expected):
            return edited
    raise FormatError(
        f"{what} cannot be edited without losing something",
        cause="its tables are laid out in a way that the TOML library does not keep",
        fix="write its tables in order (`containerd config dump` prints them so), then run the same command again",
    )


def _edit_plain(data: dict[str, Any], path: KeyPath, value: Any, what: str) -> None:
    *tables, key = path
    for table in tables:
        if value is REMOVED and table not in data:
            return
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise FormatError(f"{what}: {table} is no table", cause=f"{'.'.join(path)} is to be set",
                              fix=f"make {table} a table, or remove it")  # fmt: skip
    if value is REMOVED:
        data.pop(key, None)
    else:
        data[key] = value


_HEADER = re.compile(r"(?m)(?:^[ \t]*#.*\n)*^[ \t]*(\[[^\n#=]+\])[ \t]*(?:#.*)?$")


def _in_order(text: str) -> str:
    """The text with its tables sorted as a tree, each with the comment above it: tomlkit loses itself where they are mixed."""
    starts = [(found.start(), _path_of(found[1])) for found in _HEADER.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    first: dict[KeyPath, int] = {}
    for at, (_, path) in enumerate(starts):
        for length in range(len(path)):
            first.setdefault(path[: length + 1], at)
    blocks = [
        (tuple(first[path[: length + 1]] for length in range(len(path))), text[start:end].rstrip("\n") + "\n")
        for (start, path), end in zip(starts, ends, strict=True)
    ]
    head = text[: starts[0][0]] if starts else text
    return head + "\n".join(block for _, block in sorted(blocks, key=lambda block: block[0]))


def _path_of(header: str) -> KeyPath:
    """("a", "b.c") of [a."b.c"]; () where it is no header but a line of something else."""
    try:
        at: Any = parse_toml(header, "")
    except FormatError:
        return ()
    path: list[str] = []
    while isinstance(at, (dict, list)) and at:
        if isinstance(at, list):
            at = at[0]
        else:
            (name, at), *_ = at.items()
            path.append(name)
    return tuple(path)


def _is(text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return parse_toml(text, "") == expected
    except FormatError:
        return False


def _try_toml(text: str, edits: Edits, adapt: Adapt) -> str | None:
    """The edited text; None where the library cannot do it, or prints what nobody could read again."""
    import tomlkit  # noqa: PLC0415 - 30 ms
    import tomlkit.exceptions  # noqa: PLC0415

    try:
        document = tomlkit.parse(text)
        for path, value in edits:
            _edit_toml(document, path, value, adapt)
        edited = tomlkit.dumps(document)
    except (tomlkit.exceptions.TOMLKitError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return edited


def _edit_toml(table: Any, path: KeyPath, value: Any, adapt: Adapt) -> None:
    import tomlkit  # noqa: PLC0415 - 30 ms

    *tables, key = path
    for at, name in enumerate(tables):
        if name not in table:
            if value is REMOVED:
                return
            table[name] = tomlkit.table(is_super_table=at + 1 < len(tables))
        table = adapt(table, name)
    if value is REMOVED:
        if key in table:
            del table[key]
    elif key not in table or _plain(table[key]) != value:
        table[key] = value


def _as_it_is(table: Any, name: str) -> Any:
    return table[name]


def _spell_out(table: Any, name: str) -> Any:
    """The table `name`, with a header of its own where it was an inline table or given by dotted keys."""
    import tomlkit  # noqa: PLC0415 - 30 ms
    from tomlkit.items import InlineTable  # noqa: PLC0415

    child = table[name]
    body: Any = getattr(table, "body", None) or getattr(getattr(table, "value", None), "body", ())
    dotted = any(key is not None and key.key == name and key.is_dotted() for key, _ in body)
    if dotted or isinstance(child, InlineTable):
        plain = child.unwrap()
        del table[name]
        table[name] = tomlkit.item(plain)
    return table[name]


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item
