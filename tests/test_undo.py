"""The way back on real trees: as before to the byte, mode, owner and folder; edits stay and are shown; killed anywhere it goes on."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crashing import CrashingHost, Killed
from tests.lab.tree_shot import shot

from caasctl import ledger, undo_plan, way_back
from caasctl.formats import dump_json
from caasctl.frozen import dataclass
from caasctl.host import LiveHost, disk
from caasctl.model import MARK, CaasError, CommandError, RefusedError
from caasctl.protocol import IN_EFFECT, Change, Completed, Known, Reader, Resource, State, Writer
from caasctl.report import undo as told
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.kernel import SwapOff, Sysctl
from caasctl.resources.kubeadm.reset import left
from caasctl.resources.packages import apt_get
from caasctl.restoring import Step
from caasctl.syntax import kubeadm
from caasctl.syntax.packages import apt

ROOT = os.geteuid() == 0
OURS = f"# {MARK}\n"


def make(host: LiveHost, run: str, *resources: Resource, apply: bool = True) -> None:
    """A run: each change recorded, then made."""
    book = ledger.Ledger(host, run)
    for resource in resources:
        now = resource.look(host)
        if resource.target(now) != now:
            book.record(Change("one", resource, now, resource.target(now)))
            if apply:
                resource.apply(host, now)


def back(host: LiveHost, run: str = "run1") -> list[Step]:
    return list(ledger.take_back(host, run))


def plan(host: Reader, run: str = "run1") -> undo_plan.Plan:
    return undo_plan.make(host, run)


def shown(host: Reader, run: str = "run1") -> str:
    out = io.StringIO()
    told.write(plan(host, run), out, width=100)
    return out.getvalue()


@pytest.fixture
def host(tmp_path: Path) -> CrashingHost:
    made = CrashingHost(str(tmp_path))
    LiveHost(str(tmp_path)).write("/etc/mine", b"mine", 0o640)
    return made


# -- as before ---------------------------------------------------------------------------------------------------------
def test_texts_modes_and_folders_are_as_before(host: CrashingHost, tmp_path: Path) -> None:
    LiveHost(str(tmp_path)).write("/etc/old", OURS.encode(), 0o604)
    before = shot(tmp_path)
    make(
        host, "run1", File("/etc/mine", "ours", 0o600), File("/etc/a/b/c", "new"), File("/opt/x", "x"), Gone("/etc/old")
    )
    assert shot(tmp_path) != before
    steps = back(host)
    assert [step.done for step in steps] == [True] * 7
    assert shot(tmp_path) == before
    assert "/etc/a/b removed" in [step.text for step in steps]


@pytest.mark.skipif(not ROOT, reason="needs root: files of other owners")
def test_owners_are_as_before_also_of_a_file_that_is_removed_and_of_modes_no_program_would_set(
    host: CrashingHost, tmp_path: Path
) -> None:
    live = LiveHost(str(tmp_path))
    live.write("/etc/theirs", b"theirs", 0o4750, (7, 8))
    live.write("/etc/gone", OURS.encode(), 0o000, (9, 10))
    before = shot(tmp_path)
    make(host, "run1", File("/etc/theirs", "ours"), Gone("/etc/gone"))
    assert all(step.done for step in back(host))
    assert shot(tmp_path) == before


def test_only_the_mode_was_changed_and_it_comes_back(host: CrashingHost, tmp_path: Path) -> None:
    before = shot(tmp_path)
    make(host, "run1", File("/etc/mine", "mine", 0o600))
    assert [step.text for step in back(host)] == ["/etc/mine restored"]
    assert shot(tmp_path) == before


def test_a_folder_that_somebody_else_uses_stays_and_says_what_is_in_it(host: CrashingHost, tmp_path: Path) -> None:
    make(host, "run1", File("/etc/a/x", "x"))
    (tmp_path / "etc/a/theirs").write_text("t")
    assert [step.text for step in back(host)] == ["/etc/a/x removed", "/etc/a stays: it holds theirs"]
    assert ledger.runs(host) == ()


def test_a_change_that_was_recorded_and_not_made_is_as_before(host: CrashingHost, tmp_path: Path) -> None:
    before = shot(tmp_path)
    make(host, "run1", File("/etc/mine", "ours"), File("/etc/a/new", "new"), apply=False)
    steps = back(host)
    assert [step.text for step in steps] == ["/etc/a/new is already as before", "/etc/mine is already as before"]
    assert shot(tmp_path) == before


@pytest.mark.parametrize("made", [False, True])
def test_what_a_run_left_that_was_killed_while_it_wrote_goes_too(
    host: CrashingHost, tmp_path: Path, *, made: bool
) -> None:
    before = shot(tmp_path)
    make(host, "run1", File("/etc/mine", "ours", 0o600), File("/etc/a/new", "new"), apply=made)
    for path in ("/etc/mine", "/etc/a/new"):
        host.write(disk.beside(path), b"half of i", 0o600)
    assert [step.done for step in back(host)] == [True] * 3
    assert shot(tmp_path) == before


@dataclass(frozen=True)
class Fails:
    """An activation that refuses once the files are there."""

    way: tuple[tuple[str, ...], ...] = (("systemctl", "restart", "x"),)

    def state(self, host: Reader, files: object) -> State:
        return Known("restart owed")

    def check(self, host: Writer, staged: object) -> None: ...

    def activate(self, host: Writer) -> None:
        if host.read("/etc/mine") == "ours":
            raise CaasError("it does not start")

    def prove(self, host: Writer) -> None: ...

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return self.way


def test_a_transaction_that_went_back_by_itself_is_as_before(host: CrashingHost, tmp_path: Path) -> None:
    before = shot(tmp_path)
    whole = Transaction("x", (File("/etc/mine", "ours", 0o600), File("/etc/a/new", "new")), Fails())
    with pytest.raises(CaasError):
        make(host, "run1", whole)
    assert all(step.done for step in back(host))
    assert (shot(tmp_path), host.commands) == (before, [("systemctl", "restart", "x")])


# -- edits -------------------------------------------------------------------------------------------------------------
def test_an_edit_since_stays_and_is_shown_against_what_caasctl_wrote(host: CrashingHost) -> None:
    make(host, "run1", File("/etc/mine", "one\ntwo\nthree\n"))
    host.write("/etc/mine", b"one\n2\nthree\n", 0o644)
    said = shown(host)
    assert "leave" in said
    assert "/etc/mine: it was edited since" in " ".join(said.split())
    assert [line.strip() for line in said.splitlines() if line.strip()[:1] in "-+" and line.strip()] == ["-two", "+2"]
    (step,) = back(host)
    assert (step.done, step.kept, step.failed) == (False, True, False)
    assert (host.read("/etc/mine"), ledger.runs(host)) == ("one\n2\nthree\n", ())


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda path: path.unlink(), "it was removed since"),
        (lambda path: path.chmod(0o666), "its mode was changed since, from 0644 to 0666"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/shadow")), "it is a symbolic link now"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a directory now"),
        pytest.param(lambda path: os.chown(path, 5, 6), "its owner was changed since", marks=pytest.mark.root),
    ],
)
def test_whatever_was_done_to_a_file_since_stays(
    host: CrashingHost, tmp_path: Path, edit: Callable[[Path], object], why: str
) -> None:
    make(host, "run1", File("/etc/mine", "ours", 0o644))
    edit(tmp_path / "etc/mine")
    left = shot(tmp_path)
    assert why in " ".join(shown(host).split())
    (step,) = back(host)
    assert (step.kept, shot(tmp_path)) == (True, left)
    assert why in step.text


def test_a_file_that_was_taken_away_and_is_back_since_stays(host: CrashingHost) -> None:
    LiveHost(host.root).write("/etc/old", OURS.encode())
    make(host, "run1", Gone("/etc/old"))
    host.write("/etc/old", b"theirs")
    assert "somebody has brought it back since" in shown(host)
    assert [step.kept for step in back(host)] == [True]
    assert host.read("/etc/old") == "theirs"


def test_of_a_secret_that_was_edited_only_hashes_are_shown(host: CrashingHost) -> None:
    make(host, "run1", replace(File("/etc/mine", "OURKEY", 0o600), secret=True))
    host.write("/etc/mine", b"THEIRKEY", 0o600)
    said = shown(host)
    assert "secret: sha256:" in said
    assert not [key for key in ("OURKEY", "THEIRKEY", "mine\n") if key in said.replace("/etc/mine", "")]
    assert [step.kept for step in back(host)] == [True]


def test_a_password_in_a_file_that_is_no_secret_is_hidden_in_its_diff(host: CrashingHost) -> None:
    make(host, "run1", File("/etc/mine", "a\n"))
    host.write("/etc/mine", b"a\npassword = hunter2\n", 0o644)
    assert "password" in shown(host)
    assert "hunter2" not in shown(host)


def test_a_command_does_not_put_somebody_elses_edit_in_effect(host: CrashingHost) -> None:
    make(host, "run1", Transaction("x", (File("/etc/mine", "wanted"),), Fails()))
    host.write("/etc/mine", b"edited", 0o644)
    assert plan(host).commands == ()
    back(host)
    assert host.commands == []


# -- values and commands -----------------------------------------------------------------------------------------------
PANIC = "/proc/sys/kernel/panic"


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        ("10", "0", f"{PANIC} restored"),
        ("0", "0", f"{PANIC} is already as before"),
        ("30", "30", f"{PANIC} left as it is: it was edited since; before it was 0"),
    ],
)
def test_a_value_comes_back_where_it_is_still_ours(host: CrashingHost, now: str, then: str, said: str) -> None:
    host.write(PANIC, b"0")
    make(host, "run1", Sysctl("kernel.panic", "10"))
    host.write_value(PANIC, f"{now}\n")
    assert [step.text for step in back(host)] == [said]
    assert (host.read(PANIC) or "").strip() == then


FORWARD = "/proc/sys/net/ipv4/ip_forward"
ROUTER = "/etc/sysctl.d/99-router.conf"


@pytest.mark.parametrize(
    ("path", "text", "then", "said"),
    [
        ("/etc/x", "", "0", f"{FORWARD} restored"),
        (ROUTER, "net.ipv4.ip_forward = 0\n", "0", f"{FORWARD} restored"),
        (ROUTER, "net.ipv4.ip_forward = 1\n", "1", f"{FORWARD} left as it is: {ROUTER} line 1 wants 1; before it was 0"),
        ("/sys/class/net/docker0/mtu", "1500\n", "1",
         f"{FORWARD} left as it is: this host forwards packets for docker0; before it was 0"),
        ("/sys/class/net/eth0/mtu", "1500\n", "0", f"{FORWARD} restored"),
    ],
)  # fmt: skip
def test_a_setting_that_others_want_by_now_is_left_to_them(
    host: CrashingHost, path: str, text: str, then: str, said: str
) -> None:
    host.write(FORWARD, b"0")
    make(
        host,
        "run1",
        File("/etc/sysctl.d/zz-caasctl.conf", f"{OURS}net.ipv4.ip_forward = 1\n"),
        Sysctl("net.ipv4.ip_forward", "1"),
    )
    host.write(path, text.encode())
    told = " ".join(shown(host).split())
    assert (f"set {FORWARD} = 0" in told) == (then == "0")
    assert then == "0" or said.partition(": ")[2] in told
    steps = back(host)
    assert [step.text for step in steps][1::-1] == ["/etc/sysctl.d/zz-caasctl.conf removed", said]
    assert not any(step.failed for step in steps)
    assert ((host.read(FORWARD) or "").strip(), ledger.runs(host)) == (then, ())


def test_a_setting_that_another_file_wants_at_a_third_value_gets_that(host: CrashingHost) -> None:
    host.write(PANIC, b"0")
    make(host, "run1", Sysctl("kernel.panic", "10"))
    host.write(ROUTER, b"kernel.panic = 5\n")
    assert f"set {PANIC} = 5: {ROUTER} line 1 wants 5" in " ".join(shown(host).split())
    (step, *_) = back(host)
    assert (step.done, step.text) == (True, f"{PANIC} set to 5, as {ROUTER} line 1 wants 5; before it was 0")
    assert ((host.read(PANIC) or "").strip(), ledger.runs(host)) == ("5", ())


def test_a_value_whose_module_is_gone_is_no_failure(host: CrashingHost) -> None:
    host.write(PANIC, b"0")
    make(host, "run1", Sysctl("kernel.panic", "10"))
    host.remove(PANIC)
    assert [step.done for step in back(host)] == [True]


def test_swap_that_is_in_use_again_is_not_turned_on_again(host: CrashingHost) -> None:
    host.write("/proc/swaps", b"Filename Type Size Used Priority\n/dev/a partition 9 0 -2\n/dev/b partition 9 0 5\n")
    host.write("/proc/meminfo", b"MemAvailable: 99999999 kB\n")
    make(host, "run1", SwapOff(), apply=False)
    host.write("/proc/swaps", b"Filename Type Size Used Priority\n/dev/b partition 9 0 5\n")
    assert [argv for _, argv in plan(host).commands] == [("swapon", "/dev/a")]
    assert all(step.done for step in back(host))
    assert host.commands == [("swapon", "/dev/a")]


def test_a_release_whose_cluster_is_gone_holds_nothing_up(host: CrashingHost) -> None:
    book = {"resource": "helm:cilium", "files": [], "commands": [], "nothing": "",
            "first": [["helm", "uninstall", "cilium", "--kubeconfig", "/etc/kubernetes/admin.conf"]], "loses": ""}  # fmt: skip
    host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json(book).encode(), 0o600)
    (step,) = back(host)
    assert step.done
    assert "/etc/kubernetes/admin.conf is gone, and its cluster with it" in step.text
    assert (host.commands, ledger.runs(host)) == ([], ())


def test_images_whose_containerd_was_purged_by_an_undo_that_was_cut_short_hold_nothing_up(host: CrashingHost) -> None:
    remove = ("ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io", "images", "rm", "r/a:1")
    node(host, ("images:containerd", Speaks(commands=remove)))
    host.write("/usr/bin/ctr", b"", 0o755)
    assert [argv for _, argv in plan(host).commands] == [remove]
    host.remove("/usr/bin/ctr")
    assert ["ctr is gone, and containerd with it" in step.text for step in back(host)] == [True]
    assert (host.commands, ledger.runs(host)) == ([], ())


def test_a_script_that_an_undo_removed_before_it_was_killed_is_not_run_again(host: CrashingHost) -> None:
    """What is taken down first is taken down by a file of the same run, which goes behind it."""
    book = {"resource": "vfio:0000:65:00.0", "files": [], "commands": [["update-initramfs", "-u"]], "nothing": "",
            "first": [["/bin/sh", "/usr/local/lib/caasctl/gpu.sh", "release", "0000:65:00.0=nouveau"]], "loses": ""}  # fmt: skip
    host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json(book).encode(), 0o600)
    first, _ = back(host)
    assert first.done
    assert "gpu.sh is gone" in first.text
    assert (host.commands, ledger.runs(host)) == ([("update-initramfs", "-u")], ())


class Stubborn(CrashingHost):
    """Refuses commands by their first words, `times` times each."""

    refuses: tuple[str, ...] = ()
    times = 99

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if argv[: len(self.refuses)] == self.refuses and self.refuses and self.times:
            self.times -= 1
            raise CommandError("failed", cause="Start request repeated too quickly.")
        return super().execute(*argv, timeout_s=timeout_s, direct=direct)


def test_a_failed_command_is_said_the_rest_goes_on_and_the_next_undo_tries_again(tmp_path: Path) -> None:
    host = Stubborn(str(tmp_path))
    make(host, "run1", Transaction("x", (File("/etc/a/x", "x"),), Fails((("first",), ("second",)))))
    host.refuses = ("first",)
    steps = back(host)
    assert [step.text for step in steps if step.failed] == ["`first` failed: Start request repeated too quickly."]
    assert (host.commands, host.read("/etc/a/x"), ledger.runs(host)) == ([("second",)], None, ("run1",))
    host.refuses = ()
    assert not any(step.failed for step in back(host))
    assert ledger.runs(host) == ()


def test_a_unit_that_failed_too_often_is_started_once_that_is_forgotten(tmp_path: Path) -> None:
    host = Stubborn(str(tmp_path))
    make(host, "run1", Transaction("x", (File("/etc/x", "x"),), Fails()))
    host.refuses, host.times = ("systemctl", "restart"), 1
    assert not any(step.failed for step in back(host))
    assert host.commands == [("systemctl", "reset-failed", "x"), ("systemctl", "restart", "x")]


@dataclass(frozen=True)
class Speaks:
    """An entry's commands, as of something that lives in a cluster, or is one."""

    first: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    loses: str = ""

    def entry(self, name: str) -> bytes:
        return dump_json({"resource": name, "phase": name, "files": [], "nothing": "", "loses": self.loses,
                          "first": [list(self.first)] if self.first else [],
                          "commands": [list(self.commands)] if self.commands else []}).encode()  # fmt: skip


def node(host: CrashingHost, *entries: tuple[str, Speaks]) -> None:
    """A run of those, first change first, on a host that has kubeadm."""
    host.write("/usr/bin/kubeadm", b"", 0o755)
    for number, (name, speaks) in enumerate(entries, 1):
        host.write(f"{ledger.FOLDER}/run1/{number:04d}.json", speaks.entry(name), 0o600)


STOP = ("systemctl", "disable", "--now", "--", "containerd.service")
RELEASE = ("helm", "uninstall", "x")


@pytest.mark.parametrize(
    ("refuses", "ran", "failed"),
    [
        (("helm",), [kubeadm.RESET, STOP], []),
        (("kubeadm",), [RELEASE], [kubeadm.INIT]),
        (("systemctl",), [RELEASE, kubeadm.RESET], ["release:containerd"]),
    ],
)
def test_where_a_cluster_does_not_go_what_it_stands_on_stays(
    tmp_path: Path, refuses: tuple[str, ...], ran: list[tuple[str, ...]], failed: list[str]
) -> None:
    """What runs in it may fail to go before it: it goes with it."""
    host = Stubborn(str(tmp_path))
    node(host, ("gpu", Speaks(first=("rm", "-f", "/x"))), ("release:containerd", Speaks(first=STOP)),
         (kubeadm.INIT, Speaks(first=kubeadm.RESET)), ("helm:x", Speaks(first=RELEASE)))  # fmt: skip
    host.refuses = refuses
    steps = back(host)
    assert [step.resource for step in steps if step.failed] == failed
    assert (host.commands, ledger.runs(host)) == (
        ran if failed else [*ran, ("rm", "-f", "/x")],
        ("run1",) if failed else (),
    )
    host.refuses = ()
    assert failed == [] or not any(step.failed for step in back(host))


class Debian(Stubborn):
    """Its kubeadm takes away what it made, and goes when dpkg is told."""

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 0)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        if argv[0] == "kubeadm" and not self.stat("/usr/bin/kubeadm"):
            raise CommandError("kubeadm is not installed", cause="there is no such program")
        done = super().execute(*argv, timeout_s=timeout_s, direct=direct)
        gone = ("/usr/bin/kubeadm", apt.STATUS) if argv[:2] == ("dpkg", "--purge") else ()
        for path in left(self) if argv == kubeadm.RESET else gone:
            self.remove(path)
        return done


def with_a_cluster(host: CrashingHost) -> None:
    """One run brought kubeadm, began a cluster with it and stopped a unit."""
    host.write(apt.STATUS, b"Package: kubeadm\nStatus: install ok installed\nVersion: 1\n")
    host.write(kubeadm.KUBELET_CONF, b"", 0o600)
    node(host, ("unit:x", Speaks(commands=("systemctl", "start", "x"))),
         ("packages:apt", Speaks(commands=("dpkg", "--purge", "kubeadm"), loses="images")),
         (kubeadm.INIT, Speaks(first=kubeadm.RESET, loses="the cluster")))  # fmt: skip


def test_an_undo_that_failed_behind_its_reset_and_purge_is_finished_by_the_next(tmp_path: Path) -> None:
    host = Debian(str(tmp_path))
    with_a_cluster(host)
    assert ([argv for _, argv in plan(host).first], plan(host).loses) == ([kubeadm.RESET], ("the cluster", "images"))
    host.refuses = ("systemctl",)
    assert [step.resource for step in back(host) if step.failed] == ["unit:x"]
    assert (host.stat("/usr/bin/kubeadm"), ledger.runs(host)) == (None, ("run1",))
    host.refuses = ()
    assert (plan(host).first, plan(host).loses) == ((), ())
    steps = back(host)
    assert not any(step.failed for step in steps)
    assert "is not needed: kubeadm is not installed, and nothing of its cluster is left" in steps[0].text
    assert ledger.runs(host) == ()


def test_a_cluster_whose_kubeadm_is_gone_is_said_with_how_to_go_on(tmp_path: Path) -> None:
    host = Debian(str(tmp_path))
    with_a_cluster(host)
    host.remove("/usr/bin/kubeadm")
    (step,) = back(host)
    assert step.failed
    assert f"kubeadm is not installed, and {kubeadm.KUBELET_CONF} of its cluster is there; install kubeadm" in step.text
    assert (host.commands, ledger.runs(host)) == ([], ("run1",))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    assert not any(step.failed for step in back(host))


def test_only_what_is_still_installed_is_let_go_of(tmp_path: Path) -> None:
    host = CrashingHost(str(tmp_path))
    host.write(apt.STATUS, b"Package: kubelet\nStatus: hold ok installed\nVersion: 1\n")
    node(host, ("packages:holds", Speaks(commands=("apt-mark", "unhold", "kubeadm", "kubelet"))))
    assert [step.text for step in back(host)] == ["`apt-mark unhold kubelet` ran"]
    assert host.commands == [("apt-mark", "unhold", "kubelet")]


@pytest.mark.parametrize(
    ("schema", "note", "history", "status", "purged"),
    [
        (3, False, "", "ok installed", "containerd kubelet"),  # those made no notes
        (4, True, "", "ok installed", "containerd kubelet"),
        (4, False, "", "ok installed", ""),
        (4, False, "theirs", "ok installed", ""),
        (4, False, "ours", "ok installed", "kubelet"),
        (
            4,
            False,
            "",
            "ok half-installed",
            "containerd kubelet",
        ),  # dpkg was cut short, and nobody has had it do anything since
        (4, False, "theirs", "ok half-installed", "containerd"),
    ],
)
def test_packages_that_no_note_calls_installed_go_where_a_trace_calls_them_ours(
    tmp_path: Path, schema: int, *, note: bool, history: str, status: str, purged: str
) -> None:
    host = Debian(str(tmp_path))
    host.write(
        apt.STATUS,
        "".join(
            f"Package: {name}\nStatus: install {status}\nVersion: 1\n\n" for name in ("containerd", "kubelet")
        ).encode(),
    )
    ours = " ".join(("apt-get", *apt_get._INSTALL, "install", "kubelet=1"))
    command = {"ours": ours, "theirs": "apt-get install kubelet"}.get(history)
    host.write(
        apt.HISTORY, f"\nCommandline: {command}\nInstall: kubelet:amd64 (1, automatic)\n".encode() if command else b""
    )
    book = {
        **json.loads(
            Speaks(commands=("dpkg", "--purge", "containerd", "kubelet"), loses="images").entry("packages:apt")
        )
    }
    host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json({**book, "schemaVersion": schema}).encode(), 0o600)
    if note:
        host.write(f"{ledger.FOLDER}/run1/0001.made", b"", 0o600)
    wanted = [("dpkg", "--purge", *purged.split())] if purged else []
    stays = [name for name in ("containerd", "kubelet") if name not in purged]
    assert [argv for _, argv in plan(host).commands] == wanted
    assert plan(host).loses == (("images",) if purged else ())
    assert [f"to install {', '.join(stays)}, which" in said for said in plan(host).stays] == [True] * bool(stays)
    assert not any(step.failed for step in back(host))
    assert (host.commands, ledger.runs(host)) == (wanted, ())


class Uninstalled(Stubborn):
    """A host whose packages were removed since."""

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 0, "not-found\n")


def test_a_unit_or_swap_area_that_is_gone_since_is_no_failure_for_ever(tmp_path: Path) -> None:
    host = Uninstalled(str(tmp_path))
    commands = (("systemctl", "restart", "x.service"), ("swapon", "/swapfile"))
    make(host, "run1", Transaction("x", (File("/etc/x", "x"),), Fails(commands)))
    host.refuses = ("systemctl",)
    assert not any(step.failed for step in back(host))
    assert ledger.runs(host) == ()
    make(host, "run2", Transaction("x", (File("/etc/x", "x"),), Fails(commands[1:])))
    host.refuses = ("swapon",)
    steps = back(host, "run2")
    assert not any(step.failed for step in steps)
    assert "`swapon /swapfile` has nothing to act on: /swapfile is gone" in [step.text for step in steps]


# -- what cannot be done -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("damage", [b"other", None])
def test_a_copy_that_is_damaged_or_gone_replaces_nothing(host: CrashingHost, damage: bytes | None) -> None:
    make(host, "run1", File("/etc/mine", "ours"), File("/etc/x", "x"))
    copy = f"{ledger.FOLDER}/run1/0001-0.before"
    host.write(copy, damage, 0o600) if damage else host.remove(copy)
    steps = back(host)
    assert [step.failed for step in steps] == [False, True]
    assert ("damaged" if damage else "gone") in steps[1].text
    assert (host.read("/etc/mine"), host.read("/etc/x"), ledger.runs(host)) == ("ours", None, ("run1",))


class Full(CrashingHost):
    """Has no room for one path."""

    path = ""

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        if path == self.path:
            raise CaasError(f"cannot write {path}", cause="no space left on device")
        super().write(path, data, mode, owner)


def test_a_write_that_fails_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    host = Full(str(tmp_path))
    for name in ("a", "b"):
        host.write(f"/etc/{name}", b"before")
    make(host, "run1", File("/etc/a", "ours"), File("/etc/b", "ours"))
    host.path = "/etc/b"
    steps = back(host)
    assert [(step.failed, step.text) for step in steps] == [
        (True, "/etc/b could not be taken back: no space left on device"), (False, "/etc/a restored")]  # fmt: skip
    host.path = ""
    assert not any(step.failed for step in back(host))
    assert (host.read("/etc/a"), host.read("/etc/b")) == ("before", "before")


# -- several runs ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (File("/etc/x", "1"), File("/etc/x", "2"), True),
        (File("/etc/a/x", "1"), File("/etc/a/b/y", "2"), True),  # in a folder that the first run made
        (Sysctl("kernel.panic", "1"), Sysctl("kernel.panic", "2"), True),
        (File("/etc/x", "1"), File("/etc/y", "2"), False),
    ],
)
def test_a_run_that_lies_under_a_later_one_is_not_taken_back_before_it(
    host: CrashingHost, first: Resource, second: Resource, *, refused: bool
) -> None:
    host.write(PANIC, b"0")
    before = shot(Path(host.root))
    make(host, "run1", first)
    make(host, "run2", second)
    assert plan(host).later == ("run2",)
    if refused:
        with pytest.raises(RefusedError, match="run1 lies under later runs: run2") as caught:
            way_back.refuse(host, plan(host))
        assert "`caasctl undo run2`" in caught.value.fix
        back(host, "run2")
    way_back.refuse(host, plan(host))
    back(host)
    for run in ledger.runs(host):
        back(host, run)
    assert shot(Path(host.root)) == before


@pytest.mark.parametrize("later", [Speaks(first=("helm",)), Speaks(commands=("helm", "--kubeconfig", "/x"))])
def test_a_cluster_is_not_taken_down_under_what_later_runs_made_in_it(host: CrashingHost, later: Speaks) -> None:
    for number, (name, speaks) in enumerate((("kubeadm", Speaks(first=("kubeadm", "reset"))), ("helm", later)), 1):
        host.write(f"{ledger.FOLDER}/run{number}/0001.json", speaks.entry(name), 0o600)
    assert plan(host).over == ("run2",)
    assert plan(host, "run2").over == ()


def brought(host: CrashingHost, *, release: bool) -> None:
    """run1 brought a container runtime, by dpkg or from a tarball."""
    if release:
        book = {"resource": "release:containerd", "phase": "packages", "files": [], "commands": [], "nothing": "", "first": [[*STOP]],
                "links": [{"path": "/usr/local/bin/containerd", "before": None, "after": "to /opt/caasctl/containerd"}]}  # fmt: skip
        host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json(book).encode(), 0o600)
        host.link("/usr/local/bin/containerd", "/opt/caasctl/containerd")
    else:
        host.write(apt.STATUS, b"Package: containerd\nStatus: install ok installed\nVersion: 1\n")
        node(host, ("packages:apt", Speaks(commands=("dpkg", "--purge", "containerd", "kubelet"))))


@pytest.mark.parametrize("release", [False, True])
def test_what_a_later_run_s_cluster_stands_on_is_not_taken_off_before_it(host: CrashingHost, *, release: bool) -> None:
    brought(host, release=release)
    host.write(f"{ledger.FOLDER}/run2/0001.json", Speaks(first=kubeadm.RESET).entry(kubeadm.INIT), 0o600)
    assert plan(host).over == ("run2",)
    assert plan(host, "run2").over == ()


@pytest.mark.parametrize("release", [False, True])
def test_what_a_cluster_made_by_hand_stands_on_is_not_taken_off(host: CrashingHost, *, release: bool) -> None:
    brought(host, release=release)
    way_back.refuse(host, plan(host))
    host.write(kubeadm.KUBELET_CONF, b"", 0o600)
    with pytest.raises(RefusedError, match="which run1 did not begin, stands on containerd") as caught:
        way_back.refuse(host, plan(host))
    assert "`kubeadm reset" in caught.value.fix
    host.remove(kubeadm.KUBELET_CONF)
    pod = "/sys/fs/cgroup/kubepods.slice/kubepods-pod1a2b3c4d_1111_2222_3333_444455556666.slice"
    host.write(f"{pod}/cgroup.events", b"populated 1\nfrozen 0\n")
    with pytest.raises(RefusedError, match=r"pods run on containerd.* that undo would take off: 1a2b3c4d-1111"):
        way_back.refuse(host, plan(host))


def test_what_no_cluster_needs_is_taken_off_under_one(host: CrashingHost) -> None:
    host.write(apt.STATUS, b"Package: kubectl\nStatus: install ok installed\nVersion: 1\n")
    host.write(kubeadm.KUBELET_CONF, b"", 0o600)
    node(host, ("packages:apt", Speaks(commands=("dpkg", "--purge", "kubectl"))))
    way_back.refuse(host, plan(host))


def test_a_cluster_that_somebody_began_by_hand_after_a_run_that_failed_is_not_taken_down(host: CrashingHost) -> None:
    host.write(f"{ledger.FOLDER}/run1/0001.json", Speaks(first=kubeadm.RESET).entry(kubeadm.INIT), 0o600)
    way_back.refuse(host, plan(host))
    host.write(kubeadm.MANIFESTS[1], b"command: [kube-apiserver]\n", 0o600)
    with pytest.raises(RefusedError, match="is not the one that run1 began, or was about to") as caught:
        way_back.refuse(host, plan(host))
    assert "etcd's data" in caught.value.cause


def test_what_a_run_made_since_its_undo_was_agreed_to_is_not_taken_back_unseen(host: CrashingHost) -> None:
    make(host, "run1", File("/etc/mine", "ours"))
    host.write("/usr/bin/kubeadm", b"", 0o755)
    agreed = plan(host)
    way_back.refuse_more(agreed, plan(host))
    host.write(f"{ledger.FOLDER}/run1/0002.json", Speaks(first=kubeadm.RESET).entry(kubeadm.INIT), 0o600)
    with pytest.raises(RefusedError, match="run1 has gone on since") as caught:
        way_back.refuse_more(agreed, plan(host))
    assert "kubeadm reset" in caught.value.cause
    way_back.refuse_more(plan(host), agreed)


def test_the_second_undo_takes_back_the_run_before(host: CrashingHost) -> None:
    make(host, "run1", File("/etc/mine", "one"))
    make(host, "run2", File("/etc/mine", "two"))
    assert way_back.planned(host, None) == plan(host, "run2")
    assert "run1, which the next `caasctl undo` takes back" in shown(host, "run2")
    back(host, "run2")
    assert (host.read("/etc/mine"), way_back.planned(host, None)) == ("one", plan(host, "run1"))
    back(host)
    assert (host.read("/etc/mine"), way_back.planned(host, None)) == ("mine", None)


def test_an_edit_between_two_runs_comes_back_and_then_stays(host: CrashingHost) -> None:
    make(host, "run1", File("/etc/mine", "one"))
    host.write("/etc/mine", b"edited", 0o600)
    make(host, "run2", File("/etc/mine", "two", 0o644))
    back(host, "run2")
    assert (host.read("/etc/mine"), host.stat("/etc/mine").mode) == ("edited", 0o600)  # type: ignore[union-attr]
    assert [step.kept for step in back(host)] == [True]
    assert host.read("/etc/mine") == "edited"


# -- the plan ----------------------------------------------------------------------------------------------------------
def test_the_plan_says_all_before_anything_is_touched_and_touches_nothing(host: CrashingHost, tmp_path: Path) -> None:
    host.write(PANIC, b"0")
    make(host, "run1", File("/etc/mine", "ours", 0o600), File("/etc/a/new", "new"), Sysctl("kernel.panic", "10"),
         Transaction("x", (File("/etc/b", "b"),), Works()))  # fmt: skip
    before, changes = shot(tmp_path), host.changes
    said = [" ".join(line.split()) for line in shown(host).splitlines()]
    owner = f"{os.geteuid()}:{os.getegid()}"
    for line in (f"restore /etc/mine (mode 0640, owner {owner})", "remove /etc/a/new", f"set {PANIC} = 0",
                 "run `systemctl restart x`", "remove what is empty then of the folders that the run made: /etc/a"):  # fmt: skip
        assert line in said
    assert (shot(tmp_path), host.changes, host.commands) == (before, changes, [])


def test_the_plan_says_what_goes_for_good_and_what_stays(host: CrashingHost) -> None:
    book = {"resource": "kubeadm:init", "phase": "kubeadm", "files": [], "commands": [], "nothing": "the key stays",
            "first": [["kubeadm", "reset"]], "loses": "the cluster"}  # fmt: skip
    host.write(f"{ledger.FOLDER}/run1/0001.json", dump_json(book).encode(), 0o600)
    said = shown(host)
    assert "first       `kubeadm reset`" in said
    assert "No return     this takes down the cluster." in said
    assert "It leaves     the key stays" in said


def test_what_was_done_is_told_and_what_comes_next() -> None:
    def lines(*steps: Step, before: str = "") -> str:
        out = io.StringIO()
        told.steps(steps, before, out, width=100)
        return " ".join(out.getvalue().split())

    fine, left = Step("file:/x", "/x restored", done=True), Step("file:/y", "/y left", done=False, kept=True)
    failed = Step("unit:z", "`systemctl start z` failed:\nno\nway", done=False)
    assert (
        lines(fine, left)
        == "undone file:/x: /x restored left file:/y: /y left Taken back. No run is left to take back."
    )
    assert lines(fine, before="run1").endswith("Taken back. The next `caasctl undo` takes back run1.")
    assert "FAILED unit:z: `systemctl start z` failed: no way Not done: 1 step failed." in lines(
        fine, failed, before="x"
    )


# -- killed ------------------------------------------------------------------------------------------------------------
def busy(host: LiveHost) -> dict[str, tuple[object, ...]]:
    """A host, and a run over it that does all there is; what was there before."""
    live = LiveHost(host.root)
    for path, text in (("/etc/mine", "mine"), ("/etc/old", OURS), (PANIC, "0")):
        live.write(path, text.encode(), 0o640)
    before = shot(Path(host.root))
    make(host, "run1", File("/etc/mine", "one"), File("/etc/a/b/x", "x"), Sysctl("kernel.panic", "10"), Gone("/etc/old"),
         Transaction("x", (File("/etc/mine", "two", 0o600), File("/opt/y", "y")), Works()))  # fmt: skip
    return before


@dataclass(frozen=True)
class Works(Fails):
    def state(self, host: Reader, files: object) -> State:
        return Known(IN_EFFECT if host.read("/opt/y") else "restart owed")

    def activate(self, host: Writer) -> None: ...


def test_an_undo_killed_before_or_after_any_change_is_finished_by_the_next(tmp_path: Path) -> None:
    whole = CrashingHost(str(tmp_path / "whole"))
    busy(whole)
    start = whole.changes
    assert not any(step.failed for step in back(whole))
    assert whole.changes - start > 8
    for at in range(2 * (whole.changes - start)):
        root = tmp_path / str(at)
        before = busy(LiveHost(str(root)))
        with pytest.raises(Killed):
            back(CrashingHost(str(root), at))
        host = CrashingHost(str(root))
        if ledger.runs(host):
            assert not any(step.failed or step.kept for step in back(host))
            assert host.commands == [("systemctl", "restart", "x")]
        assert shot(root) == before, at
        assert ledger.runs(host) == ()


def test_a_run_killed_at_any_moment_is_taken_back_to_what_was_before_it(tmp_path: Path) -> None:
    whole = CrashingHost(str(tmp_path / "whole"))
    busy(whole)
    for at in range(2 * whole.changes):
        root = tmp_path / str(at)
        with pytest.raises(Killed):
            busy(CrashingHost(str(root), at))
        host = CrashingHost(str(root))
        for run in reversed(ledger.runs(host)):
            assert not any(step.failed or step.kept for step in back(host, run)), at
        still = LiveHost(str(tmp_path / "fresh" / str(at)))
        assert shot(root) == busy(still), at


# -- any sequence of runs and edits ------------------------------------------------------------------------------------
PATHS = ("/etc/a", "/etc/d/b", "/etc/d/e/c", "/opt/f/g/h")
MODES = st.sampled_from((0o644, 0o600, 0o640, 0o755))
OWNERS = st.sampled_from(((0, 0), (7, 8))) if ROOT else st.just((os.geteuid(), os.getegid()))
RUN = st.lists(st.tuples(st.sampled_from(PATHS), MODES, st.booleans(), st.booleans()), min_size=1, max_size=5)
EDIT = st.tuples(st.sampled_from(PATHS), st.sampled_from(("text", "mode", "owner", "remove")))
ACTS = st.lists(
    st.one_of(st.tuples(st.just("run"), RUN, st.integers(-1, 40)), st.tuples(st.just("edit"), EDIT, st.just(0))),
    max_size=7,
)
FIRST = st.dictionaries(st.sampled_from(PATHS), st.tuples(MODES, OWNERS), max_size=4)


@dataclasses.dataclass
class Story:
    """A host, and what its user did. wanted: the files of before, each as the user left it, where he edited it."""

    root: Path
    edits: set[str] = field(default_factory=set)
    wanted: dict[str, tuple[object, ...]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    number: int = 0

    def unique(self) -> str:
        self.number += 1
        return f"text {self.number}\n"

    def run(self, wanted: list[tuple[str, int, bool, bool]], dies: int) -> None:
        self.number += 1
        host, name = CrashingHost(str(self.root), dies), f"run{self.number:04d}"
        files = [
            Gone(path) if gone else File(path, OURS + self.unique(), mode, secret=secret)
            for path, mode, gone, secret in wanted
        ]
        self.gone |= {path for path, _, gone, _ in wanted if gone}
        try:
            make(host, name, *files)
        except Killed:
            return

    def edit(self, path: str, how: str) -> None:
        """Nothing where there is nothing to edit."""
        place = self.root / path[1:]
        as_a_run_left_it = how == "remove" and path in self.gone  # then nobody can tell that it is an edit
        if how != "text" and (not place.exists() or (how == "owner" and not ROOT) or as_a_run_left_it):
            return
        if how == "text":
            LiveHost(str(self.root)).write(path, self.unique().encode(), 0o646)
        elif how == "mode":
            place.chmod(0o606)
        elif how == "owner":
            os.chown(place, 5, self.number)
        else:
            place.unlink()
        self.edits.add(path)
        self.wanted.pop(path, None)
        self.wanted |= {name: state for name, state in self.files().items() if name == path}

    def files(self) -> dict[str, tuple[object, ...]]:
        found = shot(self.root)
        return {path: found[path[1:]] for path in PATHS if path[1:] in found}


@settings(max_examples=60, deadline=None)
@given(first=FIRST, acts=ACTS, dies=st.lists(st.integers(0, 30), max_size=3))
def test_whatever_was_run_edited_and_killed_undo_ends_where_it_began_but_for_the_edits(
    first: dict[str, tuple[int, tuple[int, int]]], acts: list[tuple[str, object, int]], dies: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        live = LiveHost(folder)
        for path in first:
            (story.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        for path, (mode, owner) in first.items():
            live.write(path, story.unique().encode() if mode == 0o600 else OURS.encode(), mode, owner)
        story.wanted, folders = story.files(), _folders(story.root)
        for what, act, at in acts:
            if what == "run":
                story.run(act, at)  # type: ignore[arg-type]
            else:
                story.edit(*act)  # type: ignore[misc]
        for at in dies:
            _taken_back(CrashingHost(folder, at))
        _taken_back(live)
        assert story.files() == story.wanted
        assert _folders(story.root) - folders <= _above(story.edits | set(story.wanted))
        assert folders <= _folders(story.root)


def _taken_back(host: LiveHost) -> None:
    try:
        for run in reversed(ledger.runs(host)):
            assert not any(step.failed for step in ledger.take_back(host, run))
    except Killed:
        return


def _folders(root: Path) -> set[str]:
    return {path for path, found in shot(root).items() if found[3] == "a folder"}


def _above(paths: set[str]) -> set[str]:
    return {str(above)[1:] for path in paths for above in Path(path).parents}
