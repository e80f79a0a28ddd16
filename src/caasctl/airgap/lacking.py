"""What pack leaves out of a folder, with what to do about it."""

from __future__ import annotations

from caasctl.airgap.wanted import Item
from caasctl.model import CaasError
from caasctl.needs.packages import key_fix
from caasctl.syntax.packages import Repository


class UnnamedError(CaasError):
    """The profile names no source of it. A node that has it by itself needs none, so that the node's own checks judge it."""


def unsigned(repository: Repository) -> CaasError:
    return CaasError(f"the repository {repository.name} was left out",
                     cause=f"the profile names no key that signs it ({repository.setting}.fingerprint)",
                     fix=key_fix(repository).text)  # fmt: skip


def left_out(item: Item) -> CaasError:
    """Of an item that could not be named whole."""
    problem = f"{item.name} was left out"
    if item.fix:
        return UnnamedError(problem, cause=item.why_unknown, fix=f"{item.fix}; then run the same command again")
    return CaasError(problem, cause=item.why_unknown, fix="mend what is said above, then run the same command again")
