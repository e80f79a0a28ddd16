#!/bin/sh
# Makes this mount and PID namespace a node of a suite's containerd, then runs a command in it.
# Usage: unshare -m -p -f --kill-child --mount-proc node.sh TREE STANDINS COMMAND...
set -eu
tree=$1 standins=$2
shift 2
mount --make-rprivate /
unit=$(find "$tree" -name containerd.service)
work=$(mktemp -d)
mount -t tmpfs tmpfs "$work"
for place in etc opt; do
  mkdir "$work/$place" "$work/$place.work"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$work/$place,workdir=$work/$place.work" "/$place"
done
mount -t overlay overlay -o "lowerdir=$standins:$tree/usr/bin:/usr/bin" /usr/bin
mount -t overlay overlay -o "lowerdir=$tree/usr/sbin:/usr/sbin" /usr/sbin
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/containerd "$work/empty"
mount -t tmpfs tmpfs /var/lib/containerd
if [ -e /var/lib/dpkg/status ]; then mount --bind "$(mktemp -p "$work")" /var/lib/dpkg/status; fi
rm -rf /etc/containerd /etc/crictl.yaml /etc/systemd/system/containerd.service*
mkdir -p /etc/containerd /etc/systemd/system
sed '/^ExecStartPre/d' "$unit" >/etc/systemd/system/containerd.service
exec "$@"
