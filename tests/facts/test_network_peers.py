"""SSH sessions: the socket tables of /proc/net and the ports of sshd."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts.network_peers import SshPeers, read_ssh_peers
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.syntax.ssh import parse_established, parse_ports, parse_socket

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TAIL = "00000000:00000000 00:00000000 00000000     0        0 1147 1 000000005f40df1d 100 0 0 10 0\n"
# 192.0.2.2:22 <- 198.51.100.7, 10.244.3.4; listening; 192.0.2.2:443 <- 203.0.113.1; 127.0.0.1:22 <- 127.0.0.1; port 2222
TCP = HEAD + "".join(
    f"   {at}: {local} {remote} {state} {TAIL}"
    for at, (local, remote, state) in enumerate(
        (
            ("020200C0:0016", "076433C6:9C40", "01"),
            ("020200C0:0016", "0403F40A:9C41", "01"),
            ("00000000:0016", "00000000:0000", "0A"),
            ("020200C0:01BB", "017100CB:9C42", "01"),
            ("0100007F:0016", "0100007F:9C43", "01"),
            ("020200C0:08AE", "0503F40A:9C44", "01"),
        )
    )
)
TCP6 = HEAD + (
    f"   0: 0000000000000000FFFF0000020200C0:0016 0000000000000000FFFF0000097100CB:9C40 01 {TAIL}"
    f"   1: B80D0120000000000000000002000000:0016 B80D0120000000000000000009000000:9C41 01 {TAIL}"
)


def put(top: Path, **files: str) -> LiveHost:
    for name, text in files.items():
        path = top / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LiveHost(str(top))


def test_the_remote_ends_of_sessions_are_found() -> None:
    assert parse_established(TCP, frozenset({22})) == ("198.51.100.7", "10.244.3.4")
    assert parse_established(TCP, frozenset({2222})) == ("10.244.3.5",)
    assert parse_established(TCP6, frozenset({22}), "tcp6") == ("203.0.113.9", "2001:db8::9")
    assert parse_established("", frozenset({22})) == ()


def test_a_broken_table_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="unknown form"):
        parse_established(HEAD + f"   0: nonsense:0016 zz:9C40 01 {TAIL}", frozenset({22}))


def test_ports_are_read_as_sshd_reads_them() -> None:
    assert parse_ports("# Port 1\nPort 2222\nport=2200\nListenAddress 10.1.1.1:2022\nListenAddress [::]:2023\n") == (
        2222, 2200, 2022, 2023,
    )  # fmt: skip
    assert parse_ports("ListenAddress 10.1.1.1\nListenAddress ::\n") == ()
    assert parse_ports("") == ()
    assert parse_socket("[Socket]\nListenStream=\nListenStream=0.0.0.0:2222\nListenStream=[::]:2223\nListenStream=24\n") == (
        2222, 2223, 24,
    )  # fmt: skip


def test_a_tree_tells_its_peers(tmp_path: Path) -> None:
    host = put(tmp_path, proc__net__tcp=TCP, proc__net__tcp6=TCP6)
    assert read_ssh_peers(host) == SshPeers(("10.244.3.4", "198.51.100.7", "203.0.113.9", "2001:db8::9"))
    put(tmp_path, etc__ssh__sshd_config="Include /etc/ssh/sshd_config.d/*.conf\n")
    (tmp_path / "etc/ssh/sshd_config.d").mkdir()
    (tmp_path / "etc/ssh/sshd_config.d/port.conf").write_text("Port 2222\n")
    assert read_ssh_peers(host) == SshPeers(("10.244.3.5",))


def test_a_port_of_a_socket_unit_s_drop_in_counts(tmp_path: Path) -> None:
    host = put(tmp_path, proc__net__tcp=TCP)
    folder = tmp_path / "etc/systemd/system/ssh.socket.d"
    folder.mkdir(parents=True)
    (folder / "listen.conf").write_text("[Socket]\nListenStream=\nListenStream=2222\n")
    assert read_ssh_peers(host) == SshPeers(("10.244.3.5",))


def test_without_socket_tables_peers_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="/proc/net/tcp: is not there"):
        read_ssh_peers(LiveHost(str(tmp_path)))
