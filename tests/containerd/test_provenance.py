"""Debian's three real containerds print what we say is in effect, whichever file set it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.lab import containerds, debian
from tests.syntax.test_containerd_provenance import DROP_IN, ONE_TABLE

from caasctl.formats import parse_toml
from caasctl.host import LiveHost
from caasctl.syntax.containerd.imports import load
from caasctl.syntax.containerd.output import version
from caasctl.syntax.containerd.provenance import origins
from caasctl.syntax.containerd.tables import leaves, schema

pytestmark = pytest.mark.containerd
THIRD = """\
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.zfs"]
oom_score = 5
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata-qemu]
runtime_type = "io.containerd.kata-qemu.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata-qemu.options]
ConfigPath = "/opt/kata/x.toml"
"""


@pytest.fixture(scope="session")
def trees() -> dict[str, Path]:
    try:
        return containerds.fetch()
    except debian.Unavailable as reason:
        pytest.skip(f"Debian's containerds are not to be had: {reason}")


@pytest.mark.parametrize("drop_ins", [(DROP_IN,), (DROP_IN, THIRD), (THIRD, DROP_IN), (THIRD, THIRD)])
@pytest.mark.parametrize("suite", containerds.SUITES)
def test_the_daemon_s_dump_has_what_is_in_effect_and_not_what_is_lost(
    trees: dict[str, Path], suite: str, drop_ins: tuple[str, ...], tmp_path: Path
) -> None:
    binary = str(trees[suite] / "usr/bin/containerd")
    (tmp_path / "conf.d").mkdir()
    for at, text in enumerate(drop_ins):
        (tmp_path / f"conf.d/{at}.toml").write_text(text)
    main = str(tmp_path / "config.toml")
    Path(main).write_text(
        f'imports = ["{tmp_path}/conf.d/*.toml"]\ndisabled_plugins = ["io.containerd.snapshotter.v1.btrfs"]\n'
        + ONE_TABLE
    )
    host = LiveHost()
    release = version(host.query(binary, "--version").stdout)
    said = subprocess.run(
        (binary, "--config", main, "config", "dump"), capture_output=True, text=True, timeout=30, check=True
    )
    dump = parse_toml(said.stdout, "dump")
    now = dict(leaves(dump))
    found = origins(load(main, host.read, host.list, release), release)
    assert len(found) >= 8
    moved = schema(dump) != 2  # 2.x prints a newer schema: then only the handlers' own keys can be compared
    in_effect = {path[-3:]: value for path, value in now.items()} if moved else now
    for one in found:
        if one.key[0] in ("imports", "version") or (moved and "runtimes" not in one.key):
            continue
        key = one.key[-3:] if moved else one.key
        if one.lost:
            assert in_effect.get(key) != one.replaced[-1][1], one  # containerd's default, where it has one
        elif one.file:
            assert (
                sorted(in_effect[key]) == sorted(one.value)
                if isinstance(one.value, list)
                else in_effect[key] == one.value
            ), one
