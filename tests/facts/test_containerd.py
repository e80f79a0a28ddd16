"""containerd's facts, read from trees as hosts have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caasctl.facts import containerd, containerd_config, containerd_live, containerd_writers
from caasctl.host import LiveHost
from caasctl.model import Unreadable
from caasctl.protocol import Completed, Probe
from caasctl.syntax.containerd.host import parse_service
from caasctl.syntax.containerd.tables import CRI, MAIN

UNIT = "usr/lib/systemd/system/containerd.service"
UNIT_TEXT = "[Service]\nExecStart=/usr/bin/containerd\nType=notify\nDelegate=yes\nKillMode=process\n"
STATUS = "Package: containerd\nStatus: install ok installed\nVersion: 1:1.7.24~ds1-6+deb13u1\n\nPackage: runc\nStatus: deinstall ok config-files\nVersion: 1.1.5\n"
Tree = Callable[[dict[str, str]], LiveHost]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    def make(files: dict[str, str]) -> LiveHost:
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
            (tmp_path / path).chmod(0o755 if "/bin/" in path or "/sbin/" in path else 0o644)
        return LiveHost(str(tmp_path))

    return make


def read(fact: type, host: LiveHost) -> Any:
    """The fact, by the probe that its topic registers for it."""
    probes: list[Probe] = [
        probe
        for topic in (containerd, containerd_config, containerd_live, containerd_writers)
        for probe in topic.PROBES
    ]
    return next(probe for probe in probes if probe.fact is fact).read(host)


def test_of_an_empty_tree_everything_is_a_value(tree: Tree) -> None:
    host = tree({"etc/hostname": "x"})
    assert read(containerd.ContainerdBinaries, host) == containerd.ContainerdBinaries()
    assert read(containerd.ContainerdVersion, host) == containerd.ContainerdVersion()
    assert read(containerd.RuncBinaries, host) == containerd.RuncBinaries()
    assert read(containerd.RuncVersion, host) == containerd.RuncVersion()
    assert read(containerd.ContainerdService, host) == containerd.ContainerdService()
    assert read(containerd_config.ContainerdConfig, host).main.text is None
    assert read(containerd_config.Shims, host) == containerd_config.Shims()
    assert read(containerd_config.CrictlConfig, host) == containerd_config.CrictlConfig()
    assert read(containerd_live.CriInfo, host) == containerd_live.CriInfo()
    assert read(containerd_live.Docker, host) == containerd_live.Docker()
    assert read(containerd_writers.OtherWriters, host) == containerd_writers.OtherWriters()


def test_what_only_a_command_can_tell_is_unreadable_in_a_tree(tree: Tree) -> None:
    host = tree({"usr/local/bin/containerd": "", "run/containerd/containerd.sock": ""})
    for fact in (containerd.ContainerdVersion, containerd.ContainerdProcess, containerd_live.ContainerdPlugins):
        with pytest.raises(Unreadable):
            read(fact, host)


def test_dpkg_tells_the_version_of_its_own_binary(tree: Tree) -> None:
    found = read(containerd.ContainerdVersion, tree({"usr/bin/containerd": "", "var/lib/dpkg/status": STATUS}))
    assert (found.version, found.release) == ((1, 7, 24), "1.7.24")


def test_a_package_that_is_only_half_there_tells_nothing(tree: Tree) -> None:
    with pytest.raises(Unreadable):
        read(containerd.RuncVersion, tree({"usr/sbin/runc": "", "var/lib/dpkg/status": STATUS}))


@pytest.mark.parametrize(
    ("says", "broken"), [("version `GLIBC_2.38' not found (required by x)", True), ("no such flag", False)]
)
def test_a_program_of_another_c_library_is_a_value_and_other_failures_are_not(
    tmp_path: Path, *, says: str, broken: bool
) -> None:
    class Failing(LiveHost):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            return Completed(argv, 1, stderr=f"{argv[0]}: {says} {timeout_s}\n")

    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/runc").touch(0o755)
    if broken:
        assert "GLIBC_2.38" in read(containerd.RuncVersion, Failing(str(tmp_path))).broken
    else:
        with pytest.raises(Unreadable, match="no such flag"):
            read(containerd.RuncVersion, Failing(str(tmp_path)))


def test_two_binaries_are_seen_and_the_service_says_which_runs(tree: Tree) -> None:
    host = tree({"usr/bin/containerd": "", "usr/local/bin/containerd": "", UNIT: UNIT_TEXT})
    found = read(containerd.ContainerdBinaries, host)
    assert found.paths == ("/usr/local/bin/containerd", "/usr/bin/containerd")
    assert found.in_use == "/usr/bin/containerd"


def test_one_binary_seen_through_a_linked_folder_is_one(tree: Tree, tmp_path: Path) -> None:
    host = tree({"usr/bin/containerd": ""})
    (tmp_path / "bin").symlink_to("usr/bin")
    assert read(containerd.ContainerdBinaries, host).paths == ("/usr/bin/containerd",)


def test_a_program_that_cannot_be_executed_is_none(tree: Tree, tmp_path: Path) -> None:
    host = tree({"usr/bin/containerd": ""})
    (tmp_path / "usr/bin/containerd").chmod(0o644)
    assert read(containerd.ContainerdBinaries, host).paths == ()


def test_the_service_is_read_with_its_drop_ins(tree: Tree) -> None:
    drop_in = (
        "[Service]\nExecStart=\nExecStart=/usr/local/bin/containerd \\\n  --config /etc/ctd.toml\nKillMode=mixed\n"
    )
    host = tree({UNIT: UNIT_TEXT, "etc/systemd/system/containerd.service.d/10.conf": drop_in})
    found = read(containerd.ContainerdService, host)
    assert (found.binary, found.config) == ("/usr/local/bin/containerd", "/etc/ctd.toml")
    assert (found.delegate, found.kill_mode) == (True, "mixed")
    assert found.drop_ins == ("/etc/systemd/system/containerd.service.d/10.conf",)


def test_a_masked_service_is_seen(tree: Tree, tmp_path: Path) -> None:
    host = tree({UNIT: UNIT_TEXT, "etc/systemd/system/x": ""})
    (tmp_path / "etc/systemd/system/containerd.service").symlink_to("/dev/null")
    assert read(containerd.ContainerdService, host).masked


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("/b", MAIN),
        ("/b --config=/x", "/x"),
        ("/b -c '/y z'", "/y z"),
        ('/b --config "/broken', '"/broken'),
        ("", MAIN),
    ],
)
def test_the_config_of_exec_start(line: str, config: str) -> None:
    assert parse_service("/u", f"[Service]\nExecStart={line}\n").config == config


def test_systemctl_show_is_read() -> None:
    text = "ActiveState=active\nSubState=running\nMainPID=42\nNeedDaemonReload=yes\n"
    assert containerd.parse_process(text) == containerd.ContainerdProcess("active", "running", 42, needs_reload=True)
    assert not containerd.parse_process("").running


CONFIG = f'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n[plugins."{CRI}".containerd.runtimes.kata]\nruntime_path = "/opt/kata/bin/shim"\n'


def test_the_configuration_is_read_with_imports_and_what_lies_beside_them(tree: Tree) -> None:
    host = tree(
        {
            "etc/containerd/config.toml": CONFIG,
            "etc/containerd/conf.d/10.toml": "version = 2",
            "etc/containerd/config.d/99-nvidia.toml": "version = 2",
        }
    )
    found = read(containerd_config.ContainerdConfig, host)
    assert [file.path for file in found.imports] == ["/etc/containerd/conf.d/10.toml"]
    assert found.unread == ("/etc/containerd/config.d/99-nvidia.toml",)


def test_without_commands_the_files_are_merged_as_that_containerd_would(tree: Tree) -> None:
    host = tree({"usr/bin/containerd": "", "var/lib/dpkg/status": STATUS, "etc/containerd/config.toml": CONFIG})
    found = read(containerd_config.ContainerdEffective, host)
    assert found.source == "files"
    assert list(found.data["plugins"][CRI]["containerd"]["runtimes"]) == ["kata"], "1.x drops its runc"


@pytest.mark.parametrize(
    ("text", "word"), [("a = = 1", "not valid TOML"), ('version = 2\nimports = ["/gone"]', "open /gone")]
)
def test_files_that_containerd_would_refuse_are_an_error_of_the_fact(tree: Tree, text: str, word: str) -> None:
    assert word in read(containerd_config.ContainerdEffective, tree({"etc/containerd/config.toml": text})).error


def test_a_dump_is_read_with_its_reason_and_its_warnings() -> None:
    warning = 'time="x" level=warning msg="Ignoring unknown key in TOML"'
    good = containerd_config.parse_dump(0, "version = 2\n", warning + "\n")
    assert (good.data, good.source, good.warnings) == ({"version": 2}, "dump", (warning,))
    bad = containerd_config.parse_dump(1, "", warning + "\ncontainerd: failed to load TOML\n")
    assert bad.error == "containerd: failed to load TOML"
    with pytest.raises(Unreadable):
        containerd_config.parse_dump(0, "a = = 1", "")


def test_shims_are_seen_by_name_and_by_path(tree: Tree) -> None:
    host = tree({"usr/bin/containerd-shim-runc-v2": "", "etc/containerd/config.toml": CONFIG})
    found = read(containerd_config.Shims, host)
    assert found.on_path == {"containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2"}
    assert found.by_path == {"/opt/kata/bin/shim": False}


def test_crictl_yaml_is_read() -> None:
    found = containerd_config.parse_crictl("# Written by caasctl: x\nruntime-endpoint: unix:///a\n")
    assert (found.runtime_endpoint, found.image_endpoint, found.ours) == ("unix:///a", "", True)
    assert containerd_config.parse_crictl("a: [").error
    assert containerd_config.parse_crictl("").runtime_endpoint == ""


def test_crictl_info_that_fails_says_why() -> None:
    assert containerd_live.parse_cri_info(1, "", "x\nunknown service runtime.v1.RuntimeService\n").error.startswith(
        "unknown service"
    )
    with pytest.raises(Unreadable, match="needs root"):
        containerd_live.parse_cri_info(1, "", "dial unix: permission denied")
    with pytest.raises(Unreadable):
        containerd_live.parse_cri_info(0, "no json", "")


POD = "1cb90677_5da6_4a31_b5cc_9b6ea7b90e13"
LITERAL = f"kubepods-burstable-pod{POD}.slice:cri-containerd:2f4e6d27fffb"


def test_pods_are_found_in_kubelets_slices_and_where_they_do_not_belong(tree: Tree) -> None:
    slices = "sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice"
    other = "97c9be78-f8bf-4c23-8888-3fb88ac7d9af"
    host = tree(
        {
            f"{slices}/kubepods-burstable-pod{POD}.slice/cgroup.events": "populated 0\n",
            f"sys/fs/cgroup/kubepods.slice/kubepods-pod{other.replace('-', '_')}.slice/cgroup.events": "populated 1\n",
            f"sys/fs/cgroup/system.slice/{LITERAL}/cgroup.events": "populated 1\n",
            f"sys/fs/cgroup/{LITERAL.replace('2f4e', '1111')}/cgroup.events": "populated 0\n",
        }
    )
    found = read(containerd_live.PodCgroups, host)
    assert found.misplaced == (f"/sys/fs/cgroup/system.slice/{LITERAL}",)
    assert len(found.at_root) == 1
    assert found.live == (POD.replace("_", "-"), other)
    assert (found.by_systemd, found.by_cgroupfs) == (True, False)


def test_pods_of_a_hybrid_host_are_found_in_its_version_1_hierarchies(tree: Tree) -> None:
    host = tree({f"sys/fs/cgroup/systemd/kubepods/burstable/pod{POD.replace('_', '-')}/tasks": ""})
    found = read(containerd_live.PodCgroups, host)
    assert (found.live, found.by_cgroupfs) == ((POD.replace("_", "-"),), True)


def test_without_a_cgroup_tree_pods_are_not_known(tree: Tree) -> None:
    with pytest.raises(Unreadable):
        read(containerd_live.PodCgroups, tree({"etc/x": ""}))


def test_dockers_containers_are_seen(tree: Tree) -> None:
    host = tree({"usr/bin/dockerd": "", "run/containerd/io.containerd.runtime.v2.task/moby/abc/init.pid": "1"})
    assert read(containerd_live.Docker, host) == containerd_live.Docker("/usr/bin/dockerd", ("abc",))


@pytest.mark.parametrize(
    ("unit", "bound"),
    [
        ("BindsTo=containerd.service\n", True),
        ("Requires=docker.socket containerd.service\n", True),
        ("Wants=network-online.target containerd.service\nRequires=docker.socket\n", False),
        ("# BindsTo=containerd.service\nAfter=containerd.service\n", False),
        ("", False),
    ],
)
def test_whether_docker_stops_with_containerd(tree: Tree, unit: str, *, bound: bool) -> None:
    host = tree({"usr/lib/systemd/system/docker.service": unit, "etc/docker/daemon.json": '{"live-restore": true}'})
    found = read(containerd_live.Docker, host)
    assert (found.bound, found.lives_on) == (bound, True)


def test_a_masked_docker_stops_with_nothing(tree: Tree, tmp_path: Path) -> None:
    host = tree({"usr/lib/systemd/system/docker.service": "BindsTo=containerd.service\n", "etc/systemd/system/x": ""})
    (tmp_path / "etc/systemd/system/docker.service").symlink_to("/dev/null")
    assert not read(containerd_live.Docker, host).bound


def test_docker_with_a_containerd_of_its_own_and_docker_as_a_snap(tree: Tree) -> None:
    task = "run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/abc/init.pid"
    found = read(
        containerd_live.Docker, tree({"snap/bin/docker.dockerd": "", "etc/docker/daemon.json": "{broken", task: "1"})
    )
    assert found == containerd_live.Docker("/snap/bin/docker.dockerd", (), ("abc",))


def test_other_writers_are_known_by_their_marks(tree: Tree) -> None:
    host = tree(
        {
            "etc/containerd/config.toml": "# Copyright 2018-2022 Docker Inc.\n# This file is managed by Puppet\nversion = 2\n",
            "etc/containerd/conf.d/kata-deploy.toml": "",
            "etc/k0s/containerd.toml": "",
        }
    )
    found = {(writer.who, writer.own_daemon) for writer in read(containerd_writers.OtherWriters, host).writers}
    assert found == {("Docker's package", False), ("Puppet", False), ("kata-deploy", False), ("k0s", True)}


def test_a_word_outside_of_comments_is_no_mark() -> None:
    assert containerd_writers.signed('x = "managed by puppet"') == ()
