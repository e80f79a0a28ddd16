#!/bin/sh
# caasctl-collect.sh: records a host for `caasctl doctor --facts FILE` where no Python runs. Written by docs/collect.py from what caasctl's probes ask.
#
#   sh caasctl-collect.sh [FILE.tar.gz]        (as root: others see less)
#
# It changes nothing on the host, and needs a POSIX shell, awk, sed, od, ls and tar. Private key files are never copied; secrets of known
# forms are hidden on the way. CAASCTL_ROOT=DIR collects the tree of another host, its disk mounted there, without commands.
set -u
LC_ALL=C
export LC_ALL
umask 077
ROOT=${CAASCTL_ROOT:-}
ROOT=${ROOT%/}
LARGEST=16777216 # bytes of a file
COPIES=209715200 # bytes of all files together
OUTPUT=4194304   # bytes of a command's output
NL='
'

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "caasctl-collect: $1"
	say "  cause: $2"
	say "  fix:   $3"
	exit 3
}

case $(cat "$ROOT/proc/sys/kernel/hostname" "$ROOT/etc/hostname" 2>/dev/null) in
'') HOST=unknown ;;
*) HOST=$(cat "$ROOT/proc/sys/kernel/hostname" "$ROOT/etc/hostname" 2>/dev/null | sed -n 1p | tr -cd 'A-Za-z0-9._-') ;;
esac
OUT=${1:-caasctl-$HOST.tar.gz}
if [ -e "$OUT" ] || [ -L "$OUT" ]; then fail "$OUT is already there" "a recording replaces nothing" "name another file: sh caasctl-collect.sh FILE.tar.gz"; fi
for program in awk sed od ls tar tr cat; do
	command -v "$program" >/dev/null 2>&1 || fail "there is no $program" "it is needed to write the recording" "install it, or busybox, and run: busybox sh caasctl-collect.sh"
done
WORK=$(mktemp -d "${TMPDIR:-/tmp}/caasctl-collect.XXXXXX" 2>/dev/null) || {
	WORK=${TMPDIR:-/tmp}/caasctl-collect.$$
	mkdir "$WORK" || fail "no temporary directory" "${TMPDIR:-/tmp} cannot be written" "set TMPDIR to a directory with some MiB of room"
}
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$WORK/recording" "$WORK/recording/root" "$WORK/raw"
for part in listings links unread stats commands; do : >"$WORK/raw/$part"; done
LIMIT=
command -v timeout >/dev/null 2>&1 && timeout 1 true 2>/dev/null && LIMIT=timeout
COPIED=0

# -- secrets: what is seen here is hidden here; `caasctl facts --record` hides the rest ---------------------------------
mask() {
	sed -e '/-----BEGIN [A-Z ]*PRIVATE KEY-----/,/-----END [A-Z ]*PRIVATE KEY-----/c\
-----BEGIN PRIVATE KEY----- (hidden) -----END PRIVATE KEY-----' \
		-e 's/\(client-key-data["'\'']\{0,1\}[ 	]*:[ 	]*\)["'\'']\{0,1\}[A-Za-z0-9+\/=]\{8,\}["'\'']\{0,1\}/\1"(hidden)"/g' \
		-e 's/\([Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]["'\'']\{0,1\}[ 	]*[:=][ 	]*\)"[^"][^"]*"/\1"(hidden)"/g' \
		-e 's/\([Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd][ 	]*[:=][ 	]*\)[^] 	"'\''(,;}$[<][^] 	"'\'',;}]*/\1"(hidden)"/g' \
		-e 's/\(\(token\|secret\|auth\|identitytoken\|api[_-]\{0,1\}key\|access[_-]\{0,1\}key\)["'\'']\{0,1\}[ 	]*[:=][ 	]*\)"[^"][^"]*"/\1"(hidden)"/g' \
		-e 's/\(^[ 	-]*token:[ 	]*\)[^ 	"'\''(][^ 	]*/\1"(hidden)"/' \
		-e 's/\([A-Z0-9_]*\(TOKEN\|SECRET\|PASSWD\|API_KEY\)=\)[^ 	"'\''(][^ 	"'\'']*/\1(hidden)/g' \
		-e 's/\(--\(token\|discovery-token\|certificate-key\|password\)[ =]\)[^ 	"'\'']\{6,\}/\1(hidden)/g' \
		-e 's/\([Bb]earer[ 	]\{1,\}\)[A-Za-z0-9._~+\/=-]\{16,\}/\1(hidden)/g' \
		-e 's/\([Bb]asic[ 	]\{1,\}\)[A-Za-z0-9+\/=]\{16,\}/\1(hidden)/g' \
		-e 's/eyJ[A-Za-z0-9_-]\{8,\}\.[A-Za-z0-9_-]\{8,\}\.[A-Za-z0-9_-]*/(hidden)/g' \
		-e 's/\(AKIA\|ASIA\)[0-9A-Z]\{16\}/(hidden)/g' \
		-e 's/gh[pousr]_[A-Za-z0-9]\{30,\}/(hidden)/g' -e 's/glpat-[A-Za-z0-9_-]\{20,\}/(hidden)/g' \
		-e 's/\(^\|[^a-z0-9.]\)\([a-z0-9]\{6\}\.\)[a-z]*[0-9][a-z0-9]\{11,15\}\([^a-z0-9.]\|$\)/\1\2(hidden)\3/g' \
		-e 's/\$\(1\|2[abxy]\|5\|6\|y\|apr1\)\$[^ 	:"'\'']\{8,\}/(hidden)/g' \
		-e 's/\([a-z][a-z0-9+.-]*:\/\/\)[^ 	\/@:"'\'']\{1,\}:[^ 	\/@"'\'']\{1,\}@/\1(hidden)@/g'
}
private() {
	case $1 in
	*.key | *-key.pem | *_key.pem | */id_rsa* | */id_ed25519* | */id_ecdsa* | */ssh_host_*_key | */shadow | */shadow- | */gshadow* | */privkey*.pem | /etc/ssl/private/*) return 0 ;;
	esac
	return 1
}

# -- what is on disk ---------------------------------------------------------------------------------------------------
unread() { printf '%s\0%s\0' "$1" "$2" >>"$WORK/raw/unread"; }

each() { # each FUNCTION PATTERN...: the function with every path that is there
	call=$1
	shift
	for pattern in "$@"; do
		case $pattern in
		*/PID/*)
			for pid in $PIDS; do
				there "$call" "$ROOT${pattern%%/PID/*}/$pid/${pattern#*/PID/}"
			done
			;;
		*)
			IFS=$NL # names may have blanks
			for place in $ROOT$pattern; do
				unset IFS
				there "$call" "$place"
			done
			unset IFS
			;;
		esac
	done
}
there() {
	if [ -e "$2" ] || [ -L "$2" ]; then "$1" "${2#"$ROOT"}"; fi
}

a_file() {
	if private "$1"; then
		unread "read $1" "may be a private key, which is never collected"
		return
	fi
	if [ -d "$ROOT$1" ]; then
		unread "read $1" "is a directory"
		return
	fi
	if [ ! -e "$ROOT$1" ]; then return; fi # a link to nowhere
	if [ ! -f "$ROOT$1" ]; then
		unread "read $1" "is no file"
		return
	fi
	if [ ! -r "$ROOT$1" ]; then
		unread "read $1" "permission denied"
		return
	fi
	size=$(($(wc -c <"$ROOT$1" 2>/dev/null || echo 0)))
	if [ "$size" -gt "$LARGEST" ] || [ "$((COPIED + size))" -gt "$COPIES" ]; then
		unread "read $1" "is larger than what is collected"
		return
	fi
	if ! ${LIMIT:+timeout 5} cat "$ROOT$1" >"$WORK/content" 2>/dev/null; then
		unread "read $1" "cannot be read"
		return
	fi
	COPIED=$((COPIED + size))
	mkdir -p "$WORK/recording/root${1%/*}" 2>/dev/null || return
	case $1 in
	/sys/*) cat "$WORK/content" ;;
	*)
		# sed breaks what is no text
		if [ "$(($(tr -d '\000-\010\016-\037' <"$WORK/content" | wc -c)))" = "$(($(wc -c <"$WORK/content")))" ]; then mask <"$WORK/content"; else cat "$WORK/content"; fi
		;;
	esac >"$WORK/recording/root$1" 2>/dev/null
}

a_folder() {
	if [ ! -d "$ROOT$1" ]; then return; fi
	if [ ! -r "$ROOT$1" ] || [ ! -x "$ROOT$1" ]; then
		unread "list $1" "permission denied"
		return
	fi
	{
		printf '%s\0' "$1"
		for name in "$ROOT$1"/* "$ROOT$1"/.*; do
			case ${name##*/} in
			. | ..) continue ;;
			esac
			if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\0' "${name##*/}"; fi
		done
		printf '\0'
	} >>"$WORK/raw/listings"
}

a_link() {
	if [ -L "$ROOT$1" ]; then printf '%s\0%s\0' "$1" "$(readlink "$ROOT$1")" >>"$WORK/raw/links"; fi
}

its_stat() { # its_stat QUESTION OPTIONS PATH
	line=$(ls "$2" "$ROOT$3" 2>/dev/null) || return
	printf '%s\0%s\0' "$1" "${line%%"$NL"*}" >>"$WORK/raw/stats"
}
a_stat() { its_stat "stat $1" -ldLn "$1"; }
an_lstat() { its_stat "lstat $1" -ldn "$1"; }

# -- what commands say ---------------------------------------------------------------------------------------------------
limited() { # limited SECONDS COMMAND...
	seconds=$1
	shift
	${LIMIT:+timeout "$seconds"} "$@"
}

ask() { # ask SECONDS COMMAND...
	seconds=$1
	shift
	case $1 in
	/*) [ -x "$1" ] || return ;;
	esac
	if command -v "$1" >/dev/null 2>&1; then
		limited "$seconds" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
		rc=$?
	else
		: >"$WORK/out"
		: >"$WORK/err"
		rc=127
	fi
	if [ "$rc" = 124 ] || [ "$rc" = 137 ] || [ "$rc" = 143 ]; then
		unread "query $*" "did not end in $seconds s"
		return
	fi
	{
		printf '%s\0' "$#" "$@" "$rc"
		for stream in out err; do
			dd bs=4096 count="$((OUTPUT / 4096))" <"$WORK/$stream" 2>/dev/null | tr -d '\000' | mask
			printf '\0'
		done
	} >>"$WORK/raw/commands"
}

# -- JSON: bytes become numbers, numbers become characters, so that no awk has to know an encoding ---------------------------
strings() { # texts with a NUL behind each -> a JSON string on each line
	od -An -v -tu1 "$1" | awk '
function put(code) {
	if (code == 34) printf "\\\""
	else if (code == 92) printf "\\\\"
	else if (code == 10) printf "\\n"
	else if (code >= 32 && code < 127) printf "%c", code
	else if (code < 65536) printf "\\u%04x", code
	else { code -= 65536; printf "\\u%04x\\u%04x", 55296 + int(code / 1024), 56320 + code % 1024 }
}
function broken() { if (left > 0) { put(65533); left = 0 } }
BEGIN { start = 1 }
{
	for (at = 1; at <= NF; at++) {
		byte = $at + 0
		if (start) { printf "\""; start = 0 }
		if (byte == 0) { broken(); print "\""; start = 1 }
		else if (byte < 128) { broken(); put(byte) }
		else if (byte < 192) {
			if (left == 0) { put(65533); continue }
			code = code * 64 + byte - 128
			if (--left == 0) put(code < least || code > 1114111 || (code >= 55296 && code <= 57343) ? 65533 : code)
		}
		else if (byte < 224) { broken(); code = byte - 192; left = 1; least = 128 }
		else if (byte < 240) { broken(); code = byte - 224; left = 2; least = 2048 }
		else if (byte < 248) { broken(); code = byte - 240; left = 3; least = 65536 }
		else { broken(); put(65533) }
	}
}'
}
pairs() { strings "$WORK/raw/$1" | awk 'NR % 2 { key = $0; next } seen[key]++ == 0 { printf "%s%s: %s", mark, key, $0; mark = ",\n" }'; }
listings() {
	strings "$WORK/raw/listings" | awk '
BEGIN { fresh = 1 }
fresh { skip = seen[$0]++; if (!skip) printf "%s%s: [", mark, $0; fresh = 0; comma = ""; next }
$0 == "\"\"" { if (!skip) { printf "]"; mark = ",\n" } fresh = 1; next }
!skip { printf "%s%s", comma, $0; comma = ", " }'
}
stats() { # a line of `ls -ldn` is what every system has
	strings "$WORK/raw/stats" | awk '
function digit(at,    bits) {
	bits = 0
	if (substr(mode, at, 1) == "r") bits += 4
	if (substr(mode, at + 1, 1) == "w") bits += 2
	if (substr(mode, at + 2, 1) ~ /[xst]/) bits += 1
	return bits
}
NR % 2 { key = $0; next }
seen[key]++ { next }
{
	mode = substr($1, 2)
	special = (substr(mode, 4, 1) ~ /[sS]/) * 4 + (substr(mode, 7, 1) ~ /[sS]/) * 2 + (substr(mode, 10, 1) ~ /[tT]/)
	letter = substr(mode, 1, 1)
	kind = letter == "-" ? "file" : letter == "d" ? "dir" : letter == "l" ? "link" : letter == "c" ? "char" : letter == "b" ? "block" : "other"
	printf "%s%s: {\"kind\": \"%s\", \"mode\": \"%d%d%d%d\", \"uid\": %d, \"gid\": %d, \"size\": %s, \"ctimeNs\": 0}", mark, key, kind, special, digit(2), digit(5), digit(8), $3, $4, $5 ~ /^[0-9]+$/ ? $5 : 0
	mark = ",\n"
}'
}
commands() {
	strings "$WORK/raw/commands" | awk '
function plain(text) { gsub(/"/, "", text); return text + 0 }
step == 0 { printf "%s{\"argv\": [", mark; count = plain($0); step = 1; comma = ""; next }
step == 1 { printf "%s%s", comma, $0; comma = ", "; if (--count == 0) step = 2; next }
step == 2 { rc = plain($0); printf "], \"rc\": %d%s", rc, rc == 127 ? ", \"missing\": true" : ""; step = 3; next }
step == 3 { printf ", \"stdout\": %s", $0; step = 4; next }
step == 4 { printf ", \"stderr\": %s}", $0; step = 0; mark = ",\n" }'
}

# -- the questions -------------------------------------------------------------------------------------------------------
PIDS=$(
	for folder in "$ROOT"/proc/[0-9]*; do
		name=
		{ read -r name <"$folder/comm"; } 2>/dev/null
		case $name in
		systemd | containerd* | dockerd | crio* | kubelet | etcd | kube-* | cilium* | qemu* | cloud-hyperv* | virtiofsd | nvidia-* | libvirtd | chronyd | caasctl*) printf '%s\n' "${folder##*/}" ;;
		esac
	done
)
say "caasctl-collect: files"
each a_file \
	'/boot/config-*' \
	'/boot/grub/grub.cfg' \
	'/boot/grub/grubenv' \
	'/boot/grub2/grub.cfg' \
	'/boot/grub2/grubenv' \
	'/boot/loader/entries/*.conf' \
	'/boot/loader/loader.conf' \
	'/etc/apt/apt.conf' \
	'/etc/apt/apt.conf.d/*' \
	'/etc/apt/apt.conf.d/20auto-upgrades' \
	'/etc/apt/apt.conf.d/50unattended-upgrades' \
	'/etc/apt/keyrings/gone.gpg' \
	'/etc/apt/preferences' \
	'/etc/apt/preferences.d/*' \
	'/etc/apt/preferences.d/kubernetes' \
	'/etc/apt/sources.list' \
	'/etc/apt/sources.list.d/*.list' \
	'/etc/apt/sources.list.d/*.sources' \
	'/etc/chrony.conf' \
	'/etc/chrony.d/*.conf' \
	'/etc/chrony/chrony.conf' \
	'/etc/chrony/conf.d/*.conf' \
	'/etc/chrony/sources.d/*.sources' \
	'/etc/cni/net.d/*.conf' \
	'/etc/cni/net.d/*.conflist' \
	'/etc/cni/net.d/*.json' \
	'/etc/containerd/certs.d/*/hosts.toml' \
	'/etc/containerd/config.toml' \
	'/etc/crictl.yaml' \
	'/etc/default/grub' \
	'/etc/default/grub.d/*.cfg' \
	'/etc/default/kubelet' \
	'/etc/default/ufw' \
	'/etc/dnf/plugins/versionlock.list' \
	'/etc/docker/daemon.json' \
	'/etc/environment' \
	'/etc/firewalld/firewalld.conf' \
	'/etc/firewalld/zones/*' \
	'/etc/fstab' \
	'/etc/hosts' \
	'/etc/initramfs-tools/hooks/zz-caasctl-gpu' \
	'/etc/kata-containers/caasctl/kata-clh/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-clh/configuration-clh.toml' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml' \
	'/etc/kata-containers/caasctl/kata-qemu/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml' \
	'/etc/kubernetes/admin.conf' \
	'/etc/kubernetes/caasctl/admission.yaml' \
	'/etc/kubernetes/caasctl/audit-policy.yaml' \
	'/etc/kubernetes/caasctl/cilium-values.yaml' \
	'/etc/kubernetes/caasctl/cluster.yaml' \
	'/etc/kubernetes/caasctl/kubeadm.yaml' \
	'/etc/kubernetes/caasctl/tenant-policy.yaml' \
	'/etc/kubernetes/manifests/*' \
	'/etc/kubernetes/pki/*.crt' \
	'/etc/kubernetes/pki/apiserver.crt' \
	'/etc/kubernetes/pki/ca.crt' \
	'/etc/kubernetes/pki/etcd/*.crt' \
	'/etc/modprobe.d/*.conf' \
	'/etc/modules-load.d/*.conf' \
	'/etc/needrestart/conf.d/*.conf' \
	'/etc/needrestart/needrestart.conf' \
	'/etc/nsswitch.conf' \
	'/etc/ntp.conf' \
	'/etc/ntpsec/ntp.conf' \
	'/etc/os-release' \
	'/etc/passwd' \
	'/etc/profile.d/*.sh' \
	'/etc/resolv.conf' \
	'/etc/ssh/sshd_config' \
	'/etc/sysconfig/kubelet' \
	'/etc/sysctl.conf' \
	'/etc/sysctl.d/*.conf' \
	'/etc/systemd/system.conf.d/*.conf' \
	'/etc/systemd/system/caasctl-gpu.service' \
	'/etc/systemd/system/containerd.service' \
	'/etc/systemd/system/containerd.service.d/*.conf' \
	'/etc/systemd/system/docker.service.d/*.conf' \
	'/etc/systemd/system/kubelet.service.d/*.conf' \
	'/etc/systemd/system/ssh.socket' \
	'/etc/systemd/system/sshd.socket' \
	'/etc/systemd/timesyncd.conf' \
	'/etc/systemd/timesyncd.conf.d/*.conf' \
	'/etc/systemd/zram-generator.conf' \
	'/etc/udev/rules.d/*.rules' \
	'/etc/ufw/ufw.conf' \
	'/etc/ufw/user.rules' \
	'/etc/yum/pluginconf.d/*.list' \
	'/lib/modules/*/config' \
	'/lib/modules/*/modules.builtin' \
	'/lib/modules/*/modules.dep' \
	'/lib/systemd/system/containerd.service' \
	'/lib/systemd/system/docker.service.d/*.conf' \
	'/modules.dep' \
	'/opt/kata/.caasctl.json' \
	'/opt/kata/VERSION' \
	'/opt/kata/share/defaults/kata-containers/config.d/*.toml' \
	'/opt/kata/share/defaults/kata-containers/configuration*.toml' \
	'/proc/1/comm' \
	'/proc/1/mountinfo' \
	'/proc/2/comm' \
	'/proc/PID/cgroup' \
	'/proc/PID/cmdline' \
	'/proc/PID/comm' \
	'/proc/PID/stat' \
	'/proc/cmdline' \
	'/proc/config.gz' \
	'/proc/cpuinfo' \
	'/proc/driver/nvidia/version' \
	'/proc/interrupts' \
	'/proc/locks' \
	'/proc/meminfo' \
	'/proc/modules' \
	'/proc/mounts' \
	'/proc/net/dev' \
	'/proc/net/fib_trie' \
	'/proc/net/if_inet6' \
	'/proc/net/ip_tables_names' \
	'/proc/net/ipv6_route' \
	'/proc/net/route' \
	'/proc/net/tcp' \
	'/proc/net/tcp6' \
	'/proc/net/udp' \
	'/proc/net/udp6' \
	'/proc/self/mountinfo' \
	'/proc/self/status' \
	'/proc/stat' \
	'/proc/swaps' \
	'/proc/sys/fs/inotify/max_user_instances' \
	'/proc/sys/fs/inotify/max_user_watches' \
	'/proc/sys/kernel/arch' \
	'/proc/sys/kernel/hostname' \
	'/proc/sys/kernel/keys/root_maxbytes' \
	'/proc/sys/kernel/keys/root_maxkeys' \
	'/proc/sys/kernel/osrelease' \
	'/proc/sys/kernel/panic' \
	'/proc/sys/kernel/panic_on_oops' \
	'/proc/sys/kernel/random/boot_id' \
	'/proc/sys/net/bridge/bridge-nf-call-ip6tables' \
	'/proc/sys/net/bridge/bridge-nf-call-iptables' \
	'/proc/sys/net/ipv4/conf/*/rp_filter' \
	'/proc/sys/net/ipv4/conf/all/rp_filter' \
	'/proc/sys/net/ipv4/conf/default/rp_filter' \
	'/proc/sys/net/ipv4/ip_forward' \
	'/proc/sys/net/ipv6/conf/*/accept_ra' \
	'/proc/sys/net/ipv6/conf/all/disable_ipv6' \
	'/proc/sys/net/ipv6/conf/all/forwarding' \
	'/proc/sys/net/ipv6/conf/default/disable_ipv6' \
	'/proc/sys/net/ipv6/conf/default/forwarding' \
	'/proc/sys/net/netfilter/nf_conntrack_max' \
	'/proc/sys/vm/overcommit_memory' \
	'/proc/sys/vm/panic_on_oom' \
	'/proc/uptime' \
	'/root/.kube/config' \
	'/run/caasctl/containerd.json' \
	'/run/chrony-dhcp/*.sources' \
	'/run/systemd/generator/ssh.socket' \
	'/run/systemd/resolve/resolv.conf' \
	'/run/systemd/system/containerd.service' \
	'/run/systemd/system/docker.service.d/*.conf' \
	'/run/systemd/timesyncd.conf.d/*.conf' \
	'/run/systemd/zram-generator.conf' \
	'/sys/bus/pci/devices/*:*:*.*/numa_node' \
	'/sys/bus/pci/devices/*:*:*.*/uevent' \
	'/sys/class/net/*/bonding/mode' \
	'/sys/class/net/*/flags' \
	'/sys/class/net/*/mtu' \
	'/sys/class/net/*/operstate' \
	'/sys/class/net/*/uevent' \
	'/sys/class/rtc/rtc0/since_epoch' \
	'/sys/devices/system/node/node[0-9]*/hugepages/hugepages-*/nr_hugepages' \
	'/sys/firmware/acpi/tables/*' \
	'/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f' \
	'/sys/fs/cgroup/cgroup.controllers' \
	'/sys/fs/cgroup/cgroup.subtree_control' \
	'/sys/fs/cgroup/unified/cgroup.controllers' \
	'/sys/fs/cgroup/unified/cgroup.subtree_control' \
	'/sys/kernel/iommu_groups/*/type' \
	'/sys/kernel/mm/hugepages/hugepages-*/free_hugepages' \
	'/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages' \
	'/sys/module/ipv6/parameters/disable' \
	'/sys/module/kvm_amd/parameters/nested' \
	'/sys/module/kvm_intel/parameters/nested' \
	'/usr/bin/docker' \
	'/usr/lib/modules/*/config' \
	'/usr/lib/modules/*/modules.builtin' \
	'/usr/lib/modules/*/modules.dep' \
	'/usr/lib/ostree-boot/config-*' \
	'/usr/lib/sysctl.d/*.conf' \
	'/usr/lib/systemd/system/containerd.service' \
	'/usr/lib/systemd/system/docker.service' \
	'/usr/lib/systemd/system/docker.service.d/*.conf' \
	'/usr/lib/systemd/zram-generator.conf' \
	'/usr/local/lib/caasctl/gpu.sh' \
	'/usr/local/lib/systemd/system/containerd.service' \
	'/usr/local/lib/systemd/system/docker.service.d/*.conf' \
	'/usr/local/sbin/docker' \
	'/usr/sbin/grub-mkconfig' \
	'/var/lib/caasctl/made-by.json' \
	'/var/lib/caasctl/reboot.json' \
	'/var/lib/dpkg/arch' \
	'/var/lib/dpkg/status' \
	'/var/lib/kubelet/config.yaml' \
	'/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint' \
	'/var/lib/kubelet/kubeadm-flags.env' \
	'/var/run/cdi/*'
say "caasctl-collect: folders and links"
each a_folder \
	'/bin' \
	'/boot' \
	'/boot/efi/loader/entries' \
	'/boot/loader/entries' \
	'/dev' \
	'/dev/vfio' \
	'/efi/loader/entries' \
	'/etc/apt' \
	'/etc/apt/apt.conf.d' \
	'/etc/apt/preferences.d' \
	'/etc/apt/sources.list.d' \
	'/etc/cdi' \
	'/etc/chrony.d' \
	'/etc/chrony/conf.d' \
	'/etc/chrony/sources.d' \
	'/etc/cni/net.d' \
	'/etc/containerd/certs.d' \
	'/etc/containerd/conf.d' \
	'/etc/containerd/config.d' \
	'/etc/containerd/config.toml.d' \
	'/etc/default/grub.d' \
	'/etc/firewalld/zones' \
	'/etc/kata-containers' \
	'/etc/kata-containers/caasctl/kata-clh/config.d' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/config.d' \
	'/etc/kata-containers/caasctl/kata-qemu/config.d' \
	'/etc/kata-containers/config.d' \
	'/etc/kata-containers/runtimes' \
	'/etc/kata-containers/runtimes/*' \
	'/etc/kata-containers/runtimes/*/config.d' \
	'/etc/kubernetes/manifests' \
	'/etc/kubernetes/pki' \
	'/etc/kubernetes/pki/etcd' \
	'/etc/needrestart/conf.d' \
	'/etc/profile.d' \
	'/etc/ssh/sshd_config.d' \
	'/etc/sysctl.d' \
	'/etc/systemd/system' \
	'/etc/systemd/system.conf.d' \
	'/etc/systemd/system/containerd.service.d' \
	'/etc/systemd/system/docker.service.d' \
	'/etc/systemd/system/kubelet.service.d' \
	'/etc/systemd/system/multi-user.target.wants' \
	'/etc/systemd/system/ssh.socket.d' \
	'/etc/systemd/system/sshd.socket.d' \
	'/etc/systemd/system/timers.target.wants' \
	'/etc/systemd/timesyncd.conf.d' \
	'/etc/yum.repos.d' \
	'/lib/modules' \
	'/lib/modules/*' \
	'/lib/sysctl.d' \
	'/lib/systemd/system' \
	'/lib/systemd/system/containerd.service.d' \
	'/lib/systemd/system/docker.service.d' \
	'/lib/systemd/system/kubelet.service.d' \
	'/opt' \
	'/opt/containerd/bin' \
	'/opt/kata/share/defaults/kata-containers' \
	'/opt/kata/share/defaults/kata-containers/config.d' \
	'/opt/kata/share/defaults/kata-containers/runtime-rs' \
	'/opt/kata/share/defaults/kata-containers/runtime-rs/runtimes' \
	'/opt/kata/share/defaults/kata-containers/runtime-rs/runtimes/*' \
	'/opt/kata/share/defaults/kata-containers/runtimes' \
	'/opt/kata/share/defaults/kata-containers/runtimes/*' \
	'/opt/kata/share/defaults/kata-containers/runtimes/*/config.d' \
	'/proc' \
	'/proc/1/fd' \
	'/proc/PID/fd' \
	'/proc/sys/net/ipv4/conf' \
	'/proc/sys/net/ipv6/conf' \
	'/run/chrony-dhcp' \
	'/run/containerd/io.containerd.runtime.v2.task/moby' \
	'/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby' \
	'/run/log/journal' \
	'/run/log/journal/*' \
	'/run/nvidia' \
	'/run/snap.docker/containerd/daemon/io.containerd.runtime.v2.task/moby' \
	'/run/sysctl.d' \
	'/run/systemd/generator' \
	'/run/systemd/generator.early' \
	'/run/systemd/generator.late' \
	'/run/systemd/generator/ssh.socket.d' \
	'/run/systemd/system.conf.d' \
	'/run/systemd/system/containerd.service.d' \
	'/run/systemd/system/docker.service.d' \
	'/run/systemd/system/kubelet.service.d' \
	'/run/systemd/timesyncd.conf.d' \
	'/sbin' \
	'/sys/bus/pci/devices' \
	'/sys/bus/pci/devices/*:*:*.*' \
	'/sys/class/block/*/slaves' \
	'/sys/class/iommu' \
	'/sys/class/net' \
	'/sys/class/vfio-dev' \
	'/sys/devices/system/node' \
	'/sys/firmware/acpi/tables' \
	'/sys/firmware/efi' \
	'/sys/fs/cgroup' \
	'/sys/fs/cgroup/cpu' \
	'/sys/fs/cgroup/cpu,cpuacct' \
	'/sys/fs/cgroup/cpu,cpuacct/system.slice' \
	'/sys/fs/cgroup/cpu,cpuacct/system.slice/containerd.service' \
	'/sys/fs/cgroup/cpu/system.slice' \
	'/sys/fs/cgroup/cpu/system.slice/containerd.service' \
	'/sys/fs/cgroup/memory' \
	'/sys/fs/cgroup/memory/system.slice' \
	'/sys/fs/cgroup/memory/system.slice/containerd.service' \
	'/sys/fs/cgroup/system.slice' \
	'/sys/fs/cgroup/system.slice/containerd.service' \
	'/sys/fs/cgroup/systemd' \
	'/sys/fs/cgroup/systemd/system.slice' \
	'/sys/fs/cgroup/systemd/system.slice/containerd.service' \
	'/sys/fs/cgroup/unified' \
	'/sys/fs/cgroup/unified/system.slice' \
	'/sys/fs/cgroup/unified/system.slice/containerd.service' \
	'/sys/kernel/iommu_groups' \
	'/sys/kernel/mm/hugepages' \
	'/sys/module' \
	'/usr/bin' \
	'/usr/lib/modules' \
	'/usr/lib/modules/*' \
	'/usr/lib/sysctl.d' \
	'/usr/lib/systemd/system' \
	'/usr/lib/systemd/system/containerd.service.d' \
	'/usr/lib/systemd/system/docker.service.d' \
	'/usr/lib/systemd/system/kubelet.service.d' \
	'/usr/local/bin' \
	'/usr/local/lib/sysctl.d' \
	'/usr/local/lib/systemd/system' \
	'/usr/local/lib/systemd/system/containerd.service.d' \
	'/usr/local/lib/systemd/system/docker.service.d' \
	'/usr/local/lib/systemd/system/kubelet.service.d' \
	'/usr/local/sbin' \
	'/usr/local/share/defaults/kata-containers' \
	'/usr/local/share/defaults/kata-containers/runtime-rs' \
	'/usr/local/share/defaults/kata-containers/runtime-rs/runtimes' \
	'/usr/local/share/defaults/kata-containers/runtime-rs/runtimes/*' \
	'/usr/local/share/defaults/kata-containers/runtimes' \
	'/usr/local/share/defaults/kata-containers/runtimes/*' \
	'/usr/sbin' \
	'/usr/share/defaults/kata-containers' \
	'/usr/share/defaults/kata-containers/runtime-rs' \
	'/usr/share/defaults/kata-containers/runtime-rs/runtimes' \
	'/usr/share/defaults/kata-containers/runtime-rs/runtimes/*' \
	'/usr/share/defaults/kata-containers/runtimes' \
	'/usr/share/defaults/kata-containers/runtimes/*' \
	'/var/lib/apt/lists' \
	'/var/lib/caasctl/runs' \
	'/var/lib/caasctl/runs/*' \
	'/var/lib/dkms' \
	'/var/lib/dpkg/updates' \
	'/var/lib/etcd' \
	'/var/lib/snapd/snaps' \
	'/var/log/journal' \
	'/var/log/pods' \
	'/var/run/cdi'
each a_link \
	'/bin' \
	'/dev/dm-*' \
	'/etc/sysctl.conf' \
	'/etc/sysctl.d/*.conf' \
	'/etc/systemd/system.conf.d/*.conf' \
	'/etc/systemd/system/*.swap' \
	'/etc/systemd/system/containerd.service' \
	'/etc/systemd/system/containerd.service.d/*.conf' \
	'/etc/systemd/system/docker.service.d/*.conf' \
	'/etc/systemd/system/kubelet.service.d/*.conf' \
	'/lib/aarch64-linux-gnu/libc.so.6' \
	'/lib/systemd/system/containerd.service' \
	'/lib/systemd/system/docker.service.d/*.conf' \
	'/lib/x86_64-linux-gnu/libc.so.6' \
	'/lib64/libc.so.6' \
	'/opt/containerd/bin' \
	'/opt/containerd/bin/containerd' \
	'/opt/containerd/bin/crictl' \
	'/opt/containerd/bin/dockerd' \
	'/opt/containerd/bin/ethtool' \
	'/opt/containerd/bin/ip' \
	'/opt/containerd/bin/iptables' \
	'/opt/containerd/bin/mount' \
	'/opt/containerd/bin/nsenter' \
	'/opt/containerd/bin/runc' \
	'/proc/1/fd/*' \
	'/proc/PID/fd/*' \
	'/proc/PID/fd/4' \
	'/proc/self/ns/pid' \
	'/run/systemd/system/containerd.service' \
	'/run/systemd/system/docker.service.d/*.conf' \
	'/sbin' \
	'/sys/bus/pci/devices/*:*:*.*' \
	'/sys/bus/pci/devices/*:*:*.*/driver' \
	'/sys/bus/pci/devices/*:*:*.*/iommu_group' \
	'/sys/class/block/*' \
	'/sys/class/net/*' \
	'/sys/class/net/*/master' \
	'/sys/class/vfio-dev/*' \
	'/usr/bin' \
	'/usr/bin/containerd' \
	'/usr/bin/crictl' \
	'/usr/bin/docker' \
	'/usr/bin/dockerd' \
	'/usr/bin/ethtool' \
	'/usr/bin/ip' \
	'/usr/bin/iptables' \
	'/usr/bin/mount' \
	'/usr/bin/nsenter' \
	'/usr/bin/runc' \
	'/usr/lib/sysctl.d/*.conf' \
	'/usr/lib/systemd/system/containerd.service' \
	'/usr/lib/systemd/system/docker.service' \
	'/usr/lib/systemd/system/docker.service.d/*.conf' \
	'/usr/local/bin' \
	'/usr/local/bin/containerd' \
	'/usr/local/bin/crictl' \
	'/usr/local/bin/dockerd' \
	'/usr/local/bin/ethtool' \
	'/usr/local/bin/ip' \
	'/usr/local/bin/iptables' \
	'/usr/local/bin/mount' \
	'/usr/local/bin/nsenter' \
	'/usr/local/bin/runc' \
	'/usr/local/lib/systemd/system/containerd.service' \
	'/usr/local/lib/systemd/system/docker.service.d/*.conf' \
	'/usr/local/sbin' \
	'/usr/local/sbin/containerd' \
	'/usr/local/sbin/crictl' \
	'/usr/local/sbin/docker' \
	'/usr/local/sbin/dockerd' \
	'/usr/local/sbin/ethtool' \
	'/usr/local/sbin/ip' \
	'/usr/local/sbin/iptables' \
	'/usr/local/sbin/mount' \
	'/usr/local/sbin/nsenter' \
	'/usr/local/sbin/runc' \
	'/usr/sbin' \
	'/usr/sbin/containerd' \
	'/usr/sbin/crictl' \
	'/usr/sbin/dockerd' \
	'/usr/sbin/ethtool' \
	'/usr/sbin/ip' \
	'/usr/sbin/iptables' \
	'/usr/sbin/mount' \
	'/usr/sbin/nsenter' \
	'/usr/sbin/runc'
each a_stat \
	'/bin/containerd' \
	'/bin/crictl' \
	'/bin/dockerd' \
	'/bin/ethtool' \
	'/bin/ip' \
	'/bin/iptables' \
	'/bin/kubeadm' \
	'/bin/kubectl' \
	'/bin/kubelet' \
	'/bin/mount' \
	'/bin/nsenter' \
	'/bin/runc' \
	'/bin/zstd' \
	'/boot/efi/loader/entries' \
	'/boot/extlinux/extlinux.conf' \
	'/boot/grub' \
	'/boot/grub/grub.cfg' \
	'/boot/grub2/grub.cfg' \
	'/boot/initrd.img-*' \
	'/boot/loader/entries' \
	'/boot/syslinux/syslinux.cfg' \
	'/dev' \
	'/dev/iommu' \
	'/dev/kvm' \
	'/dev/vfio/*' \
	'/dev/vfio/vfio' \
	'/dev/vhost-net' \
	'/dev/vhost-vsock' \
	'/efi/loader/entries' \
	'/etc/apt/keyrings/gone.gpg' \
	'/etc/containerd/conf.d/*.toml' \
	'/etc/containerd/config.d/*.toml' \
	'/etc/containerd/config.toml' \
	'/etc/containerd/config.toml.kata-deploy-created' \
	'/etc/default/grub' \
	'/etc/default/grub.d/*.cfg' \
	'/etc/initramfs-tools/hooks/zz-caasctl-gpu' \
	'/etc/k0s' \
	'/etc/k0s/containerd.toml' \
	'/etc/kata-containers/caasctl/kata-clh/configuration-clh.toml' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml' \
	'/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml' \
	'/etc/kata-containers/configuration.toml' \
	'/etc/kernel/proxmox-boot-uuids' \
	'/etc/kubernetes/admin.conf' \
	'/etc/kubernetes/bootstrap-kubelet.conf' \
	'/etc/kubernetes/caasctl/encryption.yaml' \
	'/etc/kubernetes/caasctl/init-under-way' \
	'/etc/kubernetes/controller-manager.conf' \
	'/etc/kubernetes/kubelet.conf' \
	'/etc/kubernetes/manifests/*' \
	'/etc/kubernetes/pki/ca.crt' \
	'/etc/kubernetes/pki/ca.key' \
	'/etc/kubernetes/pki/etcd/ca.crt' \
	'/etc/kubernetes/pki/etcd/ca.key' \
	'/etc/kubernetes/pki/front-proxy-ca.crt' \
	'/etc/kubernetes/pki/front-proxy-ca.key' \
	'/etc/kubernetes/pki/sa.key' \
	'/etc/kubernetes/pki/sa.pub' \
	'/etc/kubernetes/scheduler.conf' \
	'/etc/kubernetes/super-admin.conf' \
	'/etc/modprobe.d/*.conf' \
	'/etc/rancher/k3s' \
	'/etc/rancher/rke2' \
	'/etc/systemd/system/cri-docker.service' \
	'/etc/systemd/system/crio.service' \
	'/etc/systemd/system/k0scontroller.service' \
	'/etc/systemd/system/k0sworker.service' \
	'/etc/systemd/system/k3s-agent.service' \
	'/etc/systemd/system/k3s.service' \
	'/etc/systemd/system/rke2-agent.service' \
	'/etc/systemd/system/rke2-server.service' \
	'/etc/systemd/system/snap.k8s.containerd.service' \
	'/etc/systemd/system/snap.k8s.k8sd.service' \
	'/etc/systemd/system/snap.k8s.kubelet.service' \
	'/etc/systemd/system/snap.microk8s.daemon-containerd.service' \
	'/etc/systemd/system/snap.microk8s.daemon-kubelite.service' \
	'/etc/udev/rules.d/*.rules' \
	'/lib/ld-linux-aarch64.so.1' \
	'/lib/ld64.so.1' \
	'/lib/modules/*/modules.dep' \
	'/lib/systemd/system/cri-docker.service' \
	'/lib/systemd/system/crio.service' \
	'/lib/systemd/system/k0scontroller.service' \
	'/lib/systemd/system/k0sworker.service' \
	'/lib/systemd/system/k3s-agent.service' \
	'/lib/systemd/system/k3s.service' \
	'/lib/systemd/system/rke2-agent.service' \
	'/lib/systemd/system/rke2-server.service' \
	'/lib/systemd/system/snap.k8s.containerd.service' \
	'/lib/systemd/system/snap.k8s.k8sd.service' \
	'/lib/systemd/system/snap.k8s.kubelet.service' \
	'/lib/systemd/system/snap.microk8s.daemon-containerd.service' \
	'/lib/systemd/system/snap.microk8s.daemon-kubelite.service' \
	'/lib64/ld-linux-x86-64.so.2' \
	'/lib64/ld64.so.2' \
	'/opt/bin/cilium' \
	'/opt/bin/conntrack' \
	'/opt/bin/crictl' \
	'/opt/bin/docker' \
	'/opt/bin/ebtables' \
	'/opt/bin/ethtool' \
	'/opt/bin/helm' \
	'/opt/bin/ip' \
	'/opt/bin/iptables' \
	'/opt/bin/k3s-uninstall.sh' \
	'/opt/bin/kubeadm' \
	'/opt/bin/kubectl' \
	'/opt/bin/kubelet' \
	'/opt/bin/runc' \
	'/opt/bin/socat' \
	'/opt/bin/tc' \
	'/opt/containerd/bin/containerd' \
	'/opt/containerd/bin/crictl' \
	'/opt/containerd/bin/dockerd' \
	'/opt/containerd/bin/ethtool' \
	'/opt/containerd/bin/ip' \
	'/opt/containerd/bin/iptables' \
	'/opt/containerd/bin/kubeadm' \
	'/opt/containerd/bin/kubectl' \
	'/opt/containerd/bin/kubelet' \
	'/opt/containerd/bin/mount' \
	'/opt/containerd/bin/nsenter' \
	'/opt/containerd/bin/runc' \
	'/opt/kata/bin/cloud-hypervisor' \
	'/opt/kata/bin/containerd-shim-kata-v2' \
	'/opt/kata/bin/qemu-system-x86_64' \
	'/opt/kata/containerd/config.d/*.toml' \
	'/opt/kata/libexec/virtiofsd' \
	'/opt/kata/runtime-rs/bin/containerd-shim-kata-v2' \
	'/opt/kata/share/defaults/kata-containers/configuration*.toml' \
	'/opt/kata/share/defaults/kata-containers/configuration.toml' \
	'/opt/kata/share/kata-containers/kata-containers.img' \
	'/opt/kata/share/kata-containers/vmlinux.container' \
	'/opt/rke2/bin/rke2-uninstall.sh' \
	'/root/.kube/config' \
	'/run/chrony/chronyd.pid' \
	'/run/containerd/containerd.sock' \
	'/run/containerd/io.containerd.runtime.v2.task/moby/*' \
	'/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*' \
	'/run/ntpd.pid' \
	'/run/ostree-booted' \
	'/run/reboot-required' \
	'/run/snap.docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*' \
	'/run/systemd/system' \
	'/run/systemd/system/cri-docker.service' \
	'/run/systemd/system/crio.service' \
	'/run/systemd/system/k0scontroller.service' \
	'/run/systemd/system/k0sworker.service' \
	'/run/systemd/system/k3s-agent.service' \
	'/run/systemd/system/k3s.service' \
	'/run/systemd/system/rke2-agent.service' \
	'/run/systemd/system/rke2-server.service' \
	'/run/systemd/system/snap.k8s.containerd.service' \
	'/run/systemd/system/snap.k8s.k8sd.service' \
	'/run/systemd/system/snap.k8s.kubelet.service' \
	'/run/systemd/system/snap.microk8s.daemon-containerd.service' \
	'/run/systemd/system/snap.microk8s.daemon-kubelite.service' \
	'/run/systemd/timesync/synchronized' \
	'/sbin/containerd' \
	'/sbin/crictl' \
	'/sbin/dockerd' \
	'/sbin/ethtool' \
	'/sbin/ip' \
	'/sbin/iptables' \
	'/sbin/kubeadm' \
	'/sbin/kubectl' \
	'/sbin/kubelet' \
	'/sbin/mount' \
	'/sbin/nsenter' \
	'/sbin/runc' \
	'/snap/bin/cilium' \
	'/snap/bin/conntrack' \
	'/snap/bin/crictl' \
	'/snap/bin/docker' \
	'/snap/bin/docker.dockerd' \
	'/snap/bin/ebtables' \
	'/snap/bin/ethtool' \
	'/snap/bin/helm' \
	'/snap/bin/ip' \
	'/snap/bin/iptables' \
	'/snap/bin/k8s' \
	'/snap/bin/kubeadm' \
	'/snap/bin/kubectl' \
	'/snap/bin/kubelet' \
	'/snap/bin/microk8s' \
	'/snap/bin/runc' \
	'/snap/bin/socat' \
	'/snap/bin/tc' \
	'/sys/bus/pci/devices/*:*:*.*' \
	'/sys/fs/cgroup/system.slice' \
	'/sys/fs/cgroup/system.slice/crio.service' \
	'/sys/fs/cgroup/system.slice/firewalld.service' \
	'/sys/fs/cgroup/system.slice/k0scontroller.service' \
	'/sys/fs/cgroup/system.slice/k0sworker.service' \
	'/sys/fs/cgroup/system.slice/k3s-agent.service' \
	'/sys/fs/cgroup/system.slice/k3s.service' \
	'/sys/fs/cgroup/system.slice/kubelet.service' \
	'/sys/fs/cgroup/system.slice/rke2-agent.service' \
	'/sys/fs/cgroup/system.slice/rke2-server.service' \
	'/sys/fs/cgroup/system.slice/snap.k8s.containerd.service' \
	'/sys/fs/cgroup/system.slice/snap.k8s.k8sd.service' \
	'/sys/fs/cgroup/system.slice/snap.k8s.kubelet.service' \
	'/sys/fs/cgroup/system.slice/snap.microk8s.daemon-containerd.service' \
	'/sys/fs/cgroup/system.slice/snap.microk8s.daemon-kubelite.service' \
	'/sys/fs/cgroup/systemd/system.slice' \
	'/sys/fs/cgroup/systemd/system.slice/firewalld.service' \
	'/sys/fs/cgroup/systemd/system.slice/k0scontroller.service' \
	'/sys/fs/cgroup/systemd/system.slice/k0sworker.service' \
	'/sys/fs/cgroup/systemd/system.slice/k3s-agent.service' \
	'/sys/fs/cgroup/systemd/system.slice/k3s.service' \
	'/sys/fs/cgroup/systemd/system.slice/kubelet.service' \
	'/sys/fs/cgroup/systemd/system.slice/rke2-agent.service' \
	'/sys/fs/cgroup/systemd/system.slice/rke2-server.service' \
	'/sys/fs/cgroup/systemd/system.slice/snap.k8s.containerd.service' \
	'/sys/fs/cgroup/systemd/system.slice/snap.k8s.k8sd.service' \
	'/sys/fs/cgroup/systemd/system.slice/snap.k8s.kubelet.service' \
	'/sys/fs/cgroup/systemd/system.slice/snap.microk8s.daemon-containerd.service' \
	'/sys/fs/cgroup/systemd/system.slice/snap.microk8s.daemon-kubelite.service' \
	'/sys/fs/cgroup/unified/system.slice' \
	'/sys/fs/cgroup/unified/system.slice/firewalld.service' \
	'/sys/fs/cgroup/unified/system.slice/k0scontroller.service' \
	'/sys/fs/cgroup/unified/system.slice/k0sworker.service' \
	'/sys/fs/cgroup/unified/system.slice/k3s-agent.service' \
	'/sys/fs/cgroup/unified/system.slice/k3s.service' \
	'/sys/fs/cgroup/unified/system.slice/kubelet.service' \
	'/sys/fs/cgroup/unified/system.slice/rke2-agent.service' \
	'/sys/fs/cgroup/unified/system.slice/rke2-server.service' \
	'/sys/fs/cgroup/unified/system.slice/snap.k8s.containerd.service' \
	'/sys/fs/cgroup/unified/system.slice/snap.k8s.k8sd.service' \
	'/sys/fs/cgroup/unified/system.slice/snap.k8s.kubelet.service' \
	'/sys/fs/cgroup/unified/system.slice/snap.microk8s.daemon-containerd.service' \
	'/sys/fs/cgroup/unified/system.slice/snap.microk8s.daemon-kubelite.service' \
	'/sys/module' \
	'/sys/module/hv_sock' \
	'/sys/module/nf_tables' \
	'/sys/module/vmw_vsock_virtio_transport' \
	'/sys/module/vmw_vsock_vmci_transport' \
	'/usr/bin/cilium' \
	'/usr/bin/conntrack' \
	'/usr/bin/containerd' \
	'/usr/bin/containerd-shim' \
	'/usr/bin/containerd-shim-kata-v2' \
	'/usr/bin/containerd-shim-runc-v1' \
	'/usr/bin/containerd-shim-runc-v2' \
	'/usr/bin/crictl' \
	'/usr/bin/docker' \
	'/usr/bin/dockerd' \
	'/usr/bin/dracut' \
	'/usr/bin/ebtables' \
	'/usr/bin/ethtool' \
	'/usr/bin/grub-editenv' \
	'/usr/bin/grub-mkconfig' \
	'/usr/bin/grub-reboot' \
	'/usr/bin/grub2-mkconfig' \
	'/usr/bin/helm' \
	'/usr/bin/ip' \
	'/usr/bin/iptables' \
	'/usr/bin/kubeadm' \
	'/usr/bin/kubectl' \
	'/usr/bin/kubelet' \
	'/usr/bin/mkinitramfs' \
	'/usr/bin/mount' \
	'/usr/bin/nsenter' \
	'/usr/bin/rke2-uninstall.sh' \
	'/usr/bin/runc' \
	'/usr/bin/socat' \
	'/usr/bin/tc' \
	'/usr/bin/update-grub' \
	'/usr/bin/zstd' \
	'/usr/lib/modules/*/modules.dep' \
	'/usr/lib/systemd/system/cri-docker.service' \
	'/usr/lib/systemd/system/crio.service' \
	'/usr/lib/systemd/system/k0scontroller.service' \
	'/usr/lib/systemd/system/k0sworker.service' \
	'/usr/lib/systemd/system/k3s-agent.service' \
	'/usr/lib/systemd/system/k3s.service' \
	'/usr/lib/systemd/system/rke2-agent.service' \
	'/usr/lib/systemd/system/rke2-server.service' \
	'/usr/lib/systemd/system/snap.k8s.containerd.service' \
	'/usr/lib/systemd/system/snap.k8s.k8sd.service' \
	'/usr/lib/systemd/system/snap.k8s.kubelet.service' \
	'/usr/lib/systemd/system/snap.microk8s.daemon-containerd.service' \
	'/usr/lib/systemd/system/snap.microk8s.daemon-kubelite.service' \
	'/usr/local/bin/cilium' \
	'/usr/local/bin/conntrack' \
	'/usr/local/bin/containerd' \
	'/usr/local/bin/containerd-shim-kata-v2' \
	'/usr/local/bin/containerd-shim-runc-v2' \
	'/usr/local/bin/crictl' \
	'/usr/local/bin/docker' \
	'/usr/local/bin/dockerd' \
	'/usr/local/bin/ebtables' \
	'/usr/local/bin/ethtool' \
	'/usr/local/bin/helm' \
	'/usr/local/bin/ip' \
	'/usr/local/bin/iptables' \
	'/usr/local/bin/k3s-agent-uninstall.sh' \
	'/usr/local/bin/k3s-uninstall.sh' \
	'/usr/local/bin/kubeadm' \
	'/usr/local/bin/kubectl' \
	'/usr/local/bin/kubelet' \
	'/usr/local/bin/losetup' \
	'/usr/local/bin/mount' \
	'/usr/local/bin/nsenter' \
	'/usr/local/bin/rke2-uninstall.sh' \
	'/usr/local/bin/runc' \
	'/usr/local/bin/socat' \
	'/usr/local/bin/tc' \
	'/usr/local/bin/zstd' \
	'/usr/local/lib/systemd/system/cri-docker.service' \
	'/usr/local/lib/systemd/system/crio.service' \
	'/usr/local/lib/systemd/system/k0scontroller.service' \
	'/usr/local/lib/systemd/system/k0sworker.service' \
	'/usr/local/lib/systemd/system/k3s-agent.service' \
	'/usr/local/lib/systemd/system/k3s.service' \
	'/usr/local/lib/systemd/system/rke2-agent.service' \
	'/usr/local/lib/systemd/system/rke2-server.service' \
	'/usr/local/lib/systemd/system/snap.k8s.containerd.service' \
	'/usr/local/lib/systemd/system/snap.k8s.k8sd.service' \
	'/usr/local/lib/systemd/system/snap.k8s.kubelet.service' \
	'/usr/local/lib/systemd/system/snap.microk8s.daemon-containerd.service' \
	'/usr/local/lib/systemd/system/snap.microk8s.daemon-kubelite.service' \
	'/usr/local/runtime-rs/bin/containerd-shim-kata-v2' \
	'/usr/local/sbin/cilium' \
	'/usr/local/sbin/conntrack' \
	'/usr/local/sbin/containerd' \
	'/usr/local/sbin/crictl' \
	'/usr/local/sbin/docker' \
	'/usr/local/sbin/dockerd' \
	'/usr/local/sbin/ebtables' \
	'/usr/local/sbin/ethtool' \
	'/usr/local/sbin/helm' \
	'/usr/local/sbin/ip' \
	'/usr/local/sbin/iptables' \
	'/usr/local/sbin/kubeadm' \
	'/usr/local/sbin/kubectl' \
	'/usr/local/sbin/kubelet' \
	'/usr/local/sbin/losetup' \
	'/usr/local/sbin/mount' \
	'/usr/local/sbin/nsenter' \
	'/usr/local/sbin/runc' \
	'/usr/local/sbin/socat' \
	'/usr/local/sbin/tc' \
	'/usr/runtime-rs/bin/containerd-shim-kata-v2' \
	'/usr/sbin/cilium' \
	'/usr/sbin/conntrack' \
	'/usr/sbin/containerd' \
	'/usr/sbin/crictl' \
	'/usr/sbin/docker' \
	'/usr/sbin/dockerd' \
	'/usr/sbin/dracut' \
	'/usr/sbin/ebtables' \
	'/usr/sbin/ethtool' \
	'/usr/sbin/firewalld' \
	'/usr/sbin/grub-editenv' \
	'/usr/sbin/grub-mkconfig' \
	'/usr/sbin/grub-reboot' \
	'/usr/sbin/grub2-mkconfig' \
	'/usr/sbin/helm' \
	'/usr/sbin/ip' \
	'/usr/sbin/iptables' \
	'/usr/sbin/kubeadm' \
	'/usr/sbin/kubectl' \
	'/usr/sbin/kubelet' \
	'/usr/sbin/losetup' \
	'/usr/sbin/mkinitramfs' \
	'/usr/sbin/mount' \
	'/usr/sbin/nsenter' \
	'/usr/sbin/runc' \
	'/usr/sbin/socat' \
	'/usr/sbin/tc' \
	'/usr/sbin/update-grub' \
	'/usr/sbin/update-initramfs' \
	'/usr/share/defaults/kata-containers/configuration.toml' \
	'/var/lib/k0s' \
	'/var/lib/rancher/k3s' \
	'/var/lib/rancher/k3s/agent/etc/containerd' \
	'/var/lib/rancher/rke2' \
	'/var/lib/rancher/rke2/agent/etc/containerd' \
	'/var/lib/rpm' \
	'/var/snap/k8s' \
	'/var/snap/microk8s' \
	'/var/snap/microk8s/current/args/containerd.toml'
each an_lstat \
	'/boot/grub/grubenv' \
	'/boot/grub2/grubenv' \
	'/etc/apt/apt.conf.d/*.conf' \
	'/etc/apt/auth.conf.d/*.conf' \
	'/etc/caasctl/proxy.env' \
	'/etc/cdi/*' \
	'/etc/containerd/conf.d/*.toml' \
	'/etc/containerd/config.toml' \
	'/etc/crictl.yaml' \
	'/etc/default/grub.d/*.cfg' \
	'/etc/dracut.conf.d/*.conf' \
	'/etc/grub.d/42_caasctl_trial' \
	'/etc/initramfs-tools/hooks/zz-caasctl-gpu' \
	'/etc/kata-containers/caasctl/kata-clh/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-clh/configuration-clh.toml' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml' \
	'/etc/kata-containers/caasctl/kata-qemu/config.d/*.toml' \
	'/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml' \
	'/etc/kubernetes/admin.conf' \
	'/etc/kubernetes/caasctl/admission.yaml' \
	'/etc/kubernetes/caasctl/audit-policy.yaml' \
	'/etc/kubernetes/caasctl/cilium-values.yaml' \
	'/etc/kubernetes/caasctl/cluster.yaml' \
	'/etc/kubernetes/caasctl/encryption.yaml' \
	'/etc/kubernetes/caasctl/kubeadm.yaml' \
	'/etc/kubernetes/caasctl/tenant-policy.yaml' \
	'/etc/modprobe.d/*.conf' \
	'/etc/modules-load.d/*.conf' \
	'/etc/sysctl.d/*.conf' \
	'/etc/systemd/system.conf' \
	'/etc/systemd/system/*.swap' \
	'/etc/systemd/system/caasctl-gpu.service' \
	'/etc/systemd/system/containerd.service' \
	'/etc/systemd/system/containerd.service.d/*.conf' \
	'/etc/systemd/system/dev-*.swap' \
	'/etc/systemd/system/docker.service' \
	'/etc/systemd/system/kubelet.service' \
	'/etc/systemd/system/kubelet.service.d/*.conf' \
	'/etc/systemd/system/multi-user.target.wants/*' \
	'/etc/systemd/system/swap.target.requires/*' \
	'/etc/systemd/system/swap.target.wants/*' \
	'/etc/systemd/system/swapfile.swap' \
	'/etc/udev/rules.d/*.rules' \
	'/lib/systemd/system/containerd.service' \
	'/lib/systemd/system/docker.service' \
	'/lib/systemd/system/kubelet.service' \
	'/root/.kube' \
	'/root/.kube/config' \
	'/run/systemd/system/containerd.service' \
	'/run/systemd/system/docker.service' \
	'/run/systemd/system/kubelet.service' \
	'/usr/bin/nvidia-container-runtime' \
	'/usr/bin/nvidia-ctk' \
	'/usr/bin/nvidia-smi' \
	'/usr/bin/nvidia-uninstall' \
	'/usr/lib/systemd/system/containerd.service' \
	'/usr/lib/systemd/system/docker.service' \
	'/usr/lib/systemd/system/kubelet.service' \
	'/usr/local/lib/caasctl/gpu.sh' \
	'/usr/local/lib/systemd/system/containerd.service' \
	'/usr/local/lib/systemd/system/docker.service' \
	'/usr/local/lib/systemd/system/kubelet.service' \
	'/var/run/cdi/*'
if [ -z "$ROOT" ]; then
	say "caasctl-collect: commands"
	ask 6 /usr/bin/cilium version --client
	ask 6 /usr/bin/containerd --config /etc/containerd/config.toml config default
	ask 6 /usr/bin/containerd --config /etc/containerd/config.toml config dump
	ask 4 /usr/bin/containerd --version
	ask 4 /usr/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s info
	ask 5 /usr/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s pods -o json
	ask 5 /usr/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s ps -a -o json
	ask 6 /usr/bin/crictl --version
	ask 6 /usr/bin/docker --version
	ask 6 /usr/bin/helm version --short
	ask 6 /usr/bin/kubeadm version -o short
	ask 6 /usr/bin/kubectl version --client -o yaml
	ask 6 /usr/bin/kubelet --version
	ask 6 /usr/bin/runc --version
	ask 6 /usr/local/bin/cilium version --client
	ask 6 /usr/local/bin/containerd --config /etc/containerd/config.toml config default
	ask 6 /usr/local/bin/containerd --config /etc/containerd/config.toml config dump
	ask 4 /usr/local/bin/containerd --version
	ask 4 /usr/local/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s info
	ask 5 /usr/local/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s pods -o json
	ask 5 /usr/local/bin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s ps -a -o json
	ask 6 /usr/local/bin/crictl --version
	ask 6 /usr/local/bin/docker --version
	ask 6 /usr/local/bin/helm version --short
	ask 6 /usr/local/bin/kubeadm version -o short
	ask 6 /usr/local/bin/kubectl version --client -o yaml
	ask 6 /usr/local/bin/kubelet --version
	ask 6 /usr/local/bin/runc --version
	ask 6 /usr/local/sbin/cilium version --client
	ask 6 /usr/local/sbin/containerd --config /etc/containerd/config.toml config default
	ask 6 /usr/local/sbin/containerd --config /etc/containerd/config.toml config dump
	ask 4 /usr/local/sbin/containerd --version
	ask 4 /usr/local/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s info
	ask 5 /usr/local/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s pods -o json
	ask 5 /usr/local/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s ps -a -o json
	ask 6 /usr/local/sbin/crictl --version
	ask 6 /usr/local/sbin/docker --version
	ask 6 /usr/local/sbin/helm version --short
	ask 6 /usr/local/sbin/kubeadm version -o short
	ask 6 /usr/local/sbin/kubectl version --client -o yaml
	ask 6 /usr/local/sbin/kubelet --version
	ask 6 /usr/local/sbin/runc --version
	ask 6 /usr/sbin/cilium version --client
	ask 6 /usr/sbin/containerd --config /etc/containerd/config.toml config default
	ask 6 /usr/sbin/containerd --config /etc/containerd/config.toml config dump
	ask 4 /usr/sbin/containerd --version
	ask 4 /usr/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s info
	ask 5 /usr/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s pods -o json
	ask 5 /usr/sbin/crictl --runtime-endpoint unix:///run/containerd/containerd.sock --timeout 2s ps -a -o json
	ask 6 /usr/sbin/crictl --version
	ask 6 /usr/sbin/docker --version
	ask 6 /usr/sbin/helm version --short
	ask 6 /usr/sbin/kubeadm version -o short
	ask 6 /usr/sbin/kubectl version --client -o yaml
	ask 6 /usr/sbin/kubelet --version
	ask 6 /usr/sbin/runc --version
	ask 20 apt-cache madison containerd runc kubelet kubeadm kubectl cri-tools iptables ethtool
	ask 20 apt-cache madison kubelet kubeadm kubectl cri-tools iptables
	ask 20 apt-cache madison kubelet kubeadm kubectl cri-tools iptables ethtool iproute2
	ask 6 chronyc -n tracking
	ask 3 ctr --connect-timeout 1s plugins ls
	ask 6 dd if=/dev/kvm of=/dev/null count=0 status=none
	ask 6 df -k --output=file,target,size,avail,itotal,iavail -- / /boot /opt /run /usr /var /var/cache /var/cache/apt /var/cache/apt/archives /var/lib /var/lib/containerd /var/lib/dpkg /var/lib/etcd /var/lib/kubelet
	ask 6 dmesg --time-format iso
	ask 9 env KUBECONFIG=/etc/kubernetes/admin.conf cilium status -o json
	ask 6 getconf GNU_LIBC_VERSION
	ask 6 grep -aom1 'GLIBC_2[.][0-9][0-9]*' /opt/kata/bin/containerd-shim-kata-v2
	ask 6 grep -sHE '^[ -]*(server|certificate-authority-data|client-certificate-data|client-certificate):' /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /root/.kube/config
	ask 20 grub-probe --target=abstraction /boot/grub
	ask 20 grub-probe --target=fs /boot/grub
	ask 20 helm get values cilium --namespace kube-system --kubeconfig /etc/kubernetes/admin.conf -o json
	ask 20 helm history cilium --namespace kube-system --kubeconfig /etc/kubernetes/admin.conf -o json
	ask 6 ip -d -j addr
	ask 6 ip -j -6 route show table all
	ask 6 ip -j -6 rule
	ask 6 ip -j addr
	ask 6 ip -j route show table all
	ask 6 ip -j rule
	ask 6 iptables -S FORWARD
	ask 6 iptables-legacy -S FORWARD
	ask 6 journalctl -b -k -n 5000 --no-pager --all -o json --output-fields=MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER
	ask 6 journalctl -b -p warning -n 500 --no-pager --all -o json --output-fields=MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER _PID=1
	ask 6 journalctl -b -t kata -n 1000 --no-pager --all -o json --output-fields=MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER
	ask 6 journalctl -b -u containerd.service -n 3000 --no-pager --all -o json --output-fields=MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER
	ask 6 journalctl -b -u kubelet.service -n 3000 --no-pager --all -o json --output-fields=MESSAGE,PRIORITY,_PID,UNIT,SYSLOG_IDENTIFIER
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get runtimeclass/kata-qemu runtimeclass/kata-clh runtimeclass/kata-qemu-nvidia-gpu namespace/caasctl-gpu daemonset/sandbox-device-plugin --namespace caasctl-gpu --show-managed-fields --ignore-not-found -o json
	ask 6 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=3s get --raw '/readyz?verbose'
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}'
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s -n kube-system get configmap/cilium-config daemonset/cilium --ignore-not-found -o json
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s get events -A -o json
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s get nodes,ciliumnodes -o 'jsonpath={range .items[*]}{.kind}{" "}{.metadata.name}{" "}{.spec.podCIDRs[*]}{" "}{.spec.ipam.podCIDRs[*]}{"\n"}{end}'
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s get nodes,daemonsets,deployments,runtimeclasses,storageclasses,services,endpointslices,persistentvolumeclaims -A -o json
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s get pods -A -o json
	ask 16 kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=6s get runtimeclasses,daemonsets --all-namespaces -o 'jsonpath={range .items[*]}{.kind}{"\t"}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.metadata.labels.app\.kubernetes\.io/managed-by}{"\t"}{.handler}{"\t"}{.spec.template.spec.containers[*].image}{"\n"}{end}'
	ask 16 kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$HOST" -o json
	ask 16 kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=6s get node "$HOST" -o 'jsonpath={.metadata.labels}{"\n"}{.status.capacity}'
	ask 20 kubectl --namespace kube-system --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get daemonset/cilium deployment/cilium-operator deployment/coredns --ignore-not-found -o json
	ask 20 kubectl --namespace kube-system --kubeconfig /etc/kubernetes/admin.conf --request-timeout=10s get nodes -o json
	ask 6 nft list chains
	ask 6 rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\n' cilium-cli containerd containerd.io cri-tools docker-ce docker.io helm kubeadm kubectl kubelet kubernetes-cni moby-engine moby-runc runc
	ask 6 sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' /var/lib/kubelet/pki/kubelet-client-current.pem
	ask 6 ss -Hltnup
	ask 6 systemctl --version
	ask 6 systemctl show -p ActiveState,MainPID,NeedDaemonReload,LoadState containerd.service
	ask 3 systemctl show -p ActiveState,SubState,MainPID,NeedDaemonReload containerd.service
	ask 6 systemctl show -p Id,ActiveState chrony.service chronyd.service systemd-timesyncd.service ntpsec.service ntpd.service ntp.service openntpd.service
	ask 4 systemctl show -p Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainCode,ExecMainStatus,ActiveEnterTimestampMonotonic containerd.service kubelet.service
	ask 6 systemctl show -p LoadState,ActiveState,SubState,NRestarts,UnitFileState kubelet.service
	ask 6 systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic -- caasctl-gpu.service
	ask 6 systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic -- containerd.service
	ask 6 systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic -- kubelet.service
	ask 6 systemctl show -p LoadState,ActiveState,UnitFileState,ActiveEnterTimestampMonotonic -- swapfile.swap
	ask 6 systemctl show -p NeedDaemonReload -- caasctl-gpu.service
	ask 6 uname -m
fi

say "caasctl-collect: writing"
{
	printf '{"schemaVersion": 1, "tool": "caasctl-collect.sh 0.1.0", "host": "%s", "when": "%s",\n' "$HOST" "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)"
	printf '"absent": [],\n"unread": {'
	pairs unread
	printf '},\n"links": {'
	pairs links
	printf '},\n"listings": {'
	listings
	printf '},\n"stats": {'
	stats
	printf '}}\n'
} >"$WORK/recording/manifest.json"
{
	printf '['
	commands
	printf ']\n'
} >"$WORK/recording/commands.json"
if command -v gzip >/dev/null 2>&1; then
	tar -C "$WORK/recording" -cf - manifest.json commands.json root | gzip >"$WORK/packed" && gzip -t "$WORK/packed"
else
	tar -C "$WORK/recording" -cf "$WORK/packed" manifest.json commands.json root # caasctl reads it by its content
fi || fail "$OUT was not written" "tar or gzip failed, above it says why" "make room in ${TMPDIR:-/tmp}, or set TMPDIR"
(set -C && cat "$WORK/packed" >"$OUT") || fail "$OUT was not written" "the directory cannot be written, or is full" "name another file: sh caasctl-collect.sh FILE.tar.gz"
say "caasctl-collect: $OUT, $(($(wc -c <"$OUT"))) bytes, for you only. Where caasctl is installed:"
say "  caasctl doctor --facts $OUT"
say "Before you hand it on, hide MAC addresses, serial numbers, public addresses and what is left of secrets:"
say "  caasctl facts --facts $OUT --record CLEAN.tar.gz"
