"""config.toml without caasctl's runtimes, all else byte for byte."""

from __future__ import annotations

import pytest

from caasctl.syntax.containerd.merge import MergeMain
from caasctl.syntax.containerd.tables import DROP_IN
from caasctl.syntax.containerd.wanted import Handler, Wanted
from caasctl.syntax.containerd.without import WithoutOurs

MAIN = "/etc/containerd/config.toml"
KATA = Handler("kata-qemu", "/opt/kata/bin/containerd-shim-kata-v2", "/opt/kata/share/configuration-qemu.toml")
CRI = 'plugins."io.containerd.grpc.v1.cri"'
THEIRS = f"""\
# ours to edit
version = 2

[{CRI}.containerd.runtimes.youki] # theirs
  runtime_type = "io.containerd.runc.v2"

[{CRI}.containerd.runtimes.kata-own]
  runtime_type = "io.containerd.kata.v2"
  privileged_without_host_devices = true
"""


def test_caasctls_handlers_go_and_a_default_that_names_one() -> None:
    text = MergeMain((1, 7, 24), Wanted("pause", "kata-qemu", (KATA,)), MAIN)(THEIRS)
    left = WithoutOurs(MAIN)(text)
    assert "kata-qemu" not in left
    assert "default_runtime_name" not in left
    assert all(line in left for line in THEIRS.splitlines() if line.strip())
    assert WithoutOurs(MAIN)(left) == left


def test_a_handler_that_somebody_extended_or_had_before_stays() -> None:
    text = MergeMain((1, 7, 24), Wanted("pause", "runc", (KATA,)), MAIN)(THEIRS)
    assert WithoutOurs(MAIN, kept=frozenset({"kata-qemu"}))(text) == text
    extended = text.replace("runtime_path =", "snapshotter = 'nydus'\nruntime_path =", 1)
    assert WithoutOurs(MAIN)(extended) == extended


def test_our_drop_in_is_no_longer_imported_where_it_goes() -> None:
    text = f'imports = ["/etc/theirs.toml", "{DROP_IN}"]\nversion = 3\n'
    assert WithoutOurs(MAIN)(text) == 'imports = ["/etc/theirs.toml"]\nversion = 3\n'
    assert WithoutOurs(MAIN, drop_in_goes=False)(text) == text
    assert WithoutOurs(MAIN)(f'version = 3\nimports = ["{DROP_IN}"]\n') == "version = 3\n"


@pytest.mark.parametrize("text", ["", THEIRS, "version = 3\n", "not [ toml"])
def test_what_has_nothing_of_ours_stays_byte_for_byte(text: str) -> None:
    assert WithoutOurs(MAIN)(text) == text
