"""Text that a user brings to doctor: in another encoding, packed, no text at all, or from a pipe that nobody writes to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from caasctl.host.stream import user_blocks
from caasctl.model import UsageError

SAID = "[ERROR CRI]: unknown service runtime.v1.RuntimeService\r\nand more\r\n"


def read(path: Path) -> str:
    return "".join(user_blocks(str(path)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_reads_the_same_in_every_encoding_that_windows_writes(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(SAID.encode(encoding))
    assert read(log).lstrip("\ufeff") == SAID


def test_a_long_log_in_utf_16_loses_nothing_between_blocks(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    text = "".join(f"line {number}: é\n" for number in range(100_000))
    log.write_bytes(text.encode("utf-16"))
    assert read(log) == text


@pytest.mark.parametrize(("pack", "tool"), [(gzip.compress, "zcat"), (lzma.compress, "xzcat"), (bz2.compress, "bzcat")])
def test_a_packed_log_is_no_host_that_is_well(pack: Callable[[bytes], bytes], tool: str, tmp_path: Path) -> None:
    log = tmp_path / "syslog.2"
    log.write_bytes(pack(SAID.encode()))
    with pytest.raises(UsageError, match="is compressed") as refused:
        read(log)
    assert f"{tool} {log} | caasctl doctor --log -" in refused.value.fix


def test_what_is_no_text_is_refused_and_does_not_go_on_for_ever(tmp_path: Path) -> None:
    noise = tmp_path / "x.journal"
    noise.write_bytes(bytes(range(256)) * 400)
    for path in (noise, Path("/dev/zero")):
        with pytest.raises(UsageError, match="is no text"):
            read(path)


def test_the_zeros_that_a_crash_leaves_in_a_log_do_not_make_it_no_text(tmp_path: Path) -> None:
    log = tmp_path / "syslog"
    log.write_bytes(bytes(9000) + SAID.encode() + bytes(9000) + SAID.encode())
    assert read(log).count("unknown service") == 2


def test_other_scripts_and_progress_bars_are_text(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("\x1b[31mφῶς ἐκ σκότους\x1b[0m\r 10%\r\b\b 20% 容器\n" * 50)
    assert "容器" in read(log)


def test_a_pipe_that_nobody_writes_to_says_what_is_waited_for_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "caasctl", "doctor", "--log", str(pipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr
        assert waiting.stderr.readline() == (
            f"caasctl: {pipe} is a pipe: waiting for a program that writes into it (Ctrl-C ends this)\n"
        )
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(10) == 130


def test_a_closed_standard_input_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m caasctl doctor --log - <&-', sys.executable],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("caasctl: standard input is closed\n  cause  ")
