"""Which files a containerd reads, in which order, and what it makes of them: imports resolved and merged as it does."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import field
from functools import lru_cache
from typing import Any

from caasctl.formats import FormatError, parse_toml
from caasctl.frozen import dataclass
from caasctl.syntax.containerd.tables import (
    CRI,
    CRI_IMAGES,
    CRI_RUNTIME,
    Cri,
    Data,
    KeyPath,
    Version,
    cri,
    leaves,
    places,
    runtimes_path,
    schema,
    strings,
    table,
)

Read = Callable[[str], "str | None"]
List = Callable[[str], "tuple[str, ...] | None"]
_MOVED_BY_3 = {
    "containerd",
    "cni",
    "registry",
    "sandbox_image",
    "enable_cdi",
}  # left the table `io.containerd.grpc.v1.cri`
WORKING_FOLDER = "/"  # of a systemd service; containerd 1.x takes a relative pattern from there, not from the file


@dataclass(frozen=True)
class ConfigFile:
    """A file of the configuration. text: None where an import names a file that is not there. error: why it does not parse.

    imported_by: the file and the entry of its `imports` that brought it in; empty for the main file.
    """

    path: str
    text: str | None
    data: Data = field(default_factory=dict)
    error: str = ""
    imported_by: tuple[str, str] = ("", "")

    @property
    def schema(self) -> int:
        return schema(self.data)

    @property
    def names_version(self) -> bool:
        return "version" in self.data


def config_file(path: str, text: str | None, imported_by: tuple[str, str] = ("", "")) -> ConfigFile:
    if text is None:
        return ConfigFile(path, None, imported_by=imported_by)
    data, error = _parsed(text, path)
    return ConfigFile(path, text, data, error, imported_by)


@lru_cache(maxsize=32)
def _parsed(text: str, path: str) -> tuple[Data, str]:
    """Four facts read the same files, and a full default file takes 15 ms to parse."""
    try:
        return parse_toml(text, path), ""
    except FormatError as error:
        return {}, error.problem


def load(main: str, read: Read, listing: List, version: Version) -> tuple[ConfigFile, ...]:
    """The main file and all that it imports, in the order in which containerd merges them: breadth first, each once."""
    loaded: dict[str, ConfigFile] = {}
    pending: list[tuple[str, tuple[str, str]]] = [(main, ("", ""))]
    while pending:
        path, origin = pending.pop(0)
        if path in loaded:
            continue
        loaded[path] = config_file(path, read(path), origin)
        for entry in strings(loaded[path].data.get("imports")):
            pending += [(found, (path, entry)) for found in import_paths(path, entry, listing, version)]
    return tuple(loaded.values())


def import_paths(parent: str, entry: str, listing: List, version: Version) -> tuple[str, ...]:
    """The files that one entry of `imports` stands for."""
    path = import_pattern(parent, entry, version)
    return _glob(path, listing) if "*" in path else (path,)


def import_pattern(parent: str, entry: str, version: Version) -> str:
    """An entry of `imports` made absolute, as this containerd does it."""
    of_the_file = "*" not in entry or version >= (2, 0, 0)
    folder = posixpath.dirname(parent) if of_the_file else WORKING_FOLDER
    return posixpath.normpath(posixpath.join(folder, entry))


def imports_path(parent: str, entries: tuple[str, ...], path: str, version: Version) -> bool:
    """Whether one of the entries already brings in `path`, be it there or not."""
    return any(_matches(import_pattern(parent, entry, version), path) for entry in entries)


def _matches(pattern: str, path: str) -> bool:
    wanted, given = pattern.split("/"), path.split("/")
    pairs = zip(wanted, given, strict=False)
    return len(wanted) == len(given) and all(a == b or ("*" in pattern and fnmatch.fnmatchcase(b, a)) for a, b in pairs)


def _glob(pattern: str, listing: List) -> tuple[str, ...]:
    """As Go's filepath.Glob: a `*` also takes names that begin with a dot; sorted within each folder."""
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        found = [
            posixpath.join(folder, name)
            for folder in found
            for name in sorted(listing(folder) or ())
            if name == part or fnmatch.fnmatchcase(name, part)
        ]
    return tuple(found)


def merged(files: tuple[ConfigFile, ...], version: Version) -> Data:
    """The configuration without containerd's defaults, merged as this containerd merges.

    1.x replaces a whole plugin table by that of a later file; 2.x merges deeply, unites lists and skips zero values.
    """
    whole: dict[str, Any] = {}
    for file in files:
        (_replace_plugins if version < (2, 0, 0) else _merge_deep)(whole, file.data)
    for name in ignored_tables(ConfigFile("", None, whole), version):
        del whole["plugins"][name]
    return whole


def with_defaults(data: Data, version: Version) -> Data:
    """A merged configuration with containerd's own runc where it keeps it: 1.x drops it beside any other runtime."""
    whole: dict[str, Any] = {}
    runtime = {"default_runtime_name": "runc"}
    _merge_deep(whole, _at((*places(schema(data)).runtime, "containerd"), runtime))
    at = runtimes_path(schema(data))
    if version >= (2, 0, 0) or not table(data, *at):
        _merge_deep(whole, _at((*at, "runc"), {"runtime_type": "io.containerd.runc.v2", "options": {}}))
    _merge_deep(whole, data)
    return whole


def _at(path: KeyPath, value: Any) -> Data:
    return _at(path[:-1], {path[-1]: value}) if path else value


def _replace_plugins(whole: dict[str, Any], data: Data) -> None:
    for key, value in data.items():
        if key in ("plugins", "proxy_plugins", "stream_processors", "timeouts"):
            whole[key] = {**table(whole, key), **deepcopy(dict(table(value)))}
        elif isinstance(value, list):
            whole[key] = [*(whole[key] if isinstance(whole.get(key), list) else ()), *value]
        elif isinstance(value, Mapping):
            whole[key] = {**table(whole, key), **{k: v for k, v in value.items() if v}}
        elif value or key not in whole:
            whole[key] = value


def _merge_deep(whole: dict[str, Any], data: Data) -> None:
    for key, value in data.items():
        old = whole.get(key)
        if isinstance(value, Mapping):
            whole[key] = dict(old) if isinstance(old, Mapping) else {}
            _merge_deep(whole[key], value)
        elif isinstance(value, list) and isinstance(old, list):
            whole[key] = [*old, *(entry for entry in value if entry not in old)]
        elif value or key not in whole:
            whole[key] = deepcopy(value)


def seen_cri(dump: Data, files: tuple[ConfigFile, ...], version: Version) -> Cri:
    """The CRI's configuration of a dump; of the files where the dump leaves it out, as it does of a disabled plugin."""
    found = cri(dump)
    return found if found.runtimes else cri(with_defaults(merged(files, version), version))


def set_by(files: tuple[ConfigFile, ...], path: KeyPath) -> str:
    """The last file that gives a value at a key path; "" where none does."""
    *tables, key = path
    holders = [file.path for file in files if key in table(file.data, *tables)]
    return holders[-1] if holders else ""


@dataclass(frozen=True)
class Replaced:
    """A plugin table of one file that the same table of an import takes the place of, whole (containerd 1.x).

    lost: keys (dotted, below the plugin) that the first file gives and the import does not.
    """

    plugin: str
    of: str
    by: str
    lost: tuple[str, ...]


def replaced(files: tuple[ConfigFile, ...]) -> tuple[Replaced, ...]:
    """What containerd 1.x throws away, for every plugin table that two files give."""
    found: list[Replaced] = []
    holder: dict[str, ConfigFile] = {}
    for file in files:
        for plugin, value in table(file.data, "plugins").items():
            if plugin in holder:
                before = {path for path, _ in leaves(table(holder[plugin].data, "plugins", plugin))}
                lost = sorted(before - {path for path, _ in leaves(value)})
                found.append(Replaced(plugin, holder[plugin].path, file.path, tuple(".".join(path) for path in lost)))
            holder[plugin] = file
    return tuple(found)


def ignored_tables(file: ConfigFile, version: Version) -> tuple[str, ...]:
    """CRI tables of a file that this containerd does not look at, because they have another schema's name."""
    old: tuple[str, ...]
    if version < (2, 0, 0):
        old = (CRI, CRI_RUNTIME, CRI_IMAGES) if file.schema == 1 else ("cri", CRI_RUNTIME, CRI_IMAGES)
    elif file.schema == 1:
        old = ("cri", CRI)
    elif file.schema >= 3:  # noqa: PLR2004 - a schema version
        old = (CRI,) if set(table(file.data, "plugins", CRI)) & _MOVED_BY_3 else ()
    else:
        old = ()
    return tuple(name for name in table(file.data, "plugins") if name in old)
