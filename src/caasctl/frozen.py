"""The frozen dataclass of the project: the standard library's for a reader, for mypy and for `replace`, and cheaper to start.

dataclasses compiles six methods for every class, which was a third of the time before a command looked at its host (ADR 26).
Here a class has its `__init__` compiled alone, and shares the other five. What inherits from one is made by it too.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool):  # noqa: ANN201 - mypy reads the line above
        """As `dataclasses.dataclass(frozen=True)`, the one form that the project uses.

        Raises:
            ValueError: for a class that is not to be frozen.

        """
        if not frozen:
            raise ValueError("a record is frozen: say dataclass(frozen=True)")
        return _made


__all__ = ["dataclass"]


def _made(cls: type) -> Any:
    cls.__doc__ = cls.__doc__ or f"{cls.__name__}(...)"  # dataclasses would write it of the signature, at a cost
    for name, method in _SHARED.items():
        if cls.__dict__.get(name) is None:  # Python says None for the __hash__ of a class with an __eq__ of its own
            setattr(cls, name, method)
    made: Any = dataclasses.dataclass(repr=False, eq=False)(cls)
    names = [field.name for field in made.__dataclass_fields__.values() if field.compare]
    made.__compared__ = staticmethod(attrgetter(*names) if names else type)  # without fields all of a class are equal
    return made


def _shown(self: Any) -> str:
    values = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _equal(self: Any, other: Any) -> bool:
    return self.__compared__(self) == self.__compared__(other) if other.__class__ is self.__class__ else NotImplemented


def _hashed(self: Any) -> int:
    return hash(self.__compared__(self))


def _assign(self: Any, name: str, value: object) -> None:
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    self.__dict__[name] = value  # by __init__: every field is there after it


def _delete(_: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = {
    "__repr__": _shown, "__eq__": _equal, "__hash__": _hashed, "__setattr__": _assign, "__delattr__": _delete,
}  # fmt: skip
