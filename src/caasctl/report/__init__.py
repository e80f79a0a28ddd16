"""A Report as text, JSON, YAML, JUnit or HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from caasctl.model import Report

FORMATS = ("text", "json", "yaml", "junit", "html")


def write(report: Report, fmt: str, out: TextIO, *, verbose: bool = False, width: int | None = None) -> None:
    """Prints the report on `out` in one of FORMATS; that nobody reads it to its end is no error.

    Data formats are UTF-8, whatever the locale.
    """
    from caasctl.report.stream import emit, unheard  # noqa: PLC0415 - only what is asked for

    try:
        if fmt == "text":
            from caasctl.report import text  # noqa: PLC0415

            text.write(report, out, verbose=verbose, width=width)
        else:
            emit(out, _data(report, fmt))
        out.flush()
    except OSError as error:
        unheard(out, error)


def as_json(report: Report) -> str:
    return _data(report, "json")


def _data(report: Report, fmt: str) -> str:
    from caasctl import formats  # noqa: PLC0415 - only what is asked for
    from caasctl.report import data, html, junit  # noqa: PLC0415

    if fmt == "json":
        return formats.dump_json(data.tree(report))
    if fmt == "yaml":
        return formats.dump_yaml(data.tree(report))
    if fmt == "junit":
        return junit.text(report)
    if fmt == "html":
        return html.text(report)
    raise ValueError(f"no such format: {fmt}")
