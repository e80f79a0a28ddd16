"""Containers, pods and their logs, as a runtime that answers tells them, and as files do where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.syntax.test_cri import PODS, listed, ps

from caasctl.facts import kubernetes_containers as facts
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed

DOWN = 'E1126 remote_runtime.go] "ListContainers with filter" err="rpc error"\nFATA[0002] listing containers: connection error\n'


class Host(LiveHost):
    """A tree with a crictl that answers: by the first word of what it is asked, and by the last."""

    def __init__(self, root: Path, answers: Mapping[str, Completed | str]) -> None:
        super().__init__(str(root))
        self.answers, self.asked = answers, 0
        (root / "usr/bin").mkdir(parents=True, exist_ok=True)
        (root / "usr/bin/crictl").write_text("")
        (root / "usr/bin/crictl").chmod(0o755)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert timeout_s < 5
        self.asked += 1
        said = self.answers.get(argv[-1], self.answers.get(argv[5], Completed(argv, 1, "", "not found")))
        return Completed(argv, 0, said) if isinstance(said, str) else said


def log(top: Path, container: str, attempt: int, *lines: str, pod: str = "") -> None:
    folder = top / f"var/log/pods/kube-system_{pod or container}-node-1_7f/{container}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{attempt}.log").write_text("".join(f"{line}\n" for line in lines))


def clock(top: Path, time: str) -> None:
    """The host's time on a day, booted an hour before."""
    hours, minutes = map(int, time.split(":"))
    (top / "proc").mkdir()
    (top / "proc/stat").write_text(f"btime {1_795_651_200 + hours * 3600 + minutes * 60 - 3600}\n")
    (top / "proc/uptime").write_text("3600.11 1.0\n")


def said(host: LiveHost) -> list[tuple[str, str]]:
    return [(line.source, line.text) for line in facts.read_logs(host).lines]


def test_containers_that_ended_are_asked_how(tmp_path: Path) -> None:
    etcd = listed("etcd", "EXITED", 16)
    host = Host(
        tmp_path,
        {
            "ps": "",
            "json": ps(listed("kube-apiserver"), etcd),
            etcd["id"]: "CONTAINER_EXITED\t2\tError\t2026-11-26T07:00:00Z",
        },
    )
    known = {one.name: one for one in facts.read_containers(host).known}
    assert (known["etcd"].exit_code, known["etcd"].reason) == (2, "Error")
    assert known["kube-apiserver"].exit_code is None
    assert host.asked == 2


def test_one_that_cannot_be_asked_how_it_ended_stays_known(tmp_path: Path) -> None:
    (one,) = facts.read_containers(Host(tmp_path, {"json": ps(listed("etcd", "EXITED"))})).known
    assert (one.state, one.exit_code) == ("exited", None)


def test_not_more_than_twelve_are_asked(tmp_path: Path) -> None:
    host = Host(tmp_path, {"json": ps(*(listed(f"x{at}", "EXITED") for at in range(40)))})
    assert len(facts.read_containers(host).known) == 40
    assert host.asked == 13


def test_a_runtime_that_does_not_answer_is_said(tmp_path: Path) -> None:
    host = Host(tmp_path, {"json": Completed((), 1, "", DOWN)})
    assert facts.read_containers(host).error == "FATA[0002] listing containers: connection error"
    assert facts.read_sandboxes(host).error == "FATA[0002] listing containers: connection error"


def test_what_cannot_be_known_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is not installed"):
        facts.read_containers(LiveHost(str(tmp_path)))
    for answer, why in (
        (Completed((), 1, "", "dial unix: permission denied"), "needs root"),
        ("{", "not JSON"),
        ("", "not JSON"),
    ):
        with pytest.raises(Unreadable, match=why):
            facts.read_containers(Host(tmp_path, {"json": answer}))
        with pytest.raises(Unreadable, match=why):
            facts.read_sandboxes(Host(tmp_path, {"json": answer}))


def test_pods_are_read(tmp_path: Path) -> None:
    assert [one.name for one in facts.read_sandboxes(Host(tmp_path, {"json": PODS})).known] == ["vm"]


def test_logs_of_the_last_two_tries_are_heard_without_a_runtime(tmp_path: Path) -> None:
    for attempt in (8, 9, 10):
        log(tmp_path, "etcd", attempt, f"2026-11-26T07:{attempt:02}:00.5Z stderr F try {attempt}")
    log(tmp_path, "coredns", 0, "2026-11-26T07:00:00Z stdout F fine")
    log(tmp_path, "kube-proxy", 0, "2026-11-26T07:00:00Z stdout F first")
    log(tmp_path, "kube-proxy", 1, "2026-11-26T07:01:00Z stdout F second")
    assert said(LiveHost(str(tmp_path))) == [
        ("log of etcd", "try 9"), ("log of etcd", "try 10"), ("log of kube-proxy", "first"), ("log of kube-proxy", "second"),
    ]  # fmt: skip
    assert {line.kind for line in facts.read_logs(LiveHost(str(tmp_path))).lines} == {"container"}


def test_of_a_container_that_runs_what_is_older_than_an_hour_is_over(tmp_path: Path) -> None:
    log(tmp_path, "etcd", 9, "2026-11-26T07:00:00Z stderr F refused")
    log(tmp_path, "etcd", 10, "2026-11-26T07:01:00Z stderr F begun", "2026-11-26T11:30:00Z stderr F compacted")
    clock(tmp_path, "12:00")
    log(tmp_path, "kube-scheduler", 3, "2026-11-26T07:01:00Z stderr F refused")
    runs = ps(listed("etcd", attempt=10), listed("kube-scheduler", attempt=3))
    assert said(Host(tmp_path, {"json": runs})) == [("log of etcd", "compacted")]


def test_of_a_container_that_ended_the_last_hour_of_its_life_is_heard(tmp_path: Path) -> None:
    log(tmp_path, "etcd", 9, "2026-11-26T02:00:00Z stderr F long ago", "2026-11-26T07:00:00Z stderr F panic")
    clock(tmp_path, "12:00")
    assert said(Host(tmp_path, {"json": ps(listed("etcd", "EXITED", 9))})) == [("log of etcd", "panic")]


def test_of_a_long_log_the_last_lines_are_heard(tmp_path: Path) -> None:
    log(tmp_path, "etcd", 0, *(f"2026-11-26T07:00:00Z stderr F {at} {'x' * 100}" for at in range(5000)))
    lines = said(LiveHost(str(tmp_path)))
    assert len(lines) == 200
    assert lines[-1][1].startswith("4999 ")


def test_a_host_without_pods_says_nothing(tmp_path: Path) -> None:
    assert said(LiveHost(str(tmp_path))) == []
