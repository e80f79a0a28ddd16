#!/bin/sh
# In a chroot of the node's disk: its name, network, ssh, boot arguments, caasctl from its wheel, and the stand-ins.
# Usage: setup.sh UUID
set -eu
uuid=$1
material=/mnt/material
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

echo node1 >/etc/hostname
printf '127.0.0.1 localhost\n10.0.2.15 node1\n' >/etc/hosts
printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' "$uuid" >/etc/fstab
printf 'nameserver 10.0.2.3\n' >/etc/resolv.conf
cat >/etc/systemd/network/lan.network <<'END'
[Match]
Type=ether
Driver=virtio_net
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END
systemctl -q enable systemd-networkd ssh
systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service modprobe@drm.service modprobe@efi_pstore.service fstrim.timer man-db.timer systemd-resolved.service networking.service
mkdir -p /root/.ssh
chmod 0700 /root/.ssh
cp "$material/authorized_keys" /root/.ssh/
printf 'UseDNS no\nPermitRootLogin prohibit-password\nLoginGraceTime 600\n' >/etc/ssh/sshd_config.d/lab.conf

cat >/etc/default/grub <<END
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="$(cat "$material/arguments")"
GRUB_TERMINAL="console serial"
GRUB_DISABLE_OS_PROBER=true
END

python3 -m venv /opt/caasctl
/opt/caasctl/bin/pip install --quiet --no-index --find-links "$material/wheels" caasctl
ln -s /opt/caasctl/bin/caasctl /usr/local/sbin/caasctl
mkdir -p /etc/caasctl /opt/standins
cp "$material/lab.yaml" /etc/caasctl/lab.yaml
mkdir -p /usr/local/lib/lab
cp "$material/manifest.py" "$material/cri.py" /usr/local/lib/lab/
python3 -m venv /opt/standins/lab
/opt/standins/lab/bin/pip install --quiet --no-index --find-links "$material/wheels" grpcio

cp "$material/kubectl" /usr/bin/kubectl
cp -r "$material/tests" "$material/schemas" /opt/standins/
python3 /opt/standins/tests/standins/kubernetes/install.py /opt/standins/made /usr/bin
mkdir -p /usr/lib/standin-busybox # the image of the pods that the kubelet's stand-in runs
for applet in sh cat echo uname timeout nslookup nc sleep tail tr; do
  ln -s /usr/bin/busybox "/usr/lib/standin-busybox/$applet"
done
mkdir -p /var/lib/standin/set
cp -r /opt/standins/made/repository /var/lib/standin/
echo 0 >/var/lib/standin/set/deadline
echo 15 >/var/lib/standin/set/pace # an emulated processor is that much slower, and has caasctl to run beside them
cp -r "$material/units/." /usr/lib/systemd/system/
cat "$material/dpkg-status" >>/var/lib/dpkg/status
