"""Kata's tree from real tarballs: good ones, those that are not what they should be, and runs that die half-way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed
from tests.failing_disk import FailingHost
from tests.lab import kata
from tests.lab.kata import ARM, X86, Entry

from caasctl import undo_plan
from caasctl.facts.ownership import read_record
from caasctl.host import LiveHost
from caasctl.ledger import Ledger, take_back
from caasctl.model import CaasError, Facts
from caasctl.profile_load import load
from caasctl.protocol import Absent, Change, Done, Impossible, Known, Resource, Unknown
from caasctl.resets import kata as reset
from caasctl.resources.kata.gone import TreeGone
from caasctl.resources.kata.installation import Installation, Needed

NEEDED = Needed("amd64", (2, 36), ("kata-qemu", "kata-clh"))
SOURCE = "/srv/kata-go-static-4.1.0-amd64.tar.xz"
needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="there is no zstd")


def made(top: Path, entries: list[Entry] | None = None, source: str = SOURCE, needed: Needed = NEEDED) -> Installation:
    digest = kata.write(Path(f"{top}{source}"), kata.release() if entries is None else entries)
    return Installation("/opt/kata", source, digest, needed)


def bring(host: LiveHost, tree: Installation) -> None:
    assert tree.apply(host, tree.look(host)) == Done()


def opt(top: Path) -> list[str]:
    return sorted(path.name for path in (top / "opt").iterdir())


@pytest.mark.parametrize("source", [SOURCE, pytest.param("/srv/kata-go-static-4.1.0-amd64.tar.zst", marks=needs_zstd)])
def test_a_tarball_becomes_the_tree_at_the_prefix(tmp_path: Path, source: str) -> None:
    tree, host = made(tmp_path, source=source), LiveHost(str(tmp_path))
    assert tree.target(tree.target(tree.look(host))) == tree.target(tree.look(host))
    bring(host, tree)
    assert tree.look(host) == tree.target(tree.look(host))
    assert opt(tmp_path) == ["kata", f"kata-4.1.0-{tree.sha256[:12]}"]
    assert host.readlink("/opt/kata") == f"kata-4.1.0-{tree.sha256[:12]}"
    assert (host.read("/opt/kata/VERSION"), host.readlink("/opt/kata/share/kata-containers/vmlinux.container")) == (
        "4.1.0\n",
        "vmlinux-6.18.35",
    )
    image = tmp_path / "opt/kata/share/kata-containers/kata-containers.img"
    assert image.read_bytes() == b"image" + bytes(3 << 20) + b"end"
    shim = tmp_path / f"opt/kata/bin/{kata.SHIM}"
    assert (shim.stat().st_mode & 0o7777, image.stat().st_mode & 0o7777) == (0o755, 0o644)


def test_twice_is_once_and_needs_no_tarball_any_more(tmp_path: Path) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))
    bring(host, tree)
    (tmp_path / SOURCE[1:]).unlink()
    assert tree.look(host) == tree.target(tree.look(host))


def test_a_tarball_that_is_not_there_is_not_known(tmp_path: Path) -> None:
    tree = Installation("/opt/kata", SOURCE, "0" * 64, NEEDED)
    found = tree.look(LiveHost(str(tmp_path)))
    assert isinstance(found, Unknown)
    assert SOURCE in found.reason


def test_holes_stay_holes(tmp_path: Path) -> None:
    entries = [*kata.release(), Entry("opt/kata/share/large.img", bytes(64 << 20))]
    tree, host = made(tmp_path, entries), LiveHost(str(tmp_path))
    bring(host, tree)
    large = (tmp_path / "opt/kata/share/large.img").stat()
    assert (large.st_size, large.st_blocks < 1024) == (64 << 20, True)


@pytest.mark.parametrize("source", [SOURCE, pytest.param("/srv/kata-go-static-4.1.0-amd64.tar.zst", marks=needs_zstd)])
def test_another_hash_is_refused_before_anything_is_unpacked(tmp_path: Path, source: str) -> None:
    tree, host = made(tmp_path, source=source), LiveHost(str(tmp_path))
    file = tmp_path / source[1:]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CaasError, match="is not the file that the profile means") as refused:
        tree.apply(host, tree.look(host))
    assert "digest" in refused.value.fix
    assert not (tmp_path / "opt").exists() or opt(tmp_path) == []


@pytest.mark.parametrize("source", [SOURCE, pytest.param("/srv/kata-go-static-4.1.0-amd64.tar.zst", marks=needs_zstd)])
@pytest.mark.parametrize("keep", [50, 400, -100, -4])
def test_a_truncated_tarball_whose_hash_fits_is_refused_and_leaves_nothing(
    tmp_path: Path, source: str, keep: int
) -> None:
    made(tmp_path, source=source)
    file = tmp_path / source[1:]
    file.write_bytes(file.read_bytes()[:keep])
    refused_and_gone(
        tmp_path,
        Installation("/opt/kata", source, kata.digest(file.read_bytes()), NEEDED),
        "cannot be unpacked",
    )


def refused_and_gone(top: Path, tree: Installation, *words: str) -> None:
    host = LiveHost(str(top))
    with pytest.raises(CaasError) as refused:
        tree.apply(host, tree.look(host))
    said = f"{refused.value.problem} {refused.value.cause} {refused.value.fix}"
    assert all(word in said for word in words), said
    assert opt(top) == []
    assert sorted(path.name for path in top.iterdir()) in (["opt", "srv"], ["etc", "opt", "srv"])


STRANGE = {
    "traversal": Entry("opt/kata/../../etc/cron.d/x"),
    "absolute": Entry("/etc/cron.d/x"),
    "elsewhere": Entry("usr/bin/x"),
    "a link out": Entry("opt/kata/out", "../../etc", tarfile.SYMTYPE),
    "an absolute link out": Entry("opt/kata/out", "/etc/shadow", tarfile.SYMTYPE),
    "a hard link out": Entry("opt/kata/out", "/etc/shadow", tarfile.LNKTYPE),
    "a hard link to a link": Entry(
        "opt/kata/out", "./opt/kata/share/kata-containers/vmlinux.container", tarfile.LNKTYPE
    ),
    "a device": Entry("opt/kata/sda", kind=tarfile.BLKTYPE),
    "a pipe": Entry("opt/kata/pipe", kind=tarfile.FIFOTYPE),
    "setuid": Entry("opt/kata/bin/su", b"x", mode=0o4755),
    "setgid": Entry("opt/kata/bin/su", b"x", mode=0o2755),
    "twice": Entry("opt/kata/VERSION", b"again"),
}


@pytest.mark.parametrize("entry", STRANGE.values(), ids=STRANGE)
def test_what_leads_out_or_is_no_file_is_refused_and_leaves_nothing(tmp_path: Path, entry: Entry) -> None:
    refused_and_gone(tmp_path, made(tmp_path, [*kata.release(), entry]), "cannot be unpacked")
    assert not (tmp_path / "etc/cron.d").exists()


def test_links_that_lead_out_together_are_refused_and_nothing_is_written_through_one(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    chain = [Entry("opt/kata/sub/up", "..", tarfile.SYMTYPE), Entry("opt/kata/out", "sub/up/..", tarfile.SYMTYPE)]
    refused_and_gone(tmp_path, made(tmp_path, [*kata.release(), *chain]), "out of the archive")
    through = [Entry("opt/kata/etc", "/etc", tarfile.SYMTYPE), Entry("opt/kata/etc/cron.d/x", b"x")]
    refused_and_gone(tmp_path, made(tmp_path, [*kata.release(), *through]), "no folder")
    assert list((tmp_path / "etc").iterdir()) == []


def test_links_within_are_kept_also_absolute_and_hard_ones(tmp_path: Path) -> None:
    more = [
        Entry("opt/kata/share/up", "../bin/../VERSION", tarfile.SYMTYPE),
        Entry("opt/kata/abs", "/opt/kata/VERSION", tarfile.SYMTYPE),
        Entry("opt/kata/hard", "./opt/kata/VERSION", tarfile.LNKTYPE),
    ]
    tree, host = made(tmp_path, [*kata.release(), *more]), LiveHost(str(tmp_path))
    bring(host, tree)
    assert {host.read(f"/opt/kata/{name}") for name in ("share/up", "abs", "hard")} == {"4.1.0\n"}


@pytest.mark.parametrize(
    ("entries", "needed", "words"),
    [
        (kata.release(machine=ARM), NEEDED, ("not for this machine", "-amd64.tar.zst")),
        (kata.release(machine=X86), Needed("arm64", (2, 36), ("kata-qemu",)), ("not for this machine", "-arm64.tar.zst")),
        (kata.release("3.20.0", glibc="2.38"), NEEDED, ("need glibc 2.38, this host has 2.36", "kata-go-static")),
        (kata.release(glibc="2.34"), Needed("amd64", (0, 0), ("kata-qemu",)), ("another C library",)),
        (kata.release(go=False), NEEDED, ("holds no Kata",)),
        (kata.release(go=False, rust=True)[:-1], NEEDED, ("nothing for kata-clh", "Rust shim only", "kata-go-static")),
        ([e for e in kata.release() if "nvidia" not in e.name], Needed("amd64", (2, 36), ("kata-qemu-nvidia-gpu",)), ("configuration-qemu-nvidia-gpu.toml",)),
    ],
)  # fmt: skip
def test_a_tree_that_this_host_cannot_run_is_refused_with_the_way_on(
    tmp_path: Path, entries: list[Entry], needed: Needed, words: tuple[str, ...]
) -> None:
    refused_and_gone(tmp_path, made(tmp_path, entries, needed=needed), *words)


def test_what_is_no_tarball_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / SOURCE[1:]).write_bytes(b"<html>404</html>" * 100)
    digest = kata.digest(b"<html>404</html>" * 100)
    refused_and_gone(tmp_path, Installation("/opt/kata", SOURCE, digest, NEEDED), "neither gz nor xz nor zst")


# -- the way back, and runs that die -----------------------------------------------------------------------------------
def directory(top: Path) -> None:
    (top / "opt/kata/bin").mkdir(parents=True)
    (top / "opt/kata/VERSION").write_text("3.2.0\n")


def foreign_link(top: Path) -> None:
    (top / "opt").mkdir()
    (top / "srv/theirs").mkdir(parents=True)
    (top / "srv/theirs/VERSION").write_text("3.2.0\n")
    (top / "opt/kata").symlink_to("../srv/theirs")


def nothing(top: Path) -> None:
    (top / "opt").mkdir()


BEFORE = {"a directory": directory, "a link": foreign_link, "nothing": nothing}


def picture(top: Path) -> dict[str, str]:
    """Every path of /opt, and what it is."""
    return {
        str(path.relative_to(top)): os.readlink(path)
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "folder"
        for path in sorted((top / "opt").rglob("*"))
    }


def version(host: LiveHost) -> str:
    return (host.read("/opt/kata/VERSION") or "none").strip()


def recorded(host: LiveHost, tree: Installation, run: str = "run") -> None:
    """As a run does it: noted, then made."""
    now = tree.look(host)
    assert isinstance(now, Known)
    if now != tree.target(now):
        Ledger(host, run).record(Change("kata", tree, now, tree.target(now)))
        bring(host, tree)


@pytest.mark.parametrize("there", BEFORE.values(), ids=BEFORE)
def test_undo_gives_back_what_was_there(tmp_path: Path, there: object) -> None:
    there(tmp_path)  # type: ignore[operator]
    tree, host, was = made(tmp_path), LiveHost(str(tmp_path)), picture(tmp_path)
    recorded(host, tree)
    assert version(host) == "4.1.0"
    plan = undo_plan.make(host, "run")
    assert (plan.trees, [fate.path for fate in plan.changes], plan.edits) == ((tree.folder,), ["/opt/kata"], ())
    assert not [step for step in take_back(host, "run") if step.failed]
    assert picture(tmp_path) == was


@pytest.mark.parametrize("there", BEFORE.values(), ids=BEFORE)
def test_killed_anywhere_it_is_the_old_tree_or_the_new_one_and_the_next_run_and_undo_come_through(
    tmp_path: Path, there: object
) -> None:
    """Between a directory's move and the link there is neither for a moment."""
    moment, gaps = 0, 0
    while True:
        top = tmp_path / str(moment)
        top.mkdir()
        there(top)  # type: ignore[operator]
        tree, was = made(top), picture(top)
        old, crashing = version(LiveHost(str(top))), CrashingHost(str(top), moment)
        try:
            recorded(crashing, tree)
        except Killed:
            pass
        else:
            break
        found = version(LiveHost(str(top)))
        gaps += found not in (old, "4.1.0")
        host = LiveHost(str(top))
        recorded(host, tree, "second")
        assert (version(host), opt(top)[:2]) == ("4.1.0", ["kata", f"kata-4.1.0-{tree.sha256[:12]}"])
        for run in [run for run in ("second", "run") if host.list(f"/var/lib/caasctl/runs/{run}")]:
            assert not [step for step in take_back(host, run) if step.failed]
        assert picture(top) == was
        moment += 1
    assert moment > 10
    assert gaps == (2 if there is directory else 0)


@pytest.mark.parametrize("there", BEFORE.values(), ids=BEFORE)
def test_an_undo_that_is_killed_anywhere_is_done_again(tmp_path: Path, there: object) -> None:
    moment = 0
    while True:
        top = tmp_path / str(moment)
        top.mkdir()
        there(top)  # type: ignore[operator]
        tree, was = made(top), picture(top)
        recorded(LiveHost(str(top)), tree)
        try:
            list(take_back(CrashingHost(str(top), moment), "run"))
        except Killed:
            pass
        else:
            break
        assert not [step for step in take_back(LiveHost(str(top)), "run") if step.failed]
        assert picture(top) == was
        moment += 1
    assert moment > 3


def test_a_run_that_is_killed_while_it_unpacks_leaves_what_the_next_one_clears(tmp_path: Path) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))

    def dies(name: str, _block: bytes) -> None:
        if "kata-containers.img" in name:
            raise Killed

    with pytest.raises(Killed):
        host.unpack(SOURCE, f"{tree.folder}.partial", tree.sha256, "opt/kata", dies)
    other = tmp_path / "opt/kata-4.0.0-0123456789ab.partial"
    other.mkdir()
    theirs = tmp_path / "opt/kata-mine.partial"
    theirs.mkdir()
    assert (tmp_path / f"{tree.folder[1:]}.partial/bin").is_dir()
    assert tree.look(host) != tree.target(tree.look(host))
    bring(host, tree)
    assert opt(tmp_path) == ["kata", f"kata-4.1.0-{tree.sha256[:12]}", "kata-mine.partial"]


def test_a_disk_that_fails_anywhere_leaves_the_old_tree(tmp_path: Path) -> None:
    at = 0
    while True:
        top = tmp_path / str(at)
        top.mkdir()
        directory(top)
        tree, host = made(top), FailingHost(str(top), at)
        try:
            bring(host, tree)
        except CaasError:
            assert version(LiveHost(str(top))) in ("3.2.0", "4.1.0", "none")
            bring(LiveHost(str(top)), tree)
            assert version(LiveHost(str(top))) == "4.1.0"
        else:
            break
        at += 1
    assert at > 30


def test_another_tarball_keeps_the_first_tree_and_undo_leads_back_to_it(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    nothing(tmp_path)
    first = made(tmp_path, kata.release("4.0.0"), "/srv/kata-static-4.0.0-amd64.tar.xz")
    recorded(host, first, "one")
    second = made(tmp_path)
    recorded(host, second, "two")
    recorded(host, first, "three")  # back to it, by the profile: its tree is there
    assert (version(host), len(opt(tmp_path))) == ("4.0.0", 3)
    assert undo_plan.make(host, "one").over == ("two", "three")
    for run, expected in (("three", "4.1.0"), ("two", "4.0.0"), ("one", "none")):
        assert not [step for step in take_back(host, run) if step.failed]
        assert version(host) == expected
    assert opt(tmp_path) == []


def test_undo_leaves_a_link_that_somebody_has_led_elsewhere_since_and_the_tree_too(tmp_path: Path) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))
    nothing(tmp_path)
    recorded(host, tree)
    host.link("/opt/kata", "../srv/mine")
    (edit,) = undo_plan.make(host, "run").edits
    assert edit.why == "it is a symbolic link to ../srv/mine now"
    assert not [step for step in take_back(host, "run") if step.failed]
    assert (host.readlink("/opt/kata"), host.stat(tree.folder) is not None) == ("../srv/mine", True)


def test_undo_leaves_the_tree_where_the_directory_of_before_is_gone(tmp_path: Path) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))
    directory(tmp_path)
    recorded(host, tree)
    shutil.rmtree(tmp_path / "opt/kata.before-caasctl")
    (failed,) = [step for step in take_back(host, "run") if step.failed]
    assert "/opt/kata.before-caasctl is gone" in failed.text
    assert version(host) == "4.1.0"


@pytest.mark.parametrize("kind", ["file", "both", "folder"])
def test_what_is_in_the_way_and_not_ours_is_left_and_said(tmp_path: Path, kind: str) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))
    directory(tmp_path)
    if kind == "file":
        shutil.rmtree(tmp_path / "opt/kata")
        (tmp_path / "opt/kata").write_text("x")
    (
        tmp_path / ("opt/kata.before-caasctl" if kind == "both" else tree.folder[1:] if kind == "folder" else "opt/x")
    ).mkdir()
    was = picture(tmp_path)
    outcome = tree.apply(host, tree.look(host))
    assert isinstance(outcome, Impossible)
    assert "`mv /opt/kata" in outcome.fix
    assert picture(tmp_path) == was


def test_the_state_says_what_would_become_of_what(tmp_path: Path) -> None:
    tree, host = made(tmp_path), LiveHost(str(tmp_path))
    directory(tmp_path)
    assert tree.look(host) == Known("", parts=((tree.folder, Absent()), ("/opt/kata", Known("a directory"))))
    assert tree.undo(tree.look(host)).text == f"make /opt/kata a directory again; remove {tree.folder}"


# -- a reset -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("there", BEFORE.values(), ids=BEFORE)
def test_a_reset_takes_away_what_caasctl_brought_and_nothing_else(
    tmp_path: Path, there: object, *, record: bool
) -> None:
    """With a record the link of before is known too; without it, it is gone with ours in its place."""
    there(tmp_path)  # type: ignore[operator]
    (tmp_path / "opt/kata-mine").mkdir()
    (tmp_path / "opt/kata-9.9.9-0123456789ab").mkdir()  # no stamp in it
    was = picture(tmp_path)
    host = LiveHost(str(tmp_path))
    gone: Resource = TreeGone()
    assert gone.look(host) == Absent()
    recorded(host, made(tmp_path, kata.release("4.0.0"), "/srv/kata-static-4.0.0-amd64.tar.xz"), "1")
    recorded(host, made(tmp_path), "2")
    host.write("/var/lib/caasctl/downloads/.0123.caasctl-new", b"half")
    (tmp_path / "opt/kata-4.2.0-0123456789ab.partial").mkdir()
    if record:
        gone = tuple(reset.PHASE.desired(Facts([read_record(host)]), load()))[-1]
    assert gone.target(gone.look(host)) == Absent()
    gone.apply(host, gone.look(host))
    assert gone.look(host) == Absent()
    assert host.list("/var/lib/caasctl/downloads") == ()
    lost = "opt/kata" if there is foreign_link and not record else ""
    assert picture(tmp_path) == {path: what for path, what in was.items() if path != lost}


def test_a_reset_that_is_killed_anywhere_is_done_again(tmp_path: Path) -> None:
    moment = 0
    while True:
        top = tmp_path / str(moment)
        top.mkdir()
        directory(top)
        was = picture(top)
        bring(LiveHost(str(top)), made(top))
        try:
            TreeGone().apply(CrashingHost(str(top), moment), Absent())
        except Killed:
            pass
        else:
            break
        host = LiveHost(str(top))
        if TreeGone().look(host) != Absent():
            TreeGone().apply(host, Absent())
        assert picture(top) == was
        moment += 1
    assert moment > 3


MEASURED = """
import sys
from caasctl.host import LiveHost
from caasctl.resources.kata.installation import Installation, Needed
host = LiveHost(sys.argv[1])
tree = Installation("/opt/kata", sys.argv[2], sys.argv[3], Needed("amd64", (2, 36), ("kata-qemu",)))
tree.apply(host, tree.look(host))
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("pack", [("xz", "-9"), pytest.param(("zstd", "-q"), marks=needs_zstd)], ids=["xz", "zst"])
def test_three_gigabytes_take_neither_the_memory_nor_the_disk(tmp_path: Path, pack: tuple[str, ...]) -> None:
    for entry in kata.release():
        path = tmp_path / "made" / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.data) if isinstance(entry.data, bytes) else path.symlink_to(entry.data)
    with (tmp_path / "made/opt/kata/share/large.img").open("wb") as large:
        large.write(b"begin")
        large.truncate(3 << 30)
    source = f"/srv/kata-go-static-4.1.0-amd64.tar.{'xz' if pack[0] == 'xz' else 'zst'}"
    (tmp_path / "srv").mkdir()
    with (
        (tmp_path / source[1:]).open("wb") as out,
        subprocess.Popen(("tar", "-cS", "./opt"), cwd=tmp_path / "made", stdout=subprocess.PIPE) as tar,
    ):
        subprocess.run((*pack, "-c"), stdin=tar.stdout, stdout=out, check=True)
    sha256 = kata.digest((tmp_path / source[1:]).read_bytes())
    done = subprocess.run(
        (sys.executable, "-c", MEASURED, str(tmp_path), source, sha256), capture_output=True, text=True, check=True
    )
    there = (tmp_path / "opt/kata/share/large.img").stat()
    assert (there.st_size, there.st_blocks * 512 < 4 << 20) == (3 << 30, True)
    assert int(done.stdout) < 150, "MiB"
