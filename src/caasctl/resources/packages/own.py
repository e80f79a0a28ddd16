"""The files that go with what is installed, as the phase gives them."""

from __future__ import annotations

from typing import Protocol

from caasctl.protocol import Resource


class OwnFile(Resource, Protocol):
    """A file that caasctl owns whole."""

    @property
    def path(self) -> str:
        """Where it lies."""
