"""containerd's configuration files, and who writes them."""

from __future__ import annotations

import pytest

from caasctl.checks import containerd_config as checks
from caasctl.facts.containerd import ContainerdProcess, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.containerd_live import ContainerdPlugins
from caasctl.facts.containerd_writers import OtherWriters, Writer
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile import Kubernetes, Metadata, NodeProfile, Spec
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.output import PluginState
from caasctl.syntax.containerd.tables import CRI, CRI_RUNTIME, DROP_IN, MAIN

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("t"), Spec(Kubernetes("v1.36.4")))
V17, V21, V23 = ContainerdVersion((1, 7, 24)), ContainerdVersion((2, 1, 9)), ContainerdVersion((2, 3, 1))
EXTRA = "/etc/containerd/conf.d/10-x.toml"
NO_VERSION = f'[plugins."{CRI}".containerd.runtimes.runc.options]\nSystemdCgroup = true\n'


def config(main: str | None, unread: tuple[str, ...] = (), **imports: str | None) -> ContainerdConfig:
    extra = tuple(config_file(EXTRA, text, (MAIN, EXTRA)) for text in imports.values())
    return ContainerdConfig(MAIN, (config_file(MAIN, main), *extra), unread)


def judged(check: Check, *known: object) -> list[Finding]:
    return list(findings(check, Facts(known), PROFILE))


def only(check: Check, *known: object) -> Finding:
    (finding,) = judged(check, *known)
    return finding


@pytest.mark.parametrize(
    ("main", "error", "level", "mended"),
    [
        ("version = 2", "", Level.PASS, None),
        (None, "", Level.PASS, None),
        ("a = = 1", "", Level.FAIL, ""),
        ("version = 3", "containerd: unsupported config version `3`", Level.FAIL, ""),
        (
            'version = 2\ndisabled_plugins = ["cri"]',
            'invalid disabled plugin URI "cri" expect io.containerd.x.vx',
            Level.FAIL,
            "containerd",
        ),
    ],
)
def test_config_parses(main: str | None, error: str, level: Level, mended: str | None) -> None:
    found = only(checks.config_parses, config(main), ContainerdEffective(error=error))
    assert found.level is level
    assert found.subject == MAIN
    assert mended is None or found.fixed_by == mended


def test_config_parses_leaves_a_dangling_import_to_imports_load() -> None:
    assert (
        judged(checks.config_parses, config("version = 2", x=None), ContainerdEffective(error="open x: no such file"))
        == []
    )


def test_a_table_of_a_file_without_version_is_named_as_ignored() -> None:
    found = only(checks.unknown_keys, config(NO_VERSION), ContainerdEffective(), V17)
    assert found.level is Level.FAIL
    assert "no version" in found.found
    assert "SystemdCgroup" in found.cause
    assert found.fixed_by == "containerd"


def test_a_table_of_another_schema_is_the_users_to_rename() -> None:
    main = f'version = 3\n[plugins."{CRI}"]\nsandbox_image = "x"'
    found = only(checks.unknown_keys, config(main), ContainerdEffective(), V21)
    assert (found.level, found.fixed_by) == (Level.FAIL, "")


def warning(plugin: str) -> ContainerdEffective:
    line = f'time="x" level=warning msg="Ignoring unknown key in TOML for plugin" error="strict mode: x" key=sandbox_imag plugin={plugin}'
    return ContainerdEffective(warnings=(line,))


def test_unknown_keys_that_containerd_names_are_passed_on() -> None:
    found = only(checks.unknown_keys, config("version = 3"), warning(CRI_RUNTIME), V21)
    assert (found.level, found.found) == (Level.WARN, f"sandbox_imag of {CRI_RUNTIME}")


def test_lines_that_2x_prints_of_keys_it_moves_from_schema_2_are_no_finding() -> None:
    assert only(checks.unknown_keys, config("version = 2"), warning(CRI), V21).level is Level.PASS


def test_a_disabled_cri_is_ours_to_mend_in_the_main_file_and_the_users_in_an_import() -> None:
    docker = only(checks.cri_enabled, config('disabled_plugins = ["cri"]'), ContainerdEffective())
    assert (docker.level, docker.fixed_by, docker.subject) == (Level.FAIL, "containerd", MAIN)
    imported = only(checks.cri_enabled, config("version = 2", x=f'disabled_plugins = ["{CRI}"]'), ContainerdEffective())
    assert (imported.level, imported.fixed_by, imported.subject) == (Level.FAIL, "", EXTRA)


@pytest.mark.parametrize(
    ("plugins", "level", "word"),
    [
        (ContainerdPlugins((PluginState("io.containerd.grpc.v1", "cri", "ok"),)), Level.PASS, "ok"),
        (ContainerdPlugins((PluginState("io.containerd.grpc.v1", "cri", "error"),)), Level.FAIL, "is error"),
        (ContainerdPlugins(), Level.FAIL, "not loaded"),
        (ContainerdPlugins(error="connection refused"), Level.PASS, "not disabled"),
    ],
)
def test_the_running_containerd_is_asked_for_its_cri(plugins: ContainerdPlugins, level: Level, word: str) -> None:
    known = (config("version = 2"), ContainerdEffective(), plugins, ContainerdProcess("active", "running", 7), V17)
    found = only(checks.cri_enabled, *known)
    assert (found.level, word in found.found) == (level, True)


CRI_TABLE = f'version = 2\n[plugins."{CRI}"]\nsandbox_image = "x"\n'
KATA = f'version = 2\n[plugins."{CRI}".containerd.runtimes.kata]\nruntime_type = "k"\n'
V3 = f'version = 3\n[plugins."{CRI_RUNTIME}".containerd.runtimes.kata]\nruntime_type = "k"\n'


@pytest.mark.parametrize(
    ("main", "extra", "version", "word"),
    [
        (CRI_TABLE, KATA, V17, "replaces"),
        (CRI_TABLE, None, V17, "is not there"),
        (CRI_TABLE, None, V21, "is not there"),
        (CRI_TABLE, V3, V21, "version = 3, but"),
        (V3, KATA, V21, "version = 2, but"),
        (CRI_TABLE, V3, V23, "version = 3, but"),
    ],
)
def test_imports_that_do_not_load_or_take_away(
    main: str, extra: str | None, version: ContainerdVersion, word: str
) -> None:
    found = only(checks.imports_load, config(main, x=extra), version)
    assert found.level is Level.FAIL
    assert word in found.found
    assert found.yours, "an import is the user's to mend, and gates the phase"
    assert found.fix
    assert EXTRA in found.fix.text


@pytest.mark.parametrize(
    ("main", "extra", "version"),
    [(CRI_TABLE, KATA, V21), (V3, KATA, V23), (CRI_TABLE, 'version = 2\n[debug]\nlevel = "x"\n', V17)],
)
def test_imports_that_add(main: str, extra: str, version: ContainerdVersion) -> None:
    found = only(checks.imports_load, config(main, x=extra), version)
    assert (found.level, found.found) == (Level.PASS, EXTRA)


def test_a_file_that_no_import_names_is_a_warning_unless_it_is_ours() -> None:
    nvidia = "/etc/containerd/config.d/99-nvidia.toml"
    found = only(checks.imports_load, config("version = 2", (nvidia, DROP_IN)), V21)
    assert (found.level, found.subject) == (Level.WARN, nvidia)


@pytest.mark.parametrize(
    ("writers", "level", "word"),
    [
        ((), Level.PASS, "none"),
        ((Writer("Docker's package", MAIN),), Level.PASS, "Docker"),
        ((Writer("kata-deploy", "/x"),), Level.WARN, "kata-deploy writes /x"),
        ((Writer("Puppet", MAIN),), Level.WARN, "Puppet"),
        ((Writer("k3s", "/var/lib/rancher", own_daemon=True),), Level.WARN, "containerd of its own"),
    ],
)
def test_other_writers(writers: tuple[Writer, ...], level: Level, word: str) -> None:
    found = only(checks.other_writers, OtherWriters(writers))
    assert (found.level, word in found.found) == (level, True)
