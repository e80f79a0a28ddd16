"""Where keys of containerd's configuration come from, over several files, as 1.x and 2.x merge them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.formats import dump_toml
from caasctl.model import Facts
from caasctl.needs.containerd_keys import provenance
from caasctl.syntax.containerd.imports import ConfigFile, config_file, merged
from caasctl.syntax.containerd.provenance import KeyOrigin, origins
from caasctl.syntax.containerd.tables import Version, leaves

MAIN, NVIDIA, OURS = (
    "/etc/containerd/config.toml",
    "/etc/containerd/conf.d/99-nvidia.toml",
    "/etc/containerd/conf.d/zz-caasctl.toml",
)
OLD, NEW = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
V1, V2 = (1, 7, 24), (2, 1, 9)


def files(*texts: str) -> tuple[ConfigFile, ...]:
    return tuple(config_file(path, text) for path, text in zip((MAIN, NVIDIA, OURS), texts, strict=False))


def by_name(version: Version, *texts: str) -> dict[str, KeyOrigin]:
    return {one.name: one for one in origins(files(*texts), version)}


# The seed's: a drop-in that gives one handler, and with it takes the whole CRI table of 1.x
ONE_TABLE = f"""\
version = 2
[plugins."{OLD}"]
sandbox_image = "registry.k8s.io/pause:3.10"
[plugins."{OLD}".containerd]
default_runtime_name = "runc"
[plugins."{OLD}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."{OLD}".containerd.runtimes.runc.options]
SystemdCgroup = true
"""
DROP_IN = f"""\
version = 2
[plugins."{OLD}".containerd]
default_runtime_name = "nvidia"
[plugins."{OLD}".containerd.runtimes.nvidia]
runtime_type = "io.containerd.runc.v2"
"""
RUNC = f"plugins.{OLD}.containerd.runtimes.runc"


def test_in_1_x_a_later_file_s_table_takes_the_place_of_the_whole_one() -> None:
    found = by_name(V1, ONE_TABLE, DROP_IN)
    default = found[f"plugins.{OLD}.containerd.default_runtime_name"]
    assert (default.value, default.file, default.replaced) == ("nvidia", NVIDIA, ((MAIN, "runc"),))
    cgroup = found[f"{RUNC}.options.SystemdCgroup"]
    assert (cgroup.lost, cgroup.value, cgroup.file, cgroup.replaced) == (True, None, NVIDIA, ((MAIN, True),))
    assert found[f"plugins.{OLD}.sandbox_image"].lost
    assert found[f"plugins.{OLD}.containerd.runtimes.nvidia.runtime_type"].file == NVIDIA


def test_in_2_x_it_only_adds_to_it() -> None:
    found = by_name(V2, ONE_TABLE, DROP_IN)
    assert (found[f"{RUNC}.options.SystemdCgroup"].file, found[f"{RUNC}.options.SystemdCgroup"].contested) == (
        MAIN,
        False,
    )
    assert found[f"plugins.{OLD}.containerd.default_runtime_name"].replaced == ((MAIN, "runc"),)
    assert not any(one.lost for one in found.values())


def test_1_x_loses_its_own_runc_beside_any_other_handler() -> None:
    runc = by_name(V1, DROP_IN)[f"{RUNC}.runtime_type"]
    assert (runc.lost, runc.file, runc.replaced) == (True, MAIN, (("", "io.containerd.runc.v2"),))
    ours = by_name(V2, DROP_IN)[f"{RUNC}.runtime_type"]
    assert (ours.lost, ours.file, ours.value) == (False, "", "io.containerd.runc.v2")


def test_in_2_x_no_later_file_takes_a_value_back_to_false() -> None:
    on = f'version = 3\n[plugins."{NEW}".containerd.runtimes.runc.options]\nSystemdCgroup = true\n'
    found = by_name(V2, on, on.replace("true", "false"))[
        f"plugins.{NEW}.containerd.runtimes.runc.options.SystemdCgroup"
    ]
    assert (found.value, found.file, found.skipped) == (True, MAIN, ((NVIDIA, False),))


def test_lists_are_of_all_files_that_give_entries() -> None:
    found = by_name(
        V2, 'version = 3\ndisabled_plugins = ["a"]\n', 'disabled_plugins = ["b"]\n', 'disabled_plugins = ["a"]\n'
    )
    assert found["disabled_plugins"] == KeyOrigin(("disabled_plugins",), ["a", "b"], NVIDIA, beside=(MAIN,))


def test_three_files_replace_one_another_in_turn() -> None:
    text = f'version = 3\n[plugins."{NEW}".containerd]\ndefault_runtime_name = "%s"\n'
    found = by_name(V2, text % "a", text % "b", text % "c")[f"plugins.{NEW}.containerd.default_runtime_name"]
    assert (found.value, found.file, found.replaced) == ("c", OURS, ((MAIN, "a"), (NVIDIA, "b")))


def test_a_table_of_another_schema_has_no_effect_and_is_said() -> None:
    found = by_name(V1, "version = 2\n", f'[plugins."{NEW}".containerd]\ndefault_runtime_name = "kata"\n')
    key = found[f"plugins.{NEW}.containerd.default_runtime_name"]
    assert (key.lost, key.value, key.file, key.skipped) == (True, None, "", ((NVIDIA, "kata"),))


def test_keys_that_do_not_matter_and_that_nobody_contests_are_left_out() -> None:
    found = by_name(V2, "version = 3\noom_score = -999\n")
    assert "oom_score" not in found
    assert found["version"].file == MAIN
    assert by_name(V2, "version = 3\noom_score = -999\n", "oom_score = 1\n")["oom_score"].replaced == ((MAIN, -999),)


def test_of_a_host_s_facts_and_of_none() -> None:
    config = ContainerdConfig(MAIN, files(ONE_TABLE, DROP_IN))
    assert any(one.lost for one in provenance(Facts([config, ContainerdVersion(V1)])))
    assert provenance(Facts([config])) == provenance(Facts([ContainerdVersion(V1)])) == ()
    assert provenance(Facts([config, ContainerdVersion()])) == ()
    broken = ContainerdConfig(MAIN, files("version = ["))
    assert provenance(Facts([broken, ContainerdVersion(V1)])) == ()


NAMES = st.sampled_from(
    ["a", "plugins", OLD, NEW, "containerd", "runtimes", "runc", "kata", "runtime_type", "options", "cni"]
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["", "x", "y"]),
    st.lists(st.sampled_from(["x", "y", "z"]), max_size=2),
)
TABLES = st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=10)
CONFIGS = st.lists(st.dictionaries(NAMES, TABLES, max_size=3), min_size=1, max_size=3)


@given(CONFIGS, st.sampled_from([(1, 6, 20), V1, V2, (2, 3, 0)]))
def test_what_is_said_to_be_in_effect_is(configs: list[dict[str, Any]], version: Version) -> None:
    made = files(*(dump_toml(config) for config in configs))
    whole = {key: value for key, value in leaves(merged(made, version)) if value != {}}
    given_by = {file.path for file in made}
    for one in origins(made, version):
        if one.file and not one.lost:
            assert whole[one.key] == one.value
            assert one.file in given_by
        if one.lost and one.replaced and one.replaced[0][0]:
            assert one.key not in whole


@pytest.mark.parametrize("version", [V1, V2])
def test_no_file_at_all_is_containerd_s_own(version: Version) -> None:
    assert {one.file for one in origins((), version)} == {""}
