"""Recordings that a stranger made to harm: refused in bounded time and memory, and nothing outside of them is touched or read."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from caasctl.bundle import BundleHost
from caasctl.host import unpacking
from caasctl.model import Unreadable, UsageError

MANIFEST = b'{"schemaVersion": 1}'
Fill = Callable[[tarfile.TarFile], None]


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    archive.addfile(info, io.BytesIO(data))


def made(path: Path, fill: Fill, mode: str = "w:gz") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        add(archive, "manifest.json", MANIFEST)
        fill(archive)
    return str(path)


def refused(path: str) -> str:
    """Why, in at most some seconds."""
    began = time.monotonic()
    with pytest.raises(UsageError, match="cannot be read as a recorded host") as caught:
        BundleHost(path)
    assert time.monotonic() - began < 20
    assert caught.value.fix
    return caught.value.cause


def test_a_hard_link_to_a_symbolic_one_writes_nowhere(tmp_path: Path) -> None:
    """tarfile makes the symbolic link where the hard one stands, and what comes later is written through it."""
    outside = tmp_path / "outside"
    outside.mkdir()

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "root/soft", kind=tarfile.SYMTYPE, link=str(outside))
        add(archive, "root/hard", kind=tarfile.LNKTYPE, link="root/soft")
        add(archive, "root/hard/file", b"x")

    assert "hard link to what is no file" in refused(made(tmp_path / "a.tar.gz", fill))
    assert os.listdir(outside) == []


def test_a_chain_of_links_inside_leads_nowhere(tmp_path: Path) -> None:
    """Each is harmless, together they go up: what lies behind is the recording's own, or nothing."""
    (tmp_path / "secret").write_text("not yours")

    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "root/a/b/c/file", b"x")
        add(archive, "root/up", kind=tarfile.SYMTYPE, link="a/b/c/../../../..")
        add(archive, "root/further", kind=tarfile.SYMTYPE, link="up/../../../../../../../../../..")
        add(archive, "root/out", kind=tarfile.SYMTYPE, link=f"further{tmp_path}/secret")
        add(archive, "root/round", kind=tarfile.SYMTYPE, link="round")

    host = BundleHost(made(tmp_path / "a.tar.gz", fill))
    assert host.read("/out") is None
    assert host.read("/up/a/b/c/file") == "x"
    assert host.stat("/out") is None
    with pytest.raises(Unreadable, match="too many levels"):
        host.read("/round")


@pytest.mark.parametrize("name", ["root/new\nline", "root/bell\x07", "root/escape\x1b[2J", "root/nul\0name"])
def test_names_that_no_file_has_are_refused(tmp_path: Path, name: str) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        archive.format = tarfile.PAX_FORMAT
        info = tarfile.TarInfo("root/x")
        info.pax_headers = {"path": name}
        archive.addfile(info)

    cause = refused(made(tmp_path / "a.tar.gz", fill))
    assert "characters that no name has" in cause
    assert cause.isprintable()


@pytest.mark.parametrize(
    "names", [("root/a", "root/a"), ("root/a", "root/./a"), ("root/a", "root//a"), ("manifest.json",)]
)
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert "is in it twice" in refused(made(tmp_path / "a.tar.gz", lambda a: [add(a, name, b"x") for name in names]))  # type: ignore[func-returns-value, arg-type]


def test_a_folder_may_be_named_twice(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        for _ in range(2):
            add(archive, "root/etc", kind=tarfile.DIRTYPE)
        add(archive, "root/etc/a", b"x")

    assert BundleHost(made(tmp_path / "a.tar.gz", fill)).read("/etc/a") == "x"


def test_deep_folders_are_refused(tmp_path: Path) -> None:
    assert "folders deep" in refused(made(tmp_path / "a.tar.gz", lambda a: add(a, "d/" * 2000 + "f", b"x")))


def test_a_file_with_holes_is_refused(tmp_path: Path) -> None:
    def fill(archive: tarfile.TarFile) -> None:
        add(archive, "root/sparse", kind=tarfile.GNUTYPE_SPARSE)

    def pax(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("root/GNUSparseFile.0/x")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
        archive.addfile(info)

    assert "has holes" in refused(made(tmp_path / "a.tar.gz", fill))
    assert "has holes" in refused(made(tmp_path / "b.tar.gz", pax))


@pytest.mark.parametrize("size", [-512, -1, 1 << 40])
def test_a_size_beyond_reason_is_refused(tmp_path: Path, size: int) -> None:
    """A negative one leads tarfile back to where it was: CVE-2025-8194."""

    def pax(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("root/x")
        info.pax_headers = {"size": str(size)}
        archive.addfile(info)

    def plain(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("root/x")
        info.size = size
        archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))

    assert refused(made(tmp_path / "a.tar.gz", pax))
    assert refused(made(tmp_path / "b.tar.gz", plain))


def test_more_members_than_a_host_has_files_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("root/x")
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        for at in range(unpacking.MAX_MEMBERS + 10):
            header.name = f"root/{at}"
            file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.write(b"\0" * 1024)
    assert f"more than {unpacking.MAX_MEMBERS} members" in refused(str(tmp_path / "a.tar.gz"))


PEAK = """\
import resource, sys
from caasctl.bundle import BundleHost
from caasctl.model import UsageError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    BundleHost(sys.argv[1])
except UsageError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, error.cause)
"""


def peak_mib(path: str) -> tuple[int, str]:
    """MiB that refusing a file takes, and why it is refused."""
    argv = [sys.executable, "-c", PEAK, path]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    mib, _, cause = done.stdout.partition(" ")
    return int(mib), cause.strip()


def zeros(path: Path, head: bytes, size: int) -> str:
    block = b"\0" * (1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(size >> 20):
            file.write(block)
    return str(path)


def test_a_gzip_bomb_fills_neither_memory_nor_disk(tmp_path: Path) -> None:
    """One member of 700 MiB, and a long name of as many."""
    huge, name = tarfile.TarInfo("root/huge"), tarfile.TarInfo("././@LongLink")
    name.type = tarfile.GNUTYPE_LONGNAME
    huge.size = name.size = 700 << 20
    for info, said in ((huge, "larger than 512 MiB"), (name, "a header says")):
        mib, cause = peak_mib(zeros(tmp_path / "b.tar.gz", info.tobuf(), 700 << 20))
        assert said in cause
        assert mib < 50


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    """pax headers of 60 KiB, which belong to no member's size."""
    info = tarfile.TarInfo("./PaxHeaders/x")
    info.type, info.size = tarfile.XHDTYPE, 60 << 10
    record = b"61440 comment=" + b"x" * (61440 - 15) + b"\n"
    end = tarfile.TarInfo("root/x")
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file:
        for at in range((unpacking.MAX_STREAM >> 16) * 17 // 16 + 100):
            end.name = f"root/{at}"
            file.write(info.tobuf() + record + end.tobuf())
    mib, cause = peak_mib(str(tmp_path / "a.tar.gz"))
    assert "larger than 512 MiB" in cause
    assert mib < 300


def test_a_commands_file_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    with (tmp_path / "commands.json").open("wb") as file:
        file.truncate(1 << 30)
    mib, cause = peak_mib(str(tmp_path))
    assert "commands.json is no file of at most 64 MiB" in cause
    assert mib < 50


@pytest.mark.parametrize("name", ["manifest.json", "commands.json"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_folder_whose_own_files_are_none_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/manifest.json").write_bytes(MANIFEST)
    (tmp_path / "elsewhere").write_bytes(MANIFEST)
    (tmp_path / "r" / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(tmp_path / "r" / name)
    elif kind == "link":
        (tmp_path / "r" / name).symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "r" / name).mkdir()
    assert refused(str(tmp_path / "r")).startswith(name)


def test_a_folder_with_links_out_and_pipes_is_read_inside_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    root = tmp_path / "r/root/etc"
    root.mkdir(parents=True)
    (tmp_path / "r/manifest.json").write_bytes(MANIFEST)
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "relative").symlink_to("../../../secret")
    (root / "folder").symlink_to("../../..")
    os.mkfifo(root / "pipe")
    host = BundleHost(str(tmp_path / "r"))
    assert [host.read(f"/etc/{name}") for name in ("absolute", "relative", "folder/secret")] == [None] * 3
    assert host.list("/etc/folder") == ("etc",)
    with pytest.raises(Unreadable, match="is no file"):
        host.read("/etc/pipe")


@pytest.mark.parametrize(
    ("manifest", "commands", "said"),
    [
        ({"stats": {"stat /x": {"kind": "file", "mode": "9"}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": "file", "mode": 420}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": "file", "mode": "7" * 5000}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": "soul", "mode": "0644"}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": [], "mode": "0644"}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": "file", "mode": "0644", "size": 1e308}}}, [], "is no stat"),
        ({"stats": {"stat /x": {"kind": "file", "mode": "0644", "uid": 10**400}}}, [], "is no stat"),
        ({"stats": {"stat /x": []}}, [], "is no mapping"),
        ({"listings": {"/x": "abc"}}, [], "is no list"),
        ({"listings": {"/x": [1]}}, [], "no name"),
        ({"listings": {"/x": ["../../etc"]}}, [], "no name"),
        ({"listings": {"/x": [".."]}}, [], "no name"),
        ({"listings": {"/x": ["a\0b"]}}, [], "no name"),
        ({"links": {"/x": 5}}, [], "is no text"),
        ({"unread": {"read /x": None}}, [], "is no text"),
        ({"absent": [{}]}, [], "is no text"),
        ({}, [{"argv": ["a"], "rc": "many"}], "entry 0 has a status"),
        ({}, [{"argv": ["a"], "rc": 1e308}], "entry 0 has a status"),
        ({}, [{"argv": ["a"], "stdout": 5}], "entry 0 has a status"),
        ({}, [{"argv": ["a"], "stderr": None}], "entry 0 has a status"),
    ],
)
def test_numbers_and_shapes_beyond_reason_are_refused(
    tmp_path: Path, manifest: dict[str, object], commands: list[object], said: str
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"schemaVersion": 1, **manifest}))
    (tmp_path / "commands.json").write_text(json.dumps(commands))
    assert said in refused(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, '[{"argv": ["a"], "rc": ' + "1" * 6000 + "}]"]
)
def test_json_beyond_reason_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(MANIFEST)
    (tmp_path / "commands.json").write_text(text)
    assert "commands.json" in refused(str(tmp_path))
