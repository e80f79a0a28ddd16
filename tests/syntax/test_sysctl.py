"""sysctl.d: which file is read, in which order, which line wins."""

from __future__ import annotations

from caasctl.syntax import sysctl
from caasctl.syntax.sysctl import Setting


def test_an_earlier_folder_hides_the_same_name_and_names_decide_the_order() -> None:
    listings = {
        "/usr/lib/sysctl.d": ("50-default.conf", "99-protect-links.conf"),
        "/run/sysctl.d": ("50-default.conf", "60-run.conf"),
        "/etc/sysctl.d": ("99-sysctl.conf", "README.sysctl", ".hidden.conf", "10-first.conf"),
        "/usr/local/lib/sysctl.d": ("60-run.conf",),
    }
    assert sysctl.files(listings) == (
        "/etc/sysctl.d/10-first.conf",
        "/run/sysctl.d/50-default.conf",
        "/run/sysctl.d/60-run.conf",
        "/usr/lib/sysctl.d/99-protect-links.conf",
        "/etc/sysctl.d/99-sysctl.conf",
    )


def test_assignments_have_their_line() -> None:
    text = "# c\n; c\nnet.ipv4.ip_forward=0\n\n-kernel/panic = 5\n-net.ipv4.conf.lo.rp_filter\nkernel.x =  1   2\n"
    assert sysctl.settings(text, "/f") == (
        Setting("net.ipv4.ip_forward", "0", "/f", 3),
        Setting("kernel.panic", "5", "/f", 5),
        Setting("kernel.x", "1 2", "/f", 7),
    )
    assert sysctl.settings("", "/f") == ()


def test_both_separators_and_both_names_of_forwarding() -> None:
    assert sysctl.dotted("net/ipv4/conf/eth0.100/forwarding") == "net.ipv4.conf.eth0/100.forwarding"
    assert sysctl.dotted("net.ipv4.conf.all.forwarding") == "net.ipv4.ip_forward"
    assert sysctl.proc_path("net.ipv4.conf.eth0/100.forwarding") == "/proc/sys/net/ipv4/conf/eth0.100/forwarding"


def test_the_last_line_wins_and_a_name_beats_a_pattern() -> None:
    early, late = Setting("kernel.panic", "1", "/a", 1), Setting("kernel.panic", "2", "/b", 1)
    glob = Setting("kernel.pan*", "3", "/c", 1)
    assert sysctl.winner((early, late, glob), "kernel.panic") == late
    assert sysctl.winner((glob,), "kernel.panic") == glob
    assert sysctl.winner((glob,), "kernel.other") is None
