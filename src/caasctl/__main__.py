"""Start-up: an old Python gets a sentence instead of a traceback, hence in syntax that Python 2.7 can parse."""

import gc
import os
import sys

OLDEST = (3, 10)


def main():  # noqa: ANN201 - as above
    # type: () -> int
    """The exit code of the command line in sys.argv."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "caasctl needs Python %d.%d or newer and this is %d.%d: Debian 12 and Ubuntu 22.04 have one; on Enterprise Linux 9: "  # noqa: UP031 - as above
            "dnf install python3.11, then python3.11 %s ...\n" % (OLDEST + sys.version_info[:2] + (sys.argv[0],))
        )
        return 2
    os.umask(0o022)  # for the programs that it starts too: what they make is as after a boot, whatever the caller's is
    _fill_standard_streams()
    # What a command loads and reads stays until its end: to look for waste in it is a twentieth of its time.
    gc.set_threshold(50000)
    from caasctl.cli import main as command_line  # noqa: PLC0415 - an old Python cannot parse it

    return command_line()


def _fill_standard_streams():  # noqa: ANN202 - as above
    # type: () -> None
    """A stream that was closed leads to nowhere: otherwise the first file opened would take its number, and our output."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:  # noqa: PLR2004 - stderr
            os.close(fd)
            break
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - for the rest of the run
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - for the rest of the run


if __name__ == "__main__":
    sys.exit(main())
