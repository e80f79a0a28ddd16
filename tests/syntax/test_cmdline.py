"""Kernel command lines: split, compared and completed as the kernel reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.syntax import cmdline
from caasctl.syntax.cmdline import doubled_sizes, effective, hugepages, in_force, missing, token, tokens

A10_HOST = (
    "BOOT_IMAGE=/boot/vmlinuz-5.14.15-custom root=UUID=36 ro systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all "
    "rd.driver.pre=vfio-pci video=efifb:off hugepagesz=1G default_hugepagesz=1G ipv6.disable=1 console=tty1 "
    "console=ttyS0 intel_iommu=on hugepages=906"
)
WORDS = st.lists(st.from_regex(r"[a-z]{1,4}(=[a-z0-9,]{0,4})?", fullmatch=True), max_size=8)


def test_what_follows_two_dashes_is_for_init() -> None:
    assert [found.text for found in tokens("ro quiet -- --vsock intel_iommu=on")] == ["ro", "quiet"]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("quiet", "quiet", None),
        ("vfio-pci.ids=10de:2235", "vfio_pci.ids", "10de:2235"),
        ('dyndbg="file ec.c +p"', "dyndbg", "file ec.c +p"),
        ('"dyndbg=file ec.c +p"', "dyndbg", "file ec.c +p"),
        ("root=UUID=36", "root", "UUID=36"),
        ("console=", "console", ""),
    ],
)
def test_a_token_has_a_name_and_a_value(text: str, name: str, value: str | None) -> None:
    assert (token(text).name, token(text).value) == (name, value)


def test_quotes_keep_spaces_together_and_offsets_point_into_the_text() -> None:
    assert cmdline.split('  a "b c=d e"\tf="g h"') == ((2, "a"), (4, '"b c=d e"'), (14, 'f="g h"'))
    assert cmdline.split("") == ()


def test_the_last_value_counts_and_names_compare_without_dashes() -> None:
    have = tokens("vfio-pci.ids=1 quiet vfio_pci.ids=2")
    assert effective(have, "vfio-pci.ids") == "2"
    assert effective(have, "quiet") == ""
    assert effective(have, "debug") is None


@pytest.mark.parametrize(
    ("text", "name", "item", "holds"),
    [
        ("intel_iommu=on", "intel_iommu", "on", True),
        ("intel_iommu=on,sm_on", "intel_iommu", "on", True),
        ("intel_iommu=on intel_iommu=sm_on", "intel_iommu", "on", True),
        ("intel_iommu=on intel_iommu=off", "intel_iommu", "on", False),
        ("intel_iommu=pt", "iommu", "pt", False),
        ("iommu=off iommu=pt", "iommu", "off", True),
        ("iommu=pt iommu=nopt", "iommu", "pt", False),
        ("cgroup_disable=memory cgroup_disable=cpuset", "cgroup_disable", "memory", True),
        ("console=tty1 console=ttyS0", "console", "tty1", True),
        ("nosmt=a nosmt=b", "nosmt", "a", False),
        ("systemd.unified_cgroup_hierarchy=yes", "systemd.unified_cgroup_hierarchy", "1", True),
    ],
)
def test_an_item_holds_until_its_opposite(text: str, name: str, item: str, *, holds: bool) -> None:
    assert (in_force(tokens(text), name, item) is not None) is holds


def test_hugepages_are_pairs_by_size() -> None:
    assert hugepages(tokens(A10_HOST)) == {1048576: "906"}
    assert hugepages(tokens("hugepages=8 hugepagesz=1024M hugepages=0:2,1:2")) == {2048: "8", 1048576: "0:2,1:2"}
    assert [t.text for t in doubled_sizes(tokens("hugepagesz=1G hugepages=1 hugepagesz=1024M hugepages=2"))] == [
        "hugepagesz=1024M"
    ]


def test_of_two_counts_for_one_size_the_kernel_takes_the_first() -> None:
    assert hugepages(tokens("hugepages=4 hugepages=8")) == {2048: "4"}
    assert missing(("hugepagesz=2M", "hugepages=8"), tokens("hugepages=4 hugepagesz=2M hugepages=8")) == (
        "hugepagesz=2M",
        "hugepages=8",
    )


def test_missing_arguments_keep_their_order_and_hugepages_go_as_a_pair() -> None:
    wanted = ("intel_iommu=on", "cgroup_no_v1=all", "default_hugepagesz=1G", "hugepagesz=1G", "hugepages=4")
    assert missing(wanted, tokens(A10_HOST)) == ("hugepagesz=1G", "hugepages=4")
    assert missing(wanted, tokens("")) == wanted
    assert missing(wanted, tokens(" ".join(wanted))) == ()


@settings(deadline=None)
@given(WORDS)
def test_nothing_is_missing_from_itself_once_no_later_word_takes_it_back(words: list[str]) -> None:
    single = {token(word).name: word for word in words}
    assert missing(tuple(single.values()), cmdline.of_words(single.values())) == ()


@settings(deadline=None)
@given(WORDS, WORDS)
def test_what_is_missing_is_there_after_it_is_appended(have: list[str], wanted: list[str]) -> None:
    single = tuple({token(word).name: word for word in wanted}.values())
    lost = missing(single, cmdline.of_words(have))
    assert missing(single, cmdline.of_words([*have, *lost])) == ()
