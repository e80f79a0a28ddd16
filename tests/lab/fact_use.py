"""Which facts a check or a phase asks for, by its source: every branch counts, whether a test walks it or not."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Function = Callable[..., Any]
_FOLLOWED = ("caasctl.checks", "caasctl.phases", "caasctl.needs")


@dataclass(frozen=True)
class Use:
    """needed: `facts[Kind]`. taken: `facts.get(Kind)`, which does without."""

    needed: frozenset[type] = frozenset()
    taken: frozenset[type] = frozenset()

    @property
    def every(self) -> frozenset[type]:
        return self.needed | self.taken


def use(function: Function) -> Use:
    """Of the function and of all that it calls by name in checks, phases and needs."""
    needed, taken = set[type](), set[type]()
    for one in _reached(function, set()):
        names = vars(inspect.getmodule(one))
        for node in ast.walk(_tree(one)):
            if isinstance(node, ast.Subscript) and _is_facts(node.value):
                needed.add(names[ast.unparse(node.slice)])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _asks(node.func):
                taken |= {names[ast.unparse(kind)] for kind in node.args}
    return Use(frozenset(needed), frozenset(taken))


def _reached(function: Function, seen: set[Function]) -> Iterator[Function]:
    if function in seen:
        return
    seen.add(function)
    yield function
    names = vars(inspect.getmodule(function))
    for node in ast.walk(_tree(function)):
        called = names.get(node.id) if isinstance(node, ast.Name) else None
        if inspect.isfunction(called) and called.__module__.startswith(_FOLLOWED):
            yield from _reached(called, seen)


def _tree(function: Function) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _asks(called: ast.Attribute) -> bool:
    """Whether it is `facts.get`; `facts.once` names a function, whose own questions count."""
    return called.attr == "get" and _is_facts(called.value)


def _is_facts(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "facts"
