"""containerd files that doctor is given, judged for the releases that read them."""

from __future__ import annotations

import pytest
from tests.lab.given import diagnosed, root, roots

CRI = 'plugins."io.containerd.grpc.v1.cri"'
GOOD = f"""\
version = 2
[{CRI}.containerd]
  default_runtime_name = "runc"
  [{CRI}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [{CRI}.containerd.runtimes.runc.options]
      SystemdCgroup = true
"""
DOCKER_S = '#   Copyright 2018-2022 Docker Inc.\n\ndisabled_plugins = ["cri"]\n'
SCHEMA_3 = """\
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = true
"""


@pytest.mark.parametrize("text", [GOOD, SCHEMA_3, GOOD.replace("\n", "\r\n"), f"\ufeff{GOOD}"])
def test_a_file_that_is_right_has_no_root(text: str) -> None:
    found = diagnosed(text)
    assert (found.roots, found.notes, found.undetermined) == ((), (), ())


def test_docker_s_file_turns_the_cri_off() -> None:
    assert roots(DOCKER_S) == ["containerd.cri_enabled"]
    found = root(DOCKER_S, "containerd.cri_enabled")
    assert found.evidence[0].source == "given:3"
    assert "init-node" not in (found.fix.text if found.fix else "")


BAD = {
    "no version": (GOOD.replace("version = 2\n", ""), "containerd.unknown_keys", "no version"),
    "SystemdCgroup false": (GOOD.replace("= true", "= false"), "containerd.systemd_cgroup", "SystemdCgroup = false"),
    "SystemdCgroup as text": (GOOD.replace("= true", '= "true"'), "containerd.file_places", "no truth value"),
    "SystemdCgroup outside of options": (
        GOOD.replace(".runtimes.runc.options]", ".runtimes.runc]").replace(f'  [{CRI}.containerd.runtimes.runc]\n    runtime_type = "io.containerd.runc.v2"\n', ""),
        "containerd.file_places", f"SystemdCgroup in [{CRI}.containerd.runtimes.runc]",
    ),
    "a table that nobody has": (GOOD.replace("plugins.", "plugin."), "containerd.file_places", "plugin at the top"),
    "a default without a table": (GOOD.replace('= "runc"', '= "crun"'), "containerd.default_runtime", "crun"),
    "mirrors beside config_path": (
        GOOD + f'[{CRI}.registry]\n  config_path = "/etc/certs.d"\n[{CRI}.registry.mirrors."docker.io"]\n  endpoint = ["https://m"]\n',
        "containerd.key_conflicts", "mirrors",
    ),
    "bin_dir and bin_dirs": (
        GOOD + f'[{CRI}.cni]\n  bin_dir = "/opt/cni/bin"\n  bin_dirs = ["/opt/cni/bin"]\n', "containerd.key_conflicts", "bin_dir",
    ),
    "a schema to come": (GOOD.replace("version = 2", "version = 9"), "containerd.file_schema", "version = 9"),
    "a schema as text": (GOOD.replace("version = 2", 'version = "2"'), "containerd.file_schema", "'2'"),
    "all annotations": (
        GOOD + f'[{CRI}.containerd.runtimes.kata-qemu]\n  runtime_type = "io.containerd.kata-qemu.v2"\n  pod_annotations = ["io.katacontainers.*"]\n',
        "kata.annotations", "config_path among them",
    ),
    "not closed": (GOOD.replace('"runc"', '"runc'), "os.file_parses", "line 3"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "check", "said"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_a_root(text: str, check: str, said: str) -> None:
    found = root(text, check)
    assert said in found.found
    assert found.fix
    assert "/etc/containerd/config.toml" not in repr(found)


def test_what_holds_for_some_releases_only_says_so() -> None:
    text = f'version = 2\n[{CRI}.containerd.runtimes.kata-qemu]\n  runtime_type = "io.containerd.kata-qemu.v2"\n'
    assert "no handler runc (containerd 1.x)" in root(text, "containerd.systemd_cgroup").found
    assert "(containerd 1.x)" in root(text, "containerd.default_runtime").found


def test_imports_cannot_be_seen_and_doctor_says_that() -> None:
    found = diagnosed('imports = ["/etc/containerd/conf.d/*.toml", "/etc/x.toml"]\n' + GOOD)
    assert found.roots == ()
    assert [one.id for one in found.undetermined] == ["containerd.file_imports"]
    assert "/etc/x.toml" in found.undetermined[0].found
