"""containerd's configuration read as it reads it: schemas, imports, merging, versions and what its tools print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from caasctl.formats import parse_toml
from caasctl.syntax.containerd import imports, output, tables

V16, V17, V21 = (1, 6, 20), (1, 7, 24), (2, 1, 9)
CRI = f'plugins."{tables.CRI}"'
RUNTIME = f'plugins."{tables.CRI_RUNTIME}"'
PLUGINS_LS = """\
TYPE                            ID                       PLATFORMS      STATUS    
io.containerd.snapshotter.v1    devmapper                linux/amd64    error     
io.containerd.grpc.v1           cri                      linux/amd64    ok        
"""  # noqa: W291 - as ctr prints it
CRICTL_INFO = {
    "config": {
        "containerd": {
            "defaultRuntimeName": "runc",
            "runtimes": {
                "runc": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}},
                "kata-qemu": {"runtimeType": "io.containerd.kata-qemu.v2", "options": {"ConfigPath": "/x"}},
            },
        },
        "sandboxImage": "registry.k8s.io/pause:3.6",
    },
    "status": {
        "conditions": [
            {"type": "RuntimeReady", "status": True, "message": ""},
            {"type": "NetworkReady", "status": False, "message": "cni plugin not initialized"},
        ]
    },
}


class Files:
    """A tree of texts, read as a host is."""

    def __init__(self, **texts: str) -> None:
        self.texts = {
            f"/etc/containerd/{name.replace('__', '/').replace('_toml', '.toml')}": t for name, t in texts.items()
        }

    def read(self, path: str) -> str | None:
        return self.texts.get(path)

    def list(self, folder: str) -> tuple[str, ...] | None:
        prefix = folder.rstrip("/") + "/"
        below = {path[len(prefix) :].partition("/")[0] for path in self.texts if path.startswith(prefix)}
        return tuple(below) or None

    def load(self, version: tuple[int, int, int]) -> tuple[imports.ConfigFile, ...]:
        return imports.load(tables.MAIN, self.read, self.list, version)


@pytest.mark.parametrize(("text", "schema"), [("", 1), ("version = 2", 2), ("version = 4", 4), ('version = "2"', 1)])
def test_the_schema_is_the_root_version_and_1_where_there_is_none(text: str, schema: int) -> None:
    assert tables.schema(parse_toml(text, "x")) == schema


@pytest.mark.parametrize(("version", "schema"), [((1, 6, 0), 2), ((2, 0, 0), 3), ((2, 2, 9), 3), ((2, 3, 0), 4)])
def test_the_newest_schema_of_a_containerd(version: tuple[int, int, int], schema: int) -> None:
    assert tables.newest_schema(version) == schema


def test_the_cri_reads_alike_in_schema_1_2_and_3() -> None:
    v1 = '[plugins.cri]\nsandbox_image = "p"\n[plugins.cri.containerd]\ndefault_runtime_name = "r"\nsnapshotter = "s"\n'
    v2 = "version = 2\n" + v1.replace("plugins.cri", CRI)
    images = f'plugins."{tables.CRI_IMAGES}"'
    v3 = f'version = 3\n[{images}]\nsnapshotter = "s"\n[{images}.pinned_images]\nsandbox = "p"\n[{RUNTIME}.containerd]\ndefault_runtime_name = "r"\n'
    wanted = tables.Cri(default_runtime="r", sandbox_image="p", snapshotter="s")
    assert [tables.cri(parse_toml(text, "x")) for text in (v1, v2, v3)] == [wanted] * 3


def test_the_socket_is_found_in_every_schema() -> None:
    assert tables.socket({}) == tables.SOCKET
    assert tables.socket({"grpc": {"address": "/run/x.sock"}}) == "/run/x.sock"
    assert tables.socket({"plugins": {"io.containerd.server.v1.grpc": {"address": "/run/y.sock"}}}) == "/run/y.sock"


def test_imports_are_read_breadth_first_and_globs_sorted() -> None:
    files = Files(
        config_toml='imports = ["b.toml", "conf.d/*.toml"]',
        b_toml='imports = ["deep.toml"]',
        deep_toml="",
        conf_d__x_toml="",
    )
    files.texts |= {
        "/etc/containerd/conf.d/20.toml": "",
        "/etc/containerd/conf.d/10.toml": "",
        "/etc/containerd/conf.d/no": "",
    }
    found = files.load(V21)
    names = [file.path.removeprefix("/etc/containerd/") for file in found]
    assert names == ["config.toml", "b.toml", "conf.d/10.toml", "conf.d/20.toml", "deep.toml"]
    assert found[-1].imported_by == ("/etc/containerd/b.toml", "deep.toml")


def test_a_glob_also_takes_names_that_begin_with_a_dot() -> None:
    folders = {"/": ("x.d",), "/x.d": (".hidden.toml", "a.toml", "b.txt")}
    found = imports.import_paths("/etc/c.toml", "/x.d/*.toml", folders.get, (2, 1, 0))
    assert found == ("/x.d/.hidden.toml", "/x.d/a.toml")


def test_files_that_import_each_other_are_read_once() -> None:
    found = Files(config_toml='imports = ["b.toml"]', b_toml='imports = ["config.toml"]').load(V21)
    assert [file.path.rpartition("/")[2] for file in found] == ["config.toml", "b.toml"]


def test_a_relative_pattern_belongs_to_the_file_on_2x_and_to_the_working_folder_on_1x() -> None:
    assert imports.import_pattern(tables.MAIN, "conf.d/*.toml", V21) == "/etc/containerd/conf.d/*.toml"
    assert imports.import_pattern(tables.MAIN, "conf.d/*.toml", V17) == "/conf.d/*.toml"
    assert imports.import_pattern(tables.MAIN, "x.toml", V17) == "/etc/containerd/x.toml"


@pytest.mark.parametrize(
    ("entry", "holds"),
    [
        ("/etc/containerd/conf.d/*.toml", True),
        ("conf.d/zz-*", True),
        (tables.DROP_IN, True),
        ("/etc/containerd/*.toml", False),
        ("/etc/containerd/conf.d/zz-caasctl.tom?", False),
    ],
)
def test_a_pattern_that_brings_in_a_path_is_known(*, entry: str, holds: bool) -> None:
    assert imports.imports_path(tables.MAIN, (entry,), tables.DROP_IN, V21) is holds


def test_a_file_that_does_not_parse_and_one_that_is_not_there_are_values() -> None:
    found = Files(config_toml='imports = ["gone.toml", "bad.toml"]', bad_toml="a = = 1").load(V21)
    assert found[1].text is None
    assert "/etc/containerd/bad.toml is not valid TOML" in found[2].error


MAIN_TEXT = (
    f'version = 2\n[{CRI}]\nsandbox_image = "p"\n[{CRI}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n'
)
DROP_IN_TEXT = f'version = 2\n[{CRI}.containerd.runtimes.kata]\nruntime_type = "k"\n'


def test_1x_replaces_a_plugin_table_and_says_what_is_lost() -> None:
    files = Files(config_toml='imports = ["d.toml"]\n' + MAIN_TEXT, d_toml=DROP_IN_TEXT).load(V17)
    whole = tables.cri(imports.merged(files, V17))
    assert (whole.sandbox_image, list(whole.runtimes)) == ("", ["kata"])
    assert imports.replaced(files) == (
        imports.Replaced(
            tables.CRI,
            tables.MAIN,
            "/etc/containerd/d.toml",
            ("containerd.runtimes.runc.options.SystemdCgroup", "sandbox_image"),
        ),
    )


def test_2x_merges_deeply_unites_lists_and_skips_zero_values() -> None:
    extra = f'disabled_plugins = ["b"]\n[{CRI}.containerd.runtimes.runc.options]\nSystemdCgroup = false\n'
    files = Files(
        config_toml='disabled_plugins = ["a"]\nimports = ["d.toml", "e.toml"]\n' + MAIN_TEXT,
        d_toml=DROP_IN_TEXT,
        e_toml="version = 2\n" + extra,
    ).load(V21)
    whole = tables.cri(imports.merged(files, V21))
    assert (whole.sandbox_image, sorted(whole.runtimes)) == ("p", ["kata", "runc"])
    assert tables.systemd_cgroup(whole.runtimes["runc"])
    assert whole.disabled_plugins == ("a", "b")


def test_the_last_file_that_sets_a_key_is_named() -> None:
    files = Files(config_toml='imports = ["d.toml"]\n' + MAIN_TEXT, d_toml=DROP_IN_TEXT).load(V21)
    assert imports.set_by(files, ("plugins", tables.CRI, "sandbox_image")) == tables.MAIN
    assert imports.set_by(files, ("plugins", tables.CRI, "nothing")) == ""


@pytest.mark.parametrize(
    ("version", "text", "ignored"),
    [
        (V17, f"[{CRI}]\na = 1", (tables.CRI,)),
        (V17, "[plugins.cri]\na = 1", ()),
        (V17, f"version = 2\n[{CRI}]\na = 1", ()),
        (V17, "version = 2\n[plugins.cri]\na = 1", ("cri",)),
        (V21, f"[{CRI}]\na = 1", (tables.CRI,)),
        (V21, f"version = 2\n[{CRI}]\na = 1", ()),
        (V21, f'version = 3\n[{CRI}]\nsandbox_image = "x"', (tables.CRI,)),
        (V21, f'version = 3\n[{CRI}]\nstream_server_port = "0"', ()),
    ],
)
def test_tables_that_a_containerd_does_not_look_at(
    version: tuple[int, int, int], text: str, ignored: tuple[str, ...]
) -> None:
    assert imports.ignored_tables(imports.config_file("x", text), version) == ignored


def test_without_a_dump_the_built_in_runc_is_there_unless_1x_drops_it() -> None:
    kata = {"version": 2, "plugins": {tables.CRI: {"containerd": {"runtimes": {"kata": {}}}}}}
    assert sorted(tables.cri(imports.with_defaults(kata, V17)).runtimes) == ["kata"]
    assert sorted(tables.cri(imports.with_defaults(kata, V21)).runtimes) == ["kata", "runc"]
    assert sorted(tables.cri(imports.with_defaults({"version": 2}, V17)).runtimes) == ["runc"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6, 20)),
        ("containerd github.com/containerd/containerd v1.7.28 b98a3aace656320842a23f4a392a33f46af97866", (1, 7, 28)),
        ("containerd github.com/containerd/containerd/v2 2.1.9+unknown", (2, 1, 9)),
        ("containerd.io 1.7.20-1", (1, 7, 20)),
        ("runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev", (1, 1, 5)),
        ("", (0, 0, 0)),
    ],
)
def test_versions_are_found_in_what_programs_and_packages_say(text: str, version: tuple[int, int, int]) -> None:
    assert output.version(text) == version


def test_plugins_ls_is_read_without_its_head() -> None:
    assert [(row.uri, row.status) for row in output.plugins(PLUGINS_LS)] == [
        ("io.containerd.snapshotter.v1.devmapper", "error"),
        ("io.containerd.grpc.v1.cri", "ok"),
    ]
    assert output.plugins("") == ()


def test_crictl_info_is_read() -> None:
    found = output.cri_status(CRICTL_INFO)
    assert found.runtimes == {"runc": "io.containerd.runc.v2", "kata-qemu": "io.containerd.kata-qemu.v2"}
    assert (found.default_runtime, found.systemd_cgroup, found.ready) == ("runc", ("runc",), True)
    assert found.network == "cni plugin not initialized"
    assert output.cri_status({}).runtimes == {}


RECORDED = Path(__file__).parents[1] / "recordings"


@pytest.mark.parametrize("version", ["1.6.20", "1.7.24", "2.1.9"])
def test_recorded_crictl_info_of_real_containerds_is_read(version: str) -> None:
    folder = RECORDED / f"containerd-{version}"
    found = output.cri_status(json.loads((folder / "crictl-info-with-kata.json").read_text()))
    assert set(found.runtimes) == {"runc", "kata-qemu", "kata-clh"}
    assert found.systemd_cgroup == ("runc",)
    assert output.version((folder / "version.txt").read_text()) == tuple(int(part) for part in version.split("."))
    states = {row.uri: row.status for row in output.plugins((folder / "ctr-plugins-ls.txt").read_text())}
    assert states[tables.CRI] == "ok"


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        ("starting\ncontainerd: open /x.toml: no such file\n", "containerd: open /x.toml: no such file"),
        ('level=info msg="a"\nlevel=fatal msg="cannot \\"x\\"" error="why"\n', 'cannot "x": why'),
        (
            'level=warning msg="failed to load plugin" error="spec" id=cri\nlevel=info msg="up"',
            "failed to load plugin: spec",
        ),
        ("nothing special", "nothing special"),
        ("", ""),
    ],
)
def test_the_reason_is_found_in_a_journal(journal: str, reason: str) -> None:
    assert output.reason(journal) == reason
