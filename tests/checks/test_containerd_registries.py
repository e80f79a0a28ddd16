"""Mirrors: what the profile names beside what lies in certs.d, and files that containerd cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl import profile_load
from caasctl.checks import containerd_registries as checks
from caasctl.facts import containerd_registries as facts
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.containerd_registries import HostsToml, RegistryFolders
from caasctl.host import LiveHost
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd import registries
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.registries import CERTS, Registry
from caasctl.syntax.containerd.tables import CRI, MAIN

ONE = Registry("docker.io", ("https://m.example",))
FILE = f"{CERTS}/docker.io/hosts.toml"
NAMED = 'containerd.registries={"docker.io": {"mirrors": ["https://m.example"]}}'
PLAIN = profile_load.load("single-node", ())
PROFILE = profile_load.load("single-node", (NAMED,))


def file(path: str = FILE, text: str = registries.text(ONE), missing: tuple[str, ...] = ()) -> HostsToml:
    return HostsToml(path, registries.parse(text, path), "caasctl" in text, missing, text)


def judged(
    check: Check, *files: HostsToml, told: tuple[str, ...] = (CERTS,), main: str = "", profile: NodeProfile = PROFILE
) -> list[Finding]:
    config = ContainerdConfig(MAIN, (config_file(MAIN, main or "version = 2"),))
    known = [RegistryFolders(told, files), config, ContainerdVersion((1, 7, 24))]
    return list(findings(check, Facts(known), profile))


def test_a_mirror_that_is_written_and_asked_passes() -> None:
    (found,) = judged(checks.mirrors, file())
    assert (found.level, found.found) == (Level.PASS, "docker.io: https://m.example")
    assert judged(checks.mirrors, profile=PLAIN) == []


@pytest.mark.parametrize(
    ("files", "told", "word", "level", "by"),
    [
        ((), (CERTS,), "no hosts.toml", Level.FAIL, "containerd"),
        ((file(),), ("/srv/certs",), "config_path is /srv/certs", Level.FAIL, "containerd"),
        ((file(text=registries.text(ONE) + "# x\n"),), (CERTS,), "not as the profile says", Level.FAIL, "containerd"),
        ((file(text='[host."https://other"]\n'),), (CERTS,), "a file of your own, which asks https://other", Level.WARN, ""),
        ((file(), file(f"{CERTS}/gone.example/hosts.toml")), (CERTS,), "for a profile that named it", Level.WARN, ""),
    ],
)  # fmt: skip
def test_mirrors_that_are_not_asked_are_told(
    files: tuple[HostsToml, ...], told: tuple[str, ...], word: str, level: Level, by: str
) -> None:
    (found,) = judged(checks.mirrors, *files, told=told)
    assert (found.level, found.fixed_by) == (level, by)
    assert word in found.found


def test_a_file_of_the_users_that_asks_the_same_mirrors_is_good() -> None:
    (found,) = judged(checks.mirrors, file(text='[host."https://m.example"]\nskip_verify = true\n'))
    assert found.level is Level.PASS


def test_the_other_name_of_a_registry_with_a_port_hides_ours() -> None:
    profile = profile_load.load(
        "single-node", ('containerd.registries={"r.example:5000": {"mirrors": ["https://m.example"]}}',)
    )
    ours = file(f"{CERTS}/r.example:5000/hosts.toml")
    (found,) = judged(
        checks.mirrors, ours, file(f"{CERTS}/r.example_5000_/hosts.toml", "server = 'https://x'"), profile=profile
    )
    assert (found.level, found.found) == (Level.WARN, f"{CERTS}/r.example_5000_/hosts.toml is there")


@pytest.mark.parametrize(
    ("registry", "excluded"),
    [
        ('mirrors."docker.io"]\nendpoint = ["https://m"]', "mirrors"),
        ('configs."m".tls]\nca_file = "/x"', "configs.tls"),
        ('configs."m".auth]\nusername = "x"', ""),
    ],
)
def test_the_keys_of_before_stand_against_mirrors_of_the_profile(registry: str, excluded: str) -> None:
    found = judged(checks.mirrors, file(), main=f'version = 2\n[plugins."{CRI}".registry.{registry}\n')
    assert [one.found for one in found if one.yours] == ([f"the registry table has {excluded}"] if excluded else [])


@pytest.mark.parametrize(
    ("bad", "word", "level"),
    [
        (file(text="[host"), "hosts.toml", Level.FAIL),
        (file(missing=("/x.pem",)), "there is no /x.pem", Level.FAIL),
        (file(text='[host."m.example:5000"]\n'), "names no scheme", Level.WARN),
    ],
)  # fmt: skip
def test_files_that_containerd_cannot_use_are_told(bad: HostsToml, word: str, level: Level) -> None:
    (found,) = judged(checks.hosts_files, bad)
    assert found.level is level
    assert word in found.found


def test_the_probe_reads_every_folder_of_config_path(tmp_path: Path) -> None:
    for path, text in {
        "etc/containerd/config.toml": f'version = 2\n[plugins."{CRI}".registry]\nconfig_path = "/srv/certs/:/etc/containerd/certs.d"\n',
        "srv/certs/docker.io/hosts.toml": '[host."https://m"]\nca = ["a.pem", "/b.pem"]\n',
        "srv/certs/docker.io/a.pem": "x",
        "etc/containerd/certs.d/_default/hosts.toml": registries.text(Registry("_default", (), "/c.pem")),
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (probe,) = facts.PROBES
    found = probe.read(LiveHost(str(tmp_path)))
    assert isinstance(found, RegistryFolders)
    assert found.config_path == ("/srv/certs", CERTS)
    assert [(one.path, one.ours, one.missing) for one in found.files] == [
        ("/srv/certs/docker.io/hosts.toml", False, ("/b.pem",)),
        (f"{CERTS}/_default/hosts.toml", True, ("/c.pem",)),
    ]
