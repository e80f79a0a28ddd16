"""Recorded hosts: what was looked at answers the same elsewhere; what was not is unknown."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from caasctl.asked import RecordingHost
from caasctl.bundle import BundleHost
from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable, UsageError
from caasctl.protocol import FileKind


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text("ID=debian\n")
    (root / "etc/dir").mkdir()
    (root / "etc/dir/one").write_text("1")
    (root / "etc/dir/two").write_text("2")
    (root / "etc/link").symlink_to("/etc/os-release")
    return root


def _look(host: RecordingHost) -> None:
    host.read("/etc/os-release")
    host.read("/etc/absent")
    host.list("/etc/dir")
    host.read("/etc/dir/one")
    host.readlink("/etc/link")
    host.read("/etc/link")
    host.stat("/etc/dir")
    with pytest.raises(Unreadable):
        host.read("/etc/dir")
    with pytest.raises(Unreadable):
        host.query("true")


@pytest.mark.parametrize("name", ["recorded", "recorded.tar.gz"])
def test_a_recording_answers_as_the_host_did(tree: Path, tmp_path: Path, name: str) -> None:
    recording = RecordingHost(LiveHost(str(tree)))
    _look(recording)
    recording.save(str(tmp_path / name), "node1")
    host = BundleHost(str(tmp_path / name))
    assert host.read("/etc/os-release") == "ID=debian\n"
    assert host.read("/etc/absent") is None
    assert host.list("/etc/dir") == ("one", "two")
    assert host.read("/etc/dir/one") == "1"
    assert host.readlink("/etc/link") == "/etc/os-release"
    assert host.read("/etc/link") == "ID=debian\n"
    folder = host.stat("/etc/dir")
    assert folder is not None
    assert folder.kind is FileKind.DIR
    for ask in (
        lambda: host.read("/etc/dir"),
        lambda: host.read("/etc/dir/two"),
        lambda: host.query("true"),
        lambda: host.query("never", "asked"),
    ):
        with pytest.raises(Unreadable):
            ask()
    assert host.manifest["host"] == "node1"


CONFIG = "users:\n- name: admin\n  user:\n    client-certificate-data: UFVCTElD\n    client-key-data: S0VZ\n"
VALUES = (
    f"tls:\n  ca:\n    cert: UFVCTElD\n    key: {'S0VZ' * 12}\ntolerations:\n- key: node.cilium.io/agent-not-ready\n"
)


def test_no_private_key_token_or_password_is_in_a_recording(tree: Path, tmp_path: Path) -> None:
    """A plan compares kubeconfigs with admin.conf, and values with the release's."""
    pem = "-----BEGIN RSA PRIVATE KEY-----\nS0VZ\n-----END RSA PRIVATE KEY-----\n"
    texts = {
        "a": CONFIG,
        "b": CONFIG,
        "c": VALUES,
        "d": '{"user":{"token":"S0VZ.x", "password": \'S0VZ\'},"e":1}',
        "e": pem,
    }
    recording = RecordingHost(LiveHost(str(tree)))
    for name, text in texts.items():
        (tree / name).write_text(text)
        assert recording.read(f"/{name}") == text
    recording.save(str(tmp_path / "recorded"), "node1")
    host = BundleHost(str(tmp_path / "recorded"))
    kept = {name: host.read(f"/{name}") or "" for name in texts}
    assert not [name for name, text in kept.items() if "S0VZ" in text]
    assert kept["a"] == kept["b"] == CONFIG.replace("S0VZ", '"(hidden)"')
    assert kept["c"] == VALUES.replace("S0VZ" * 12, '"(hidden)"')
    assert kept["d"] == '{"user":{"token":"(hidden)", "password": "(hidden)"},"e":1}'


def test_absent_not_recorded_and_not_readable_are_three_answers(tmp_path: Path) -> None:
    """The tree beside the manifest holds what another answer left there: the manifest decides."""
    manifest = {"schemaVersion": 1, "absent": ["read /etc/gone", "list /etc/gone", "stat /etc/gone", "link /etc/gone"],
                "unread": {"read /etc/shadow": "permission denied"}, "listings": {"/etc": ["gone", "listed"]}}  # fmt: skip
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/gone").write_text("x")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    host = BundleHost(str(tmp_path))
    assert (host.read("/etc/gone"), host.list("/etc/gone"), host.readlink("/etc/gone")) == (None, None, None)
    assert host.stat("/etc/gone") is None
    assert (host.read("/etc/never"), host.stat("/etc/never")) == (None, None)
    with pytest.raises(Unreadable, match="permission denied"):
        host.read("/etc/shadow")
    with pytest.raises(Unreadable, match="was not recorded"):
        host.read("/etc/listed")
    with pytest.raises(Unreadable, match="was not recorded"):
        host.stat("/etc/listed")


def test_what_could_not_be_read_keeps_its_reason_in_the_recording(tree: Path, tmp_path: Path) -> None:
    recording = RecordingHost(LiveHost(str(tree)))
    _look(recording)
    recording.save(str(tmp_path / "recorded"), "node1")
    unread = json.loads((tmp_path / "recorded/manifest.json").read_text())["unread"]
    assert unread["read /etc/dir"] == "is a directory"
    assert unread["query true"].startswith("a command of this machine")


def test_commands_are_replayed_whole(tmp_path: Path) -> None:
    recording = RecordingHost(LiveHost())
    live = recording.query("sh", "-c", "echo out; echo err >&2; exit 3")
    recording.query("no-such-program-here")
    recording.save(str(tmp_path / "r"), "h")
    host = BundleHost(str(tmp_path / "r"))
    assert host.query("sh", "-c", "echo out; echo err >&2; exit 3") == live
    assert host.query("no-such-program-here").missing


def test_each_question_is_asked_once(tree: Path) -> None:
    recording = RecordingHost(LiveHost(str(tree)))
    assert recording.read("/etc/dir/one") == "1"
    (tree / "etc/dir/one").write_text("changed")
    assert recording.read("/etc/dir/one") == "1"


def test_a_recording_made_by_hand_needs_no_more_than_files_and_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "root/proc").mkdir(parents=True)
    (tmp_path / "root/proc/cmdline").write_text("quiet\n")
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    host = BundleHost(str(tmp_path))
    assert host.read("/proc/cmdline") == "quiet\n"
    assert host.read("/etc/fstab") is None
    assert host.list("/proc") == ("cmdline",)
    with pytest.raises(Unreadable, match="not in the recording"):
        host.query("uname", "-r")


def test_a_recording_never_replaces_anything(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="already there"):
        RecordingHost(LiveHost(str(tmp_path))).save(str(tmp_path / "there"), "h")
    assert (tmp_path / "there").read_text() == "mine"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CaasError, match="cannot record to"):
        RecordingHost(LiveHost(str(tmp_path))).save(str(tmp_path / "no/such/r.tar.gz"), "h")


@pytest.mark.parametrize("content", [None, "{", '{"schemaVersion": 99}'])
def test_what_is_no_recording_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"recorded host|schemaVersion") as caught:
        BundleHost(str(tmp_path))
    assert getattr(caught.value, "fix", "")


@pytest.mark.parametrize("evil", ["../out", "/abs", "root/link/through"])
def test_an_archive_that_leads_out_of_its_folder_is_refused_or_harmless(tmp_path: Path, evil: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "manifest.json", json.dumps({"schemaVersion": 1}).encode())
        if "link" in evil:
            link = tarfile.TarInfo("root/link")
            link.type, link.linkname = tarfile.SYMTYPE, str(outside)
            archive.addfile(link)
            inner = tarfile.TarInfo("root/link/through")
            inner.type, inner.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(inner)
        else:
            _add(archive, evil, b"x")
    with suppress(UsageError):
        BundleHost(str(path))
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("root/dev/mem", tarfile.CHRTYPE, ""),
        ("root/pipe", tarfile.FIFOTYPE, ""),
        ("root/hard", tarfile.LNKTYPE, "/etc/passwd"),
        ("root/hard", tarfile.LNKTYPE, "../outside"),
        ("/root/abs", tarfile.REGTYPE, ""),
        ("root/../../up", tarfile.REGTYPE, ""),
    ],
)
def test_an_archive_with_what_no_recording_holds_is_refused(
    tmp_path: Path, name: str, kind: bytes, target: str
) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "manifest.json", json.dumps({"schemaVersion": 1}).encode())
        strange = tarfile.TarInfo(name)
        strange.type, strange.linkname = kind, target
        archive.addfile(strange)
    with pytest.raises(UsageError, match="cannot be read as a recorded host") as caught:
        BundleHost(str(path))
    assert any(said in caught.value.cause for said in ("leads out of the archive", "is neither file nor directory"))


def test_an_archive_that_was_cut_off_is_said(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.tar.gz", tmp_path / "half.tar.gz"
    with tarfile.open(whole, "w:gz") as archive:
        _add(archive, "manifest.json", json.dumps({"schemaVersion": 1}).encode())
        _add(archive, "root/noise", random.Random(1).randbytes(100_000))
    half.write_bytes(whole.read_bytes()[:50_000])
    with pytest.raises(UsageError, match=r"half\.tar\.gz cannot be read as a recorded host") as caught:
        BundleHost(str(half))
    assert caught.value.cause


def test_a_recording_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as a recorded host") as caught:
        BundleHost(str(tmp_path / "none.tar.gz"))
    assert caught.value.cause == "no such file or directory"


def test_a_hard_link_to_what_is_not_in_the_archive_is_said(tmp_path: Path) -> None:
    path = tmp_path / "host.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("root/hard")
        link.type, link.linkname = tarfile.LNKTYPE, "root/nothing"
        archive.addfile(link)
    with pytest.raises(UsageError, match="cannot be read as a recorded host"):
        BundleHost(str(path))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    with tarfile.open(path, "w") as archive:
        _add(archive, "manifest.json", b"{}")
        huge = tarfile.TarInfo("root/huge")
        huge.type, huge.size = tarfile.REGTYPE, 1 << 40
        archive.addfile(huge)
    with pytest.raises(UsageError) as caught:
        BundleHost(str(path))
    assert "larger than 512 MiB" in caught.value.cause


def test_a_pipe_is_no_recording_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError) as caught:
        BundleHost(str(tmp_path / "pipe"))
    assert caught.value.cause == "it is neither file nor directory"


def test_a_root_that_leads_elsewhere_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schemaVersion": 1}')
    (tmp_path / "root").symlink_to("/")
    with pytest.raises(UsageError) as caught:
        BundleHost(str(tmp_path))
    assert "symbolic link" in caught.value.cause


@pytest.mark.parametrize(
    ("manifest", "commands", "said"),
    [
        ("[1]", "[]", "manifest.json is no mapping"),
        ("[" * 100_000, "[]", "manifest.json is not JSON"),
        ('{"schemaVersion": 1, "absent": null}', "[]", "manifest.json: absent is no list"),
        ('{"schemaVersion": 1, "unread": []}', "[]", "manifest.json: unread is no mapping"),
        ('{"schemaVersion": 1, "listings": [1]}', "[]", "manifest.json: listings is no mapping"),
        ('{"schemaVersion": 1}', "[", "commands.json is not JSON"),
        ('{"schemaVersion": 1}', "{}", "commands.json is no list"),
        ('{"schemaVersion": 1}', "[null]", "commands.json: entry 0 has no argv"),
        ('{"schemaVersion": 1}', '[{"argv": ["ss"]}, {"rc": 0}]', "commands.json: entry 1 has no argv"),
        ('{"schemaVersion": 1}', '[{"argv": [["ss"]]}]', "commands.json: entry 0 has no argv"),
    ],
)
def test_a_recording_of_the_wrong_shape_is_a_usage_error(
    tmp_path: Path, manifest: str, commands: str, said: str
) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "commands.json").write_text(commands)
    with pytest.raises(UsageError, match="cannot be read as a recorded host") as caught:
        BundleHost(str(tmp_path))
    assert said in caught.value.cause


def test_files_of_an_archive_keep_their_permissions_and_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "host.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "manifest.json", json.dumps({"schemaVersion": 1}).encode())
        for name, mode in {"root/none": 0o000, "root/script": 0o4755}.items():
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.uname = mode, 12345, "nobody"
            archive.addfile(info)
    host = BundleHost(str(path))
    assert host.read("/none") == ""
    script = host.stat("/script")
    assert script
    assert script.mode == 0o755


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def test_a_file_that_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("no")
    with pytest.raises(UsageError, match="cannot be read as a recorded host"):
        BundleHost(str(tmp_path / "x.tar.gz"))
    with pytest.raises(UsageError):
        BundleHost(str(tmp_path / "nothing"))
