#!/usr/bin/env bash
# A real systemd as process 1 of namespaces of its own: nothing of this machine's own systemd is touched.
#
#   machine.sh start PROJECT [TREE]    boots one, prints its state folder; TREE is laid over / first (another systemd)
#   machine.sh run STATE CMD...        runs a command in it
#   machine.sh stop STATE              ends it and all that runs in it; leaves nothing
#
# Own PID, mount, UTS, IPC and cgroup namespaces; / is an overlay that forgets what is written. /srv/handover is PROJECT, /srv/test
# the folder STATE/shared. The network is the machine's, so that clients outside reach it on loopback.
set -euo pipefail
self=$(readlink -f "$0")

# ---- process 1, before it becomes systemd
inside() {
  local state=$1 project=$2 tree=$3 top lower=/
  mount --make-rprivate /
  top=$state/top
  mkdir "$top"
  mount -t tmpfs -o mode=755 none "$top"
  mkdir "$top/up" "$top/work" "$top/root"
  # Layers must not nest: a tree that lies on an overlay is copied.
  if [ -n "$tree" ]; then
    cp -a "$tree" "$top/tree"
    lower=$top/tree:/
  fi
  mount -t overlay none -o "lowerdir=$lower,upperdir=$top/up,workdir=$top/work" "$top/root"
  local root=$top/root
  mount -t proc none "$root/proc" -o nosuid,noexec,nodev
  # systemd raises the machine's own limits there, if it can.
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount -t sysfs none "$root/sys" -o ro,nosuid,noexec,nodev
  mount -t cgroup2 none "$root/sys/fs/cgroup" -o nosuid,noexec,nodev
  mount -t tmpfs none "$root/dev" -o mode=755,nosuid
  local device
  for device in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
    # shellcheck disable=SC2086
    set -- $device
    mknod -m 666 "$root/dev/$1" c "$2" "$3"
  done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts none "$root/dev/pts" -o newinstance,ptmxmode=0666,mode=620,gid=5
  mount -t tmpfs none "$root/dev/shm" -o mode=1777
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s fd/0 "$root/dev/stdin"
  ln -s fd/1 "$root/dev/stdout"
  ln -s fd/2 "$root/dev/stderr"
  mount -t tmpfs none "$root/run" -o mode=755
  mkdir "$root/run/lock"
  mount -t tmpfs none "$root/tmp" -o mode=1777
  mkdir -p "$root/srv/handover" "$root/srv/test"
  mount --bind "$project" "$root/srv/handover"
  mount --bind "$state/shared" "$root/srv/test"
  : >"$root/etc/fstab"
  rm -f "$root/etc/machine-id"
  echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
  local units=$root/etc/systemd/only unit
  mkdir -p "$units" "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
  for unit in basic.target sysinit.target sockets.target timers.target paths.target slices.target shutdown.target umount.target \
    final.target exit.target systemd-exit.service network.target local-fs.target local-fs-pre.target multi-user.target \
    systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    [ -e "$root/lib/systemd/system/$unit" ] || continue
    sed '/^\(Wants\|After\|Requires\|Conflicts\)=.*\(emergency\|rescue\|swap\|local-fs\)/d' "$root/lib/systemd/system/$unit" >"$units/$unit"
  done
  # The journal's own sandbox needs what a namespace does not have.
  sed -i '/^\(Protect\|Private\|SystemCall\|Restrict\|MemoryDeny\|LockPers\|DeviceAllow\|IPAddress\|WatchdogSec\)/d' "$units/systemd-journald.service"
  printf '[Unit]\nRequires=basic.target\nWants=systemd-journald.service\nAfter=basic.target systemd-journald.service\n' >"$units/ready.target"
  printf '[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/test.conf"
  printf '[Manager]\nStatusUnitFormat=name\n' >"$root/etc/systemd/system.conf.d/test.conf"
  cd "$root"
  mkdir -p old
  pivot_root . old
  cd /
  umount -l /old
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 container=test \
    SYSTEMD_UNIT_PATH=/etc/systemd/system.control:/run/systemd/transient:/run/systemd/system:/etc/systemd/only:/etc/systemd/system \
    SYSTEMD_LOG_TARGET=journal-or-kmsg \
    /lib/systemd/systemd --system --unit=ready.target --show-status=no </dev/null
}

enter() {
  local state=$1
  shift
  nsenter -t "$(cat "$state/pid")" -m -u -i -p -C -r -w -- env -u NOTIFY_SOCKET -u LISTEN_FDS -u LISTEN_PID -u XDG_RUNTIME_DIR \
    SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
}

stop() {
  local state=$1 pid group turn
  pid=$(cat "$state/pid" 2>/dev/null || true)
  group=$(cat "$state/group" 2>/dev/null || true)
  # The kernel ends the whole PID namespace with its process 1.
  if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
  for turn in $(seq 500); do
    { [ -n "$pid" ] && [ -d "/proc/$pid" ]; } || break
    sleep 0.01
  done
  for turn in $(seq 500); do
    [ -n "$group" ] && [ -d "$group" ] || break
    find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    [ -d "$group" ] && sleep 0.01
  done
  rm -rf --one-file-system "$state"
}

start() {
  local project=$1 tree=${2-} state group launcher pid= turn
  state=$(mktemp -d /tmp/handover-systemd.XXXXXX)
  mkdir "$state/shared"
  chmod 755 "$state" "$state/shared"
  local mount
  mount=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
  [ -n "$mount" ] || { echo 'there is no cgroup2 file system' >&2; exit 1; }
  group=$mount/${state##*/}
  mkdir "$group"
  echo "$group" >"$state/group"
  trap 'stop "$state"' EXIT
  # shellcheck disable=SC2016
  setsid bash -c 'echo $$ >"$1/cgroup.procs"; exec unshare --pid --fork --mount --uts --ipc --cgroup bash "$2" inside "$3" "$4" "$5"' \
    launch "$group" "$self" "$state" "$project" "$tree" </dev/null >>"$state/console" 2>&1 &
  launcher=$!
  for turn in $(seq 1500); do
    [ -n "$pid" ] || pid=$(pgrep -P "$launcher" | head -n 1 || true)
    if [ -n "$pid" ]; then
      echo "$pid" >"$state/pid"
      if [ -S "/proc/$pid/root/run/systemd/private" ] && [ "$(cat "/proc/$pid/comm")" = systemd ]; then break; fi
    fi
    kill -0 "$launcher" 2>/dev/null || { cat "$state/console" >&2; exit 1; }
    sleep 0.02
  done
  local said
  said=$(enter "$state" timeout 20 systemctl is-system-running --wait 2>&1) || true
  if [ "$said" != running ]; then
    echo "systemd is $said" >&2
    enter "$state" systemctl --failed --no-legend >&2 || true
    cat "$state/console" >&2
    exit 1
  fi
  trap - EXIT
  disown "$launcher"
  echo "$state"
}

case $1 in
  inside) inside "$2" "$3" "${4-}" ;;
  start) start "$2" "${3-}" ;;
  run) shift; enter "$@" ;;
  stop) stop "$2" ;;
esac
