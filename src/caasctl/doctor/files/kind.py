"""What a kind of file is: how it is known, which checks judge it, and the host that they need to judge it alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from typing import Any

from caasctl.facts.given import Given
from caasctl.frozen import dataclass
from caasctl.profile import NodeProfile


@dataclass(frozen=True)
class World:
    """A host with nothing but the file. holds: for which versions what it shows is so, "" for all."""

    files: dict[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    answers: dict[tuple[str, ...], str] = field(default_factory=dict)
    holds: str = ""


def _no_worlds(_given: Given) -> tuple[World, ...]:
    return ()


def _as_it_is(profile: NodeProfile, _given: Given) -> NodeProfile:
    return profile


def _nowhere(_given: Given) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Kind:
    """word: what users read. known: of parsed data. words: what tells the kind of a text that does not parse.

    places: the file where a host would have it, by path. worlds: hosts to judge it on when no host is given; checks: those
    that are about what is in the file. profile: what the checks are to take for wanted. silent: commands that answer for
    what runs now.
    """

    word: str
    known: Callable[[Any], bool]
    words: re.Pattern[str]
    format: str = ""
    places: Callable[[Given], dict[str, str]] = _nowhere
    worlds: Callable[[Given], tuple[World, ...]] = _no_worlds
    checks: tuple[str, ...] = ()
    profile: Callable[[NodeProfile, Given], NodeProfile] = _as_it_is
    silent: tuple[str, ...] = ()
    words_of_profile: str = ""  # how checks name the place in a profile that the file stands for
