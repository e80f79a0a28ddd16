#!/bin/sh
# Written by caasctl: the next `caasctl init-node` replaces it, `caasctl undo` takes it back.
# Keeps PCI functions on vfio-pci and writes the CDI specifications of those that pods ask for.
#   gpu.sh up                         both: caasctl-gpu.service runs it at every boot, and when one of them appears
#   gpu.sh bind ADDRESS...            binds these
#   gpu.sh release ADDRESS=DRIVER...  gives them back to the drivers that they had, unless a guest has them
set -u

# address, vendor, device, kind of the CDI device; - where a function only goes along with its group
functions='
0000:01:00.0 10de 2331 nvidia.com/pgpu
0000:83:00.0 10de 2331 nvidia.com/pgpu
'
# kind, file of its specification, CDI's version that its name needs
kinds='
nvidia.com/pgpu /var/run/cdi/caasctl-nvidia.com-pgpu.yaml 0.5.0
'
# shellcheck disable=SC2016 # no command: what the CDI files begin with
header='# Written by caasctl: the next `caasctl init-node` replaces it, `caasctl undo` takes it back.
'
pci=/sys/bus/pci

say() { echo "caasctl-gpu: $*"; }

# ADDRESS: its driver, nothing where it has none.
driver() {
  link=$(readlink "$pci/devices/$1/driver") && echo "${link##*/}"
}

# ADDRESS: its IOMMU group, nothing where it is in none.
group() {
  link=$(readlink "$pci/devices/$1/iommu_group") && echo "${link##*/}"
}

# ADDRESS: the device nodes that lead to it.
nodes() {
  case $(driver "$1") in
    nvidia) echo '/dev/nvidia*' ;; # they are no children of the function
    vfio-pci) echo "/dev/vfio/$(group "$1")" ;;
  esac
  find "$pci/devices/$1/" -name uevent -type f -exec sed -n 's,^DEVNAME=,/dev/,p' {} + 2>/dev/null
}

# ADDRESS: an open file of a process that uses it, nothing where none does.
user() {
  set -f # the patterns are for find
  # shellcheck disable=SC2046 # words
  set -- $(nodes "$1" | sed 's/^/-o -lname /')
  set +f
  [ $# -gt 0 ] || return 0
  shift
  find /proc/[0-9]*/fd \( "$@" \) 2>/dev/null | head -n 1
}

# ADDRESS VENDOR DEVICE: on vfio-pci, whatever had it, unless a program uses it.
take() {
  dev=$pci/devices/$1
  [ -e "$dev" ] || { say "$1 is not there: taken out, or fallen off the bus"; return 1; }
  there="$(cat "$dev/vendor") $(cat "$dev/device")"
  [ "$there" = "0x$2 0x$3" ] || { say "$1 is $there now, not 0x$2 0x$3: left alone; run caasctl init-node again"; return 1; }
  had=$(driver "$1")
  [ "$had" != vfio-pci ] || return 0
  used=$(user "$1")
  [ -z "$used" ] || { say "$1 ($had) is in use: $used; end that, then systemctl restart caasctl-gpu"; return 1; }
  # before it is unbound: without its driver nobody can take its virtual functions away
  if [ -n "$had" ] && [ "$(cat "$dev/sriov_numvfs" 2>/dev/null || echo 0)" != 0 ]; then
    echo 0 >"$dev/sriov_numvfs" || { say "$1 keeps its virtual functions: dmesg says why"; return 1; }
  fi
  echo vfio-pci >"$dev/driver_override"
  [ -z "$had" ] || echo "$1" >"$dev/driver/unbind"
  echo "$1" >$pci/drivers_probe
  [ "$(driver "$1")" = vfio-pci ] || { say "vfio-pci does not take $1, which had ${had:-no driver}: dmesg says why"; return 1; }
  say "$1: vfio-pci (had ${had:-no driver})"
}

# up, or the addresses to bind: each of them, though one fails.
bind() {
  failed=0
  modprobe -a vfio-pci vfio_iommu_type1 || failed=1
  while read -r address vendor device _; do
    case " $* " in
      *" $address "* | " up ") [ -z "$address" ] || take "$address" "$vendor" "$device" || failed=1 ;;
    esac
  done <<END
$functions
END
  return $failed
}

# KIND: its devices, as CDI has them; a device plugin gives them the same names. Two functions of a group are one device.
devices() {
  names=' '
  while read -r address _ _ kind; do
    [ "$kind" = "$1" ] && [ "$(driver "$address")" = vfio-pci ] || continue
    node=$(ls "$pci/devices/$address/vfio-dev" 2>/dev/null)
    if [ -e /dev/iommu ] && [ -n "$node" ] && [ -e "/dev/vfio/devices/$node" ]; then
      name=${node#vfio} nodes="{path: /dev/vfio/devices/$node}"
    else
      name=$(group "$address") nodes="{path: /dev/vfio/vfio}, {path: /dev/vfio/$name}"
    fi
    [ -n "$name" ] || continue # it is being taken out
    case "$names" in *" $name "*) continue ;; esac
    names="$names$name "
    printf -- '- {name: "%s", containerEdits: {deviceNodes: [%s]}}\n' "$name" "$nodes"
  done <<END
$functions
END
}

# all, or there for those that are there: the file of each kind, whole or not at all; none where a kind has no device.
specify() {
  while read -r kind file version; do
    [ -n "$kind" ] || continue
    [ "$1" = all ] || [ -e "$file" ] || continue
    found=$(devices "$kind")
    if [ -z "$found" ]; then
      rm -f "$file"
      say "no device of $kind is on vfio-pci: $file is not there"
      continue
    fi
    mkdir -p "${file%/*}" && printf '%scdiVersion: "%s"\nkind: "%s"\ndevices:\n%s\n' "$header" "$version" "$kind" "$found" >"$file.new" &&
      mv "$file.new" "$file" || return 1
  done <<END
$kinds
END
}

# ADDRESS=DRIVER: nothing is done while a guest has one of them.
release() {
  for each in "$@"; do
    [ "$(driver "${each%%=*}")" = vfio-pci ] || continue
    used=$(user "${each%%=*}")
    [ -z "$used" ] || { say "${each%%=*} is in use: $used; delete the pod that has it"; return 1; }
  done
  for each in "$@"; do
    address=${each%%=*} had=${each#*=} dev=$pci/devices/${each%%=*}
    [ -e "$dev" ] || continue
    echo >"$dev/driver_override"
    [ "$(driver "$address")" != vfio-pci ] || echo "$address" >"$dev/driver/unbind"
    [ -n "$had" ] || continue
    modprobe -q "$had" # by its name: what is blacklisted still loads so
    echo "$address" >$pci/drivers_probe
    say "$address: $(driver "$address") (was on vfio-pci)"
  done
  specify there # nobody is to ask for what is gone
}

task=${1:-}
[ $# -eq 0 ] || shift
case $task in
  up)
    bind up
    bound=$?
    specify all && exit $bound
    exit 1
    ;;
  bind | release) "$task" "$@" ;;
  *)
    say 'usage: gpu.sh up | bind ADDRESS... | release ADDRESS=DRIVER...'
    exit 2
    ;;
esac
