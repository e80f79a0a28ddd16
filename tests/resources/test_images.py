"""Images of an air gap's folder: what of them containerd's answer makes due, and the way back. With a real one: tests/containerd."""

from __future__ import annotations

from pathlib import Path

from caasctl.host import LiveHost
from caasctl.profile import ImageFile
from caasctl.protocol import Known, Unknown
from caasctl.resources.images import Images

MADE = Images(
    (ImageFile("/d/a.tar", ("r/a:1",)), ImageFile("/d/b.tar", ("r/b:1", "r/b@sha256:x"))),
    "/run/containerd/containerd.sock",
)


def test_all_are_wanted_whatever_is_there() -> None:
    wanted = Known("r/a:1\nr/b:1\nr/b@sha256:x\n")
    assert MADE.target(Known("r/a:1\n")) == wanted
    assert MADE.target(wanted) == wanted


def test_what_is_not_pinned_is_due_and_its_undo_takes_the_pin_alone() -> None:
    now = Known("r/a:1 not pinned\nr/b:1\n")
    assert MADE.target(now) == Known("r/a:1\nr/b:1\nr/b@sha256:x\n")
    unpin, remove = MADE.undo(now).commands
    assert unpin[-3:] == ("label", "r/a:1", "io.cri-containerd.pinned=")
    assert remove[-2:] == ("rm", "r/b@sha256:x")


def test_only_new_ones_go_back() -> None:
    (argv,) = MADE.undo(Known("r/a:1\n")).commands
    assert argv[-3:] == ("rm", "r/b:1", "r/b@sha256:x")
    assert not MADE.undo(MADE.target(Known(""))).acts


def test_another_hosts_tree_cannot_be_asked(tmp_path: Path) -> None:
    state = MADE.look(LiveHost(str(tmp_path)))
    assert isinstance(state, Unknown)
    assert MADE.target(state) == state
