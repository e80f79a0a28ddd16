"""Whether a restart is owed, and what is refused before any file is replaced; the restart itself is in tests/containerd."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import IN_EFFECT, Completed, Known, State, Unknown
from caasctl.resources.containerd import STAGE, STAMP, ContainerdActivation
from caasctl.resources.files import File, Transaction
from caasctl.syntax.containerd.tables import CRI, MAIN
from caasctl.syntax.containerd.wanted import Wanted

SHOWN = "ActiveState=active\nMainPID=77\nNeedDaemonReload=no\nLoadState=loaded\n"
WANTED = Wanted("pause:1")
STARTED_TICKS = 500_00


class TreeHost(LiveHost):
    """A tree with commands that answer from a table, as a recorded host does; what is executed is kept."""

    def __init__(self, root: Path, answers: Mapping[tuple[str, ...], str]) -> None:
        super().__init__(str(root))
        self.answers = answers
        self.asked: list[tuple[str, ...]] = []

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        self.asked.append(argv)
        for start, answer in self.answers.items():
            if argv[: len(start)] == start:
                return Completed(argv, 0, answer)
        raise Unreadable(argv[0], "is not in this recording")


def host(root: Path, shown: str = SHOWN, dump: str = "", started_s: float = STARTED_TICKS / 100) -> TreeHost:
    """A host that has been up as long as this one, whose containerd began `started_s` after boot."""
    files = {
        "etc/containerd/config.toml": "version = 2\n",
        "proc/77/stat": f"77 (containerd) S {' '.join(['0'] * 18)} {int(started_s * 100)} 0 0\n",
        "proc/uptime": Path("/proc/uptime").read_text(),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return TreeHost(root, {("systemctl", "show"): shown, ("/usr/bin/containerd",): dump})


def uptime_s() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def activation(version: tuple[int, int, int] = (1, 7, 24)) -> ContainerdActivation:
    return ContainerdActivation("/usr/bin/containerd", version, WANTED)


def text_of(state: State) -> str:
    assert isinstance(state, Known)
    return state.text


def test_without_a_stamp_a_file_younger_than_the_process_owes_a_restart(tmp_path: Path) -> None:
    found = host(tmp_path, started_s=uptime_s() - 60)
    assert text_of(activation().state(found, {})) == f"restart owed: {MAIN} changed after containerd started"


def test_without_a_stamp_an_older_file_is_in_effect_whatever_its_mtime(tmp_path: Path) -> None:
    found = host(tmp_path, started_s=uptime_s() + 60)
    os.utime(tmp_path / "etc/containerd/config.toml", (time.time() + 9999,) * 2)
    assert text_of(activation().state(found, {})) == IN_EFFECT


def test_a_stamp_of_this_process_decides_by_the_digest(tmp_path: Path) -> None:
    found = host(tmp_path, started_s=uptime_s() - 60)
    found.answers = {**found.answers, ("ctr",): "io.containerd.grpc.v1 cri linux/amd64 ok\n", ("crictl",): CRICTL}
    activation().prove(found)
    assert (tmp_path / STAMP[1:]).exists()
    assert text_of(activation().state(found, {})) == IN_EFFECT
    (tmp_path / "etc/containerd/config.toml").write_text("version = 2\noom_score = 1\n")
    assert "files changed after" in text_of(activation().state(found, {}))


CRICTL = '{"config": {"containerd": {"runtimes": {"runc": {"runtimeType": "io.containerd.runc.v2"}}}}}'


def test_a_broken_stamp_is_as_good_as_none(tmp_path: Path) -> None:
    found = host(tmp_path, started_s=uptime_s() + 60)
    (tmp_path / "run/caasctl").mkdir(parents=True)
    (tmp_path / STAMP[1:]).write_text("{")
    assert text_of(activation().state(found, {})) == IN_EFFECT


def test_a_containerd_that_does_not_run_owes_a_start(tmp_path: Path) -> None:
    found = host(tmp_path, shown="ActiveState=failed\nMainPID=0\n")
    assert text_of(activation().state(found, {})) == "restart owed: containerd is not running (failed)"


def test_where_systemd_cannot_be_asked_nothing_is_known(tmp_path: Path) -> None:
    found = host(tmp_path)
    found.answers = {}
    assert isinstance(activation().state(found, {}), Unknown)


@pytest.mark.parametrize("uptime", ["", "x", "= =", "nan", "\0\0", "9" * 5000])
def test_without_the_time_of_the_boot_nothing_is_known(tmp_path: Path, uptime: str) -> None:
    found = host(tmp_path)
    (tmp_path / "proc/uptime").write_text(uptime)
    assert activation().state(found, {}) == Unknown("/proc/uptime: holds no seconds")


def good_dump(**changes: str) -> str:
    keys = {"image": "pause:1", "cgroup": "true", "extra": "", **changes}
    return (
        f'version = 2\n{keys["extra"]}\n[plugins."{CRI}"]\nsandbox_image = "{keys["image"]}"\n[plugins."{CRI}".containerd]\n'
        f'default_runtime_name = "runc"\n[plugins."{CRI}".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n'
        f'[plugins."{CRI}".containerd.runtimes.runc.options]\nSystemdCgroup = {keys["cgroup"]}\n'
    )


def test_a_good_staged_whole_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    found = host(tmp_path, dump=good_dump())
    activation().check(found, {MAIN: b"version = 2\n"})
    staged = [argv for argv in found.asked if "dump" in argv]
    assert staged[0][2].startswith(STAGE)
    assert not (tmp_path / STAGE[1:]).exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"image": "other"}, "pause image is other"),
        ({"cgroup": "false"}, "SystemdCgroup of runc"),
        ({"extra": f'disabled_plugins = ["{CRI}"]'}, "disabled_plugins"),
    ],
)
def test_what_the_dump_shows_to_be_wrong_is_refused(tmp_path: Path, changes: dict[str, str], word: str) -> None:
    with pytest.raises(CaasError, match="not right") as refused:
        activation().check(host(tmp_path, dump=good_dump(**changes)), {MAIN: b"version = 2\n"})
    assert word in refused.value.problem
    assert refused.value.cause
    assert refused.value.fix


@pytest.mark.parametrize(
    ("main", "extra", "word"),
    [
        (b"a = = 1", None, f"{MAIN} is broken"),
        (b'version = 2\nimports = ["/gone.toml"]\n', None, "imports /gone.toml, which is not there"),
        (
            f'version = 2\nimports = ["/x.toml"]\n[plugins."{CRI}"]\na = 1\n'.encode(),
            f'[plugins."{CRI}"]\nb = 1\n',
            "/x.toml has a table",
        ),
    ],
)
def test_files_that_containerd_cannot_use_are_refused_by_name(
    tmp_path: Path, main: bytes, extra: str | None, word: str
) -> None:
    found = host(tmp_path, dump=good_dump())
    if extra:
        (tmp_path / "x.toml").write_text(extra)
    with pytest.raises(CaasError) as refused:
        activation().check(found, {MAIN: main})
    assert word in refused.value.problem
    assert not [argv for argv in found.asked if "dump" in argv]


def test_the_staged_whole_is_judged_with_its_imports_spelled_out(tmp_path: Path) -> None:
    found = host(tmp_path, dump=good_dump())
    (tmp_path / "etc/containerd/conf.d").mkdir()
    (tmp_path / "etc/containerd/conf.d/10.toml").write_text("version = 3\n")
    kept: dict[str, str] = {}

    class Keeping(TreeHost):
        def remove_tree(self, path: str) -> None:
            kept.update({p.name: p.read_text() for p in (tmp_path / STAGE[1:]).glob("*")})
            super().remove_tree(path)

    keeping = Keeping(tmp_path, found.answers)
    staged = {
        MAIN: b'version = 3\nimports = ["conf.d/*.toml"]\n',
        "/etc/containerd/conf.d/zz-caasctl.toml": b"version = 3\n",
    }
    activation((2, 1, 9)).check(keeping, staged)
    assert sorted(kept) == ["00-config.toml", "01-10.toml", "02-zz-caasctl.toml"]
    assert f'imports = ["{STAGE}/01-10.toml", "{STAGE}/02-zz-caasctl.toml"]' in kept["00-config.toml"]


def test_a_transaction_is_due_for_its_files_even_where_systemd_cannot_be_asked(tmp_path: Path) -> None:
    found = host(tmp_path)
    found.answers = {}
    due = Transaction("containerd", (File(MAIN, "version = 2\nx = 1\n"),), activation())
    assert due.look(found) != due.target(due.look(found))
    assert due.target(due.target(due.look(found))) == due.target(due.look(found))


def test_the_way_back_is_a_restart() -> None:
    assert activation().way_back() == (("systemctl", "restart", "containerd.service"),)
