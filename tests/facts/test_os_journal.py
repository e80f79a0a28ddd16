"""What a host's logs say: by its journal, by dmesg, by syslog's files, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.syntax.test_logs import JOURNAL, SYSLOG

from caasctl.facts import os_journal
from caasctl.facts.os_journal import CONTAINERD, DMESG, KATA, KERNEL, KUBELET, UNITS
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed


class Host(LiveHost):
    """A tree whose commands have answers; any other is missing."""

    def __init__(self, root: Path, answers: Mapping[tuple[str, ...], Completed | str]) -> None:
        super().__init__(str(root))
        self.answers = answers

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        said = self.answers.get(argv, Completed(argv, 127, missing=True))
        return Completed(argv, 0, said) if isinstance(said, str) else said


def refused(stderr: str, rc: int = 0) -> Completed:
    return Completed((), rc, "", stderr)


def with_syslog(top: Path, name: str = "syslog") -> Path:
    (top / "var/log").mkdir(parents=True)
    (top / "var/log" / name).write_text(SYSLOG)
    return top


def test_the_kubelet_s_journal_tells_it_from_systemd(tmp_path: Path) -> None:
    lines = os_journal.read_kubelet(Host(tmp_path, {KUBELET: JOURNAL})).lines
    assert [(line.kind, line.source, line.at) for line in lines] == [
        ("unit", "journal of systemd", "2023-11-14T22:13:20Z"),
        ("kubelet", "journal of kubelet", "2023-11-14T22:13:21Z"),
        ("kubelet", "journal of kubelet", "2023-11-14T22:13:22Z"),
    ]


def test_what_kata_says_is_not_said_twice(tmp_path: Path) -> None:
    text = '{"MESSAGE":"a","SYSLOG_IDENTIFIER":"containerd"}\n{"MESSAGE":"b","SYSLOG_IDENTIFIER":"kata"}\n'
    host = Host(tmp_path, {CONTAINERD: text, KATA: text.splitlines()[1]})
    assert [line.text for line in os_journal.read_containerd(host).lines] == ["a"]
    assert [(line.kind, line.source) for line in os_journal.read_kata(host).lines] == [
        ("containerd", "journal of kata")
    ]


def test_systemd_s_words_on_kubelet_and_containerd_are_in_their_own_journals(tmp_path: Path) -> None:
    text = "".join(
        f'{{"MESSAGE":"{unit} failed","SYSLOG_IDENTIFIER":"systemd","_PID":"1","UNIT":"{unit}"}}\n'
        for unit in ("kubelet.service", "containerd.service", "etcd.service")
    )
    (line,) = os_journal.read_units(Host(tmp_path, {UNITS: text})).lines
    assert (line.kind, line.text) == ("unit", "etcd.service failed")


def test_a_journal_without_a_word_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "run/log/journal/3d12").mkdir(parents=True)
    (tmp_path / "run/log/journal/3d12/system.journal").write_text("")
    assert os_journal.read_kubelet(Host(with_syslog(tmp_path), {KUBELET: ""})).lines == ()


@pytest.mark.parametrize(
    ("answer", "why"),
    [(refused("Hint: You are currently not seeing messages from other users and the system."), "needs root"),
     (refused("No journal files were found."), "No journal files were found"),
     (refused("Failed to add match: x", 1), "Failed to add match"),
     (Completed((), 0), "there are no journal files"),
     (Completed((), 127, missing=True), "no systemd journal")],
)  # fmt: skip
def test_a_journal_that_cannot_be_read_says_why_and_syslog_stands_in(
    answer: Completed, why: str, tmp_path: Path
) -> None:
    with pytest.raises(Unreadable, match=why):
        os_journal.read_kubelet(Host(tmp_path, {KUBELET: answer}))
    (line,) = os_journal.read_kubelet(Host(with_syslog(tmp_path), {KUBELET: answer})).lines
    assert (line.kind, line.at) == ("kubelet", "2026-11-26T07:00:00Z")
    assert 'Unable to fetch"' in line.text


def test_a_tree_is_read_by_its_syslog(tmp_path: Path) -> None:
    host = LiveHost(str(with_syslog(tmp_path, "messages")))
    assert [line.text for line in os_journal.read_kernel(host).lines][1] == "DMAR: IOMMU enabled"
    assert os_journal.read_containerd(host).lines[0].text.startswith("time=")
    with pytest.raises(Unreadable):
        os_journal.read_kata(host)


def test_the_kernel_is_heard_by_journal_then_by_dmesg(tmp_path: Path) -> None:
    dmesg = "2026-11-26T08:29:22,000000+01:00 DMAR: IOMMU enabled"
    host = Host(tmp_path, {KERNEL: '{"MESSAGE":"by journal"}', DMESG: dmesg})
    assert [line.text for line in os_journal.read_kernel(host).lines] == ["by journal"]
    (line,) = os_journal.read_kernel(Host(tmp_path, {KERNEL: "", DMESG: dmesg})).lines
    assert (line.kind, line.text, line.at) == ("kernel", "DMAR: IOMMU enabled", "2026-11-26T07:29:22Z")
    closed = refused("dmesg: read kernel buffer failed: Operation not permitted", 1)
    with pytest.raises(Unreadable, match="needs root"):
        os_journal.read_kernel(Host(tmp_path, {DMESG: closed}))
    assert os_journal.read_kernel(Host(with_syslog(tmp_path), {DMESG: closed})).lines[1].text == "DMAR: IOMMU enabled"
