"""Judges a merged configuration, as `containerd config dump` prints it, on what containerd itself does not look at."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.syntax.containerd.tables import (
    CRI_TABLES,
    Cri,
    Data,
    KeyPath,
    cri,
    disables_cri,
    is_runc,
    leaves,
    systemd_cgroup,
    table,
)
from caasctl.syntax.containerd.wanted import Wanted

# What a dump says of itself, and tables that containerd or we rewrite on purpose.
_NOT_COMPARED = ("version", "imports", "disabled_plugins", "required_plugins")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a configuration, what comes of it, and the one thing to do."""

    what: str
    cause: str
    fix: str


def problems(dump: Data, wanted: Wanted) -> Iterator[Problem]:
    """Why a configuration would not give what is wanted, although containerd may accept it."""
    found = cri(dump)
    yield from _plugins_on(found)
    yield from _handlers_there(found, wanted)
    yield from _runc_by_systemd(found, wanted)
    yield from _images(found, wanted)
    yield from _registries(found, wanted)
    yield from contradictions(found)


def contradictions(found: Cri) -> Iterator[Problem]:
    """Pairs of keys with which the CRI plugin refuses to start."""
    if found.cni.get("bin_dir") and found.cni.get("bin_dirs"):
        yield Problem(
            "both `bin_dir` and `bin_dirs` are set in the cni table",
            "the CRI plugin does not start: `bin_dir` and `bin_dirs` cannot be set together",
            "remove `bin_dir` and keep `bin_dirs`",
        )
    both = old_keys(found)
    if found.registry.get("config_path") and both:
        yield Problem(
            f"the registry table sets config_path and {' and '.join(both)}",
            "the CRI plugin does not start: `mirrors` cannot be set when `config_path` is provided",
            f"move the {' and '.join(both)} into hosts.toml files below {found.registry['config_path']} and remove them here",
        )


def old_keys(found: Cri) -> tuple[str, ...]:
    """The keys that config_path excludes: mirrors, and certificates in configs; passwords there are no matter."""
    tls = any(table(one).get("tls") is not None for one in table(found.registry, "configs").values())
    return (*(("mirrors",) if found.registry.get("mirrors") else ()), *(("configs.tls",) if tls else ()))


def _plugins_on(found: Cri) -> Iterator[Problem]:
    for entry in disables_cri(found.disabled_plugins):
        yield Problem(
            f"{entry} stays in disabled_plugins",
            "the kubelet would meet: unknown service runtime.v1.RuntimeService",
            f"take {entry} out of disabled_plugins in the imported file that adds it",
        )


def _handlers_there(found: Cri, wanted: Wanted) -> Iterator[Problem]:
    for name in wanted.names:
        if not found.runtimes.get(name, {}).get("runtime_type"):
            yield Problem(
                f"the handler {name} is not in the merged configuration",
                f'pods would meet: no runtime for "{name}" is configured',
                "see which imported file replaces the CRI table: `caasctl explain containerd.imports_load`",
            )
    if found.default_runtime != wanted.default_runtime:
        yield Problem(
            f"default_runtime_name is {found.default_runtime or 'empty'}, not {wanted.default_runtime}",
            "an imported file that is read after ours sets it, and pods without a RuntimeClass would run on it",
            "remove default_runtime_name from that file",
        )
    elif found.default_runtime not in found.runtimes:
        yield Problem(
            f"the default runtime {found.default_runtime} has no table",
            "the CRI plugin does not start: no corresponding runtime configured in `containerd.runtimes`",
            f"add a table for {found.default_runtime}, or take another spec.containerd.defaultRuntime in the profile",
        )


def _runc_by_systemd(found: Cri, wanted: Wanted) -> Iterator[Problem]:
    for name in wanted.names:
        runtime = found.runtimes.get(name, {})
        if is_runc(runtime) and not systemd_cgroup(runtime):
            yield Problem(
                f"SystemdCgroup of {name} is not true in the merged configuration",
                "pods would be placed outside the kubelet's slices and restart: Pod sandbox changed, it will be killed and re-created",
                f"remove the options of {name} from the imported file that sets them after ours",
            )


def _images(found: Cri, wanted: Wanted) -> Iterator[Problem]:
    if found.sandbox_image != wanted.sandbox_image:
        yield Problem(
            f"the pause image is {found.sandbox_image or 'empty'}, not {wanted.sandbox_image}",
            "an imported file that is read after ours sets another one, which the kubelet's image collector may delete",
            "remove the pause image from that file, or set spec.containerd.sandboxImage in the profile to it",
        )


def _registries(found: Cri, wanted: Wanted) -> Iterator[Problem]:
    said = found.registry.get("config_path") or ""
    if wanted.config_path and said != wanted.config_path:
        yield Problem(
            f"the registry's config_path is {said or 'empty'}, not {wanted.config_path}",
            "an imported file that is read after ours sets it, and the profile's mirrors would not be asked",
            "remove config_path from that file",
        )


def lost(before: Data, after: Data, ours: frozenset[KeyPath], built_in: KeyPath = ()) -> tuple[str, ...]:
    """Foreign keys that the dump before gives and the one after does not, or not with that value; dotted.

    built_in: a table that is containerd's own default: it goes, key by key, where a file gives one of that name.
    """
    was, now = dict(leaves(_comparable(before))), dict(leaves(_comparable(after)))
    if disables_cri(
        cri(before).disabled_plugins
    ):  # containerd 2.x leaves the tables of a disabled plugin in their old schema
        was = {path: value for path, value in was.items() if path[:1] != ("plugins",) or path[1] not in CRI_TABLES}
    gone = [
        path
        for path, value in was.items()
        if path not in ours
        and not (built_in and path[: len(built_in)] == built_in)
        and now.get(path) != value
        and not _grew(value, now.get(path))
    ]
    return tuple(".".join(path) for path in gone if not _covered(path, now))


def _grew(before: object, after: object) -> bool:
    return isinstance(before, list) and isinstance(after, list) and all(entry in after for entry in before)


def _covered(path: KeyPath, now: dict[KeyPath, object]) -> bool:
    """An empty table before (a leaf then) that has entries now."""
    return any(other[: len(path)] == path and len(other) > len(path) for other in now)


def _comparable(dump: Data) -> Data:
    return {key: value for key, value in dump.items() if key not in _NOT_COMPARED}
