"""A registry's hosts.toml: a foreign one stays, and ours is written only where its CA is."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.host import LiveHost
from caasctl.protocol import Absent, Known, Unknown
from caasctl.resources.containerd.hosts import HostsFile, MergeHosts
from caasctl.resources.files import File
from caasctl.syntax.containerd import registries
from caasctl.syntax.containerd.registries import CERTS, Registry, with_certs

PATH = f"{CERTS}/docker.io/hosts.toml"
OURS = registries.text(Registry("docker.io", ("https://m.example",), "/etc/ca.pem"))


def hosts(ca: str = "") -> HostsFile:
    return HostsFile(File(PATH, merge=MergeHosts(OURS)), ca)


def test_it_is_written_once_and_taken_up_again_after_a_kill(tmp_path: Path) -> None:
    host, made = LiveHost(str(tmp_path)), hosts()
    made.apply(host, made.look(host))
    (tmp_path / PATH[1:]).unlink()  # as if killed before
    now = made.look(host)
    assert now == Absent()
    made.apply(host, now)
    after = made.look(host)
    assert made.target(after) == after == Known(OURS, 0o644)
    assert made.target(made.target(now)) == made.target(now)
    assert made.undo(now).files == {PATH: None}


def test_a_foreign_file_stays_and_one_of_an_older_profile_goes() -> None:
    made = hosts()
    foreign = Known('[host."https://mine"]\n', 0o600)
    assert made.target(foreign) == foreign
    assert made.target(Known(registries.text(Registry("docker.io", ("https://old",))), 0o644)) == Known(OURS, 0o644)


def test_without_the_ca_there_is_nothing_to_be_sure_of(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    state = hosts("/etc/ca.pem").look(host)
    assert isinstance(state, Unknown)
    assert "/etc/ca.pem" in state.reason
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ca.pem").write_text("x")
    assert hosts("/etc/ca.pem").look(host) == Absent()


@pytest.mark.parametrize(
    ("before", "after"),
    [("", CERTS), (None, CERTS), (CERTS, CERTS), (f"{CERTS}/:/x", f"{CERTS}/:/x"), ("/x", f"{CERTS}:/x"), ("/x:/y", f"{CERTS}:/x:/y")],
)  # fmt: skip
def test_config_path_leads_to_our_folder_and_to_the_users(before: str | None, after: str) -> None:
    assert with_certs(before) == after
    assert with_certs(after) == after
