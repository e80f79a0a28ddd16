"""GRUB's defaults, kubeconfigs and values for Cilium's chart that doctor is given."""

from __future__ import annotations

import pytest
from tests.lab.given import root, roots

GRUB = 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=""\n'
CONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster: {server: "https://192.0.2.10:6443", certificate-authority-data: QUJD}
contexts:
- name: admin@kubernetes
  context: {cluster: kubernetes, user: admin}
current-context: admin@kubernetes
users:
- name: admin
  user: {token: SECRET-TOKEN}
"""
VALUES = "kubeProxyReplacement: true\nipam:\n  mode: cluster-pool\nhubble:\n  relay: {enabled: true}\n"


@pytest.mark.parametrize("text", [GRUB, CONFIG, VALUES])
def test_a_file_that_is_right_has_no_root(text: str) -> None:
    assert roots(text) == []


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        (GRUB.replace("splash", "systemd.unified_cgroup_hierarchy=0"), "boot.cmdline_conflict", "given:2"),
        (GRUB.replace('splash"', "splash"), "boot.grub_config_parses", "given:3"),
        (GRUB.replace("\n", "\r\n"), "boot.grub_config_parses", "DOS line ends"),
        (
            CONFIG.replace("current-context: admin@kubernetes\n", ""),
            "kubernetes.file_kubeconfig",
            "current-context: not given",
        ),
        (
            CONFIG.replace("current-context: admin", "current-context: root"),
            "kubernetes.file_kubeconfig",
            "root@kubernetes",
        ),
        (CONFIG.replace("user: admin}", "user: nobody}"), "kubernetes.file_kubeconfig", "nobody: not in users"),
        (CONFIG.replace("https:", "http:"), "kubernetes.file_kubeconfig", "http://"),
        (VALUES.replace("cluster-pool", "5"), "cilium.values", "ipam.mode: 5"),
    ],
)
def test_what_is_wrong_is_the_root(text: str, check: str, said: str) -> None:
    assert roots(text) == [check]
    found = root(text, check)
    assert said in found.found
    assert "/etc/default" not in repr(found)
    assert "in the profile" not in repr(found)
    assert "SECRET" not in repr(found)
