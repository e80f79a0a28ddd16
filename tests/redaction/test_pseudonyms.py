"""Other names for hardware and public addresses: the same for the same, of the same form, and for nothing that is nobody's."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.redaction import addresses
from caasctl.redaction.leaks import Scan
from caasctl.redaction.texts import Redaction

V4, V6 = addresses.v4(b"key"), addresses.v6(b"key")
RANGES = ("1.0.0.0 9.255.255.255", "11.0.0.0 100.63.255.255", "172.32.0.0 191.255.255.255", "192.169.0.0 192.175.47.255",
          "198.20.0.0 198.51.99.255", "203.0.112.0 203.0.112.255", "203.0.114.0 223.255.255.255")  # fmt: skip
PUBLIC4 = st.one_of(*(st.integers(*(int(IPv4Address(end)) for end in each.split())) for each in RANGES))
PUBLIC6 = st.integers(0x2003 << 112, (0x3FFF << 112) - 1)


def renamed(*texts: str, where: str = "") -> list[str]:
    redaction = Redaction(b"k")
    hidden = [redaction.hide(where, text) for text in texts]
    left = [redaction.rename(where, text) for text in hidden]
    scan = Scan(redaction)
    assert not [text for text in left if list(scan.leaks(text))]
    return left


def common(one: int, other: int, bits: int) -> int:
    """The length of the prefix that two numbers share."""
    return bits - (one ^ other).bit_length()


@given(PUBLIC4, PUBLIC4)
def test_two_public_addresses_share_as_much_as_before(one: int, other: int) -> None:
    assert common(V4.image(one), V4.image(other), 32) == common(one, other, 32)


@given(PUBLIC6, PUBLIC6)
def test_two_public_ipv6_addresses_share_as_much_as_before(one: int, other: int) -> None:
    assert common(V6.image(one), V6.image(other), 128) == common(one, other, 128)


@given(PUBLIC4, st.binary(min_size=16, max_size=32))
def test_none_becomes_private_or_special(number: int, key: bytes) -> None:
    assert IPv4Address(addresses.v4(key).image(number)).is_global


@given(PUBLIC6, st.binary(min_size=16, max_size=32))
def test_none_becomes_private_or_special_in_ipv6(number: int, key: bytes) -> None:
    assert IPv6Address(addresses.v6(key).image(number)).is_global


@given(st.integers(0, 2**32 - 1))
def test_what_is_not_public_stays(number: int) -> None:
    if not IPv4Address(number).is_global and number >> 22 != 0x64400000 >> 22:
        assert V4.image(number) == number or not V4.special(number)
    if V4.special(number):
        assert V4.image(number) == number


def test_most_addresses_change_and_keys_differ() -> None:
    numbers = [
        int(IPv4Address(f"{first}.{first}.7.9")) for first in range(1, 223) if not V4.special(first << 24 | first << 16)
    ]
    other = addresses.v4(b"other")
    assert sum(V4.image(number) != number for number in numbers) > 0.95 * len(numbers)
    assert sum(V4.image(number) != other.image(number) for number in numbers) > 0.95 * len(numbers)


@given(PUBLIC4, st.integers(4, 31))
def test_a_network_keeps_its_zeros_its_broadcast_and_its_members(number: int, length: int) -> None:
    family = addresses.v4(b"key")
    network = IPv4Network((number, length), strict=False)
    if not network.is_global or family.special(int(network[0])) or family.special(int(network[-1])):
        return
    family.network(number, length)
    image = IPv4Network((family.image(int(network[0])), length))
    assert family.image(int(network[-1])) == int(image[-1])
    assert IPv4Address(family.image(number)) in image


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1 172.16.3.4 192.168.1.1 100.64.0.1 127.0.0.1 169.254.169.254 0.0.0.0/0 default",
        "netmask 255.255.255.0, 255.255.254.0, 128.0.0.0/1, 224.0.0.1",
        "192.0.2.1 198.51.100.7 203.0.113.9 198.18.0.1",
        "version 1.2.3.4, v8.8.8.8, Version: 5.6.7.8, foo (>= 9.9.9.9) foo-7.8.9.10-1 firmware-version: 22.35.10.12",
        "1.3.6.1.4.1.311.21.20 and 1.2.3.4.5 and 94.02.5C.00.03 and 300.1.2.3",
        "fe80::1 fd00::1 ::1 :: 2001:db8::1 ff02::1 10:20:30 12:34:56.789",
        "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff 33:33:00:00:00:01 01:00:5e:00:00:01",
        "0000:81:00.0 sha256:aa:bb linux-image-6.12.41+deb13-amd64 UUID=0a1b2c3d-1111-2222-3333-444455556666",
        "Serial Number: To be filled by O.E.M. serial: 0000000000 console=ttyS0 serial --unit=0 Serial: Not Specified",
        "Tue Feb 10 12:34:56 2026 kernel: serial8250: ttyS0 at I/O 0x3f8 (irq = 4, base_baud = 115200) is a 16550A",
    ],
)
def test_what_is_nobody_s_or_only_looks_like_it_stays(text: str) -> None:
    assert renamed(text) == [text]


def test_a_path_that_tells_a_version_is_no_address() -> None:
    assert renamed("22.35.10.12\n", where="/sys/class/infiniband/mlx5_0/fw_ver") == ["22.35.10.12\n"]
    assert renamed("kubelet 1.36.4.1\n", where="dpkg-query -W") == ["kubelet 1.36.4.1\n"]


def test_a_mac_is_the_same_everywhere_and_locally_administered() -> None:
    mac = "3c:ec:ef:12:34:56"
    texts = (f"link/ether {mac} brd ff:ff:ff:ff:ff:ff", mac.upper(), mac.replace(":", "-"), f"enx{mac.replace(':', '')}",
             "fe80::3eec:efff:fe12:3456/64", "address 2a01:4f8:1:2:3eec:efff:fe12:3456", "x 3cecef123456 y")  # fmt: skip
    plain, upper, dashed, name, local, public, bare = renamed(*texts)
    new = plain.split()[1]
    digits = new.replace(":", "")
    assert new != mac
    assert int(new[:2], 16) & 3 == 2
    assert plain.endswith("brd ff:ff:ff:ff:ff:ff")
    assert (upper, dashed, name, bare) == (new.upper(), new.replace(":", "-"), f"enx{digits}", f"x {digits} y")
    for text in (local.partition("/")[0], public.split()[1]):
        ending = ip_address(text).packed[8:]
        assert bytes((ending[0] ^ 2, *ending[1:3], *ending[5:])).hex() == digits
    assert local.startswith("fe80::")
    assert local.endswith("/64")


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("Serial Number: S5Y1NX0R123456", "S5Y1NX0R123456"),
        ('{"serial": "PHLN1234005T1P6AGN"}', "PHLN1234005T1P6AGN"),
        ("ID_SERIAL_SHORT=S5Y1NX0R123456", "S5Y1NX0R123456"),
        ("GPU-5a3c1f7e-9b2d-4c8a-8f61-0123456789ab", "5a3c1f7e-9b2d-4c8a-8f61-0123456789ab"),
        ("/dev/disk/by-id/nvme-SAMSUNG_MZQL21T9HCJR-00A07_S64GNE0R123456-part2", "S64GNE0R123456"),
        ("/dev/disk/by-id/wwn-0x5002538f31234567", "5002538f31234567"),
        ('"machineID": "4f1d7c0a9b3e4d2f8a6c5b0e1d2c3f4a"', "4f1d7c0a9b3e4d2f8a6c5b0e1d2c3f4a"),
        ('"systemUUID": "4C4C4544-0044-3210-8031-B2C04F4D4233"', "4C4C4544-0044-3210-8031-B2C04F4D4233"),
        ("/boot/loader/entries/4f1d7c0a9b3e4d2f8a6c5b0e1d2c3f4a-6.12.conf", "4f1d7c0a9b3e4d2f8a6c5b0e1d2c3f4a"),
    ],
)
def test_a_serial_number_keeps_its_form(text: str, serial: str) -> None:
    left, elsewhere = renamed(text, f"it is {serial}.")
    shape = re.escape(text).replace(re.escape(serial), "(.+)")
    found = re.fullmatch(shape, left)
    assert found
    assert found[1] != serial
    assert re.sub("[0-9a-f]", "0", found[1]).lower().replace("-", "0").isalnum()
    assert len(found[1]) == len(serial)
    assert elsewhere == f"it is {found[1]}."
    if "-" in serial:
        assert re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", found[1])


def test_the_files_of_the_board_are_serial_numbers_themselves() -> None:
    redaction = Redaction(b"k")
    redaction.hide("/sys/class/dmi/id/product_serial", "CZ12345678\n")
    assert "CZ12345678" not in redaction.rename("", redaction.hide("", "chassis CZ12345678 found"))


def test_addresses_in_one_network_stay_in_one() -> None:
    addr = [
        {"local": "5.9.10.11", "prefixlen": 26},
        {"dst": "5.9.10.0/26", "gateway": "5.9.10.1", "broadcast": "5.9.10.63"},
    ]
    (left,) = renamed(json.dumps(addr))
    first, second = json.loads(left)
    network = ip_network(second["dst"])
    assert str(network) != "5.9.10.0/26"
    assert all(ip_address(one) in network for one in (first["local"], second["gateway"]))
    assert second["broadcast"] == str(network[-1])


def test_the_kernel_s_hexadecimal_tables_say_the_same() -> None:
    """8.8.8.0/24 by 8.8.8.1, in /proc/net/route and in a text."""
    redaction = Redaction(b"k")
    table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00080808\t00000000\t0001\t0\t0\t0\t00FFFFFF\neth0\t00000000\t01080808\t0003\t0\t0\t0\t00000000\n"  # fmt: skip
    sockets = "   0: 05080808:0016 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 12345678 1"
    inet6 = "2a0104f8000100020000000000000007 02 40 00 80     eth0\n"
    asked = (("/proc/net/route", table), ("/proc/net/tcp", sockets), ("/proc/net/if_inet6", inet6),
             ("", "net 8.8.8.0/24 gw 8.8.8.1 me 8.8.8.5 and 2a01:4f8:1:2::7/64"))  # fmt: skip
    hidden = [(where, redaction.hide(where, text)) for where, text in asked]
    route, tcp, six, plain = (redaction.rename(where, text) for where, text in hidden)
    network, gateway, me = (ip_address(one) for one in re.findall(r"\d+\.\d+\.\d+\.\d+", plain))
    little = [address.packed[::-1].hex().upper() for address in (network, gateway, me)]
    assert str(network).endswith(".0")
    assert network != ip_address("8.8.8.0")
    assert [field in route for field in little[:2]] == [True, True]
    assert "00FFFFFF" in route
    assert little[2] + ":0016" in tcp
    assert tcp.endswith("12345678 1")
    assert "0100007F:C350" in tcp
    assert ip_address(plain.split()[-1].partition("/")[0]).packed.hex() == six.split()[0] != inet6.split(maxsplit=1)[0]


def test_other_forms_of_an_address_that_was_met() -> None:
    first, name, mapped, end, version = renamed(
        "8.8.4.4", "ip-8-8-4-4.internal", "::ffff:8.8.4.4", "at 8.8.4.4.", "x-8.8.4.4"
    )
    assert first != "8.8.4.4"
    assert name == f"ip-{first.replace('.', '-')}.internal"
    assert (mapped, end, version) == (f"::ffff:{first}", f"at {first}.", f"x-{first}")


def test_another_recording_has_other_names() -> None:
    one, other = Redaction(), Redaction()
    text = "8.8.4.4 3c:ec:ef:12:34:56"
    assert one.rename("", one.hide("", text)) != other.rename("", other.hide("", text))


@given(st.binary(min_size=6, max_size=6))
def test_any_device_s_mac_becomes_a_local_one_of_a_device(data: bytes) -> None:
    mac = data.hex(":")
    left = Redaction(b"k").rename("", mac)
    if data[0] & 1 or len(set(data.hex())) == 1:
        assert left == mac
    else:
        assert int(left[:2], 16) & 3 == 2


def test_an_address_below_a_line_that_ends_in_a_letter_is_no_version() -> None:
    assert "8.8.8.8" not in renamed("nameserver\n8.8.8.8 is it\n")[0]


def test_a_password_that_a_url_writes_with_escapes_is_hidden_as_it_is_elsewhere() -> None:
    _, other = renamed("https://user:p%40ssw0rd-long@host/x", "it is p@ssw0rd-long here")
    assert "ssw0rd" not in other


def test_a_mac_that_only_an_address_tells_has_another_name_elsewhere_too() -> None:
    _, bare = renamed("inet6 fe80::5054:ff:fe12:3456/64", "device 525400123456 is up")
    assert "525400123456" not in bare


def test_a_token_behind_escapes_is_a_leak() -> None:
    redaction = Redaction(b"key")
    redaction.known.add('se"cret-0123456789')
    assert list(Scan(redaction).leaks(r"said se\"cret-0123456789")) == ["secret in escapes"]
