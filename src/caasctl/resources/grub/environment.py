"""grubenv: what GRUB is to start once, and taking our own one-time entry out of it again."""

from __future__ import annotations

from caasctl.protocol import Reader, Writer
from caasctl.syntax import grub_menu
from caasctl.syntax.grub_menu import trial


def of(config: str) -> str:
    """The grubenv beside a grub.cfg."""
    return f"{config.rpartition('/')[0]}/grubenv"


def variables(host: Reader, config: str) -> dict[str, str]:
    """Raises Unreadable."""
    return dict(grub_menu.environment((host.read_bytes(of(config)) or b"").decode(errors="replace")))


def armed(host: Reader, config: str) -> bool:
    """Whether the next boot starts our trial entry, once."""
    return variables(host, config).get(trial.NEXT) == trial.ID


def disarm(host: Writer, config: str, mkconfig: str) -> None:
    """A one-time entry of somebody else's stays; an empty one is what GRUB leaves where it has booted ours."""
    if variables(host, config).get(trial.NEXT) in {trial.ID, ""}:
        host.execute(_editenv(mkconfig), of(config), "unset", trial.NEXT)


def disarming(config: str, mkconfig: str) -> tuple[str, ...]:
    """As `disarm`, as one command that undo runs later, when something else may be armed."""
    editenv, path = _editenv(mkconfig), of(config)
    ours = f"{editenv} {path} list | grep -qx -e {trial.NEXT}={trial.ID} -e {trial.NEXT}="
    return ("sh", "-c", f"if {ours}; then {editenv} {path} unset {trial.NEXT}; fi")


def _editenv(mkconfig: str) -> str:
    return f"{mkconfig.removesuffix('-mkconfig')}-editenv"
