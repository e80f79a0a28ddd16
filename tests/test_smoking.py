"""How long smoke has patience with a pod; on a cluster of stand-ins: tests/cluster/test_smoke.py."""

from __future__ import annotations

import pytest

from caasctl.smoking import Trial, offered
from caasctl.syntax.cluster.pods import Trouble


def sandbox(said_at: str) -> Trouble:
    return Trouble("the handler's shim does not start the pod", "x", "y", said_at=said_at)


def test_what_the_pods_state_says_lasts_after_half_a_minute() -> None:
    trial, pull = Trial("runc"), Trouble("the image cannot be pulled", "x", "y")
    assert [trial.lasts(pull, at) for at in (0.0, 29.0, 31.0)] == [False, False, True]
    assert not trial.lasts(Trouble("another", "x", "y"), 32.0)
    assert not trial.lasts(None, 33.0)


def test_an_event_that_is_not_said_again_never_lasts() -> None:
    trial = Trial("kata-qemu-nvidia-gpu")
    assert not any(trial.lasts(sandbox("00:01 1"), float(at)) for at in range(1200))


def test_an_event_that_is_said_again_after_half_a_minute_lasts() -> None:
    trial = Trial("kata-qemu")
    assert not any(trial.lasts(sandbox(f"{at // 12} 1"), float(at)) for at in range(31))
    assert not any(trial.lasts(sandbox("2 1"), float(at)) for at in range(31, 36))
    assert trial.lasts(sandbox("3 1"), 36.0)


def test_a_pod_may_be_missing_for_a_moment() -> None:
    trial = Trial("runc")
    assert [trial.is_gone(at) for at in (100.0, 114.0, 116.0)] == [False, False, True]
    trial.missing = None
    assert not trial.is_gone(200.0)


@pytest.mark.parametrize(
    ("numbers", "tried"),
    [
        ({"cpu": "4", "nvidia.com/gpu": "2", "nvidia.com/pgpu": "1"}, ["nvidia.com/pgpu"]),  # the first is runc's
        ({"nvidia.com/GH100": "2", "nvidia.com/nvswitch": "4", "amd.com/gpu": "1"}, ["nvidia.com/GH100"]),
        ({"nvidia.com/pgpu": "0"}, []),
    ],
)
def test_the_profiles_resource_is_tried_and_others_only_where_it_is_missing(
    numbers: dict[str, str], tried: list[str]
) -> None:
    assert offered({"status": {"allocatable": numbers}}, "nvidia.com/pgpu")[0] == tried
