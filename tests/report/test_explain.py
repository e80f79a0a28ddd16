"""explain: one check, near misses, the list; facts as data and text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from caasctl import formats
from caasctl.model import Check, Facts, Finding, UsageError, check
from caasctl.report import explain
from caasctl.report import facts as facts_report


def made(name: str, title: str, **more: Any) -> Check:
    @check(
        name, title, reads=(), why="Pods hang in `ContainerCreating`.", fix="Turn it on.", source="kernel docs", **more
    )
    def function(facts: Facts, profile: Any) -> Iterator[Finding]:
        """Looks at /proc/cmdline
        and at /sys."""
        yield from ()

    return function


CHECKS = (
    made("iommu.enabled", "The IOMMU is on", fixed_by="boot", gates=("gpu", "kata"), after=("iommu.firmware",)),
    made("iommu.firmware", "The firmware describes an IOMMU"),
    made("os.swap", "Swap is off"),
    made("containerd.systemd_cgroup", "Every handler uses the systemd driver"),
)


def test_it_says_all_that_is_known_of_a_check() -> None:
    out = io.StringIO()
    explain.write(CHECKS[0], out, width=80)
    assert out.getvalue() == (
        "iommu.enabled  The IOMMU is on\n\n"
        "looks at    Looks at /proc/cmdline and at /sys.\n"
        "why         Pods hang in `ContainerCreating`.\n"
        "fix         Turn it on.\n"
        "mended by   init-node, phase boot\n"
        "gates       phase gpu, kata does not start while only you can mend it\n"
        "blocked by  iommu.firmware\n"
        "source      kernel docs\n"
    )


def test_a_topic_stands_for_its_checks() -> None:
    assert explain.of_topic("IOMMU", CHECKS) == CHECKS[:2]
    assert explain.of_topic("iommu.enabled", CHECKS) == explain.of_topic("swap", CHECKS) == ()


def test_what_only_the_user_mends_says_so_and_empty_fields_are_left_out() -> None:
    out = io.StringIO()
    explain.write(CHECKS[1], out, width=80)
    assert "mended by   you: init-node does not mend it\n" in out.getvalue()
    assert "gates" not in out.getvalue()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("swap", "os.swap"), ("os.swpa", "os.swap"), ("OS.SWAP", "os.swap"), ("os/swap", "os.swap"), ("swapp", "os.swap"),
        ("containerd.systemd-cgroup", "containerd.systemd_cgroup"), ("kata.systemd_cgroup", "containerd.systemd_cgroup"),
        ("iommu", "iommu.enabled"),
    ],
)  # fmt: skip
def test_a_near_miss_is_understood(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain.find(typed, CHECKS)
    assert caught.value.fix == f"`caasctl explain {meant}`"
    assert typed in caught.value.problem


def test_an_id_far_from_all_gets_the_list() -> None:
    for typed in ("zzz.qqq", "", "."):
        with pytest.raises(UsageError) as caught:
            explain.find(typed, CHECKS)
        assert caught.value.fix == "`caasctl explain` lists all ids"


def test_an_id_is_found() -> None:
    assert explain.find("os.swap", CHECKS) is CHECKS[2]


def test_the_list_goes_by_topic_in_the_design_s_order() -> None:
    out = io.StringIO()
    explain.listing(CHECKS[::-1], out, width=80)
    ids = [line.split()[0] for line in out.getvalue().splitlines() if line.startswith("  ")]
    assert ids == ["os.swap", "iommu.enabled", "iommu.firmware", "containerd.systemd_cgroup"]
    assert "  os.swap                    Swap is off" in out.getvalue()


class Kind(str, Enum):
    GRUB = "grub"


@dataclass(frozen=True)
class Inner:
    free_bytes: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class OsSample:
    kind: Kind
    total_kib: int
    flags: frozenset[str]
    disks: tuple[Inner, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    running: bool = True
    zero: int = 0
    missing: str | None = None
    config: str = ""


@dataclass(frozen=True)
class Lost:
    value: str


FACTS = Facts(
    [
        OsSample(
            Kind.GRUB, 64, frozenset("zba"), (Inner(5, ("x", "y\x1b[2J")),), {"A_b": "1"}, b"secret", config="a\nb\n"
        )
    ],
    {Lost: "/x: permission denied (needs root)"},
)
DATA = {
    "schemaVersion": 1,
    "facts": {
        "osSample": {
            "kind": "grub", "totalKib": 64, "flags": ["a", "b", "z"],
            "disks": [{"freeBytes": 5, "names": ["x", "y\x1b[2J"]}], "options": {"A_b": "1"}, "raw": "(6 bytes)",
            "running": True, "zero": 0, "missing": None, "config": "a\nb\n",
        }
    },
    "unread": {"lost": "/x: permission denied (needs root)"},
}  # fmt: skip


def shown(fmt: str) -> str:
    out = io.StringIO()
    facts_report.write(FACTS, fmt, out)
    return out.getvalue()


def test_facts_are_plain_data() -> None:
    assert json.loads(shown("json")) == DATA
    assert formats.parse_yaml(shown("yaml"), "it") == DATA


def test_facts_in_text_are_short_and_safe() -> None:
    assert shown("text") == (
        "osSample\n  kind: grub\n  totalKib: 64\n  flags: a, b, z\n  disks: (freeBytes=5; names=(x, y^[[2J))\n  options: A_b=1\n"
        "  raw: (6 bytes)\n  running: yes\n  zero: 0\n  missing: none\n  config: a ... (2 lines)\n"
        "\nnot read\n  lost: /x: permission denied (needs root)\n"
    )


def test_long_lists_are_counted_in_text() -> None:
    out = io.StringIO()
    facts_report.write(Facts([Inner(1, tuple(f"n{number}" for number in range(50)))]), "text", out)
    assert "  names: 50 entries, the first: n0, n1, n2, n3\n" in out.getvalue()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("total_kib", "totalKib"), ("OsRelease", "osRelease"), ("podCIDR", "podCIDR"), ("class_", "class")],
)
def test_names_become_camel_case(name: str, wanted: str) -> None:
    assert facts_report.camel(name) == wanted
