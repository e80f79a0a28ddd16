"""Data against the shipped schemas: the first thing that is wrong, its key path first."""

from __future__ import annotations

from typing import Any

import pytest

from caasctl import formats

KUBELET = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, ""),
        ({"maxPods": 250, "authentication": {"webhook": {"enabled": True}}}, ""),
        ({"maxPods": "250"}, "maxPods must be integer"),
        ({"faiSwapOn": False}, "must not contain {'faiSwapOn'} properties"),
        (
            {"authentication": {"webhook": {"enable": True}}},
            "authentication.webhook must not contain {'enable'} properties",
        ),
        ({"evictionHard": {"memory.available": 100}}, "evictionHard.memory.available must be string"),
        ({"kind": "KubeletConfig"}, "kind must be same as const definition: KubeletConfiguration"),
    ],
)
def test_the_first_error_comes_with_its_path(more: dict[str, Any], said: str) -> None:
    assert formats.schema_error({**KUBELET, **more}, "kubelet-v1beta1", "KubeletConfiguration") == said
