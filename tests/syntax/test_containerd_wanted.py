"""What caasctl wants of containerd, and what it sees in a dump that containerd itself does not look at."""

from __future__ import annotations

import pytest

from caasctl.syntax.containerd import judge, tables
from caasctl.syntax.containerd.wanted import Handler, Tree, Wanted, handler, pause_tag

GO = Tree(
    "/opt/kata",
    "/opt/kata/bin/containerd-shim-kata-v2",
    "",
    ("/opt/kata/share/defaults/kata-containers/configuration-qemu.toml",),
)
RUST_CONFIG = "/opt/kata/share/defaults/kata-containers/runtime-rs/configuration-qemu-runtime-rs.toml"
RUST = Tree("/opt/kata", "", "/opt/kata/runtime-rs/bin/containerd-shim-kata-v2", (RUST_CONFIG,))


def test_a_handler_takes_the_shim_that_has_its_configuration() -> None:
    assert handler("kata-qemu", GO) == Handler("kata-qemu", GO.go_shim, GO.configs[0])
    assert handler("kata-qemu", RUST) == Handler("kata-qemu", RUST.rust_shim, RUST_CONFIG)
    assert handler("kata-qemu", Tree("/opt/kata")).config_path == GO.configs[0]


def test_a_folder_of_its_own_is_preferred() -> None:
    own = "/opt/kata/share/defaults/kata-containers/runtimes/qemu/configuration-qemu.toml"
    assert handler("kata-qemu", Tree(GO.prefix, GO.go_shim, "", (*GO.configs, own))).config_path == own


@pytest.mark.parametrize(
    ("minor", "tag"),
    [((1, 30), "3.10"), ((1, 33), "3.10"), ((1, 34), "3.10.1"), ((1, 36), "3.10.2"), ((1, 40), "3.10.2")],
)
def test_the_pause_image_follows_kubernetes(minor: tuple[int, int], tag: str) -> None:
    assert pause_tag(minor) == tag


WANTED = Wanted("p", "runc", (Handler("kata-qemu", "/s", "/c"),))
GOOD = {
    "version": 2,
    "plugins": {
        tables.CRI: {
            "sandbox_image": "p",
            "containerd": {
                "default_runtime_name": "runc",
                "runtimes": {
                    "runc": {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}},
                    "kata-qemu": {"runtime_type": "k"},
                },
            },
        }
    },
}


def changed(**keys: object) -> dict[str, object]:
    """The good dump with keys of its CRI table replaced."""
    return {**GOOD, "plugins": {tables.CRI: {**GOOD["plugins"][tables.CRI], **keys}}}  # type: ignore[index]


@pytest.mark.parametrize(
    ("dump", "word"),
    [
        ({**GOOD, "disabled_plugins": [tables.CRI]}, "stays in disabled_plugins"),
        (changed(containerd={"default_runtime_name": "runc", "runtimes": {}}), "handler runc is not in"),
        (changed(sandbox_image="q"), "pause image is q"),
        (changed(cni={"bin_dir": "/a", "bin_dirs": ["/b"]}), "`bin_dir` and `bin_dirs`"),
        (changed(registry={"config_path": "/a", "mirrors": {"x": {}}}), "config_path and mirrors"),
    ],
)
def test_what_a_dump_hides_is_seen(dump: dict[str, object], word: str) -> None:
    assert any(word in problem.what for problem in judge.problems(dump, WANTED))


def test_a_good_dump_has_no_problem() -> None:
    assert list(judge.problems(GOOD, WANTED)) == []


def test_foreign_keys_that_go_are_named_and_those_that_grow_are_not() -> None:
    before = {"version": 2, "a": {"list": [1], "gone": 1, "same": 2, "empty": {}}, "disabled_plugins": ["x"]}
    after = {"version": 3, "a": {"list": [1, 2], "same": 2, "empty": {"new": 1}, "ours": 5}}
    assert judge.lost(before, after, frozenset()) == ("a.gone",)
    assert judge.lost(before, after, frozenset({("a", "gone")})) == ()
    assert judge.lost(before, after, frozenset(), ("a",)) == ()
    assert judge.lost(before, after, frozenset(), ("b",)) == ("a.gone",)


def test_a_foreign_value_that_changes_is_lost_too() -> None:
    assert judge.lost({"a": {"x": 1}}, {"a": {"x": 2}}, frozenset()) == ("a.x",)


def test_a_default_runtime_without_a_table_is_seen() -> None:
    table = {**GOOD["plugins"][tables.CRI]["containerd"], "default_runtime_name": "mine"}  # type: ignore[index]
    (problem,) = judge.problems(changed(containerd=table), Wanted("p", "mine", WANTED.handlers))
    assert problem.what == "the default runtime mine has no table"
