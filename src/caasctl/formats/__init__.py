"""Text to data and back: YAML, TOML, JSON, templates, schemas. The only home of their libraries, each loaded on use."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from caasctl import shipped
from caasctl.formats.fault import FormatError as FormatError
from caasctl.formats.toml import REMOVED as REMOVED
from caasctl.formats.toml import Edits as Edits
from caasctl.formats.toml import KeyPath as KeyPath
from caasctl.formats.toml import dump_toml as dump_toml
from caasctl.formats.toml import edit_toml as edit_toml
from caasctl.formats.toml import parse_toml as parse_toml


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
