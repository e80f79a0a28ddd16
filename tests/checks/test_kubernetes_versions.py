"""helm, crictl and Kata against what they go with."""

from __future__ import annotations

import pytest
from tests.checks.test_os import judge, only

from caasctl.checks.kata_versions import containerd
from caasctl.checks.kubernetes_versions import tool_versions
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.kata import KataTree, KataTrees
from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import Level
from caasctl.profile_load import load


def versions(kubernetes: str, **told: str) -> tuple[Level, str]:
    found = only(
        tool_versions,
        Tools(told, {name: f"/usr/bin/{name}" for name in told}),
        profile=load("single-node", (f"kubernetes.version={kubernetes}",)),
    )
    return found.level, found.found


@pytest.mark.parametrize(
    ("helm", "kubernetes", "level"),
    [
        ("3.19.0", "v1.34.2", Level.PASS),
        ("3.19.0", "v1.31.2", Level.PASS),
        ("3.19.0", "v1.36.4", Level.PASS),
        ("3.16.4", "v1.36.4", Level.WARN),
        ("3.20.1", "v1.31.9", Level.WARN),
    ],
)
def test_helm_goes_with_four_minors(helm: str, kubernetes: str, level: Level) -> None:
    assert versions(kubernetes, helm=helm)[0] is level


def test_the_helm_to_take_is_named() -> None:
    found = only(
        tool_versions,
        Tools({"helm": "3.16.4"}, {"helm": "/usr/local/bin/helm"}),
        profile=load("single-node", ("kubernetes.version=v1.34.1",)),
    )
    assert found.found == "helm 3.16.4, built for Kubernetes 1.28 to 1.31; the profile's: 1.34"
    assert found.fix
    assert found.fix.text.startswith("put helm 3.19 where /usr/local/bin/helm is")


def test_what_the_table_does_not_know_is_not_judged() -> None:
    none = Tools({"helm": "9.1.0", "crictl": ""}, {})
    assert judge(tool_versions, none) == []
    assert judge(tool_versions, Tools()) == []
    assert judge(tool_versions, Tools({"helm": "3.1.0"}, {}), profile=load("worker")) == []


def test_an_old_crictl_is_warned_of() -> None:
    assert versions("v1.36.4", crictl="1.26.1") == (Level.WARN, "crictl 1.26.1")
    assert versions("v1.36.4", crictl="1.30.0") == (Level.PASS, "crictl 1.30.0")


@pytest.mark.parametrize(
    ("kata", "runtime", "levels"),
    [
        ("4.1.0", (1, 6, 20), [Level.WARN]),
        ("4.1.0", (1, 7, 24), [Level.PASS]),
        ("3.20.0", (1, 6, 20), []),
        ("", (1, 6, 20), []),
        ("4.1.0", (0, 0, 0), []),
    ],
)
def test_kata_needs_a_containerd_of_its_age(kata: str, runtime: tuple[int, int, int], levels: list[Level]) -> None:
    trees = KataTrees((KataTree("/opt/kata", kata, "", "", ()),))
    assert [found.level for found in judge(containerd, trees, ContainerdVersion(runtime, "x"))] == levels
