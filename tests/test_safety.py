"""A hostile second user of the host: links, hard links, pipes and folders that he planted, and races that he runs."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from caasctl import apply, ledger, profile_load
from caasctl.host import LiveHost, user_file
from caasctl.model import CaasError, Facts, UsageError
from caasctl.protocol import Phase, PhaseStatus
from caasctl.resources.files import File

pytestmark = pytest.mark.root
MALLORY, ANN = 65534, 12345
SECRET = b"of root's"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder of root's that everybody may pass through."""
    for folder in (tmp_path, *tmp_path.parents[:-2]):  # all below /tmp
        folder.chmod(folder.stat().st_mode | 0o711)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/x").write_bytes(SECRET)
    return tmp_path


@contextmanager
def mallory(does: Callable[[], None]) -> Iterator[None]:
    """Another user's process that does something again and again, as long as the block runs."""
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(MALLORY, MALLORY, MALLORY)
            os.setresuid(MALLORY, MALLORY, MALLORY)
            while os.getppid() != 1:
                does()
        finally:
            os._exit(0)  # never on into the tests of who has begun it
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def folder_of(user: int, path: Path, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, user, user)
    return path


def nothing_happened(top: Path) -> bool:
    return os.listdir(top / "victim") == ["x"] and (top / "victim/x").read_bytes() == SECRET


@pytest.mark.parametrize(("user", "mode"), [(MALLORY, 0o755), (0, 0o777)])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_folder_that_others_can_write_in_is_refused(top: Path, user: int, mode: int, below: str) -> None:
    folder_of(user, top / "etc", mode)
    with pytest.raises(CaasError, match="etc is not safe") as caught:
        LiveHost().write(f"{top}/etc{below}/x", b"new")
    assert caught.value.cause
    assert f"chown root: {top}/etc" in caught.value.fix
    assert os.listdir(top / "etc") == []


def test_a_folder_like_tmp_is_one_only_where_the_user_names_it(top: Path) -> None:
    folder_of(0, top / "tmp", 0o1777)
    with pytest.raises(CaasError, match="tmp is not safe"):
        LiveHost().write(f"{top}/tmp/x", b"new")
    LiveHost(f"{top}/tmp").write("/x", b"new")
    LiveHost().write(f"{top}/tmp/mine/x", b"new")  # a folder of root's in it is root's


def test_a_link_of_another_user_is_not_followed_and_root_s_is(top: Path) -> None:
    folder_of(0, top / "tmp", 0o1777)
    (top / "tmp/planted").symlink_to(top / "victim")
    os.lchown(top / "tmp/planted", MALLORY, MALLORY)
    (top / "link").symlink_to(top / "victim")
    with pytest.raises(CaasError, match="planted is not safe") as caught:
        LiveHost().write(f"{top}/tmp/planted/x", b"new")
    assert "symbolic link that belongs to user 65534" in caught.value.cause
    with pytest.raises(CaasError, match="planted is not safe"):
        LiveHost().remove(f"{top}/tmp/planted/x")
    assert nothing_happened(top)
    LiveHost().write(f"{top}/link/x", b"new")
    assert (top / "victim/x").read_bytes() == b"new"
    LiveHost().write(f"{top}/link/../link/./deeper/x", b"new")
    assert (top / "victim/deeper/x").read_bytes() == b"new"


def test_links_that_lead_to_each_other_end(top: Path) -> None:
    (top / "a").symlink_to("b")
    (top / "b").symlink_to("a")
    with pytest.raises(CaasError, match="cannot write"):
        LiveHost().write(f"{top}/a/x", b"new")
    LiveHost().fit(f"{top}/a/x")


def test_the_other_name_of_a_hard_link_keeps_its_content(top: Path) -> None:
    (top / "etc").mkdir()
    os.link(top / "victim/x", top / "etc/x")
    LiveHost().write(f"{top}/etc/x", b"new")
    assert (top / "etc/x").read_bytes() == b"new"
    assert nothing_happened(top)


def test_what_lies_where_the_temporary_file_goes_is_not_written_through(top: Path) -> None:
    (top / "etc").mkdir()
    for plant in (lambda at: at.symlink_to(top / "victim/x"), lambda at: os.link(top / "victim/x", at)):
        plant(top / "etc/.x.caasctl-new")
        LiveHost().write(f"{top}/etc/x", b"new")
        assert (top / "etc/x").read_bytes() == b"new"
        assert nothing_happened(top)


def test_a_work_folder_is_removed_with_its_links_and_not_what_they_lead_to(top: Path) -> None:
    host = LiveHost(str(top))
    stage = top / "run/caasctl/stage"
    stage.mkdir(parents=True)
    (stage / "link").symlink_to(top / "victim")
    host.remove_tree("/run/caasctl/stage")
    assert not stage.exists()
    assert nothing_happened(top)


def test_a_users_home_may_be_his_and_a_race_for_it_wins_nothing(top: Path) -> None:
    """Whoever is given a kubeconfig turns his folder into a link, and back, while root writes in it and removes from it."""
    home = folder_of(MALLORY, top / "home")
    folder_of(MALLORY, home / ".kube")
    (top / "victim").chmod(0o755)

    (home / "link").symlink_to(top / "victim")
    os.lchown(home / "link", MALLORY, MALLORY)
    away = (home / f"away{at}" for at in count())

    def turn() -> None:
        if not (home / "link").is_symlink():  # root's new folder took its place
            with suppress(OSError):
                os.rename(home / "link", next(away))
            with suppress(OSError):
                os.symlink(top / "victim", home / "link")
        for before, after in ((".kube", next(away)), ("link", ".kube"), (".kube", "link")):
            with suppress(OSError):  # root has made a new one meanwhile
                os.rename(home / before, home / after)
            time.sleep(0.0002)

    host, ends = LiveHost(), {"written": 0, "refused": 0}
    with mallory(turn):
        until = time.monotonic() + 4
        while time.monotonic() < until and (min(ends.values()) < 30):
            try:
                host.write(f"{home}/.kube/x", b"new", 0o600, (MALLORY, MALLORY))
                host.remove(f"{home}/.kube/x")
                ends["written"] += 1
            except CaasError:
                ends["refused"] += 1
            assert nothing_happened(top)
    assert ends["written"] > 0
    assert ends["refused"] > 0


def test_a_phase_is_refused_before_its_first_change(top: Path) -> None:
    folder_of(MALLORY, top / "theirs")
    host = LiveHost()
    files = (File(f"{top}/ours/x", "x"), File(f"{top}/theirs/x", "x"))
    phase = Phase("host", "writes", lambda _facts, _profile: files, (), ())
    there = LiveHost(str(top / "record"))
    run = apply.Run(host, profile_load.load(), ledger.Ledger(there, "r"), lambda _: None, lambda: False, ())
    report = run._phase(phase, Facts(), ())
    assert report.status is PhaseStatus.FAILED
    assert "theirs is not safe" in report.message
    assert report.fix
    assert not (top / "ours").exists()


@pytest.mark.parametrize("sudo", ["", str(ANN)])
def test_what_the_user_names_may_be_in_the_home_of_who_came_by_sudo(top: Path, sudo: str) -> None:
    folder_of(ANN, top / "ann")
    code = "import sys; from caasctl.host import LiveHost; LiveHost(sys.argv[1]).write('/etc/x', b'x')"
    ended = os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-c", code, f"{top}/ann/out"],
                       {**os.environ, "SUDO_UID": sudo, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert ended == (0 if sudo else 1)
    assert (top / "ann/out/etc/x").exists() == bool(sudo)


def test_folders_have_their_modes_and_the_private_ones_are_closed(top: Path) -> None:
    host = LiveHost(str(top))
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            host.write(f"/etc/new{umask}/x", b"x")
            host.write(f"/var/lib/caasctl/runs/{umask}/x", b"x", 0o600)
            host.write(f"/run/caasctl/stage/{umask}/x", b"x", 0o600)
        finally:
            os.umask(before)
        modes = [stat.S_IMODE((top / path).stat().st_mode) for path in
                 (f"etc/new{umask}", "var/lib/caasctl", "var/lib/caasctl/runs", f"var/lib/caasctl/runs/{umask}", f"run/caasctl/stage/{umask}")]  # fmt: skip
        assert modes == [0o755, 0o755, 0o700, 0o700, 0o700]


def test_a_file_of_the_user_s_that_is_a_pipe_is_not_waited_for(top: Path) -> None:
    os.mkfifo(top / "token")
    (top / "link").symlink_to(top / "token")
    for name in ("token", "link"):
        with pytest.raises(UsageError, match="is no file"):
            user_file(str(top / name))


def test_a_lock_that_is_a_link_is_not_followed(top: Path) -> None:
    (top / "run/caasctl").mkdir(parents=True)
    (top / "run/caasctl/lock").symlink_to(top / "victim/x")
    with pytest.raises(CaasError), LiveHost().lock(f"{top}/run/caasctl/lock", "me"):
        pass
    assert nothing_happened(top)
