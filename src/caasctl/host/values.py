"""Writes into kernel files by a child: one that hangs in the kernel hangs the child, not this process."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

from caasctl.faults import cannot
from caasctl.host.running import Output, Running
from caasctl.model import CaasError

TIMEOUT_S = 30.0
# Prints the number of the kernel's error, and nothing where the value was taken.
_WRITE = """
import os, sys
try:
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
    os.write(fd, sys.argv[2].encode("ascii"))
    os.close(fd)
except OSError as error:
    print(error.errno)
"""


def write(path: str, where: str, text: str, lock_fd: int | None, timeout_s: float = TIMEOUT_S) -> None:
    """where: what `path` of the host is for this process. Raises CaasError."""
    said = Output()
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", _WRITE, where, text], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", start_new_session=True,
                               pass_fds=() if lock_fd is None else (lock_fd,))  # fmt: skip
    with Running(process, said) as running:
        if not running.attend(timeout_s):
            raise _hangs(path, text, timeout_s, process.pid, gone=running.end())
    if process.returncode or said.text:
        number = int(said.text) if said.text.strip().isdigit() else errno.EIO
        raise cannot("set", path, OSError(number, os.strerror(number)))


def _hangs(path: str, text: str, timeout_s: float, pid: int, *, gone: bool) -> CaasError:
    problem = f"cannot set {path} to {text}: no answer in {timeout_s:.0f} s"
    if gone:
        return CaasError(problem, cause="the kernel, or the file system below it, did not take it; the write was given up",
                         fix="see `dmesg`, then run the same command again")  # fmt: skip
    return CaasError(problem, cause=f"the write (pid {pid}) waits inside the kernel and cannot be ended; it holds caasctl's lock",
                     fix="only a reboot ends it: see `dmesg`, reboot, then run the same command again")  # fmt: skip
