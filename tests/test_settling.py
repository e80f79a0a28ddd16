"""A node that has just booted: what init-node waits for, and what it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from caasctl.facts.kubernetes_kubelet import SHOW
from caasctl.facts.os_clock import COMES_UP_S
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed
from caasctl.settling import settle
from caasctl.syntax.kubeadm import ADMIN, ASK, KUBELET_CONF

REFUSED = "The connection to the server 192.0.2.2:6443 was refused - did you specify the right host or port?"


class Booting(LiveHost):
    """A node's tree, its kubelet up `kubelet_s` after the boot, and its API server `api_s`."""

    enabled, hangs, error = "enabled", False, REFUSED

    def __init__(self, top: Path, up_s: int, kubelet_s: int = 0, api_s: int = 0) -> None:
        super().__init__(str(top))
        self.top, self.kubelet_s, self.api_s = top, kubelet_s, api_s
        self.said: list[str] = []
        self.plant("/proc/stat", "cpu 1 2 3\nbtime 1700000000\n")
        self.plant(KUBELET_CONF, "")
        self.plant(ADMIN, "")
        self.goes_on(up_s)

    def plant(self, path: str, text: str) -> None:
        (self.top / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path.lstrip("/")).write_text(text)

    def goes_on(self, seconds: float) -> None:
        self.up_s = getattr(self, "up_s", 0) + round(seconds)
        self.plant("/proc/uptime", f"{self.up_s}.25 12.00\n")

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if argv == SHOW:
            active, sub = ("active", "running") if self.up_s >= self.kubelet_s else ("activating", "auto-restart")
            told = (
                f"LoadState=loaded\nActiveState={active}\nSubState={sub}\nNRestarts=0\nUnitFileState={self.enabled}\n"
            )
            return Completed(argv, 0, told)
        assert argv == ASK
        if self.up_s >= self.api_s:
            return Completed(argv, 0, "config")
        if self.hangs:
            raise Unreadable("kubectl", "no answer in 15 s")
        return Completed(argv, 1, stderr=self.error)

    def settle(self) -> list[str]:
        settle(self, self.said.append, self.goes_on)
        return self.said


def test_a_control_plane_on_its_way_is_waited_for_and_each_thing_said_once(tmp_path: Path) -> None:
    node = Booting(tmp_path, up_s=20, kubelet_s=31, api_s=50)
    kubelet, api = node.settle()
    assert "its kubelet is activating (auto-restart)" in kubelet
    assert "its API server does not answer yet" in api
    assert 50 <= node.up_s <= 54


def test_the_wait_has_an_end(tmp_path: Path) -> None:
    node = Booting(tmp_path, up_s=20, api_s=100_000)
    node.settle()
    assert COMES_UP_S <= node.up_s <= COMES_UP_S + 4


def test_an_api_server_that_hangs_is_on_its_way(tmp_path: Path) -> None:
    node = Booting(tmp_path, up_s=20, api_s=50)
    node.hangs = True
    node.settle()
    assert 50 <= node.up_s <= 54


def test_what_no_time_mends_is_not_waited_for(tmp_path: Path) -> None:
    disabled = Booting(tmp_path / "disabled", up_s=20, kubelet_s=100_000, api_s=100_000)
    disabled.enabled = "disabled"
    expired = Booting(tmp_path / "expired", up_s=20, api_s=100_000)
    expired.error = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    assert (disabled.settle(), expired.settle()) == ([], [])


@pytest.mark.parametrize("lost", ["/etc/kubernetes", "/proc/uptime"])
def test_nothing_is_waited_for_where_there_is_no_node_or_nothing_to_tell(tmp_path: Path, lost: str) -> None:
    node = Booting(tmp_path, up_s=20, kubelet_s=100_000)
    shutil.rmtree(tmp_path / lost[1:]) if (tmp_path / lost[1:]).is_dir() else (tmp_path / lost[1:]).unlink()
    assert node.settle() == []


def test_a_node_that_had_its_time_or_is_up_is_not_waited_for(tmp_path: Path) -> None:
    assert Booting(tmp_path / "late", up_s=COMES_UP_S, api_s=100_000).settle() == []
    assert Booting(tmp_path / "up", up_s=20).settle() == []
