"""What is installed without apt, and what apt's resources say of a host: releases by their hash, repositories, states."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.crashing import CrashingHost, Killed

from caasctl.host import LiveHost
from caasctl.model import CaasError, CommandError
from caasctl.protocol import Absent, Completed, Done, Known, State, Unknown
from caasctl.resources.files import File
from caasctl.resources.packages.locked import patiently
from caasctl.resources.packages.release import Release
from caasctl.resources.packages.repository import AptRepository
from caasctl.resources.packages.transaction import AptHolds, AptLists, AptPackages
from caasctl.syntax.packages import Download, Package, Repository

LISTED = (Package("kubelet", "1.36.4-*", "kubernetes", "kubelet"), Package("runc", program="runc"))


def tarball(path: Path, *names: str) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mode = 3, 0o755
            tar.addfile(member, io.BytesIO(b"#!x"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def helm(root: Path, **over: str) -> Release:
    (root / "srv").mkdir(exist_ok=True)
    digest = tarball(root / "srv/helm.tgz", "linux-amd64/helm", "linux-amd64/LICENSE")
    return Release(
        Download("helm", "/srv/helm.tgz", over.get("sha256", digest), "/usr/local/bin", "helm", "linux-amd64"),
        ("helm",),
    )


def test_a_release_is_brought_once_and_found_again(tmp_path: Path) -> None:
    host, release = LiveHost(str(tmp_path)), helm(tmp_path)
    before = release.look(host)
    assert release.target(release.target(before)) == release.target(before) != before
    assert release.apply(host, before) == Done()
    assert release.look(host) == release.target(before)
    assert release.apply(host, release.look(host)) == Done()
    assert (tmp_path / "usr/local/bin/helm").is_symlink()
    assert host.read("/usr/local/bin/helm") == "#!x"
    undo = release.undo(before)
    assert undo.links == {"/usr/local/bin/helm": None}
    assert undo.trees == (release.folder,)


def test_a_release_that_was_killed_anywhere_is_finished(tmp_path: Path) -> None:
    for at in range(40):
        root = tmp_path / str(at)
        root.mkdir()
        release = helm(root)
        host = CrashingHost(str(root), at)
        try:
            release.apply(host, release.look(host))
        except Killed:
            again = LiveHost(str(root))
            release.apply(again, release.look(again))
            assert release.look(again) == release.target(release.look(again))
            assert [path.name for path in (root / "opt/caasctl").iterdir()] == [release.folder.rpartition("/")[2]]
            continue
        assert at
        return
    pytest.fail("it never came to its end")


def test_another_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    host, release = LiveHost(str(tmp_path)), helm(tmp_path, sha256="ab" * 32)
    with pytest.raises(CaasError, match="is not the file that the profile means"):
        release.apply(host, release.look(host))
    assert not list((tmp_path / "opt").rglob("*-*"))
    assert not (tmp_path / "usr/local/bin/helm").exists()


def test_a_release_without_its_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    digest = tarball(tmp_path / "srv/c.tgz", "bin/ctr")
    release = Release(
        Download("containerd", "/srv/c.tgz", digest, "/usr/local/bin", "containerd", "bin"), ("containerd", "ctr")
    )
    host = LiveHost(str(tmp_path))
    with pytest.raises(CaasError, match="holds no containerd"):
        release.apply(host, release.look(host))
    assert list((tmp_path / "opt/caasctl").iterdir()) == []


def test_one_program_and_a_tarball_without_a_folder(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/runc").write_bytes(b"ELF")
    runc = Release(
        Download("runc", "/srv/runc", hashlib.sha256(b"ELF").hexdigest(), "/usr/local/sbin", "runc", None), ("runc",)
    )
    cni = Release(
        Download(
            "cni",
            "/srv/cni.tgz",
            tarball(tmp_path / "srv/cni.tgz", "./loopback"),
            "/opt/cni/bin",
            "/opt/cni/bin/loopback",
        ),
        ("loopback",),
    )
    for release in (runc, cni):
        release.apply(host, release.look(host))
        assert release.look(host) == release.target(release.look(host))
    assert host.stat("/usr/local/sbin/runc").mode == 0o755  # type: ignore[union-attr]
    assert host.read("/opt/cni/bin/loopback") == "#!x"


def test_a_program_of_another_origin_stays(tmp_path: Path) -> None:
    mine = tmp_path / "usr/bin/helm"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    mine.chmod(0o755)
    release, host = helm(tmp_path), LiveHost(str(tmp_path))
    now = release.look(host)
    assert now == Known("/usr/bin/helm is there") == release.target(now)


def test_a_unit_goes_with_its_release_and_is_taken_down_first(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    digest = tarball(tmp_path / "srv/c.tgz", "bin/containerd")
    unit = File("/etc/systemd/system/containerd.service", "[Service]\n")
    release = Release(
        Download("containerd", "/srv/c.tgz", digest, "/usr/local/bin", "containerd", "bin"),
        ("containerd",),
        (unit,),
        "containerd.service",
    )
    host = LiveHost(str(tmp_path))
    before = release.look(host)
    release.apply(host, before)
    assert host.read(unit.path) == "[Service]\n"
    undo = release.undo(before)
    assert undo.first == (("systemctl", "disable", "--now", "--", "containerd.service"),)
    assert undo.files == {unit.path: None}
    newer = replace(release, members=(File(unit.path, "[Service]\nRestart=always\n"),))
    back = newer.undo(newer.look(host))  # one that ran before runs on
    assert (back.first, back.files) == ((), {unit.path: (b"[Service]\n", 0o644)})
    assert back.commands[-1] == ("systemctl", "try-restart", "--", "containerd.service")


def repository(root: Path, *, key: str = "/srv/key", fingerprint: str = "AB" * 20) -> AptRepository:
    one = Repository("kubernetes", "https://k/deb/", "/", (), key, fingerprint, "spec.packages.kubernetes")
    return AptRepository(one, LISTED, (File("/etc/apt/sources.list.d/caasctl-kubernetes.sources", "x\n"),))


def plant(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)


def test_somebodys_own_source_of_the_same_place_stays_alone(tmp_path: Path) -> None:
    """Two values of Signed-By for one source, and apt reads none."""
    host = LiveHost(str(tmp_path))
    assert isinstance(repository(tmp_path).look(host), Known)
    assert repository(tmp_path).look(host).parts  # type: ignore[union-attr]
    plant(tmp_path, "/etc/apt/sources.list.d/k8s.list", "deb [signed-by=/etc/apt/keyrings/k.gpg] https://k/deb/ /\n")
    now = repository(tmp_path).look(host)
    assert (
        now
        == Known("not needed: /etc/apt/sources.list.d/k8s.list names it already")
        == repository(tmp_path).target(now)
    )


@pytest.mark.parametrize(
    "line",
    [
        "deb https://k/deb/ ./",
        "deb https://k/deb /",
        "# deb https://k/deb/ /",
        "deb-src https://k/deb/ /",
        "deb https://k/deb/ old main",
    ],
)
def test_another_suite_and_a_source_that_is_off_are_no_such_source(tmp_path: Path, line: str) -> None:
    plant(tmp_path, "/etc/apt/sources.list.d/k8s.list", f"{line}\n")
    now = repository(tmp_path).look(LiveHost(str(tmp_path)))
    same = line.startswith("deb ") and not line.endswith("main")
    assert isinstance(now, Known)
    assert (now.text == "not needed: /etc/apt/sources.list.d/k8s.list names it already") is same


def test_the_key_of_an_earlier_profile_comes_back(tmp_path: Path) -> None:
    host, one = LiveHost(str(tmp_path)), repository(tmp_path)
    host.write(one.keyring, b"\x00another", 0o644)
    now = one.look(host)
    assert one.undo(now).files == {one.keyring: (b"\x00another", 0o644), one.members[0].path: None}
    assert one.target(one.target(now)) == one.target(now) != now


def test_a_repository_of_what_is_there_is_not_needed(tmp_path: Path) -> None:
    for name in ("kubelet", "runc"):
        plant(tmp_path, f"/usr/local/bin/{name}", "x", 0o755)
    assert repository(tmp_path).look(LiveHost(str(tmp_path))) == Known("not needed: kubelet, runc are there")


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("<html>", "is no key")])
def test_a_key_that_is_none_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        plant(tmp_path, "/srv/key", text)
    host, one = LiveHost(str(tmp_path)), repository(tmp_path)
    with pytest.raises(CaasError, match=said):
        one.apply(host, one.look(host))
    assert not (tmp_path / "etc/apt").exists()


class Locked(LiveHost):
    """Each command ends as apt does for a lock, as often as it is told; says what it was asked and what is said of it."""

    def __init__(self, root: str, times: int, why: str) -> None:
        super().__init__(root)
        self.left, self.why, self.ran, self.told = times, why, 0, list[str]()

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.ran += 1
        self.left -= 1
        if self.left >= 0:
            raise CommandError(
                f"`{argv[0]}` failed with exit status 100", cause=f"Reading...\n{self.why}\nE: more", fix="x"
            )
        return Completed(argv, 0)

    def say(self, line: str) -> None:
        self.told.append(line)


@pytest.mark.parametrize(
    "why",
    [
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)",
        "dpkg: error: dpkg frontend lock was locked by another process with pid 7",
    ],
)
def test_a_lock_is_waited_for_and_anything_else_is_not(tmp_path: Path, why: str) -> None:
    held = Locked(str(tmp_path), 1, why)
    patiently(held, "apt-get", "update", timeout_s=1, poll_s=0.01)
    assert (held.ran, held.told) == (2, [f"waits up to 5 minutes: {why.removeprefix('E: ')}"])
    never = "E: Could not open lock file /var/lib/apt/lists/lock - open (30: Read-only file system)\nE: Unable to lock directory /var/lib/apt/lists/"
    for host, wait_s in ((Locked(str(tmp_path), 9, why), 0.0), (Locked(str(tmp_path), 9, never), 300.0)):
        with pytest.raises(CommandError):
            patiently(host, "apt-get", "update", timeout_s=1, wait_s=wait_s, poll_s=0.01)
        assert (host.ran, host.told) == (1, [])


STATUS = "Package: kubelet\nStatus: {} ok {}\nVersion: 1.36.4-1.1\n\n"


def test_what_is_there_is_said_by_version_or_by_path(tmp_path: Path) -> None:
    host, packages = LiveHost(str(tmp_path)), AptPackages(LISTED)
    plant(tmp_path, "/var/lib/dpkg/status", STATUS.format("install", "installed"))
    plant(tmp_path, "/usr/local/sbin/runc", "x", 0o755)
    now = packages.look(host)
    assert now == Known(
        "", parts=(("packages:apt", Known("kubelet 1.36.4-1.1\nrunc: /usr/local/sbin/runc, of no package\n")),)
    )
    assert packages.target(now) == now
    assert not packages.undo(now).acts
    assert AptLists(LISTED).target(AptLists(LISTED).look(host)) == AptLists(LISTED).look(host)


def test_what_is_missing_or_half_there_is_wanted(tmp_path: Path) -> None:
    host, packages = LiveHost(str(tmp_path)), AptPackages(LISTED)
    plant(tmp_path, "/var/lib/dpkg/status", STATUS.format("install", "unpacked"))
    now = packages.look(host)
    assert now == Known("", parts=(("packages:apt", Known("kubelet interrupted, 1.36.4-1.1\n")),))
    assert packages.target(now) == Known(
        "", parts=(("packages:apt", Known("kubelet 1.36.4-1.1\nrunc as offered, of the distribution\n")),)
    )
    of_folder = AptPackages(LISTED, folder="/srv/airgap/packages").target(now)
    assert "runc as offered, of the folder /srv/airgap/packages\\n" in repr(of_folder)
    assert packages.undo(now).commands == (("dpkg", "--purge", "runc"),)
    assert AptLists(LISTED).look(host) != AptLists(LISTED).target(AptLists(LISTED).look(host))


def test_a_version_that_does_not_fit_stays_and_is_no_change(tmp_path: Path) -> None:
    plant(tmp_path, "/var/lib/dpkg/status", STATUS.format("install", "installed").replace("1.36.4", "1.35.0"))
    plant(tmp_path, "/usr/bin/runc", "x", 0o755)
    now = AptPackages(LISTED).look(LiveHost(str(tmp_path)))
    assert AptPackages(LISTED).target(now) == now


def test_holds_are_for_packages_and_ours_only_where_we_set_them(tmp_path: Path) -> None:
    host, holds = LiveHost(str(tmp_path)), AptHolds(LISTED)
    plant(tmp_path, "/usr/bin/runc", "x", 0o755)
    plant(tmp_path, "/var/lib/dpkg/status", STATUS.format("install", "installed"))
    now = holds.look(host)
    assert holds.target(now) == Known("", parts=(("packages:holds", Known("kubelet held\nrunc no package\n")),))
    assert holds.undo(now).commands == (("apt-mark", "unhold", "kubelet"),)
    plant(tmp_path, "/var/lib/dpkg/status", STATUS.format("hold", "installed"))
    now = holds.look(host)
    assert holds.target(now) == now
    assert not holds.undo(now).acts


def test_the_distributions_containerd_in_the_place_of_dockers_is_named_and_held(tmp_path: Path) -> None:
    host, listed = LiveHost(str(tmp_path)), (Package("containerd.io", "", "docker", "containerd"),)
    plant(tmp_path, "/usr/bin/containerd", "x", 0o755)
    status = "Package: containerd\nStatus: {} ok installed\nVersion: 1.7.24\n\n"
    plant(tmp_path, "/var/lib/dpkg/status", status.format("install"))
    now, holds = AptPackages(listed).look(host), AptHolds(listed)
    assert now == Known(
        "", parts=(("packages:apt", Known("containerd.io: /usr/bin/containerd, of the package containerd\n")),)
    )
    assert holds.undo(holds.look(host)).commands == (("apt-mark", "unhold", "containerd"),)
    wanted = holds.target(holds.look(host))
    assert wanted == Known("", parts=(("packages:holds", Known("containerd.io no package\ncontainerd held\n")),))
    plant(tmp_path, "/var/lib/dpkg/status", status.format("hold"))
    assert holds.look(host) == wanted == holds.target(wanted)


RUNTIME = (Package("containerd", "", "", "containerd"),)


class Offering(LiveHost):
    """A tree whose apt has one containerd on offer; commands that would change it are only counted."""

    def __init__(self, root: str, *, lists: bool = True) -> None:
        super().__init__(root)
        self.lists, self.ran = lists, list[str]()

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if argv[0] == "apt-cache":
            return Completed(
                argv, 0, " containerd | 1.6.20~ds1-1+b1 | file:/srv bookworm/main amd64 Packages\n" * self.lists
            )
        assert argv[:2] == ("apt-get", "--simulate"), argv
        named = any("=" in word for word in argv[argv.index("install") :])  # else what is half there is asked for
        return Completed(argv, 0, "Inst containerd (1.6.20~ds1-1+b1 Debian:12/stable [amd64])\n" * named)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.ran.append(argv[0])
        return Completed(argv, 0)

    def say(self, line: str) -> None:
        """Nobody listens."""


def no_1_6(chosen: Mapping[str, str]) -> CaasError | None:
    old = chosen.get("containerd", "").startswith("1.6")
    return CaasError("containerd 1.6 does not do", cause="it is old", fix="name another") if old else None


def test_what_apt_chose_is_judged_before_anything_is_installed(tmp_path: Path) -> None:
    host, packages = Offering(str(tmp_path), lists=False), AptPackages(RUNTIME, judge=no_1_6)
    now = packages.look(host)
    assert isinstance(now, Known)
    assert packages.target(now) != now
    host.lists = True  # as the lists are read anew
    with pytest.raises(CaasError, match=r"containerd 1\.6 does not do"):
        packages.apply(host, now)
    assert host.ran == []
    assert AptPackages(RUNTIME).apply(host, now) == Done()
    assert host.ran == ["apt-get"]


def test_a_look_that_sees_the_lists_says_so_too(tmp_path: Path) -> None:
    host = Offering(str(tmp_path))
    with pytest.raises(CaasError, match=r"containerd 1\.6 does not do"):
        AptPackages(RUNTIME, judge=no_1_6).look(host)
    assert "would install containerd 1.6.20" in repr(AptPackages(RUNTIME).look(host))


LINES = st.sampled_from(
    (
        "kubelet 1.36.4-1.1\n",
        "kubelet interrupted, 1\n",
        "runc: /usr/bin/runc, of no package\n",
        "kubelet held\n",
        "runc not held\n",
        "",
    )
)
STATES = st.one_of(
    st.just(Unknown("x")),
    st.builds(lambda name, lines, text: Known(text, parts=((name, Known("".join(lines))),)),
              st.sampled_from(("packages:apt", "packages:holds")), st.lists(LINES, max_size=3, unique=True),
              st.sampled_from(("", "would install kubelet 1.36.4-1.1\nwould upgrade libc6 2.36\n"))),
)  # fmt: skip


@given(STATES)
def test_targets_are_their_own_targets(state: State) -> None:
    for resource in (AptPackages(LISTED), AptLists(LISTED), AptHolds(LISTED)):
        assert resource.target(resource.target(state)) == resource.target(state)
    one = repository(Path("/"))
    for now in (state, Known("", parts=((f"fingerprint of {one.keyring}", Absent()),))):
        assert one.target(one.target(now)) == one.target(now)
