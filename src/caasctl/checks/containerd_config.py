"""containerd's configuration files: do they parse, load, leave the CRI on, and who else writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdProcess, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.containerd_live import ContainerdPlugins
from caasctl.facts.containerd_writers import OtherWriters
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.imports import ConfigFile, ignored_tables, replaced
from caasctl.syntax.containerd.tables import CRI_TABLES, DROP_IN, disables_cri, plugin_ids, strings

_UNKNOWN_KEY = re.compile(
    r'Ignoring unknown key in TOML.*?(?:file=(?P<file>\S+))?.*?key="?(?P<key>[^"]+?)"?(?: plugin=(?P<plugin>\S+)| row=|$)'
)
_HIGHER_IS_FATAL = ((2, 3, 0), (2, 3, 5))
_HEALED = (2, 3, 0)  # from here files of different schemas are each read by their own


@check(
    "containerd.config_parses",
    "containerd accepts its configuration",
    reads=(ContainerdConfig, ContainerdEffective),
    why="The daemon does not start on a file that it cannot read; a running one shows that only at its next restart.",
    fix="Correct the line that containerd names: `containerd config dump`.",
    source="containerd config dump",
    gates=("containerd",),
    after=("containerd.installed",),
)
def config_parses(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """The main file and its imports as TOML, and the exit status of `containerd config dump`."""
    config, effective = facts[ContainerdConfig], facts[ContainerdEffective]
    broken = [file for file in config.files if file.error]
    if broken:
        yield failed(broken[0].error, wanted="valid TOML", subject=broken[0].path, fixed_by="",
                     fix=Fix(f"edit {broken[0].path}: {broken[0].error.rpartition(': ')[2]}", FixKind.EDIT))  # fmt: skip
    elif effective.error and not list(_dangling(config)):  # that one is imports_load's to tell
        yield _refused(config, effective.error)
    elif effective.error:
        return
    elif config.main.text is None:
        yield passed(f"no {config.path}: containerd's defaults", subject=config.path)
    else:
        yield passed(f"schema {config.main.schema}, {len(config.imports)} imports", subject=config.path)


def _refused(config: ContainerdConfig, error: str) -> Finding:
    """A short plugin name in a file with `version` is ours to mend; the rest is the user's."""
    short = "invalid disabled plugin URI" in error and any(
        "." not in entry for entry in strings(config.main.data.get("disabled_plugins"))
    )
    return failed(
        error,
        wanted="a configuration that containerd accepts",
        subject=config.path,
        fix=Fix("caasctl init-node")
        if short
        else Fix(f"correct {config.path} until `containerd config dump` prints it", FixKind.EDIT),
        fixed_by="containerd" if short else "",
        evidence=(Evidence("containerd config dump", error),),
    )


@check(
    "containerd.unknown_keys",
    "containerd looks at every table and key that it is given",
    reads=(ContainerdConfig, ContainerdEffective, ContainerdVersion),
    why="containerd says nothing (1.x) or a line in its log (2.x) and goes on without the setting: SystemdCgroup = true is then only a wish.",
    fix="Give each file the `version` that its table names belong to.",
    source="containerd docs/PLUGINS.md, version header; measured on 1.6.20, 1.7.24, 2.1.9",
    after=("containerd.installed", "containerd.config_parses"),
)
def unknown_keys(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Table names against each file's `version`, and "Ignoring unknown key" in what containerd says of its files."""
    config, version = facts[ContainerdConfig], facts[ContainerdVersion].version
    dead = [(file, name) for file in config.files for name in ignored_tables(file, version)]
    keys = [said for warning in facts[ContainerdEffective].warnings if (said := _unknown_key(warning, config))]
    for file, name in dead:
        yield _ignored(file, name, mended=file is config.main and file.schema == 1)
    for said in dict.fromkeys(keys):
        yield warned(
            said, wanted="keys that this containerd knows", fix=Fix(f"remove {said} or correct its name", FixKind.EDIT)
        )
    if not dead and not keys:
        yield passed("none ignored")


def _ignored(file: ConfigFile, name: str, *, mended: bool) -> Finding:
    said = f"version = {file.schema}" if file.names_version else "no version"
    return failed(
        f'[plugins."{name}"] is ignored: the file has {said}',
        wanted="table names of the file's own version",
        subject=file.path,
        cause=f'Without `version` a file is taken for schema 1; everything below [plugins."{name}"], SystemdCgroup and runtimes too, '
        "is then as if it were not written." if file.schema == 1 else "",
        fix=Fix("caasctl init-node") if mended else Fix(f'rename [plugins."{name}"] in {file.path} to its name in schema {file.schema}', FixKind.EDIT),
        fixed_by="containerd" if mended else "",
    )  # fmt: skip


def _unknown_key(warning: str, config: ContainerdConfig) -> str:
    """`key of plugin`; nothing for a line that 2.x prints of every key it moves from schema 2 to 3."""
    found = _UNKNOWN_KEY.search(warning)
    moved = found and found["plugin"] in CRI_TABLES and config.main.schema < 3  # noqa: PLR2004 - a schema version
    if not found or moved:
        return ""
    return f"{found['key']} of {found['plugin'] or found['file'] or config.path}"


@check(
    "containerd.cri_enabled",
    "The CRI plugin is on",
    reads=(ContainerdConfig,),
    why="kubeadm and the kubelet stop with `unknown service runtime.v1.RuntimeService`.",
    fix='Take "cri" out of disabled_plugins: Docker\'s package puts it there.',
    source="containerd docs/cri; kubeadm preflight",
    fixed_by="containerd",
    after=("containerd.installed",),
)
def cri_enabled(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """disabled_plugins of all files, and the states in `ctr plugins ls`."""
    config = facts[ContainerdConfig]
    holders = [
        (file, entry) for file in config.files for entry in disables_cri(strings(file.data.get("disabled_plugins")))
    ]
    for file, entry in holders:
        ours = file is config.main
        yield failed(
            f'disabled_plugins has "{entry}"',
            wanted="the CRI plugin enabled",
            subject=file.path,
            fix=Fix("caasctl init-node")
            if ours
            else Fix(f'remove "{entry}" from disabled_plugins in {file.path}', FixKind.EDIT),
            fixed_by="containerd" if ours else "",
        )
    if not holders:
        yield _loaded(facts)


def _loaded(facts: Facts) -> Finding:
    plugins, process, version = facts.get(ContainerdPlugins), facts.get(ContainerdProcess), facts.get(ContainerdVersion)
    if plugins is None or version is None or plugins.error or (process is not None and not process.running):
        return passed("not disabled")
    wrong = [(uri, plugins.status(uri)) for uri in plugin_ids(version.version) if plugins.status(uri) != "ok"]
    if not wrong:
        return passed("ok")
    uri, status = wrong[0]
    return failed(
        f"{uri} is {status or 'not loaded'} in the running containerd",
        wanted="ok",
        fix=Fix("caasctl init-node"),
        cause="containerd runs on without its CRI; the reason is in `journalctl -u containerd | grep 'failed to load plugin'`.",
        evidence=(Evidence("ctr plugins ls", f"{uri} {status}".strip()),),
    )


@check(
    "containerd.imports_load",
    "Imported files are there, read, and replace nothing",
    reads=(ContainerdConfig, ContainerdVersion),
    why="A drop-in that does not load, or that replaces a table it should add to, takes handlers and SystemdCgroup away without a word.",
    fix="containerd 1.x: keep all CRI settings in the main file. 2.x: the same `version` in all files, and an `imports` that names them.",
    source="containerd docs/man/containerd-config.toml.5.md; containerd issue 5837; measured on 1.6.20 to 2.3.4",
    gates=("containerd",),
    after=("containerd.installed",),
)
def imports_load(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """`imports` of each file, followed as containerd follows them, and the files in /etc/containerd/*.d that none names."""
    config, version = facts[ContainerdConfig], facts[ContainerdVersion].version
    found = [*_dangling(config), *_replacing(config, version), *_mixed(config, version), *_unread(config)]
    yield from found
    if not found:
        yield passed(", ".join(file.path for file in config.imports) or "none")


def _dangling(config: ContainerdConfig) -> Iterator[Finding]:
    for file in config.imports:
        if file.text is None and file.path != DROP_IN:
            by, entry = file.imported_by
            yield failed(
                f"{file.path} is not there",
                wanted="a file, or no import of it",
                subject=by,
                cause=f"The daemon exits with `open {file.path}: no such file or directory`; on 2.x `containerd config dump` hides it.",
                fix=Fix(f'remove "{entry}" from imports in {by}', FixKind.EDIT),
            )


def _replacing(config: ContainerdConfig, version: tuple[int, int, int]) -> Iterator[Finding]:
    if version >= (2, 0, 0):
        return
    for loss in replaced(config.files):
        if loss.plugin in CRI_TABLES:
            lost = ", ".join(loss.lost[:3]) or "its settings"
            yield failed(
                f'{loss.by} replaces [plugins."{loss.plugin}"] of {loss.of}',
                wanted=f"all CRI settings in {config.path}",
                subject=loss.by,
                cause=f"containerd 1.x does not merge plugin tables, the last file wins whole: lost are {lost}.",
                fix=Fix(f"move the table from {loss.by} into {loss.of} and remove the import", FixKind.EDIT),
            )


def _mixed(config: ContainerdConfig, version: tuple[int, int, int]) -> Iterator[Finding]:
    """2.0 to 2.2 read all files by the highest schema among them; 2.3.0 to 2.3.4 do not start on a higher one."""
    main = config.main.schema
    for file in config.imports:
        differs = file.text is not None and file.schema != main and file.names_version
        if not differs or version < (2, 0, 0):
            continue
        fatal = _HIGHER_IS_FATAL[0] <= version < _HIGHER_IS_FATAL[1] and file.schema > main
        if fatal or version < _HEALED:
            yield failed(
                f"version = {file.schema}, but {config.path} has {main}",
                wanted=f"version = {main} and its table names",
                subject=file.path,
                cause=f"The daemon exits with `drop-in config version {file.schema} higher than root config version {main}`."
                if fatal
                else "This containerd reads both by one schema and drops the CRI tables of the other: handlers, pause image or SystemdCgroup.",
                fix=Fix(f"write {file.path} in schema {main}", FixKind.EDIT),
            )


def _unread(config: ContainerdConfig) -> Iterator[Finding]:
    for path in config.unread:
        if path != DROP_IN:
            yield warned(
                "no imports names it",
                wanted="a file that containerd reads, or none",
                subject=path,
                cause="A file in this folder is read only where `imports` in the main file says so; nvidia-ctk 1.18.0 wrote one that none was.",
                fix=Fix(f'add "{path}" to imports in {config.path}, or remove the file', FixKind.EDIT),
            )


@check(
    "containerd.other_writers",
    "Nobody else writes containerd's configuration",
    reads=(OtherWriters,),
    why="Two writers of one file undo each other: the handlers are gone after the other one's next run.",
    fix="Let one of the two own the file.",
    source="kata-deploy, nvidia-container-toolkit, k3s and microk8s documentation",
)
def other_writers(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Drop-ins and marks of kata-deploy and nvidia-ctk, headers of configuration management, other distributions' containerds."""
    harmless = []
    for writer in facts[OtherWriters].writers:
        if writer.own_daemon:
            yield warned(f"{writer.who} has a containerd of its own", wanted="one Kubernetes on the host", subject=writer.path,
                         cause="Its pods run beside caasctl's, on the same ports and cgroups; kubeadm stops on the ports.",
                         fix=Fix(f"uninstall {writer.who}, or do not make this host a node", FixKind.EDIT))  # fmt: skip
        elif writer.who in ("Docker's package", "kata-manager.sh", "nvidia-ctk"):
            harmless.append(f"{writer.who} ({writer.path})")  # they write once, or when a user runs them
        else:
            yield warned(f"{writer.who} writes {writer.path}", wanted="one writer", subject=writer.path,
                         fix=Fix(f"take containerd's configuration out of {writer.who}", FixKind.EDIT))  # fmt: skip
    if not any(
        w.own_daemon or w.who not in ("Docker's package", "kata-manager.sh", "nvidia-ctk")
        for w in facts[OtherWriters].writers
    ):
        yield passed("; ".join(harmless) or "none seen")


CHECKS = (config_parses, unknown_keys, cri_enabled, imports_load, other_writers)
