"""Start-up: an old Python gets a sentence instead of a traceback, hence in syntax that Python 2.7 can parse."""

import sys

OLDEST = (3, 10)


def main():  # noqa: ANN201 - as above
    # type: () -> int
    """The exit code of the command line in sys.argv."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "caasctl needs Python %d.%d or newer and this is %d.%d: run it with a newer one, such as "  # noqa: UP031 - as above
            "Debian 12 and Ubuntu 22.04 have\n" % (OLDEST + sys.version_info[:2])
        )
        return 2
    from caasctl.cli import main as command_line  # noqa: PLC0415 - an old Python cannot parse it

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
