"""Proxies: parsers and trees of files; no credentials anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.facts import network_proxy
from caasctl.facts.network_proxy import ProxySetting
from caasctl.host import LiveHost


def tree(folder: Path, files: dict[str, str]) -> LiveHost:
    for path, text in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return LiveHost(str(folder))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@proxy.example:3128", "http://***@proxy.example:3128"),
        ("http://user@proxy.example:3128/", "http://***@proxy.example:3128/"),
        ("user:secret@proxy.example:3128", "***@proxy.example:3128"),
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("", ""),
    ],
)
def test_a_proxy_s_credentials_are_never_kept(url: str, shown: str) -> None:
    assert network_proxy.masked(url) == shown


def test_environment_lines_with_and_without_export_and_quotes() -> None:
    text = 'export HTTPS_PROXY="http://p:3128"\nno_proxy=localhost,.svc # here\nPATH=/bin\nexport HTTP_PROXY=http://q\n#http_proxy=no\n'
    assert network_proxy.parse_environment(text) == {
        "https_proxy": "http://p:3128",
        "no_proxy": "localhost,.svc",
        "http_proxy": "http://q",
    }
    assert network_proxy.parse_environment("") == {}


def test_a_unit_s_environment_is_merged_and_emptied_as_systemd_does() -> None:
    text = 'Environment="HTTP_PROXY=http://a" "NO_PROXY=x,y"\nEnvironment=\nEnvironment=HTTPS_PROXY=http://b\nEnvironmentFile=-/etc/default/p\n'
    assert network_proxy.parse_unit(text) == ({"https_proxy": "http://b"}, ("/etc/default/p",))
    assert network_proxy.parse_unit('Environment="HTTP_PROXY=http://a\n') == ({}, ())
    assert network_proxy.parse_unit("") == ({}, ())


def test_proxies_of_a_tree(tmp_path: Path) -> None:
    drop_ins = "/etc/systemd/system/containerd.service.d"
    host = tree(
        tmp_path,
        {
            "/usr/lib/systemd/system/containerd.service": "[Service]\nEnvironment=HTTPS_PROXY=http://old:1\n",
            f"{drop_ins}/http-proxy.conf": '[Service]\nEnvironment="HTTPS_PROXY=http://u:p@new:2"\nEnvironmentFile=/etc/p.env\n',
            "/etc/p.env": "NO_PROXY=.svc\n",
            "/etc/environment": "ALL_PROXY=http://shell:3\n",
            "/etc/systemd/system.conf": "[Manager]\n#DefaultEnvironment=\n",
            "/etc/apt/apt.conf.d/95proxy": 'Acquire::http::Proxy "http://apt:4/";\n',
        },
    )
    found = network_proxy.read_proxies(host)
    assert found.of("containerd") == ProxySetting(
        "containerd", f"{drop_ins}/http-proxy.conf", "", "http://***@new:2", ".svc"
    )
    assert found.of("shell") == ProxySetting("shell", "/etc/environment", "http://shell:3", "http://shell:3")
    assert (found.of("services"), found.of("kubelet")) == (None, None)
    apt = network_proxy.read_apt_proxy(host).setting
    assert apt
    assert (apt.http, apt.path) == ("http://apt:4/", "/etc/apt/apt.conf.d/95proxy")


def test_a_masked_unit_and_a_masked_drop_in_have_no_environment(tmp_path: Path) -> None:
    unit = "[Service]\nEnvironment=HTTPS_PROXY=http://old:1\n"
    host = tree(tmp_path, {f"/usr/lib/systemd/system/{name}.service": unit for name in ("containerd", "kubelet")})
    masks = tmp_path / "etc/systemd/system"
    (masks / "kubelet.service.d").mkdir(parents=True)
    (masks / "containerd.service").symlink_to("/dev/null")
    (masks / "kubelet.service.d/proxy.conf").symlink_to("/dev/null")
    found = network_proxy.read_proxies(host)
    assert [one.who for one in found.settings] == ["kubelet"]


def test_no_proxy_anywhere_is_a_value(tmp_path: Path) -> None:
    assert network_proxy.read_proxies(LiveHost(str(tmp_path))).settings == ()
    assert network_proxy.read_apt_proxy(LiveHost(str(tmp_path))).setting is None
