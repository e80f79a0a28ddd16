"""The resources of a reset: done twice, killed at each change and done again, and never a copy of what goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl.host import LiveHost
from caasctl.model import HEADER, CommandError
from caasctl.protocol import Absent, Completed, Known, Reader, Resource, Undo, Unknown
from caasctl.resources.cmdline import CmdlineWithout
from caasctl.resources.files import File, Reset
from caasctl.resources.final import NOT_BACK, Final
from caasctl.resources.folder import OwnFolder
from caasctl.resources.grub.next_entry import NextEntry
from caasctl.resources.kernel import SwapOn, SysctlBack
from caasctl.resources.kubeadm.reset import ClusterGone, KubeconfigGone
from caasctl.resources.records import MARKER, RUNS, MarkerGone, RunsClosed
from caasctl.resources.remains import Remains, cilium
from caasctl.resources.unit_file import UnitFileGone, UnitGone
from caasctl.resources.units import UnitBack
from caasctl.syntax import kubeadm
from caasctl.syntax.digests import sha256
from caasctl.syntax.remains import CNI, Thing

FOLDER = "/etc/kubernetes/caasctl"
NET = "/sys/class/net"


class Tree(CrashingHost):
    """Commands of a reset take effect in the tree; what it does not know, it refuses."""

    def write_plain(self, path: str, text: str) -> None:
        place = Path(self.root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        return Completed(argv, 127, missing=True)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        def act() -> None:
            self.commands.append(argv)
            self._act(argv)

        self._around(act)
        return Completed(argv, 0)

    def _act(self, argv: tuple[str, ...]) -> None:
        place = Path(self.root + argv[-1])
        match argv:
            case ("ip", "link", "delete", name):
                self._delete_link(name)
            case kubeadm.RESET:
                for path in (*kubeadm.MANIFESTS, kubeadm.ADMIN):
                    Path(self.root + path).unlink(missing_ok=True)
            case ("mv", "-n", "--", old, _):
                Path(self.root + old).rename(place)
            case ("rm", "-f", "--", _):
                place.unlink(missing_ok=True)
            case ("rmdir", "--", _) | ("rm", "-rf", "--one-file-system", "--", _):
                place.rmdir()
            case _:
                assert argv[0] in ("systemctl", "grub-editenv", "swapon"), argv

    def _delete_link(self, name: str) -> None:
        if not Path(f"{self.root}{NET}/{name}").exists():
            raise CommandError("`ip` failed", cause="Cannot find device", fix="mend it")
        for each in {name, "cilium_net"} if name == "cilium_host" else {name}:
            Path(f"{self.root}{NET}/{each}").unlink(missing_ok=True)


def folder(host: Tree) -> Resource:
    host.write_plain(f"{FOLDER}/kubeadm.yaml", "ours")
    host.write_plain(f"{FOLDER}/patches/x.yaml", "ours")
    files = ((f"{FOLDER}/kubeadm.yaml", frozenset({sha256("ours")})), (f"{FOLDER}/patches/x.yaml", frozenset[str]()))
    return OwnFolder(FOLDER, files, (f"{FOLDER}/patches",))


def links(host: Tree) -> Resource:
    for name in ("cilium_host", "cilium_net", "eth0", "lxc_health"):
        host.write_plain(f"{NET}/{name}", "")
    return Remains("cilium:links", cilium.links)


def cni(host: Tree) -> Resource:
    host.write_plain(f"{CNI}/05-cilium.conflist", "{}")
    host.write_plain(f"{CNI}/10-theirs.conflist.cilium_bak", "theirs")
    host.write_plain(f"{CNI}/20-both.conf", "theirs")
    host.write_plain(f"{CNI}/20-both.conf.cilium_bak", "theirs")
    return Remains("cilium:cni", cilium.cni)


def records(host: Tree) -> Resource:
    host.write_plain(f"{RUNS}/1/0001.json", "{}")
    host.write_plain(f"{RUNS}/2/0001.json", "{}")
    host.write_plain(f"{RUNS}/2/undone", "")
    host.write_plain(f"{RUNS}/3/0001.json", "{}")
    return RunsClosed()


def cluster(host: Tree) -> Resource:
    for path in (*kubeadm.MANIFESTS, kubeadm.ADMIN):
        host.write_plain(path, "")
    Path(host.root + "/var/lib/etcd/member").mkdir(parents=True)
    return ClusterGone(etcd=True)


def unit(host: Tree) -> Resource:
    host.write_plain("/etc/systemd/system/caasctl-resume.service", HEADER)
    return UnitFileGone("caasctl-resume.service")


def coming_back(host: Tree) -> Resource:
    host.write_plain("/etc/systemd/system/caasctl-gpu.service", HEADER)
    return UnitGone("caasctl-gpu.service")


def merged(host: Tree) -> Resource:
    host.write_plain("/f", "ours")
    return Reset("/f", digests=frozenset({sha256("ours")}), recorded=True, original=("before", 0o640))


KINDS: tuple[Callable[[Tree], Resource], ...] = (folder, links, cni, records, cluster, unit, coming_back, merged)


def converge(resource: Resource, host: Tree) -> bool:
    """One run: whether anything differed."""
    now = resource.look(host)
    assert resource.target(resource.target(now)) == resource.target(now)
    if resource.target(now) == now:
        return False
    resource.apply(host, now)
    return True


def moments(make: Callable[[Tree], Resource], place: Path) -> Iterator[int]:
    host = Tree(str(place))
    converge(make(host), host)
    return iter(range(host.changes * 2))


def test_a_unit_that_can_come_back_comes_with_its_text_and_is_started(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    gone = coming_back(host)
    way = gone.undo(gone.look(host))
    assert way.files == {"/etc/systemd/system/caasctl-gpu.service": (HEADER.encode(), 0o644)}
    assert [argv[1] for argv in way.commands] == ["daemon-reload", "enable"]


@pytest.mark.parametrize("make", KINDS)
def test_done_once_there_is_nothing_left_to_do(make: Callable[[Tree], Resource], tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    resource = make(host)
    assert converge(resource, host)
    assert not converge(resource, host)
    assert resource.look(host) in (Absent(), Known("before", 0o640))


@pytest.mark.parametrize("make", KINDS)
def test_killed_at_any_change_the_next_run_ends_as_one_that_was_not(
    make: Callable[[Tree], Resource], tmp_path: Path
) -> None:
    for at in moments(make, tmp_path / "whole"):
        place = tmp_path / str(at)
        host = Tree(str(place), at)
        resource = make(host)
        with pytest.raises(Killed):
            converge(resource, host)
        again = Tree(str(place))
        converge(resource, again)
        assert not converge(resource, again)
        files = {path.relative_to(place): path.read_text() for path in place.rglob("*") if path.is_file()}
        whole = tmp_path / "whole"
        assert files == {path.relative_to(whole): path.read_text() for path in whole.rglob("*") if path.is_file()}


def test_what_others_put_into_caasctls_folder_stays_and_so_does_an_edited_file(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    resource = folder(host)
    host.write_plain(f"{FOLDER}/mine", "mine")
    host.write_plain(f"{FOLDER}/kubeadm.yaml", "edited")
    converge(resource, host)
    assert host.list(FOLDER) == ("kubeadm.yaml", "mine")
    assert not converge(resource, host)


def test_others_links_and_cni_files_stay_and_a_renamed_one_is_read_again(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    converge(links(host), host)
    converge(cni(host), host)
    assert host.list(NET) == ("eth0",)
    assert host.list(CNI) == ("10-theirs.conflist", "20-both.conf", "20-both.conf.cilium_bak")


def test_a_thing_that_stays_in_spite_of_its_command_is_a_failure(tmp_path: Path) -> None:
    class Busy(Tree):
        def _act(self, argv: tuple[str, ...]) -> None:
            raise CommandError("`ip` failed", cause="busy", fix="mend it")

    host = Busy(str(tmp_path))
    resource = links(host)
    with pytest.raises(CommandError, match="ip"):
        resource.apply(host, resource.look(host))


def test_what_a_tool_says_in_another_way_is_unknown(tmp_path: Path) -> None:
    def odd(_host: Reader) -> Iterator[Thing]:
        raise ValueError

    assert isinstance(Remains("cilium:rules", odd).look(Tree(str(tmp_path))), Unknown)


def test_etcds_data_of_somebody_else_stays(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    cluster(host)
    converge(ClusterGone(etcd=False), host)
    assert host.list("/var/lib/etcd") == ("member",)


def test_what_somebody_put_beside_etcds_data_stays_and_holds_nothing_up(tmp_path: Path) -> None:
    """As after a kubeadm that died behind etcd's manifest, which would have told it where the data is."""
    host = Tree(str(tmp_path))
    host.write_plain("/var/lib/etcd/snapshot.db", "a copy")
    Path(host.root + "/var/lib/etcd/member").mkdir()
    assert [converge(ClusterGone(etcd=True), host) for _ in range(2)] == [True, False]
    assert host.list("/var/lib/etcd") == ("snapshot.db",)


KUBECONFIG = """\
clusters: [{{name: k, cluster: {{server: "https://192.0.2.1:6443", certificate-authority-data: {ca}}}}}]
users: [{{name: {user}}}]
"""


@pytest.mark.parametrize(
    ("own", "stays"),
    [
        (KUBECONFIG.format(ca="QQ==", user="kubernetes-admin"), False),
        (KUBECONFIG.format(ca="QQ==", user="kubernetes-admin") + "preferences: {}\n", False),
        (KUBECONFIG.format(ca="Qg==", user="kubernetes-admin"), True),
        (KUBECONFIG.format(ca="QQ==", user="ann"), True),
        ("not a kubeconfig", True),
    ],
)
def test_a_kubeconfig_goes_where_it_is_of_this_cluster_and_of_nothing_else(
    own: str, tmp_path: Path, *, stays: bool
) -> None:
    host = Tree(str(tmp_path))
    host.write_plain(kubeadm.ADMIN, KUBECONFIG.format(ca="QQ==", user="kubernetes-admin"))
    host.write_plain("/root/.kube/config", own)
    resource = KubeconfigGone(File("/root/.kube/config"), File(kubeadm.ADMIN))
    converge(resource, host)
    assert (host.read("/root/.kube/config") == own) is stays
    assert resource.secret


def test_a_kubeconfig_that_the_record_knows_goes_when_admin_conf_is_gone(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    host.write_plain("/root/.kube/config", "a key")
    converge(KubeconfigGone(File("/root/.kube/config"), File(kubeadm.ADMIN), frozenset({sha256("a key")})), host)
    assert host.read("/root/.kube/config") is None


@pytest.mark.parametrize(("beside", "stays"), [((), False), (("cache",), True)])
def test_a_folder_that_caasctl_made_for_it_goes_where_nothing_else_is_in_it(
    beside: tuple[str, ...], tmp_path: Path, *, stays: bool
) -> None:
    host = Tree(str(tmp_path))
    host.write_plain("/root/.kube/config", "a key")
    for name in beside:
        host.write_plain(f"/root/.kube/{name}", "")
    own, digests = File("/root/.kube/config"), frozenset({sha256("a key")})
    converge(KubeconfigGone(own, File(kubeadm.ADMIN), digests, "/root/.kube"), host)
    assert (host.list("/root/.kube") is not None) is stays


def test_a_folder_that_a_killed_reset_left_empty_goes_with_the_next(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    (tmp_path / "root/.kube").mkdir(parents=True)
    assert not converge(KubeconfigGone(File("/root/.kube/config"), File(kubeadm.ADMIN)), host)
    assert host.list("/root/.kube") == ()  # whoever made it
    assert converge(KubeconfigGone(File("/root/.kube/config"), File(kubeadm.ADMIN), folder="/root/.kube"), host)
    assert host.list("/root/.kube") is None


@pytest.mark.parametrize(
    ("text", "stays"), [('{"phase": "boot"}', False), ('{"phase": "reset-done"}', True), ("half of it", False)]
)
def test_a_reboot_that_a_run_waits_for_is_not_waited_for_any_more(text: str, tmp_path: Path, *, stays: bool) -> None:
    host = Tree(str(tmp_path))
    host.write_plain(MARKER, text)
    assert converge(MarkerGone(), host) is not stays
    assert (host.read(MARKER) == text) is stays


def test_only_caasctls_own_entry_is_no_longer_started_next(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    resource = NextEntry("/boot/grub/grub.cfg", "grub-mkconfig")
    host.write_plain("/boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=theirs\n####")
    assert not converge(resource, host)
    host.write_plain("/boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=caasctl-trial\n####")
    assert converge(resource, host)
    assert host.commands == [("grub-editenv", "/boot/grub/grubenv", "unset", "next_entry")]
    host.write_plain("/boot/grub/grubenv", "# GRUB Environment Block\nnext_entry=\n####")  # as GRUB leaves it
    assert resource.look(host) == Absent()
    booted = replace(resource, booted=True)
    assert booted.target(booted.look(host)) == Absent() != booted.look(host)


def test_swap_whose_device_is_gone_stays_off(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    assert not converge(SwapOn(("swapon", "/swapfile")), host)
    host.write_plain("/swapfile", "")
    assert converge(SwapOn(("swapon", "/swapfile")), host)
    assert host.commands == [("swapon", "/swapfile")]


def test_a_setting_whose_module_or_interface_is_gone_holds_nothing_up(tmp_path: Path) -> None:
    host, path = Tree(str(tmp_path)), "/proc/sys/net/bridge/bridge-nf-call-iptables"
    bridge = SysctlBack("net.bridge.bridge-nf-call-iptables", "0")
    assert not converge(bridge, host)
    host.write_plain(path, "1\n")
    assert converge(bridge, host)
    assert host.read(path) == "0"


def test_a_unit_that_is_gone_holds_nothing_up() -> None:
    assert UnitBack("swapfile.swap", enabled=True).target(Absent()) == Absent()
    assert UnitBack("swapfile.swap", enabled=True).target(Known("disabled")) == Known("enabled")
    linked = Known("linked to /opt/containerd.service")  # as LinkBack brings it about
    assert UnitBack("containerd.service", enabled=False).target(linked) == linked


def test_a_kernel_without_the_arguments_owes_no_boot(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    host.write_plain("/proc/cmdline", "ro intel_iommu=on quiet\n")
    assert CmdlineWithout(("intel_iommu=on",)).look(host) == Known("still there: intel_iommu=on")
    host.write_plain("/proc/cmdline", "ro quiet\n")
    assert not converge(CmdlineWithout(("intel_iommu=on",)), host)


def test_a_reset_keeps_no_copy(tmp_path: Path) -> None:
    host = Tree(str(tmp_path))
    file = Final(merged(host), "what is in it")
    assert file.undo(file.look(host)) == Undo(nothing=NOT_BACK, loses="what is in it")
    assert (file.name, file.reboots, file.secret, file.after) == ("file:/f", False, False, ())


def test_a_link_in_the_place_of_our_file_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "f").symlink_to("elsewhere")
    host = LiveHost(str(tmp_path))
    assert Reset("/f").look(host) == Absent()
    assert Reset("/f").target(Absent()) == Absent()
