"""/etc/default/grub as data: agrees with a real sh on all that it claims to understand, and says where it does not."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl import formats
from caasctl.model import HEADER
from caasctl.syntax import cmdline, grub
from caasctl.syntax.grub import NORMAL_ENTRIES, evaluate

DEFAULT = NORMAL_ENTRIES[1]
DEBIAN = """# comment
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""
"""
OURS = ("intel_iommu=on", "hugepages=4")
DROP_IN = formats.render("grub-drop-in.cfg.j2", header=HEADER, arguments=OURS)


def sourced(*texts: str) -> tuple[int, list[str]]:
    """What a real sh says: exit status and the two variables, sourcing the texts as grub-mkconfig does."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{at}.cfg") for at in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text.encode())
        says = 'printf "%s\\0%s\\0" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
        script = "\n".join(("set -e", *(f". {path}" for path in paths), says))
        done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, env={}, timeout=10, cwd=folder)
    return done.returncode, done.stdout.decode().split("\0")[:2]


def evaluated(*texts: str) -> list[str]:
    evaluation = evaluate([(f"/{at}", text) for at, text in enumerate(texts)])
    return [evaluation.value(name).text for name in NORMAL_ENTRIES]


def test_every_argument_knows_its_file_and_line() -> None:
    found = evaluate([("/etc/default/grub", DEBIAN), ("/d/50.cfg", f'\n{DEFAULT}="${DEFAULT} crashkernel=512M"\n')])
    value = found.value(DEFAULT)
    assert value.text == "quiet crashkernel=512M"
    assert [str(value.origin(at)) for at, _ in cmdline.split(value.text)] == ["/etc/default/grub:3", "/d/50.cfg:2"]
    assert value.doubts == ()
    assert [str(doubt) for doubt in found.value("GRUB_DISTRIBUTOR").doubts] == ["/etc/default/grub:2"]


@pytest.mark.parametrize(
    "text",
    [
        f'{DEFAULT}="a b"\n{DEFAULT}="${DEFAULT} c"',
        f"{DEFAULT}='a \"b c\"'",
        f"{DEFAULT}=a\\ b",
        f'{DEFAULT}="a \\"b\\" \\$c \\\\ \\d"',
        f'{DEFAULT}="a \\\n  b"',
        f'X=1; export {DEFAULT}="a $GRUB_CMDLINE_LINUX"',
        f"GRUB_CMDLINE_LINUX=x\n{DEFAULT}=${{GRUB_CMDLINE_LINUX}}y # z",
        f'{DEFAULT}="a"\r\n',
        f"{DEFAULT}=a#b",
        f'{DEFAULT}="cost $ 5"',
        f'{DEFAULT}="a\nb"',
        f'A=1 {DEFAULT}="$A"',
        "",
        "# only a comment",
        DEBIAN,
    ],
)
def test_it_agrees_with_sh(text: str) -> None:
    rc, said = sourced(text)
    assert rc == 0
    assert evaluated(text) == said
    assert evaluate([("/f", text)]).value(DEFAULT).doubts == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{DEFAULT}="a"\nif [ -e /x ]; then\n  {DEFAULT}="b"\nfi', 2),
        (f"{DEFAULT}=$(echo b)", 1),
        (f"{DEFAULT}=a$HOSTNAME", 1),
        (f'{DEFAULT}="a"\n[ -e /x ] && {DEFAULT}=b', 2),
        (f'{DEFAULT}="a"\n. /etc/other', 2),
        (f'{DEFAULT}="a"\nf() {{ :; }}', 2),
        (f"{DEFAULT}=a\n{DEFAULT}+=b", 2),
        (f"{DEFAULT}=a\ncase x in a) {DEFAULT}=b;; (c) :;; esac", 2),
        (f'GRUB_CMDLINE_LINUX=a\n{DEFAULT}="${{GRUB_CMDLINE_LINUX:={DEFAULT}}}"', 2),
    ],
)
def test_what_is_not_understood_makes_the_value_uncertain(text: str, line: int) -> None:
    doubts = evaluate([("/f", text)]).value(DEFAULT).doubts
    assert [doubt.line for doubt in doubts][:1] == [line]


def test_an_if_that_is_about_something_else_leaves_no_doubt() -> None:
    text = f'{DEFAULT}=a\nif [ -e /x ]; then GRUB_TIMEOUT=3; fi\n{DEFAULT}="${DEFAULT} b"'
    found = evaluate([("/f", text)])
    assert found.value(DEFAULT).text == "a b"
    assert found.value(DEFAULT).doubts == ()
    assert [(odd.origin.line, odd.text) for odd in found.odd] == [(2, "if [ -e /x ]; then GRUB_TIMEOUT=3; fi")]


@pytest.mark.parametrize(
    ("text", "line"),
    [('A=1\nB="x\n\n', 2), ("A=`x\n", 1), ("if true; then\nA=1\n", 3), ("A=1 )\n", 1), ("fi\n", 1), ("A='x", 1)],
)
def test_what_sh_cannot_read_is_broken_with_its_line(text: str, line: int) -> None:
    found = evaluate([("/f", text)])
    assert [broken.origin.line for broken in found.broken] == [line]
    assert found.value(DEFAULT).doubts
    assert sourced(text)[0] != 0


def test_a_later_plain_assignment_is_the_clobberer() -> None:
    files = [("/d/zz-caasctl.cfg", DROP_IN), ("/d/zzz.cfg", f"{DEFAULT}=x\n")]
    found = evaluate(files).clobberer(DEFAULT, "/d/zz-caasctl.cfg")
    assert found is not None
    assert str(found.origin) == "/d/zzz.cfg:1"
    assert evaluate(files[::-1]).clobberer(DEFAULT, "/d/zz-caasctl.cfg") is None


WORD = st.from_regex(r"[a-z]{1,5}(=[A-Za-z0-9_.,:/-]{0,5})?", fullmatch=True)
VALUE = st.lists(WORD, max_size=4).map(" ".join)
LINES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NORMAL_ENTRIES), VALUE).map(lambda p: f'{p[0]}="{p[1]}"'),
        st.tuples(st.sampled_from(NORMAL_ENTRIES), VALUE).map(lambda p: f'{p[0]}="${p[0]} {p[1]}"'),
        st.tuples(st.sampled_from(NORMAL_ENTRIES), VALUE).map(lambda p: f"export {p[0]}='{p[1]}' # {p[1]}"),
        st.tuples(st.sampled_from(NORMAL_ENTRIES), WORD).map(lambda p: f"{p[0]}={p[1]};"),
        st.sampled_from(["", "# x", "GRUB_TIMEOUT=5", "if true; then GRUB_TIMEOUT=3; fi", "A=`echo x`"]),
    ),
    max_size=6,
).map("\n".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=3))
def test_any_file_keeps_its_own_arguments_and_gets_ours_behind_them(texts: list[str]) -> None:
    rc, theirs = sourced(*texts)
    assert rc == 0
    assert evaluated(*texts) == theirs
    _, once = sourced(*texts, DROP_IN)
    assert once[0] == theirs[0]
    assert once[1].split() == [*theirs[1].split(), *OURS]
    assert evaluated(*texts, DROP_IN) == once


TOKENS = st.text(alphabet="GAX_=\"'\\$`{}();&| \n#~ab", max_size=24)


@settings(max_examples=300, deadline=None)
@given(TOKENS)
def test_whatever_the_text_a_value_without_doubts_is_the_one_that_sh_has(text: str) -> None:
    whole = f"{DEFAULT}={text}"
    found = evaluate([("/f", whole)])
    if not found.value(DEFAULT).doubts and not found.value(NORMAL_ENTRIES[0]).doubts and not found.odd:
        rc, said = sourced(whole)
        assert (rc, said) == (0, [found.value(name).text for name in NORMAL_ENTRIES])


def test_drop_ins_are_sourced_in_c_order(tmp_path: Path) -> None:
    for name in ("zz-caasctl.cfg", "99-vendor.cfg", "init-select.cfg", "50-cloudimg-settings.cfg", "Z.cfg", "a.conf"):
        (tmp_path / name).write_text(f'X="$X {name}"\n')
    script = f'for x in {tmp_path}/*.cfg; do . "$x"; done; echo $X'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    names = sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".cfg"))
    assert said.split() == names
    assert names[-1] == "zz-caasctl.cfg"
    assert grub.NORMAL_ENTRIES == ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")
