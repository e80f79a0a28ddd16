"""render --cloud-init: judged by cloud-init's own schema, and carried out by real cloud-init in a tree of Debian."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from tests.lab.chroots import SUITES, Root
from tests.ship.conftest import OUTSIDE
from tests.ship.test_deb import root

from caasctl import first_boot
from caasctl.model import CaasError

SHA256 = "ab" * 32
URL = "https://files.example/caasctl.pyz"
SEED = "/var/lib/cloud/seed/nocloud"
SERVE = "ip link set lo up; python3 -m http.server --bind 127.0.0.1 --directory /srv 8000 >/dev/null 2>&1 & sleep 2; exec {}"


def caasctl(*words: str) -> subprocess.CompletedProcess[str]:
    return run("render", *words)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((sys.executable, "-m", "caasctl", *words), env=OUTSIDE, cwd="/", capture_output=True, text=True, check=False)  # fmt: skip


def user_data(place: str = URL, sha256: str = SHA256, *words: str) -> str:
    done = caasctl("--cloud-init", "--program", place, "--sha256", sha256, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script(host: Root, text: str, tmp_path: Path) -> int:
    """Lays out and runs what user-data holds, without cloud-init; its exit status."""
    for at, file in enumerate(yaml.safe_load(text)["write_files"]):
        (tmp_path / str(at)).write_text(file["content"])
        host.put({file["path"]: tmp_path / str(at)})
    return host.run("sh", first_boot.SCRIPT).returncode


def test_the_profile_is_in_it_whole_with_what_was_set() -> None:
    data = yaml.safe_load(
        user_data(URL, SHA256, "--profile", "gpu-worker", "--set", "boot.hugepages.count=3", "--phase", "host")
    )
    profile = yaml.safe_load(data["write_files"][0]["content"])
    assert (profile["spec"]["role"], profile["spec"]["boot"]["hugepages"]["count"]) == ("worker", 3)
    assert "extends" not in profile
    assert data["runcmd"] == [["sh", first_boot.SCRIPT]]
    assert (
        f"caasctl init-node --yes --auto-reboot --profile {first_boot.PROFILE} --phase=host ||"
        in data["write_files"][1]["content"]
    )


def test_digests_and_fingerprints_are_no_secrets() -> None:
    settings = (f"packages.helm={{source: /srv/helm.tar.gz, sha256: '{'0f' * 32}'}}", f"packages.kubernetes.fingerprint='{'DE15' * 10}'",
                f"packages.containerd.docker.fingerprint='{'DE15' * 16}'", f"smoke.image=registry.example/pause@sha256:{'0f' * 32}")  # fmt: skip
    profile = yaml.safe_load(user_data(URL, SHA256, *(word for one in settings for word in ("--set", one))))
    assert f"sha256: {'0f' * 32}" in profile["write_files"][0]["content"].replace("'", "")


def test_a_profile_that_brings_too_little_for_a_bare_machine_is_told_so() -> None:
    words = ("--cloud-init", "--program", URL, "--sha256", SHA256)
    said = " ".join(caasctl(*words).stderr.split())
    assert "brings no kubelet, kubeadm and kubectl, no helm, no Kata Containers" in said
    assert all(word in said for word in ("cause", "fix", "spec.packages.kubernetes.fingerprint"))
    given = (f"packages.kubernetes.fingerprint='{'DE15' * 10}'", f"packages.helm={{source: /srv/helm.tar.gz, sha256: '{'0f' * 32}'}}", "runtimes=[runc]")  # fmt: skip
    assert caasctl(*words, *(word for one in given for word in ("--set", one))).stderr == ""
    assert caasctl(*words, "--phase", "host").stderr == caasctl(*words, "--set", "packages.install=off").stderr == ""


def test_out_keeps_it_for_the_owner_only(tmp_path: Path) -> None:
    done = caasctl("--cloud-init", "--program", URL, "--sha256", SHA256, "--out", str(tmp_path / "new"))
    assert done.stdout == f"{tmp_path}/new/user-data\n"
    assert (tmp_path / "new/user-data").read_text() == user_data()
    assert (tmp_path / "new/user-data").stat().st_mode & 0o777 == 0o600
    assert caasctl("--cloud-init", "--program", URL, "--sha256", SHA256, "--out", str(tmp_path / "new")).returncode == 2


@pytest.mark.parametrize("below", ["", "/new"])
@pytest.mark.parametrize(
    "words", [("render", "--cloud-init", "--program", URL, "--sha256", SHA256), ("render",), ("airgap", "pack")]
)
def test_a_file_for_out_is_the_user_s_mistake(words: tuple[str, ...], below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    done = run(*words, "--out", f"{tmp_path}/file{below}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path}/fileisnodirectory" in "".join(done.stderr.split())
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(("words", "said"), [
    (("--cloud-init",), "needs --program"),
    (("--cloud-init", "--program", URL), "needs --sha256"),
    (("--cloud-init", "--program", URL, "--sha256", "abc"), "is no SHA-256"),
    (("--cloud-init", "--program", "caasctl.pyz", "--sha256", SHA256), "is no file to install"),
    (("--cloud-init", "--program", "https://files.example/caasctl.whl", "--sha256", SHA256), "is no file to install"),
    (("--cloud-init", "--program", URL, "--sha256", SHA256, "--root", "/mnt"), "means nothing of a host"),
    (("--program", URL, "--out", "/nonexistent/x"), "means nothing without --cloud-init"),
    ((), "render needs --out"),
])  # fmt: skip
def test_what_it_refuses_is_said_with_a_cause_and_a_way_out(words: tuple[str, ...], said: str) -> None:
    done = caasctl(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "cause" in done.stderr
    assert "fix" in done.stderr


@pytest.mark.parametrize(("setting", "said"), [
    ("cilium.values={encryption: {password: hunter2hunter2}}", "password holds a secret"),
    ("cilium.values={x: abcdef.0123456789abcdef}", "spec.cilium.values.x holds a secret"),
    ("proxy.https=http://me:hunter22@proxy.example:3128", "spec.proxy.https holds a secret"),
    ("kata.source=https://me:hunter22@files.example/kata.tar", "an address with a user in it"),
    (f"cilium.values={{x: {'0f' * 32}}}", "spec.cilium.values.x holds a secret"),
    ("cilium.values={sha256: hunter2hunter2/hunter2hunter2/hunter2hunter2/hunter2hunter2/hunter2hunter2}", "values.sha256 holds a secret"),
])  # fmt: skip
def test_a_secret_in_the_profile_is_refused_and_not_shown(setting: str, said: str) -> None:
    done = caasctl("--cloud-init", "--program", URL, "--sha256", SHA256, "--set", setting)
    assert (done.returncode, done.stdout) == (2, "")
    assert setting.partition("=")[0] in done.stderr
    assert said in " ".join(done.stderr.split())
    assert not {"hunter2hunter2", "0123456789abcdef", "hunter22", "0f" * 32} & {
        *done.stderr.replace("@", " ").replace(":", " ").split()
    }


@pytest.mark.parametrize("place", [
    "https://files.example/x?token=hunter2hunter2&f=a.pyz", "https://files.example/a.pyz?X-Amz-Signature=hunter2hunter2",
    "https://me:hunter2hunter2@files.example/a.pyz", "https://hunter2hunter2@files.example/a.pyz", "https://me:hunter2hunter2/@files.example/a.pyz",
    "https://files.example/token=hunter2hunter2/a.pyz", "ftp://me:hunter2hunter2@files.example/a.deb?x",
])  # fmt: skip
def test_an_address_with_a_secret_is_refused_and_not_shown(place: str) -> None:
    done = caasctl("--cloud-init", "--program", place, "--sha256", SHA256)
    assert (done.returncode, done.stdout) == (2, "")
    assert "more in its address than a place" in " ".join(done.stderr.split())
    assert "cause" in done.stderr
    assert "fix" in done.stderr
    assert "hunter2" not in done.stderr
    assert first_boot.program("/srv/a?b/caasctl@1.pyz", SHA256).file == "caasctl.pyz"


class Proxy(SimpleHTTPRequestHandler):
    """Serves what lies in the folder, whichever host is asked for it."""

    def translate_path(self, path: str) -> str:
        assert path.startswith("http://files.example/")
        return super().translate_path(urlsplit(path).path)


def fetched(settings: tuple[str, ...], place: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the script's lines that fetch do here."""
    text = yaml.safe_load(user_data(place, SHA256, *(word for one in settings for word in ("--set", one))))["write_files"][1]["content"]  # fmt: skip
    (script,) = re.findall(r"^[^\n]*python3 - .*?^FETCH$", text.replace("else 19", "else 0"), re.DOTALL | re.MULTILINE)
    return subprocess.run(("sh", "-c", script), env={**OUTSIDE, "work": str(folder)}, capture_output=True, text=True, check=False)  # fmt: skip


def test_caasctl_itself_comes_through_the_profile_s_proxy(tmp_path: Path) -> None:
    (tmp_path / "caasctl.pyz").write_text("a program")
    (tmp_path / "got").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Proxy, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        through = f"proxy.http=http://127.0.0.1:{server.server_port}"
        done = fetched((through,), "http://files.example/caasctl.pyz", tmp_path / "got")
        past = fetched((through, "proxy.noProxy=[.example]"), "http://files.example/caasctl.pyz", tmp_path / "got")
        server.shutdown()
    assert (done.returncode, (tmp_path / "got/caasctl.pyz").read_text()) == (0, "a program"), done.stdout + done.stderr
    assert past.returncode == 1


def test_a_place_in_a_range_without_a_proxy_is_asked_itself() -> None:
    said = user_data("http://10.1.2.3/caasctl.deb", SHA256, "--set", "proxy.https=http://proxy:3128", "--set", "proxy.noProxy=[10.0.0.0/8]")  # fmt: skip
    script = yaml.safe_load(said)["write_files"][1]["content"]
    words = "env https_proxy=http://proxy:3128 no_proxy=10.0.0.0/8,10.1.2.3,localhost,127.0.0.1 "
    assert f"\n{words}python3 - http://10.1.2.3/caasctl.deb" in script
    assert script.count(f"{words}apt-get ") == script.count("apt-get ") == 2
    assert "proxy" not in yaml.safe_load(user_data())["write_files"][1]["content"]


def test_a_place_with_a_shell_s_signs_stays_one_word() -> None:
    with pytest.raises(CaasError):
        first_boot.program("/root/$(reboot) x/caasctl.pyz", SHA256)
    odd = first_boot.program("/root/$(reboot)/caasctl.pyz", SHA256)
    assert "python3 - '/root/$(reboot)/caasctl.pyz' " in first_boot.user_data(odd, "single-node", ())


@pytest.mark.root
@pytest.mark.parametrize("suite", SUITES)
def test_cloud_init_knows_every_word_of_it(suite: str, tmp_path: Path) -> None:
    host = root(suite, tmp_path / "root")
    (tmp_path / "good").write_text(user_data())
    (tmp_path / "bad").write_text(user_data().replace("permissions:", "permission:"))
    host.put({"/root/good": tmp_path / "good", "/root/bad": tmp_path / "bad"})
    assert "alid" in host.sh("cloud-init", "schema", "--config-file", "/root/good")
    assert host.run("cloud-init", "schema", "--config-file", "/root/bad").returncode == 1


@pytest.mark.root
@pytest.mark.slow
def test_cloud_init_brings_caasctl_and_begins_the_node_once(built: dict[str, Path], tmp_path: Path) -> None:
    """The tree has no systemd as process 1, so --auto-reboot refuses: what the program says, and its exit code, are in the log."""
    host = root("bookworm", tmp_path / "root")
    (tmp_path / "user-data").write_text(user_data("http://127.0.0.1:8000/caasctl.pyz", digest(built[".pyz"])))
    (tmp_path / "meta-data").write_text("instance-id: one\n")
    (tmp_path / "config").write_text(
        "datasource_list: [NoCloud]\ncloud_init_modules: [write-files]\ncloud_config_modules: [runcmd]\ncloud_final_modules: [scripts-user]\n"
    )
    host.put({"/srv/caasctl.pyz": built[".pyz"], "/etc/cloud/cloud.cfg.d/99_lab.cfg": tmp_path / "config",
              **{f"{SEED}/{name}": tmp_path / name for name in ("user-data", "meta-data")}})  # fmt: skip
    for words in ("init --local", "init", "modules --mode config", "modules --mode final", "modules --mode final"):
        host.run("sh", "-c", SERVE.format(f"cloud-init {words}"))
    told = host.sh("cat", first_boot.LOG)
    assert told.count("caasctl: first boot") == 1
    assert "--auto-reboot needs systemd" in told
    assert told.endswith("caasctl: ended with exit code 2\n")
    assert host.sh("stat", "-c", "%a", first_boot.LOG) == "600\n"
    assert host.sh("caasctl", "--version").startswith("caasctl ")
    host.sh("sh", first_boot.SCRIPT)
    assert "begun before" in host.sh("tail", "-n", "1", first_boot.LOG)


@pytest.mark.root
def test_a_package_is_installed_by_apt(built: dict[str, Path], tmp_path: Path) -> None:
    """A source that is broken for good is said once, and waited for no longer."""
    host = root("trixie", tmp_path / "root")
    (tmp_path / "broken").write_text("deb file:/srv/nothing ./\n")
    host.put({"/srv/caasctl.deb": built[".deb"], "/etc/apt/sources.list.d/broken.list": tmp_path / "broken"})
    assert script(host, user_data("/srv/caasctl.deb", digest(built[".deb"])), tmp_path) == 2
    assert host.sh("dpkg-query", "-W", "-f", "${Status}", "caasctl") == "install ok installed"
    told = host.sh("cat", first_boot.LOG)
    assert "ended with exit code 2" in told
    assert told.count("does not have a Release file") == told.count("the package lists are as they were") == 1


@pytest.mark.root
@pytest.mark.parametrize(
    ("place", "said"), [("/srv/caasctl.pyz", "nothing was installed"), ("/srv/absent.pyz", "No such file")]
)
def test_another_file_is_not_installed(place: str, said: str, built: dict[str, Path], tmp_path: Path) -> None:
    host = root("bookworm", tmp_path / "root")
    host.put({"/srv/caasctl.pyz": built[".pyz"]})
    assert script(host, user_data(place), tmp_path) == 1
    assert said in host.sh("cat", first_boot.LOG)
    assert host.run("caasctl", "--version").returncode == 127
    assert host.run("test", "-e", first_boot.BEGUN).returncode == 1
    assert host.sh("sh", "-c", "ls /var/tmp") == ""
