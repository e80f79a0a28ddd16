"""The steps around containerd's restart: what comes before it, what its proof insists on, what a stamp is good for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import IN_EFFECT, Completed, Known
from caasctl.resources.containerd import STAGE, STAMP, ContainerdActivation
from caasctl.syntax.containerd.tables import CRI, MAIN
from caasctl.syntax.containerd.wanted import Wanted

BINARY = "/usr/bin/containerd"
ACTIVATION = ContainerdActivation(BINARY, (1, 7, 24), Wanted("pause:1"), deadline_s=0)
RUNNING = "ActiveState=active\nMainPID=77\nNeedDaemonReload=no\nLoadState=loaded\n"
PLUGINS_OK = "io.containerd.grpc.v1 cri linux/amd64 ok\n"
RUNC = '{"config": {"containerd": {"runtimes": {"runc": {"runtimeType": "io.containerd.runc.v2"}}}}}'
DUMP = (
    f'version = 2\n[plugins."{CRI}"]\nsandbox_image = "pause:1"\n[plugins."{CRI}".containerd]\n'
    f'default_runtime_name = "runc"\n[plugins."{CRI}".containerd.runtimes.runc]\nruntime_type = "io.containerd.runc.v2"\n'
    f'[plugins."{CRI}".containerd.runtimes.runc.options]\nSystemdCgroup = true\n'
)
Answers = Mapping[tuple[str, ...], str]


class Answering(LiveHost):
    """A tree whose commands answer from a table, the longest beginning first; what is executed is kept."""

    def __init__(self, root: Path, answers: Answers) -> None:
        super().__init__(str(root))
        self.answers, self.executed = answers, list[tuple[str, ...]]()

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        for start in sorted(self.answers, key=len, reverse=True):
            if argv[: len(start)] == start:
                return Completed(argv, 0, self.answers[start])
        raise Unreadable(argv[0], "is not in the table")

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.executed.append(argv)
        return Completed(argv, 0)


def host(root: Path, more: Answers, *, started_s: float = 1e9) -> Answering:
    """A host whose containerd began `started_s` after boot: by default after every file of today."""
    files = {
        MAIN: "version = 2\n",
        "/proc/77/stat": f"77 (containerd) S {' '.join(['0'] * 18)} {int(started_s * 100)} 0 0\n",
        "/proc/uptime": Path("/proc/uptime").read_text(),
    }
    for path, text in files.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    return Answering(root, {("systemctl", "show"): RUNNING, **more})


@pytest.mark.parametrize(
    ("shown", "before"),
    [
        (RUNNING, []),
        (RUNNING.replace("=no", "=yes"), ["daemon-reload"]),
        (RUNNING.replace("=active", "=failed"), ["reset-failed"]),
        (RUNNING.replace("=no", "=yes").replace("=active", "=failed"), ["daemon-reload", "reset-failed"]),
    ],
)
def test_a_restart_takes_changed_units_and_a_failed_state_into_account(
    tmp_path: Path, shown: str, before: list[str]
) -> None:
    found = host(tmp_path, {("systemctl", "show"): shown})
    ACTIVATION.activate(found)
    assert [argv[1] for argv in found.executed] == [*before, "restart"]


@pytest.mark.parametrize(
    ("plugins", "crictl", "said"),
    [
        (PLUGINS_OK.replace(" ok", " error"), RUNC, "the CRI did not come up: plugin io.containerd.grpc.v1.cri: error"),
        ("io.containerd.other.v1 x linux/amd64 ok\n", RUNC, "plugin io.containerd.grpc.v1.cri: not loaded"),
        (PLUGINS_OK, '{"config": {"containerd": {"runtimes": {"mine": {}}}}}', "without the handler runc"),
    ],
)
def test_a_proof_insists_on_the_plugins_and_the_handlers(tmp_path: Path, plugins: str, crictl: str, said: str) -> None:
    found = host(tmp_path, {("ctr",): plugins, ("crictl",): crictl})
    with pytest.raises(CaasError, match=said):
        ACTIVATION.prove(found)
    assert not (tmp_path / STAMP[1:]).exists()


def test_a_stamp_of_another_process_with_the_same_number_decides_nothing(tmp_path: Path) -> None:
    found = host(tmp_path, {})
    found.write(STAMP, json.dumps({"pid": 77, "started": 1, "digest": "of its files"}).encode())
    assert ACTIVATION.state(found, {}) == Known(IN_EFFECT)


def test_a_foreign_key_that_would_be_lost_is_refused_by_name(tmp_path: Path) -> None:
    live = DUMP.replace("version = 2\n", "version = 2\noom_score = -999\n")
    found = host(tmp_path, {(BINARY, "--config", MAIN): live, (BINARY, "--config", f"{STAGE}/00-config.toml"): DUMP})
    with pytest.raises(CaasError, match="would lose oom_score"):
        ACTIVATION.check(found, {MAIN: b"version = 2\n"})
    ACTIVATION.check(Answering(tmp_path, {(BINARY,): live}), {MAIN: b"version = 2\noom_score = -999\n"})
