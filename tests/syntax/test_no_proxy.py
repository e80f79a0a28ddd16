"""NO_PROXY as Go reads it: names and their domains, addresses, ranges, ports."""

from __future__ import annotations

import pytest

from caasctl.syntax.no_proxy import covered, goes_direct


@pytest.mark.parametrize(
    ("place", "entries", "direct"),
    [
        ("https://10.0.0.5:5000", ("10.0.0.0/8",), True),
        ("https://11.0.0.5:5000", ("10.0.0.0/8",), False),
        ("https://[fd00::5]", ("fd00::/8",), True),
        ("https://[fd00::5]", ("[fd00::5]:443",), True),
        ("https://[fd00::5]", ("[fd00::5]:5000",), False),
        ("https://[fd00::5]", ("[fd00::5]",), True),
        ("https://[fd00::5]", ("fd00::5",), True),
        ("https://mirror.corp", ("*.corp",), True),
        ("https://mirror.corp", (".corp",), True),
        ("https://mirror.corp", ("corp",), True),
        ("https://Mirror.Corp", ("mirror.corp",), True),
        ("https://mirrorcorp", (".corp", "corp"), False),
        ("https://mirror.corp", ("mirror.corp:5000",), False),
        ("https://mirror.corp:5000", ("a.corp", "mirror.corp:5000"), True),
        ("https://10.0.0.5", ("10.0.0.0/8:5000", "10.0.0.5:5000"), False),
        ("https://mirror.corp", ("*",), True),
        ("https://mirror.corp", ("", " "), False),
        ("https://mirror.corp", (), False),
        ("http://mirror.corp", ("mirror.corp:80",), True),
        ("https://localhost:5000", (), True),
        ("https://127.0.0.2:5000", (), True),
        ("https://[::1]:5000", (), True),
    ],
)
def test_what_goes_around_a_proxy(place: str, entries: tuple[str, ...], *, direct: bool) -> None:
    assert goes_direct(f"{place}/file", entries) is direct


def test_a_range_covers_what_lies_in_it() -> None:
    assert covered("10.96.0.0/16", ("10.0.0.0/8",))
    assert not covered("10.0.0.0/8", ("10.96.0.0/16",))
