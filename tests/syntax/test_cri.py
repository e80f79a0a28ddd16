"""What crictl prints, in the shapes of protobuf's JSON, and what is none of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.formats import FormatError
from caasctl.syntax import cri
from caasctl.syntax.cri import Container, Sandbox
from caasctl.syntax.logs import Entry, parse_container


def listed(
    name: str, state: str = "RUNNING", attempt: int = 0, created_s: int = 1_700_000_000, **more: Any
) -> dict[str, Any]:
    """An item of `crictl ps -a -o json`, as crictl 1.33 prints it."""
    return {
        "id": more.pop("id", f"{name}{attempt}".encode().hex()), "podSandboxId": "0fa0394d6af4e",
        "metadata": {"name": name, "attempt": attempt}, "image": {"image": "sha256:a92b", "annotations": {}, "userSpecifiedImage": ""},
        "imageRef": "sha256:a92b", "state": f"CONTAINER_{state}", "createdAt": f"{created_s}123456789",
        "labels": {"io.kubernetes.container.name": name, "io.kubernetes.pod.name": f"{name}-node-1",
                   "io.kubernetes.pod.namespace": "kube-system", "io.kubernetes.pod.uid": "7f"},
        "annotations": {"io.kubernetes.container.restartCount": str(attempt)}, "imageId": "",
    } | more  # fmt: skip


def ps(*items: dict[str, Any]) -> str:
    return json.dumps({"containers": list(items)}, indent=2)


PODS = json.dumps({"items": [
    {"id": "c9a80c0d59849", "metadata": {"name": "vm", "uid": "5c", "namespace": "tenant", "attempt": 0}, "state": "SANDBOX_NOTREADY",
     "createdAt": "1700000000123456789", "labels": {}, "annotations": {}, "runtimeHandler": "kata-qemu"},
]})  # fmt: skip


def test_containers_are_listed_newest_first() -> None:
    found = cri.containers(
        ps(listed("etcd", "EXITED", 9, 1_700_000_000), listed("etcd", attempt=10, created_s=1_700_000_060))
    )
    assert [(one.attempt, one.state, one.created) for one in found] == [
        (10, "running", "2023-11-14T22:14:20Z"), (9, "exited", "2023-11-14T22:13:20Z"),
    ]  # fmt: skip
    assert (found[0].name, found[0].pod, found[0].namespace) == ("etcd", "etcd-node-1", "kube-system")
    assert found[0].sandbox == "0fa0394d6af4e"


def test_pods_are_listed_with_their_handler() -> None:
    assert cri.sandboxes(PODS) == (Sandbox("c9a80c0d59849", "vm", "tenant", "5c", ready=False, handler="kata-qemu"),)


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"containers": 1}'])
def test_what_is_no_list_is_an_error(text: str) -> None:
    with pytest.raises(FormatError):
        cri.containers(text)


def test_what_is_no_container_is_left_out() -> None:
    assert cri.containers(ps()) == ()
    assert (
        cri.containers(json.dumps({"containers": [1, {}, {"metadata": {"name": "x"}}, listed("x", id="--help")]})) == ()
    )


def test_how_a_container_ended_is_added() -> None:
    one = Container("a", "etcd", "etcd-node-1", "kube-system", "exited")
    ended = cri.with_end(one, "CONTAINER_EXITED\t137\tOOMKilled\t2026-11-26T08:00:00.5+01:00\n")
    assert (ended.exit_code, ended.reason, ended.finished) == (137, "OOMKilled", "2026-11-26T07:00:00Z")
    never = cri.with_end(one, "CONTAINER_RUNNING\t0\t\t0001-01-01T00:00:00Z")
    assert (never.exit_code, never.reason, never.finished) == (0, "", "")
    assert cri.with_end(one, "") == cri.with_end(one, "time=... level=fatal") == one


def test_a_container_s_log_is_put_together() -> None:
    text = (
        "2026-11-26T08:00:00.123456789+01:00 stderr P begun \n"
        "2026-11-26T08:00:00.123456790+01:00 stderr F and ended\n"
        "broken\n"
        "2026-11-26T07:00:01.5Z stdout F \n"
    )
    assert parse_container(text) == (
        Entry("begun and ended", "2026-11-26T07:00:00Z"),
        Entry("", "2026-11-26T07:00:01Z"),
    )
    assert parse_container("") == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["containers", "items", "id", "metadata", "name", "attempt", "labels", "state", "createdAt"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.lists(JSON).map(lambda items: json.dumps({"containers": items, "items": items}))
)
def test_whatever_comes_it_is_read_or_refused(text: str) -> None:
    for parse in (cri.containers, cri.sandboxes):
        with suppress(FormatError):
            parse(text)
    parse_container(text)
    cri.with_end(Container("a", "b", "c", "d", "exited"), text)
