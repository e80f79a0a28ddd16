"""Text to data and back: YAML, TOML, JSON, templates, schemas. The only home of their libraries, each loaded on use."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from caasctl import shipped
from caasctl.model import CaasError

KeyPath = tuple[str, ...]
Edits = Sequence[tuple[KeyPath, Any]]
Adapt = Callable[[Any, str], Any]  # (table, name) -> the child table, fit to be edited


class _Removed:
    """The value of an edit that takes a key away."""


REMOVED = _Removed()


class FormatError(CaasError):
    """A text is not of its format, or a value cannot be put into it; the problem names line and column where known."""


def parse_json(text: str, what: str, *, unique: bool = False) -> Any:
    """Data of a JSON text; `what` names it in the error. unique: a key given twice is an error. Raises FormatError."""
    try:
        return json.loads(text, object_pairs_hook=_unique if unique else None)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON: {error}", fix="see where it came from") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(data := dict(pairs)) < len(pairs):
        twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
        raise ValueError(f"key {twice!r} is given twice")
    return data


def dump_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def parse_yaml(text: str, what: str, *, quick: bool = False) -> Any:
    """Data of a one-document YAML text; keys given twice are an error. Raises FormatError.

    quick: by libyaml, its words; what was built into a package is JSON, which YAML is too, for Pythons without libyaml.
    """
    if quick and text.startswith("{"):
        return parse_json(text, what, unique=True)
    import yaml  # noqa: PLC0415 - 20 ms

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if quick else yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]
        """SafeLoader in which a key given twice is an error; yes, no, on, off, 0000:41:00.0 are text, as YAML 1.2 has them."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to say it
            first: [known for known in resolvers if first not in "yYnNoO" or not known[0].endswith(":bool")]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
            tag = str(super().resolve(kind, value, implicit))
            return tag if not tag.endswith((":int", ":float")) or ":" not in value else "tag:yaml.org,2002:str"

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for at, key in enumerate(keys):
                if key in keys[:at]:
                    mark = node.value[at][0].start_mark
                    raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=mark)
            return dict(super().construct_mapping(node, deep))

    try:
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise FormatError(f"{what} is nested too deeply", fix="remove brackets or indentation") from error
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValueError: the 45th of a month, 5,000 digits
        where = getattr(error, "problem_mark", None)
        at = f" at line {where.line + 1}, column {where.column + 1}" if where else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise FormatError(f"{what} is not valid YAML{at}: {said}", fix="correct that line") from error


def dump_yaml(*documents: Any, literal: bool = False) -> str:
    """YAML of one or more documents, keys in the order given. literal: texts of several lines as they are, for reading."""
    import yaml  # noqa: PLC0415 - 20 ms

    class Dumper(yaml.SafeDumper):
        """SafeDumper with a way of its own for texts."""

    if literal:
        Dumper.add_representer(
            str, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)
        )
    dumped: str = yaml.dump_all(
        documents,
        Dumper=Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=120,
        explicit_start=len(documents) > 1,
    )
    return dumped


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


def schema_error(data: Any, schema: str, kind: str) -> str:
    """The first thing in `data` that the definition `kind` of a shipped schema does not allow, key path first; "" where none."""
    import fastjsonschema  # noqa: PLC0415 - 20 ms

    try:
        _judge(schema, kind)(data)
    except fastjsonschema.JsonSchemaException as error:
        return str(error).removeprefix("data").removeprefix(".").strip()
    return ""


def schema_properties(schema: str, kind: str) -> tuple[str, ...]:
    """The fields of the definition `kind` of a shipped schema."""
    whole = json.loads(shipped.text("schemas", f"{schema}.schema.json") or "{}")
    return tuple(whole["$defs"][kind]["properties"])


@cache
def _judge(schema: str, kind: str) -> Callable[[Any], Any]:
    import fastjsonschema  # noqa: PLC0415 - 20 ms, and 40 ms to compile a schema

    whole = json.loads(shipped.text("schemas", f"{schema}.schema.json") or "{}")
    judge: Callable[[Any], Any] = fastjsonschema.compile({**whole["$defs"][kind], "$defs": whole["$defs"]})
    return judge


def render(template: str, **values: Any) -> str:
    """The text of a shipped template; a name that is not given is an error."""
    import jinja2  # noqa: PLC0415 - 50 ms

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: shipped.text("templates", name)),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, no HTML
    )
    return environment.get_template(template).render(**values)


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
