"""What a failed look or write says to the user: the kernel's errors as problem, cause and fix."""

from __future__ import annotations

import errno
import os

from caasctl.model import CaasError, Exit, UsageError
from caasctl.protocol import FileKind


class StoppedError(CaasError):
    """The user wants out, and nothing was changed."""

    exit_code = Exit.INTERRUPTED


class BugError(CaasError):
    """caasctl broke while it changed a host; what was made so far is said. Its cause is what it broke on."""

    exit_code = Exit.BUG


def is_root() -> bool:
    return os.geteuid() == 0


def why(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM) and not is_root():
        return "permission denied (needs root)"
    return (error.strerror or str(error)).lower()


_FIXES = {
    errno.ENOSPC: "free space on {place}, then run the same command again",
    errno.EDQUOT: "raise the quota, then run the same command again",
    errno.EROFS: "remount {place} read-write, then run the same command again",
    errno.EIO: "the disk may be failing: see `dmesg`; once that is mended, run the same command again",
    errno.EACCES: "run as root; if you are, look for a security module or a network file system that forbids it",
    errno.EPERM: "run as root; if you are, look for an immutable flag (lsattr) or a container's restriction",
}


def cannot(verb: str, path: str, error: OSError, place: str = "that file system") -> CaasError:
    """place: the file system that it happened on, in words."""
    fix = _FIXES.get(error.errno or 0, "mend that, then run the same command again").format(place=place)
    cause = why(error)
    if isinstance(error, FileExistsError) and error.filename:
        there = str(error.filename)
        cause = f"{there} is a file and no directory"
        fix = f"move it away (`mv {there} {there}.mine`), then run the same command again"
    return CaasError(f"cannot {verb} {path}", cause=cause, fix=fix)


_KINDS = {
    FileKind.FILE: "a file",
    FileKind.DIR: "a directory",
    FileKind.LINK: "a symbolic link",
    FileKind.CHAR: "a character device",
    FileKind.BLOCK: "a block device",
    FileKind.OTHER: "a pipe or socket",
}


def word_of(kind: FileKind) -> str:
    return _KINDS[kind]


def not_a_file(path: str, kind: FileKind, target: str | None) -> CaasError:
    what = f"a symbolic link to {target}" if kind is FileKind.LINK else word_of(kind)
    return CaasError(
        f"{path} is {what}, not a file",
        cause="caasctl writes plain files only: writing through it could change something it does not own",
        fix=f"move it away (`mv {path} {path}.mine`), then run the same command again",
    )


def of_this_process(error: OSError) -> CaasError | None:
    """What a failure of our own output or of our own current directory says; None where it is neither."""
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO):
        return cannot("write the result to", "standard output", error)
    if error.filename is None and error.errno == errno.ENOENT:
        return UsageError("the current directory is gone", cause="a relative path means nothing without it",
                          fix="`cd /`, then name paths that begin with /")  # fmt: skip
    return None
