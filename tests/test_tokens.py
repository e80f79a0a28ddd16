"""What is asked of `token create`, judged before kubeadm is."""

from __future__ import annotations

import pytest

from caasctl.model import UsageError
from caasctl.tokens import Asked, judged


@pytest.mark.parametrize("ttl", ["0", "24h", "90m", "2h30m", "1.5h", "2557920h"])
def test_a_duration_that_go_can_count_is_taken(ttl: str) -> None:
    assert judged(Asked(ttl)).ttl == ttl


@pytest.mark.parametrize("ttl", ["9223372036h", "2557920h1s", "153722867281m", "9" * 5000 + "s"])
def test_what_is_longer_than_go_counts_is_refused(ttl: str) -> None:
    with pytest.raises(UsageError, match="is longer than 292 years") as refused:
        judged(Asked(ttl))
    assert refused.value.cause
    assert refused.value.fix
    assert len(refused.value.problem) < 200


@pytest.mark.parametrize("ttl", ["", "soon", "2d", "-1h", "٣h", "2h\n"])
def test_what_is_no_duration_is_refused(ttl: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        judged(Asked(ttl))
