"""The trial's menu entry is the default entry in all but title, id and arguments; the words of a line keep their places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.syntax import grub_menu
from caasctl.syntax.grub_menu import trial

SIMPLE = """menuentry 'Debian' --class gnu --unrestricted $menuentry_id_option 'gnulinux-simple-1' {
\tload_video
\tsavedefault
\tif [ x$grub_platform = xxen ]; then insmod xzio; fi
\tlinux\t/vmlinuz-6.1 root=UUID=1 ro  quiet intel_iommu=on audit=0 intel_iommu=on
\tinitrd\t/initrd.img-6.1
}
"""
PLACED = f"### BEGIN /etc/grub.d/10_linux ###\nfunction f {{\n\tx\n}}\n{SIMPLE}### END /etc/grub.d/10_linux ###\n"


def entry(text: str) -> grub_menu.Entry:
    return grub_menu.parse(text).entries[0]


def test_the_block_is_the_entry_as_it_is_written() -> None:
    assert entry(PLACED).block + "\n" == SIMPLE


def test_the_retold_entry_has_its_own_title_and_id_and_the_arguments() -> None:
    retold = trial.retold(entry(PLACED), ("intel_iommu=on", "nosmt"), ("iommu=pt", "nosmt=force"))
    assert retold == (
        "menuentry 'Debian, tried once with new kernel arguments (caasctl)' $menuentry_id_option caasctl-trial"
        " --class gnu --unrestricted {\n"
        "\tload_video\n\tif [ x$grub_platform = xxen ]; then insmod xzio; fi\n"
        "\tlinux\t/vmlinuz-6.1 root=UUID=1 ro quiet intel_iommu=on audit=0 iommu=pt nosmt=force\n"
        "\tinitrd\t/initrd.img-6.1\n}\n"
    )
    made = entry(retold)
    assert (made.id, made.kernel, made.normal) == (trial.ID, "/vmlinuz-6.1", True)


def test_an_entry_of_a_submenu_is_retold_as_one_of_its_own() -> None:
    inner = "\n".join(f"\t{line}" for line in SIMPLE.splitlines())
    menu = grub_menu.parse(f"submenu 'Advanced' --id adv {{\n{inner}\n}}\n")
    assert trial.retold(menu.entries[0], (), ()) == trial.retold(entry(SIMPLE), (), ())


def test_every_linux_line_gets_the_arguments() -> None:
    lines = "if [ x = y ]; then\n\t linux /a ro\n\t initrd /i\nelse\n\tlinux /a ro panic=-1\nfi"
    retold = trial.retold(entry(f"menuentry 'Ubuntu' {{\n{lines}\n}}\n"), (), ("nosmt",))
    assert [line.split()[1:] for line in retold.splitlines() if "linux" in line.split()[:1]] == [
        ["/a", "ro", "nosmt"],
        ["/a", "ro", "panic=-1", "nosmt"],
    ]


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("menuentry 'A' --id=x --class y {", "menuentry 'A, tried once with new kernel arguments (caasctl)' --id caasctl-trial --class y {"),
        ("menuentry 'A' {", "menuentry 'A, tried once with new kernel arguments (caasctl)' --id caasctl-trial {"),
        ('menuentry "A \\"b\\"" --id "x y" {', "menuentry \"A \\\"b\\\"\"', tried once with new kernel arguments (caasctl)' --id caasctl-trial {"),
        ("menuentry 'A'\\' {", "menuentry 'A'\\'', tried once with new kernel arguments (caasctl)' --id caasctl-trial {"),
    ],
)  # fmt: skip
def test_only_title_and_id_of_the_first_line_change(head: str, wanted: str) -> None:
    old = entry(f"{head}\nlinux /a\n}}\n")
    retold = trial.retold(old, (), ())
    assert retold.splitlines()[0] == wanted
    assert entry(retold).title == f"{old.title}, tried once with new kernel arguments (caasctl)"


@pytest.mark.parametrize(
    "block", ["menuentry 'A' { linux /a ro; initrd /i; }\n", "menuentry 'A' {\n chainloader +1\n}\n"]
)
def test_an_entry_without_a_line_for_linux_is_not_retold(block: str) -> None:
    assert trial.retold(entry(block), (), ("nosmt",)) == ""


def test_the_entry_that_boots_by_default_is_not_the_one_that_boots_once() -> None:
    menu = grub_menu.parse(f'set default="${{saved_entry}}"\n{SIMPLE}menuentry B --id b {{\nlinux /b\n}}\n')
    armed = {"next_entry": "b", "saved_entry": "gnulinux-simple-1"}
    booted, lasting = menu.booted(armed), menu.lasting(armed)
    assert booted
    assert lasting
    assert (booted.id, lasting.id) == ("b", "gnulinux-simple-1")
    assert menu.with_id("b") == booted
    assert menu.with_id("c") is None


@given(st.text(alphabet="ab '\"\\#\t$={", max_size=12))
def test_each_word_is_where_it_is_said_to_be(line: str) -> None:
    placed = grub_menu.placed_words(line)
    assert [word.text for word in placed] == grub_menu.words(line)
    for word in placed:
        assert not line[word.start : word.end][:1].isspace()
        assert grub_menu.words(line[word.start : word.end]) == [word.text]


def test_a_script_says_what_it_tries() -> None:
    assert trial.tried("#!/bin/sh\n# It tries: a=1 b\ncat\n") == ("a=1", "b")
    assert trial.tried("#!/bin/sh\n") is None
