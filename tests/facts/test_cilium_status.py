"""`cilium status -o json`: what agents say of themselves, and controllers that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.facts.cilium_status import ASK, CiliumStatus, parse, read_status
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed
from caasctl.syntax.kubeadm import ADMIN

# Keys as of cilium-cli's status.Status and the agent's models.StatusResponse, which it prints as they are.
AGENT = {
    "cilium": {"state": "Warning", "msg": "1 services have warnings"},
    "kubernetes": {"state": "Ok", "msg": "1.36 (v1.36.4) [linux/amd64]"},
    "kvstore": {"state": "Disabled"},
    "controllers": [
        {"name": "sync-lb-maps", "status": {"success-count": 3}},
        {"name": "restoring-ep-identity", "status": {"consecutive-failure-count": 4, "last-failure-msg": "no route to host",
                                                     "last-failure-timestamp": "2026-08-15T11:00:00.000Z"}},
    ],
}  # fmt: skip
STATUS = {
    "pods_count": {"all": 3, "by_cilium": 2},
    "cilium_status": {"cilium-x7k2p": AGENT, "cilium-gone": None},
    "errors": {"cilium": {"cilium-x7k2p": {"Errors": [{}, "controller x is failing"], "Warnings": None, "Disabled": False}}},
}  # fmt: skip


def test_what_is_not_well_is_heard() -> None:
    lines = parse(json.dumps(STATUS)).lines
    assert [(line.kind, line.source, line.text, line.at) for line in lines] == [
        ("cilium", "cilium status, cilium-x7k2p", "cilium: 1 services have warnings", ""),
        (
            "cilium",
            "cilium status, cilium-x7k2p",
            "controller restoring-ep-identity: no route to host",
            "2026-08-15T11:00:00Z",
        ),
        ("cilium", "cilium status, cilium-x7k2p", "cilium errors: controller x is failing", ""),
    ]


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"cilium_status": [1], "errors": {"a": 1}}'])
def test_of_nothing_nothing_is_heard(text: str) -> None:
    assert parse(text).lines == ()


def test_what_is_no_json_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="did not print JSON"):
        parse("    /¯¯\\")


KEYS = st.sampled_from(["cilium_status", "errors", "a", "cilium", "state", "msg", "controllers", "status", "Errors"])


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(KEYS, x, max_size=4),
    )
)
def test_no_json_breaks_the_parser(data: object) -> None:
    assert isinstance(parse(json.dumps(data)).lines, tuple)


class Answering(LiveHost):
    def __init__(self, root: Path, done: Completed) -> None:
        super().__init__(str(root))
        (root / "etc/kubernetes").mkdir(parents=True)
        (root / ADMIN[1:]).touch()
        self._done = done

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv == ASK
        return self._done


def test_it_is_asked_where_the_tool_is_and_there_is_a_cluster(tmp_path: Path) -> None:
    assert read_status(LiveHost(str(tmp_path))) == CiliumStatus()
    assert (
        read_status(Answering(tmp_path / "a", Completed(ASK, 127, stderr="env: 'cilium': No such file or directory")))
        == CiliumStatus()
    )
    assert (
        len(
            read_status(
                Answering(tmp_path / "b", Completed(ASK, 1, json.dumps(STATUS), "Error: status check failed"))
            ).said
        )
        == 3
    )
    with pytest.raises(Unreadable, match="Error: Unable to connect"):
        read_status(Answering(tmp_path / "c", Completed(ASK, 1, "", "Error: Unable to connect")))
