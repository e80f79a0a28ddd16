"""The texts that caasctl wants containerd to read: config.toml mended with all foreign keys kept, and our own drop-in."""

from __future__ import annotations

from typing import Any

from caasctl.formats import Edits, dump_toml, edit_toml, parse_toml
from caasctl.frozen import dataclass
from caasctl.model import HEADER, CaasError
from caasctl.syntax.containerd.imports import imports_path
from caasctl.syntax.containerd.tables import (
    CRI_IMAGES,
    CRI_RUNTIME,
    DROP_IN,
    MAIN,
    Data,
    KeyPath,
    Version,
    disables_cri,
    newest_schema,
    places,
    runtimes_path,
    schema,
    strings,
    table,
)
from caasctl.syntax.containerd.v1 import full_ids, short_tables, to_schema_2
from caasctl.syntax.containerd.wanted import Handler, Wanted

CDI_IS_A_KEY = ((1, 7, 0), (2, 4, 0))  # enable_cdi: unknown before, always on from


@dataclass(frozen=True)
class MergeMain:
    """config.toml for this containerd: the text now -> the text wanted. The same thing for the same arguments, so comparable."""

    version: Version
    wanted: Wanted
    path: str = MAIN

    def __call__(self, text: str | None) -> str:
        if self.version < (2, 0, 0):
            return merge_main_v1x(text, self.wanted, self.version, self.path)
        return merge_main_v2x(text, self.version, self.path)


def merge_main_v1x(text: str | None, wanted: Wanted, version: Version, path: str = MAIN) -> str:
    """Containerd 1.x has no drop-in that adds to a table: all of it goes into the main file, in schema 2."""
    text = _in_schema(text or "", version, path)
    data = parse_toml(text, path)
    edits: list[tuple[KeyPath, Any]] = [(("version",), 2), *_plugin_lists(data), *_without_our_import(data)]
    for keys, value in _cri_edits(2, wanted, version):
        if keys[-1] in ("pod_annotations", "container_annotations"):
            value = _united(table(data, *keys[:-1]).get(keys[-1]), value)  # noqa: PLW2901 - the user's own stay
        edits.append((keys, value))
    return _edit(text, edits, path)


def merge_main_v2x(text: str | None, version: Version, path: str = MAIN) -> str:
    """Containerd 2.x merges drop-ins: the main file only has to name ours and to leave the CRI on."""
    wanted = wanted_schema(text, path)
    text = _in_schema(text or "", version, path)
    data = parse_toml(text, path)
    edits: list[tuple[KeyPath, Any]] = [(("version",), wanted), *_plugin_lists(data)]
    imports = strings(data.get("imports"))
    if not imports_path(path, imports, DROP_IN, version):
        edits.append((("imports",), [*imports, DROP_IN]))
    return _edit(text, edits, path)


def wanted_schema(text: str | None, path: str = MAIN) -> int:
    """The schema of the main file after the merge on 2.x, and so of our drop-in: its own, or what its tables are written in.

    The same before and after the merge.
    """
    data = parse_toml(text or "", path)
    if schema(data) > 1:
        return schema(data)
    plugins = table(data, "plugins")
    if not plugins or CRI_RUNTIME in plugins or CRI_IMAGES in plugins:
        return 3
    return 2


def drop_in(file_schema: int, wanted: Wanted, version: Version) -> str:
    """Our drop-in, in the schema of the main file: containerd 2.0 to 2.2 lose one or the other where they differ."""
    data: dict[str, Any] = {"version": file_schema}
    for keys, value in _cri_edits(file_schema, wanted, version):
        at = data
        for name in keys[:-1]:
            at = at.setdefault(name, {})
        at[keys[-1]] = value
    return HEADER + dump_toml(data)


def our_keys(file_schema: int, wanted: Wanted, version: Version) -> frozenset[KeyPath]:
    """The key paths that caasctl sets, in a schema."""
    return frozenset(keys for keys, _ in _cri_edits(file_schema, wanted, version))


def _cri_edits(file_schema: int, wanted: Wanted, version: Version) -> Edits:
    """Every CRI key of ours, never a zero value: containerd 2.x skips those in a drop-in."""
    at = places(file_schema)
    edits: list[tuple[KeyPath, Any]] = [(at.sandbox_image, wanted.sandbox_image)]
    if wanted.config_path:
        edits.append(((*at.registry, "config_path"), wanted.config_path))
    if CDI_IS_A_KEY[0] <= version < CDI_IS_A_KEY[1]:
        edits.append(((*at.runtime, "enable_cdi"), True))
    edits.append(((*at.runtime, "containerd", "default_runtime_name"), wanted.default_runtime))
    runc = (*runtimes_path(file_schema), "runc")
    edits += [((*runc, "runtime_type"), "io.containerd.runc.v2"), ((*runc, "options", "SystemdCgroup"), True)]
    for handler in wanted.handlers:
        edits += _handler_edits((*runtimes_path(file_schema), handler.name), handler)
    return edits


def _handler_edits(at: KeyPath, handler: Handler) -> Edits:
    return [
        ((*at, "runtime_type"), handler.runtime_type),
        ((*at, "runtime_path"), handler.runtime_path),
        ((*at, "privileged_without_host_devices"), True),
        *((((*at, "pod_annotations"), list(handler.annotations)),) if handler.annotations else ()),
        ((*at, "container_annotations"), ["io.kubernetes.container.terminationMessage*"]),
        ((*at, "options", "ConfigPath"), handler.config_path),
    ]


def _plugin_lists(data: Data) -> Edits:
    """disabled_plugins without the CRI's, both lists by full names: with `version` containerd does not start on short ones."""
    edits: list[tuple[KeyPath, Any]] = []
    for key in ("disabled_plugins", "required_plugins"):
        given = list(strings(data.get(key)))
        named = full_ids(given)
        off = disables_cri(tuple(named)) if key == "disabled_plugins" else ()
        kept = [entry for entry in named if entry not in off]
        if kept != given:
            edits.append(((key,), kept))
    return edits


def _without_our_import(data: Data) -> Edits:
    """Left by a 2.x that was taken back to 1.x, where our drop-in would replace the table that it used to add to."""
    imports = list(strings(data.get("imports")))
    return [(("imports",), [entry for entry in imports if entry != DROP_IN])] if DROP_IN in imports else []


def _in_schema(text: str, version: Version, path: str) -> str:
    """The text without plugin names of schema 1; refuses a schema that this containerd does not read."""
    data = parse_toml(text, path)
    found = schema(data)
    if found > newest_schema(version):
        raise CaasError(
            f"{path} has version = {found}, but this containerd ({'.'.join(map(str, version))}) reads at most {newest_schema(version)}",
            cause="it was written for a newer containerd: an older one fails on it or ignores its tables",
            fix=f"upgrade containerd to 2.x, or move the file away: mv {path} {path}.mine",
        )
    return to_schema_2(text, path) if found == 1 and short_tables(data) else text


def _edit(text: str, edits: Edits, path: str) -> str:
    """Root keys that are new go on top, where an editor looks for them, and not behind a file's trailing comments."""
    data = parse_toml(text, path)
    new = {keys[0]: value for keys, value in edits if len(keys) == 1 and keys[0] not in data}
    top = dump_toml(new)
    body = edit_toml(text, [(keys, value) for keys, value in edits if keys[0] not in new], path)
    return _below_comments(body, top) if new else body


def _below_comments(body: str, top: str) -> str:
    """The lines below a file's leading comments (a licence, a warning), above the comment of its first key."""
    lines = body.splitlines(keepends=True)
    first = next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    blank = [at for at, line in enumerate(lines[:first]) if not line.strip()]
    only_comments = first == len(lines)
    cut = first if not blank else blank[0] if only_comments else blank[-1] + 1
    above, rest = "".join(lines[:cut]), "".join(lines[cut:])
    above += "" if not above or above.endswith("\n") else "\n"
    gap = "\n" if above and not above.endswith("\n\n") else ""
    below = "\n" if rest.lstrip(" \t").startswith(("[", "#")) else ""
    return above + gap + top + below + rest


def _united(old: Any, new: list[str]) -> list[str]:
    return [*strings(old), *(entry for entry in new if entry not in strings(old))]
