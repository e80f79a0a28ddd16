"""What caasctl sees in a dump that containerd itself does not look at."""

from __future__ import annotations

import pytest

from caasctl.syntax.containerd import judge, tables
from caasctl.syntax.containerd.wanted import Handler, Wanted

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
