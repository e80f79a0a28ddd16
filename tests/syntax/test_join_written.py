"""The token file that caasctl writes is the one that caasctl reads, and a list of tokens holds no secret."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from caasctl.syntax.join import given, written
from caasctl.syntax.join.written import Invitation, KnownToken

HASH, KEY = f"sha256:{'a' * 64}", "b" * 64
SPEC: dict[str, dict[str, Any]] = {"kubernetes": {"version": "v1.36.4", "controlPlaneEndpoint": "api.example.com:6443"}, "network": {"podCIDR": "10.244.0.0/16,fd00::/56"},
        "cilium": {"kubeProxyReplacement": False}}  # fmt: skip


def invitation(key: str = "", endpoint: str = "api.example.com:6443") -> Invitation:
    return Invitation(
        endpoint,
        "abcdef.0123456789abcdef",
        (HASH,),
        "2026-11-27T10:00:00Z",
        SPEC,
        key,
        "2026-11-26T12:00:00Z" if key else "",
    )


@pytest.mark.parametrize("endpoint", ["api.example.com:6443", "192.0.2.10:6443", "[2001:db8::10]:6443"])
@pytest.mark.parametrize("key", ["", KEY])
def test_what_is_written_is_read(endpoint: str, key: str) -> None:
    told = given.parse(written.text(invitation(key, endpoint)), "the file")
    assert told == given.Given(endpoint, "abcdef.0123456789abcdef", (HASH,), key)
    given.refuse_role(told, "control-plane" if key else "worker", "any", "the file")


def test_its_command_is_for_the_role_with_the_cluster_s_settings() -> None:
    command = written.command(invitation(KEY), "/root/join.yaml")
    assert command.startswith("caasctl join-node --profile control-plane --token-file /root/join.yaml")
    assert "--set cilium.kubeProxyReplacement=false" in command
    assert "0123456789abcdef" not in command
    assert KEY not in command


def test_secrets_are_in_no_repr() -> None:
    assert "0123456789abcdef" not in repr(invitation(KEY))
    assert KEY not in repr(invitation(KEY))


def test_it_knows_its_own_files() -> None:
    assert written.is_own(written.text(invitation()))
    assert not written.is_own("endpoint: 192.0.2.10:6443\n")
    assert not written.is_own("")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_list_of_tokens() -> None:
    row = "|".join(("bootstrap-token-abcdef", encoded("2026-11-27T10:00:00Z"), encoded("rack 4"), encoded("true"), ""))
    bare = "bootstrap-token-bbbbbb||||"
    assert written.parse_list(f"{row}\n{bare}\nsomething else\n") == (
        KnownToken("abcdef", "2026-11-27T10:00:00Z", ("authentication",), "rack 4"),
        KnownToken("bbbbbb", "", (), ""),
    )
    assert written.parse_list("") == ()
    assert written.parse_list("bootstrap-token-abcdef|%%%|||") == (KnownToken("abcdef", "", (), ""),)
    assert "token-secret" not in " ".join(written.LIST)
