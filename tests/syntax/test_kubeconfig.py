"""kubeconfig files: which may be replaced, which stays."""

from __future__ import annotations

import pytest

from caasctl.syntax.kubeconfig import servers, stale


def kubeconfig(server: str = "https://192.0.2.7:6443", user: str = "kubernetes-admin", ca: str = "AAAA") -> str:
    return (
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n"
        f"    certificate-authority-data: {ca}\n    server: {server}\nusers:\n- name: {user}\n  user: {{}}\n"
    )


def test_an_earlier_admin_conf_of_the_same_server_is_stale() -> None:
    assert stale(kubeconfig(ca="OLD"), kubeconfig())


@pytest.mark.parametrize(
    "old",
    [kubeconfig("https://other:6443"), kubeconfig(user="ann"), "", "{", "clusters: 3\n", "- a\n",
     kubeconfig().replace("users:", "- name: two\n  cluster: {server: 'https://two'}\nusers:")],
)  # fmt: skip
def test_what_is_anything_else_stays(old: str) -> None:
    assert not stale(old, kubeconfig())


def test_servers_of_what_is_no_kubeconfig_are_none() -> None:
    assert servers(kubeconfig()) == {"https://192.0.2.7:6443"}
    assert servers("{") == servers("") == servers("clusters: [1]\n") == frozenset()
