"""Kernel releases in order, options, names of modules."""

from __future__ import annotations

import pytest

from caasctl.syntax import kernel


@pytest.mark.parametrize(
    ("installed", "running", "newest"),
    [
        (("6.1.0-21-amd64", "6.1.0-22-amd64"), "6.1.0-21-amd64", "6.1.0-22-amd64"),
        (("6.1.0-9-amd64", "6.1.0-22-amd64"), "6.1.0-22-amd64", ""),
        (("5.15.0-113-generic", "6.8.0-40-aws"), "5.15.0-113-generic", ""),
        (("5.15.0-113-generic", "5.15.0-116-generic"), "5.15.0-113-generic", "5.15.0-116-generic"),
        (
            ("5.14.0-427.13.1.el9_4.x86_64", "5.14.0-503.11.1.el9_5.x86_64"),
            "5.14.0-427.13.1.el9_4.x86_64",
            "5.14.0-503.11.1.el9_5.x86_64",
        ),
        (("6.12.41+deb13-amd64", "6.12.43+deb13-amd64"), "6.12.41+deb13-amd64", "6.12.43+deb13-amd64"),
        (("6.12.43+deb13-cloud-amd64",), "6.12.41+deb13-amd64", ""),
        (("5.4.0-81-generic",), "5.14.15-custom", ""),
        ((), "5.14.15-custom", ""),
        (("leftovers",), "5.14.15-custom", ""),
    ],
)
def test_only_a_later_build_of_the_same_flavour_is_newer(installed: tuple[str, ...], running: str, newest: str) -> None:
    assert kernel.newer(installed, running) == newest


def test_module_names_are_the_kernels() -> None:
    text = (
        "kernel/drivers/vhost/vhost-vsock.ko.xz: kernel/drivers/vhost/vhost.ko.xz\nkernel/fs/overlayfs/overlay.ko\n\n"
    )
    assert kernel.modules_in(text) == {"vhost_vsock", "overlay"}
    assert kernel.modules_in("") == frozenset()
    assert kernel.modules_in("no module here\n") == frozenset()


def test_loaded_modules_are_the_first_word_of_a_line() -> None:
    assert kernel.modules_loaded("kvm 1 0 - Live 0x0\n\noverlay 2 0 - Live 0x0\n") == {"kvm", "overlay"}
    assert kernel.modules_loaded("") == frozenset()


def test_what_is_not_set_is_not_an_option() -> None:
    assert kernel.config_options('# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_C="x"\nbroken') == {"B": "m", "C": "x"}
    assert kernel.config_options("") == {}


def test_modules_that_the_configuration_builds_in() -> None:
    assert kernel.built_in({"OVERLAY_FS": "y", "VHOST_NET": "m"}) == {"overlay"}
