"""Where each key of containerd's configuration comes from: the file that set it, and what a later one replaced or lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from caasctl.frozen import dataclass
from caasctl.syntax.containerd.imports import ConfigFile, merged, with_defaults
from caasctl.syntax.containerd.tables import Data, KeyPath, Version, leaves, runtimes_path, schema, table

# Keys that decide how pods run here, by their own names; those of the runtime handlers all count.
_MATTER = frozenset(
    {"version", "imports", "disabled_plugins", "required_plugins", "default_runtime_name", "sandbox_image", "sandbox", "snapshotter",
     "enable_cdi", "cdi_spec_dirs", "bin_dir", "bin_dirs", "conf_dir", "conf_template", "config_path", "address", "root", "state"}
)  # fmt: skip


@dataclass(frozen=True)
class KeyOrigin:
    """key: as in the merged configuration. value: in effect, None where `lost`. file: that set it, "" for containerd's own default.

    replaced: (file, value) of what had been set before, oldest first. beside: earlier files whose entries are in the list too.
    skipped: (file, value) that had no effect: 2.x takes no false, 0 or empty from a later file, and a table of another
    schema is not looked at. lost: no file's value is in effect (containerd's default is) although one gives it; `file` took it away.
    """

    key: KeyPath
    value: Any
    file: str
    replaced: tuple[tuple[str, Any], ...] = ()
    beside: tuple[str, ...] = ()
    skipped: tuple[tuple[str, Any], ...] = ()
    lost: bool = False

    @property
    def contested(self) -> bool:
        return bool(self.replaced or self.skipped or self.lost)

    @property
    def name(self) -> str:
        return ".".join(self.key)


def origins(files: tuple[ConfigFile, ...], version: Version) -> tuple[KeyOrigin, ...]:
    """Of every key that matters, or that two files give differently; files in the order of merging."""
    known: dict[KeyPath, KeyOrigin] = {}
    for at, file in enumerate(files):
        now = _values(merged(files[: at + 1], version))
        _step(known, now, file)
    whole = merged(files, version)
    _defaults(known, whole, version)
    handlers = runtimes_path(schema(whole))
    return tuple(one for one in known.values() if one.contested or _matters(one.key, handlers))


def _step(known: dict[KeyPath, KeyOrigin], now: Mapping[KeyPath, Any], file: ConfigFile) -> None:
    """What one more file makes of what the files before it made."""
    given = _values(file.data)
    for key, value in now.items():
        known[key] = _after(known.get(key), key, value, file.path, given)
    for key in [key for key, one in known.items() if key not in now and not one.lost]:
        before = known[key]
        known[key] = KeyOrigin(key, None, file.path, (*before.replaced, (before.file, before.value)), lost=True)
    for key in given.keys() - now.keys():
        known.setdefault(key, KeyOrigin(key, None, "", lost=True))
        if known[key].file != file.path:
            known[key] = replace(known[key], skipped=(*known[key].skipped, (file.path, given[key])))


def _after(before: KeyOrigin | None, key: KeyPath, value: Any, path: str, given: Mapping[KeyPath, Any]) -> KeyOrigin:
    if before is None or before.lost:
        return KeyOrigin(key, value, path, before.replaced if before else ())
    if _grew(before.value, value):
        return replace(before, value=value, file=path, beside=tuple(dict.fromkeys((*before.beside, before.file))))
    if before.value != value:
        return KeyOrigin(key, value, path, (*before.replaced, (before.file, before.value)), skipped=before.skipped)
    if key in given and given[key] != value and not _within(given[key], value):
        return replace(before, skipped=(*before.skipped, (path, given[key])))
    return replace(before, file=path) if key in given and given[key] == value else before


def _grew(before: Any, value: Any) -> bool:
    return isinstance(before, list) and before != value and _within(before, value)


def _within(part: Any, whole: Any) -> bool:
    return isinstance(part, list) and isinstance(whole, list) and all(entry in whole for entry in part)


def _values(data: Data) -> dict[KeyPath, Any]:
    return {path: value for path, value in leaves(data) if path and not isinstance(value, Mapping)}


def _defaults(known: dict[KeyPath, KeyOrigin], whole: Data, version: Version) -> None:
    """What containerd adds of its own; and its own runc, which 1.x drops where the files list any other handler."""
    for key, value in _values(with_defaults(whole, version)).items():
        before = known.get(key)
        if before is None or (before.lost and before.replaced):
            was = before.replaced if before and before.replaced[-1][1] != value else ()
            known[key] = KeyOrigin(key, value, "", was)
    at = runtimes_path(schema(whole))
    handlers = table(whole, *at)
    if version < (2, 0, 0) and handlers and "runc" not in handlers:
        key = (*at, "runc", "runtime_type")
        known[key] = KeyOrigin(key, None, next(_givers(known, at)), (("", "io.containerd.runc.v2"),), lost=True)


def _givers(known: Mapping[KeyPath, KeyOrigin], at: KeyPath) -> Iterator[str]:
    yield from (one.file for key, one in known.items() if key[: len(at)] == at and not one.lost)
    yield ""


def _matters(key: KeyPath, handlers: KeyPath) -> bool:
    return key[: len(handlers)] == handlers or key[-1] in _MATTER
