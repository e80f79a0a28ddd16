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
    """Of the function and of all that it calls by name in checks, phases and needs; what a `try` of FactUnread holds is taken."""
    needed, taken = set[type](), set[type]()
    for one, soft in _reached(function, set(), soft=False):
        names, tree = vars(inspect.getmodule(one)), _tree(one)
        spared = _spared(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and _is_facts(node.value):
                (taken if soft or node in spared else needed).add(names[ast.unparse(node.slice)])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _asks(node.func):
                taken |= {names[ast.unparse(kind)] for kind in node.args}
    return Use(frozenset(needed), frozenset(taken))


def _reached(function: Function, seen: set[tuple[Function, bool]], *, soft: bool) -> Iterator[tuple[Function, bool]]:
    """soft: only from within a `try` that does without what is unread."""
    if (function, soft) in seen:
        return
    seen.add((function, soft))
    yield function, soft
    names, tree = vars(inspect.getmodule(function)), _tree(function)
    spared = _spared(tree)
    for node in ast.walk(tree):
        called = names.get(node.id) if isinstance(node, ast.Name) else None
        if inspect.isfunction(called) and called.__module__.startswith(_FOLLOWED):
            yield from _reached(called, seen, soft=soft or node in spared)


def _spared(tree: ast.AST) -> set[ast.AST]:
    """What lies in the bodies of each `try` that handles FactUnread."""
    tries = (node for node in ast.walk(tree) if isinstance(node, ast.Try))
    kept = (one for one in tries if any(h.type and "FactUnread" in ast.unparse(h.type) for h in one.handlers))
    return {inner for one in kept for line in one.body for inner in ast.walk(line)}


def _tree(function: Function) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _asks(called: ast.Attribute) -> bool:
    """Whether it is `facts.get`; `facts.once` names a function, whose own questions count."""
    return called.attr == "get" and _is_facts(called.value)


def _is_facts(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "facts"
