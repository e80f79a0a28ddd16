"""JSON of any shape: what is not as Kubernetes has it is empty."""

from __future__ import annotations

import pytest

from caasctl.syntax.live.shape import when


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("2026-11-26T09:00:00.123456Z", "2026-11-26T09:00:00Z"),
        ("2026-99-99T99:99:99Z", ""),
        ("0001-01-01T00:00:00Z", ""),
        ("soon", ""),
        (None, ""),
        (5, ""),
    ],
)
def test_a_time_is_a_date_that_there_is(said: object, at: str) -> None:
    assert when(said) == at
    assert when(said, "2026-11-26T10:00:00Z") == (at or "2026-11-26T10:00:00Z")
