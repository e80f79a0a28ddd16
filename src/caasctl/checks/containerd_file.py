"""What containerd's files say beside the point: tables and keys where nobody looks, of a file that doctor was given."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.given import CONTAINERD, Given, GivenFiles, get, items
from caasctl.formats.documents import Document, Path
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, unknown
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.tables import leaves, runtimes_path, schema

# cmd/containerd/server/config/config.go of 1.7 to 2.3; others are passed over.
_ROOT = frozenset(("version", "root", "state", "temp", "plugin_dir", "grpc", "ttrpc", "debug", "metrics", "disabled_plugins",
                   "required_plugins", "plugins", "oom_score", "cgroup", "proxy_plugins", "timeouts", "imports",
                   "stream_processors", "no_subreaper"))  # fmt: skip
_CGROUP, _NEWEST = "SystemdCgroup", 4


def _documents(facts: Facts) -> Iterator[tuple[Given, Document]]:
    given = facts.get(GivenFiles)
    for file in given.of(CONTAINERD) if given else ():
        yield from ((file, document) for document in file.documents if isinstance(document.data, dict))


@check(
    "containerd.file_schema",
    "A given containerd file is of a schema that containerd has",
    reads=(),
    why="The daemon does not start: `expected containerd config version equal to or less than`.",
    fix="version = 2 is read by 1.3 and later, 3 by 2.0 and later, 4 by 2.3 and later.",
    source="containerd docs/PLUGINS.md, version header; RELEASES.md",
)
def file_schema(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Its root `version`."""
    for file, document in _documents(facts):
        given, at = get(document.data, "version"), document.line("version")
        evidence = (file.at(document, ("version",), f"version = {given!r}" if given is not None else "no version"),)
        if given is None:
            yield passed("no version: taken for schema 1", subject=file.name)
        elif not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _NEWEST:
            yield failed(f"version = {given!r}", wanted="2, or 3 for containerd 2.0 and later, as a number", subject=file.name,
                         fix=Fix(f"in {file.name} line {at}: version = 2", FixKind.EDIT), evidence=evidence)  # fmt: skip
        else:
            needs = {3: ": containerd 2.0 or later", 4: ": containerd 2.3 or later"}.get(given, "")
            yield passed(f"version = {given}{needs}", subject=file.name)


@check(
    "containerd.file_places",
    "What a given containerd file sets stands where containerd looks for it",
    reads=(),
    why="A key in another table is no error: containerd goes on without it, and SystemdCgroup = true is only a wish.",
    fix="Put the key into the table that the finding names.",
    source="https://github.com/containerd/containerd/blob/main/docs/cri/config.md",
)
def file_places(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Root tables and keys, and where SystemdCgroup stands and of which type it is."""
    for file, document in _documents(facts):
        found = [*_strangers(file, document), *_misplaced(file, document)]
        yield from found
        if not found:
            yield passed("known to containerd", subject=file.name)


def _strangers(file: Given, document: Document) -> Iterator[Finding]:
    for key in document.data:
        if key not in _ROOT:
            near = "plugins" if str(key).startswith("plugin") else ""
            mend = f"[{near}...] instead of [{key}...]" if near else f"take {key} out"
            yield failed(f"{key} at the top of the file", wanted="tables and keys that containerd has", subject=file.name,
                         fix=Fix(f"in {file.name} line {document.line(key)}: {mend}", FixKind.EDIT),
                         evidence=(file.at(document, (key,), str(key)),))  # fmt: skip


def _misplaced(file: Given, document: Document) -> Iterator[Finding]:
    at = runtimes_path(schema(document.data))
    for path, value in leaves(document.data):
        if path[-1:] != (_CGROUP,):
            continue
        right = (*_options(path), _CGROUP) == path  # of another schema it is containerd.unknown_keys'
        evidence = (file.at(document, path, f"{_shown(path)} = {str(value).lower()}"),)
        where = f"{file.name} line {document.line(*path)}"
        if not isinstance(value, bool):
            yield failed(f"SystemdCgroup = {value!r}, no truth value", wanted="true, without quotes", subject=file.name,
                         cause="containerd cannot read the options: `failed to load plugin`, or runc's pods do not start.",
                         fix=Fix(f"in {where}: SystemdCgroup = true", FixKind.EDIT), evidence=evidence)  # fmt: skip
        elif not right:
            right_table = _shown(_options(path) or (*at, "runc", "options"))
            yield failed(f"SystemdCgroup in [{_shown(path[:-1])}]", wanted=f"SystemdCgroup in [{right_table}]", subject=file.name,
                         fix=Fix(f"in {where}: move it into [{right_table}]", FixKind.EDIT), evidence=evidence)  # fmt: skip


def _options(path: Path) -> Path:
    """The options of the runtime that a key stands in or below; () where it is in none."""
    begin = path.index("runtimes") if "runtimes" in path else len(path)
    return (*path[: begin + 2], "options") if len(path) > begin + 2 else ()


def _shown(path: Path) -> str:
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in path)


@check(
    "containerd.file_imports",
    "Nothing that a given containerd file imports changes what it says",
    reads=(),
    why="A file that is read later replaces whole tables (1.x) or keys (2.x).",
    fix="`caasctl doctor --file FILE --here` reads the imports of this host as well.",
    source="containerd docs/man/containerd-config.toml.5.md",
)
def file_imports(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Its `imports`; what is in them is not seen without a host."""
    for file, document in _documents(facts):
        imports = [str(one) for one in items(document.data, "imports")]
        if not imports:
            yield passed("no imports", subject=file.name)
        elif facts.get(ContainerdConfig) is None:
            yield unknown(f"{', '.join(imports)}: not seen from the file alone", subject=file.name)


CHECKS: tuple[Check, ...] = (file_schema, file_places, file_imports)
