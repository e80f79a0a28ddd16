"""RuntimeClasses and daemonsets as kubectl prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.kubernetes_objects import ASK, ClusterObject, ClusterObjects, parse, read_objects
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed
from caasctl.syntax.kubeadm import ADMIN

ROWS = "RuntimeClass\t\tkata-qemu\tcaasctl\tkata-qemu\t\nDaemonSet\tgpu-operator\tplugin\t\t\tr/a:1 r/b@sha256:00\n"


class Answering(LiveHost):
    """Says one thing to every question."""

    def __init__(self, root: str, said: Completed) -> None:
        super().__init__(root)
        self._said = said

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv == ASK
        return self._said


def host(folder: Path, **said: object) -> Answering:
    path = folder / ADMIN[1:]
    path.parent.mkdir(parents=True)
    path.write_text("")
    return Answering(str(folder), Completed(ASK, **{"rc": 0, **said}))  # type: ignore[arg-type]


def test_rows_are_read() -> None:
    runtime, plugin = parse(ROWS)
    assert runtime == ClusterObject("RuntimeClass", "kata-qemu", "", "caasctl", "kata-qemu")
    assert runtime.ours
    assert plugin.images == ("r/a:1", "r/b@sha256:00")
    assert not plugin.ours


@pytest.mark.parametrize("text", ["", "Warning: something\n", "a\tb\n"])
def test_what_is_no_row_is_none(text: str) -> None:
    assert parse(text) == ()


def test_it_is_asked_only_where_there_is_a_cluster(tmp_path: Path) -> None:
    assert read_objects(LiveHost(str(tmp_path))) == ClusterObjects()
    found = read_objects(host(tmp_path, stdout=ROWS))
    assert found.asked
    assert found.runtime_class("kata-qemu")
    assert not found.runtime_class("plugin")


def test_a_silent_api_server_is_no_answer_and_no_permission_is_said(tmp_path: Path) -> None:
    assert read_objects(host(tmp_path / "a", rc=1, stderr="refused")) == ClusterObjects()
    with pytest.raises(Unreadable, match="needs root"):
        read_objects(host(tmp_path / "b", rc=1, stderr="open: permission denied"))
    with pytest.raises(Unreadable, match="no kubectl"):
        read_objects(host(tmp_path / "c", rc=127, missing=True))
