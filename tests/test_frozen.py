"""Each record beside the same class of the standard library: what one does, the other does."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from caasctl import frozen


class _Port:
    """A port."""

    number: int
    name: str = ""
    tags: tuple[str, ...] = ()
    drawn: object = dataclasses.field(default=None, compare=False, repr=False)


class _Named:  # noqa: PLW1641 - what dataclasses makes of that is the question
    name: str
    seen: list[str] = dataclasses.field(default_factory=list)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and self.name == other.name


class _Shouting:
    name: str

    def __repr__(self) -> str:
        return self.name.upper()

    def __hash__(self) -> int:
        return 7


class _Nothing:
    """No fields."""


ARGUMENTS: dict[type, list[tuple[Any, ...]]] = {
    _Port: [(1,), (1, "", ()), (1, "http"), (2, "", ("a",)), (1, "", (), "a picture")],
    _Named: [("a",), ("a", ["x"]), ("b",)],
    _Shouting: [("a",), ("b",)],
    _Nothing: [(), ()],
}


def _kinds(cls: type) -> tuple[Any, Any]:
    """The record and the dataclass of one class."""
    bodies = [
        {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")} for _ in "12"
    ]
    record, standard = (type(cls.__name__, (), body) for body in bodies)
    for kind in (record, standard):
        kind.__qualname__ = cls.__qualname__
    return frozen.dataclass(frozen=True)(record), dataclasses.dataclass(frozen=True)(standard)


def _answer(ask: Callable[[], object]) -> object:
    """What it gives, or which error with which words."""
    try:
        return ask()
    except (TypeError, AttributeError) as error:
        return type(error), str(error)


def _different(made: list[object]) -> int:
    return len(set(made))


@pytest.mark.parametrize("cls", ARGUMENTS)
def test_it_is_shown_compared_and_hashed_alike(cls: type) -> None:
    rows: list[list[object]] = []
    for kind in _kinds(cls):
        made = [kind(*arguments) for arguments in ARGUMENTS[cls]]
        rows.append(
            [[repr(one), [one == other for other in made]] for one in made]
            + [made[0] == "another", made[0] != made[-1], _answer(partial(_different, made)), kind.__match_args__, dataclasses.astuple(made[0])]
        )  # fmt: skip
    assert rows[0] == rows[1]


@pytest.mark.parametrize("cls", ARGUMENTS)
def test_nothing_can_be_set_or_deleted_once_it_is_made(cls: type) -> None:
    said: list[list[object]] = []
    for kind in _kinds(cls):
        one = kind(*ARGUMENTS[cls][0])
        said.append([_answer(lambda: setattr(one, name, 1)) for name in ("name", "number", "seen")])  # noqa: B023 - called here
        said[-1] += [_answer(lambda: delattr(one, "name"))]  # noqa: B023 - called here
    assert said[0] == said[1]
    assert said[0][0] == (dataclasses.FrozenInstanceError, "cannot assign to field 'name'")


def test_a_replaced_a_copied_and_a_pickled_one_are_equal() -> None:
    port = Known(1, "http")
    assert dataclasses.replace(port, name="https") == Known(1, "https") != port
    assert copy.deepcopy(port) == copy.copy(port) == pickle.loads(pickle.dumps(port)) == port


def test_two_kinds_are_never_equal() -> None:
    other: object = Other(1, "a")
    assert Known(1, "a") != other


def test_a_record_is_frozen_or_refused() -> None:
    with pytest.raises(ValueError, match="a record is frozen"):
        frozen.dataclass(frozen=False)


@frozen.dataclass(frozen=True)
class Known:
    """What pickle finds by its name."""

    number: int
    name: str


@frozen.dataclass(frozen=True)
class Other:
    """The fields of Known."""

    number: int
    name: str
