"""What a text that is not of its format raises."""

from __future__ import annotations

from caasctl.model import CaasError


class FormatError(CaasError):
    """A text is not of its format, or a value cannot be put into it; the problem names line and column where known."""
