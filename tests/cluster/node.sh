#!/bin/sh
# Makes these namespaces a node of its own, with a network and a router behind it, then runs a command in it.
# Usage: unshare -m -n -u -p -f --kill-child --mount-proc node.sh STANDINS CONTAINERD KUBECTL NODE_ADDRESS/LENGTH ROUTER COMMAND...
# Process 1 says that it is systemd and process 2 that it is a kernel's thread: this is no container to those who look.
set -eu
"$1/kthreadd" &
standins=$1 containerd=$2 kubectl=$3 address=$4 router=$5
shift 5
printf systemd >/proc/1/comm
mount --make-rprivate /
hostname node1
work=$(mktemp -d -p "$standins")
mount -t tmpfs tmpfs "$work"
bind() { # PATH: what stdin says is in that file from now on
  file=$work/file$(echo "$1" | tr / -)
  cat >"$file"
  mount --bind "$file" "$1"
}
copy() { # PATH: a copy of what the kernel shows there, so that a change of it changes nothing of this machine
  mkdir -p "$work/copy$1"
  cp -r "$1/." "$work/copy$1/" 2>/dev/null || true
  mount --bind "$work/copy$1" "$1"
}

for place in etc opt root usr var; do
  lower=/$place
  if [ "$place" = usr ]; then lower=$standins/usr:$kubectl/usr:$containerd/usr:/usr; fi
  mkdir "$work/$place" "$work/$place.work"
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/$place,workdir=$work/$place.work" "/$place"
done
mount -t tmpfs tmpfs /run
umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo cpuset cpu io memory hugetlb pids | bind /sys/fs/cgroup/cgroup.controllers
for place in kernel vm fs; do copy /proc/sys/$place; done
echo 262144 | bind /proc/sys/net/netfilter/nf_conntrack_max
echo "BOOT_IMAGE=/vmlinuz ro quiet" | bind /proc/cmdline
: | bind /proc/swaps
echo "Filename Type Size Used Priority" >/proc/swaps

mkdir -p /var/lib/containerd /var/lib/standin /run/systemd/system /run/netns
mount -t tmpfs tmpfs /var/lib/containerd
rm -rf /var/lib/caasctl /etc/containerd /etc/crictl.yaml /etc/kubernetes /etc/cni /var/lib/kubelet /var/lib/etcd /var/log/pods /root/.kube \
  /etc/systemd/system/*containerd* /boot/grub 2>/dev/null || true
mkdir -p /etc/containerd /etc/systemd/system /opt/cni/bin "/usr/lib/modules/$(uname -r)"
cp -r "$standins/repository" /var/lib/standin/
cp -r "$standins/units/." /etc/systemd/system/
cp "$standins/dpkg-status" /var/lib/dpkg/status
printf '127.0.0.1 localhost\n%s node1\n' "${address%/*}" >/etc/hosts
echo "nameserver $router" >/etc/resolv.conf
echo node1 >/etc/hostname

ip link set lo up
ip netns add router
ip link add eth0 type veth peer name lan netns router
case $address in *:*) flags=nodad ;; *) flags= ;; esac
ip addr add "$address" dev eth0 $flags
ip link set eth0 up
ip -n router link set lan up
ip -n router link set lo up
ip -n router addr add "$router/${address#*/}" dev lan $flags
ip route add default via "$router"
"$@"
