"""config.toml mended: all that is not ours stays, twice is once, and what cannot be understood is refused by name."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.facts.kata import KataTree
from caasctl.formats import FormatError, dump_toml, edit_toml, parse_toml
from caasctl.model import CaasError
from caasctl.needs.containerd import handler
from caasctl.syntax.containerd import merge, tables, v1
from caasctl.syntax.containerd.wanted import Wanted

TREE = KataTree("/opt/kata", "", "", "", ())
MAY = ("io.katacontainers.config.hypervisor.kernel_params",)
WANTED = Wanted(
    "registry.k8s.io/pause:3.10.2",
    "runc",
    (handler("kata-qemu", TREE, annotations=MAY), handler("kata-clh", TREE, annotations=MAY)),
)
V16, V17, V21, V24 = (1, 6, 20), (1, 7, 24), (2, 1, 9), (2, 4, 0)
CRI = f'plugins."{tables.CRI}"'
TEXTS = {
    "empty": "",
    "comments": "# a\n# b\n",
    "docker": '# Docker Inc.\n\ndisabled_plugins = ["cri"]\n\n#[grpc]\n#  address = "x"\n',
    "out of order": f'[{CRI}.containerd.runtimes.runsc]\nruntime_type = "r" # c\n[debug]\nlevel = "x"\n[{CRI}.registry]\nconfig_path = "/x"\n',
    "inline": f'[{CRI}.containerd]\nruntimes = {{ runsc = {{ runtime_type = "x" }} }}\n',
    "inline root": f'plugins = {{ "{tables.CRI}" = {{ stream_server_port = "1" }} }}\n',
    "dotted": f'[{CRI}]\ncontainerd.runtimes.runsc.runtime_type = "x"\nstream_server_port = "1"\n',
    "dotted root": f'{CRI}.stream_server_port = "1"\n{CRI}.containerd.runtimes.runc.options.SystemdCgroup = false\n',
    "literal keys": f"['plugins'.'{tables.CRI}'.'containerd']\n'snapshotter' = 'x'\n",
    "arrays of tables": f'[[x]]\na = 1\n[{CRI}]\nstream_server_port = "1"\n[[x]]\na = 2\n',
    "windows": f'oom_score = 1\r\n[{CRI}]\r\nstream_server_port = "1"\r\n',
    "no newline": "oom_score = 1",
    "schema 1": '[plugins.cri] # c\nstream_server_port = "1"\n[plugins.cri.registry.mirrors."docker.io"]\nendpoint = ["x"]\n[plugins.opt]\npath = "/x"\n',
    "schema 1 inline": 'plugins = { cri = { stream_server_port = "1" } }\n',
}


@pytest.mark.parametrize("version", [V16, V17])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_1x_gets_one_complete_cri_table(text: str, version: tuple[int, int, int]) -> None:
    merged = merge.merge_main_v1x(text, WANTED, version)
    data = parse_toml(merged, "x")
    found = tables.cri(data)
    assert data["version"] == 2
    assert set(found.runtimes) >= {"runc", "kata-qemu", "kata-clh"}
    assert found.runtimes["runc"]["runtime_type"] == "io.containerd.runc.v2"
    assert tables.systemd_cgroup(found.runtimes["runc"])
    assert (found.default_runtime, found.sandbox_image) == ("runc", WANTED.sandbox_image)
    assert found.cdi is (True if version == V17 else None)
    assert tables.disables_cri(found.disabled_plugins) == ()
    assert merge.merge_main_v1x(merged, WANTED, version) == merged


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_2x_gets_an_import_of_the_drop_in_and_nothing_else(text: str) -> None:
    merged = merge.merge_main_v2x(text, V21)
    data = parse_toml(merged, "x")
    assert data["imports"] == [tables.DROP_IN]
    assert data["version"] == merge.wanted_schema(text) == merge.wanted_schema(merged)
    assert "kata-qemu" not in merged
    assert merge.merge_main_v2x(merged, V21) == merged


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("version", [V17, V21])
def test_comments_stay(text: str, version: tuple[int, int, int]) -> None:
    merged = merge.MergeMain(version, WANTED)(text)
    for line in text.splitlines():
        if "#" in line:
            assert line.partition("#")[2] in merged


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("", 3),
        ('disabled_plugins = ["cri"]', 3),
        (f"[{CRI}]\na = 1", 2),
        ("[plugins.cri]\na = 1", 2),
        ('[plugins."io.containerd.internal.v1.opt"]\npath = "x"', 2),
        (f'[plugins."{tables.CRI_RUNTIME}"]\na = 1', 3),
        ("version = 2", 2),
        ("version = 4", 4),
    ],
)
def test_the_drop_in_has_the_schema_of_the_main_file_now_and_after_the_merge(text: str, schema: int) -> None:
    assert merge.wanted_schema(text) == schema
    assert merge.wanted_schema(merge.merge_main_v2x(text, (2, 3, 0))) == schema


@pytest.mark.parametrize("schema", [2, 3, 4])
def test_the_drop_in_says_the_same_in_every_schema(schema: int) -> None:
    text = merge.drop_in(schema, WANTED, V21)
    found = tables.cri(parse_toml(text, "x"))
    assert text.startswith("# Written by caasctl")
    assert (found.default_runtime, found.sandbox_image, found.cdi) == ("runc", WANTED.sandbox_image, True)
    assert found.runtimes["kata-clh"]["privileged_without_host_devices"] is True
    assert found.runtimes["kata-clh"]["pod_annotations"] == [*MAY]
    assert found.runtimes["kata-clh"]["options"]["ConfigPath"].endswith("/configuration-clh.toml")
    assert not [value for _, value in tables.leaves(parse_toml(text, "x")) if not value], "2.x skips zero values"


def test_cdi_is_not_written_where_it_is_always_on() -> None:
    assert "enable_cdi" not in merge.drop_in(3, WANTED, V24)


@pytest.mark.parametrize("entry", [tables.DROP_IN, "/etc/containerd/conf.d/*.toml", "conf.d/*.toml"])
def test_an_import_that_covers_the_drop_in_is_left_alone(entry: str) -> None:
    text = f'version = 3\nimports = ["{entry}"]\n'
    assert merge.merge_main_v2x(text, V21) == text


def test_1x_takes_the_import_of_our_drop_in_away() -> None:
    text = f'version = 2\nimports = ["/a.toml", "{tables.DROP_IN}"]\n'
    assert parse_toml(merge.merge_main_v1x(text, WANTED, V17), "x")["imports"] == ["/a.toml"]


def test_the_users_annotations_and_runc_options_stay() -> None:
    runtimes = f"{CRI}.containerd.runtimes"
    text = f'version = 2\n[{runtimes}.kata-qemu]\npod_annotations = ["a.*"]\nsnapshotter = "s"\n[{runtimes}.runc.options]\nBinaryName = "nv"\n'
    found = tables.cri(parse_toml(merge.merge_main_v1x(text, WANTED, V17), "x")).runtimes
    assert found["kata-qemu"]["pod_annotations"] == ["a.*", *MAY]
    assert found["kata-qemu"]["snapshotter"] == "s"
    assert found["runc"]["options"] == {"BinaryName": "nv", "SystemdCgroup": True}


@pytest.mark.parametrize("given", ["/usr/lib/cni", "/srv/cni"])
def test_the_cni_folders_stay_the_distribution_s_or_the_user_s(given: str) -> None:
    text = f'version = 2\n[{CRI}.cni]\nbin_dir = "{given}"\n'
    merged = merge.merge_main_v1x(text, WANTED, (1, 7, 24))
    assert tables.cri(parse_toml(merged, "x")).cni["bin_dir"] == given


def test_plugin_lists_are_given_in_full_names_without_the_cri() -> None:
    text = 'disabled_plugins = ["cri", "restart", "diff-service", "io.containerd.grpc.v1.cri"]\nrequired_plugins = ["cri"]\n'
    data = parse_toml(merge.merge_main_v1x(text, WANTED, V17), "x")
    assert data["disabled_plugins"] == ["io.containerd.internal.v1.restart", "io.containerd.service.v1.diff-service"]
    assert data["required_plugins"] == [tables.CRI]


def test_root_keys_go_below_the_leading_comment_and_above_the_tables() -> None:
    merged = merge.merge_main_v2x("# licence\n[debug]\nlevel = 'x'\n", V21)
    assert merged == f"# licence\n\nversion = 3\nimports = [\"{tables.DROP_IN}\"]\n\n[debug]\nlevel = 'x'\n"


@pytest.mark.parametrize(
    ("text", "version", "words"),
    [
        ("[plugins.strange]\na = 1", V17, ("[plugins.strange]", "config.toml")),
        (f"[plugins.cri]\na = 1\n[{CRI}]\na = 1", V17, ("[plugins.cri]", tables.CRI)),
        ("version = 3", V17, ("version = 3", "1.7.24", "at most 2")),
        ("version = 4", V21, ("version = 4", "at most 3")),
        ("a = = 1", V21, ("not valid TOML", "line 1")),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    text: str, version: tuple[int, int, int], words: tuple[str, ...]
) -> None:
    with pytest.raises(CaasError) as refused:
        merge.MergeMain(version, WANTED)(text)
    assert all(word in refused.value.problem for word in words)
    assert refused.value.fix


def test_schema_1_names_are_changed_in_headers_only() -> None:
    text = '# [plugins.cri]\n[plugins.cri.registry] # c\nx = """\n[plugins.opt]\n"""\n["plugins"."opt"]\npath = "/x"\n'
    changed = v1.to_schema_2(text, "x")
    assert parse_toml(changed, "x") == {
        "plugins": {tables.CRI: {"registry": {"x": "[plugins.opt]\n"}}, "io.containerd.internal.v1.opt": {"path": "/x"}}
    }


KEYS = st.sampled_from(
    ["a", "b-c", "d.e", "containerd", "runtimes", "runsc", "options", "registry", "cni", "ü", "x y", '"']
)
SCALARS = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.text("ab#\"'\\\n=[]", max_size=6),
    st.lists(st.integers(0, 3), max_size=3),
    st.floats(0, 1),
)
TABLES = st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
PLUGINS = st.dictionaries(
    st.sampled_from([tables.CRI, "io.containerd.internal.v1.opt", "io.x.y"]),
    st.dictionaries(KEYS, TABLES, max_size=4),
    max_size=3,
)
ROOTS = st.fixed_dictionaries(
    {"version": st.just(2)},
    optional={"plugins": PLUGINS, "oom_score": st.integers(-999, 0), "grpc": st.dictionaries(KEYS, SCALARS)},
)


def shape_fits(data: dict[str, Any]) -> bool:
    """Whether the tables that we write into are tables (or absent): a number there is a broken file."""
    cri = data.get("plugins", {}).get(tables.CRI, {})
    inner = cri.get("containerd", {})
    runtimes = inner.get("runtimes", {}) if isinstance(inner, dict) else None
    return isinstance(runtimes, dict)


@settings(max_examples=150, deadline=None)
@given(ROOTS)
def test_any_valid_toml_keeps_its_foreign_keys_and_merging_twice_is_merging_once(data: dict[str, Any]) -> None:
    if not shape_fits(data):
        return
    text = dump_toml(data)
    for version in (V17, V21):
        merged = merge.MergeMain(version, WANTED)(text)
        after = dict(tables.leaves(parse_toml(merged, "x")))
        ours = merge.our_keys(2, WANTED, version) | {("imports",)}
        for path, value in tables.leaves(data):
            grown = value == {} and any(other[: len(path)] == path for other in after)
            assert path in ours or grown or after[path] == value
        assert merge.MergeMain(version, WANTED)(merged) == merged


BELOW_CRI = ((), ("containerd",), ("containerd", "runtimes", "runsc"), ("containerd", "runtimes", "runc"),
             ("containerd", "runtimes", "runc", "options"), ("registry",), ("registry", "mirrors", "docker.io"), ("cni",))  # fmt: skip


def laid_out(random: Random) -> str:
    """A valid or invalid file, its tables in any order, with headers, inline or dotted, as scripts leave them behind."""
    tables_ = [("plugins", tables.CRI, *below) for below in BELOW_CRI] + [
        ("debug",),
        ("plugins", "io.x"),
        ("plugins",),
        ("grpc",),
    ]
    root, rest = ["oom_score = 3 # root"], []
    for path in random.sample(tables_, random.randint(1, 9)):
        dotted = ".".join(f'"{part}"' if "." in part else part for part in path)
        keys = [
            f"{key} = {random.choice((1, '[1, 2]', 'true'))}"
            for key in ("a", "sandbox_image", "d")
            if random.random() < 0.5
        ]
        shape = random.random()
        if shape < 0.8:
            rest.append(f"# above {path[-1]}\n[{dotted}] # beside\n" + "".join(f"  {key}\n" for key in keys))
        elif shape < 0.9:
            rest.append(f"[{dotted}_]\nsub = {{ {', '.join(keys)} }}\n")
        else:
            root += [f"{dotted}.{key}" for key in keys]
    return "\n".join(root) + "\n" + "".join(rest)


@pytest.mark.parametrize("seed", range(60))
def test_tables_in_any_order_and_notation_are_merged(seed: int) -> None:
    text = "version = 2\n" + laid_out(Random(seed))
    try:
        data = parse_toml(text, "x")
    except FormatError:
        return  # a table given twice: containerd refuses it too
    for version in (V17, V21):
        merged = merge.MergeMain(version, WANTED)(text)
        after = dict(tables.leaves(parse_toml(merged, "x")))
        ours = merge.our_keys(2, WANTED, version)
        assert all(path in ours or value == {} or after[path] == value for path, value in tables.leaves(data))
        assert merge.MergeMain(version, WANTED)(merged) == merged
        if "\nplugins" not in text:  # dotted keys are given headers, and comments between them go
            assert merged.count("# above") == text.count("# above")


PATHS = st.lists(KEYS, min_size=1, max_size=4).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, TABLES, max_size=4), PATHS, SCALARS)
def test_an_edit_sets_its_key_and_nothing_else_or_is_refused(
    data: dict[str, Any], path: tuple[str, ...], value: Any
) -> None:
    at: Any = data
    for name in path[:-1]:
        at = at.get(name, {})
        if not isinstance(at, dict):
            return
    edited = parse_toml(edit_toml(dump_toml(data), [(path, value)], "x"), "x")
    before = {p: v for p, v in tables.leaves(data) if p[: len(path)] != path}
    after = dict(tables.leaves(edited))
    assert all(after.get(p) == v or (v == {} and any(o[: len(p)] == p for o in after)) for p, v in before.items())


def test_an_edit_through_a_number_is_refused() -> None:
    with pytest.raises(FormatError, match="a is no table"):
        edit_toml("a = 1\n", [(("a", "b"), 2)], "x")


def test_new_root_keys_stand_below_the_licence_and_above_the_first_keys_comment() -> None:
    text = '# Copyright\n\n# Licensed.\n\n# The CRI is off.\ndisabled_plugins = ["cri"]\n'
    merged = merge.merge_main_v1x(text, WANTED, V17)
    assert merged.startswith("# Copyright\n\n# Licensed.\n\nversion = 2\n\n# The CRI is off.\ndisabled_plugins = []\n")


@pytest.mark.parametrize(
    ("version", "known"),
    [((1, 6, 36), False), ((1, 7, 0), True), ((2, 3, 9), True), ((2, 4, 0), False)],
)
def test_cdi_is_switched_on_where_there_is_a_switch(version: tables.Version, *, known: bool) -> None:
    assert (("plugins", tables.CRI, "enable_cdi") in merge.our_keys(2, WANTED, version)) is known
