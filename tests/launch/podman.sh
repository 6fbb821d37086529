# Containers of podman for run, which sources this: their programs are those of this
# system, and all that podman keeps is in $tmp.
# shellcheck shell=bash disable=SC2034,SC2154 # what it shares with run

podman=

# Sets podman to the command, and contained to the one that runs a program in a
# container; on failure why is the reason.
podman_start() {
  local program name
  for program in podman crun catatonit; do
    PATH=$PATH:/usr/libexec/podman command -v $program >/dev/null || {
      why="$program is missing"
      return 1
    }
  done
  [ "$(id -u)" = 0 ] || {
    why="it needs the superuser"
    return 1
  }
  [ -L /bin ] || { # another root needs more than /usr
    why="/bin is not a part of /usr here"
    return 1
  }
  mkdir -p "$tmp/root"/{usr,etc,proc,sys,dev,tmp,run}
  for name in bin sbin lib lib32 lib64; do
    [ ! -L /$name ] || ln -s usr/$name "$tmp/root/$name"
  done
  podman_configure
  podman=$tmp/podman
  contained=("$podman" run -i --rm --network=none -v /usr:/usr:ro
    -v "$top:$top:ro" -v "$build:$build:ro" -v "$tmp:$tmp"
    --rootfs "$tmp/root")
  why=$("${contained[@]}" /bin/true 2>&1) || {
    podman=
    return 1
  }
}

# crun refuses a hybrid hierarchy of cgroups whose second mount has a controller, so
# that mount is hidden from podman.  Without CAP_SYS_RESOURCE it cannot raise limits.
podman_configure() {
  cat >"$tmp/storage.conf" <<END
[storage]
driver = "vfs"
runroot = "$tmp/podman.run"
graphroot = "$tmp/podman.graph"
END
  cat >"$tmp/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
END
  cat >"$tmp/podman" <<END
#!/bin/sh
export CONTAINERS_STORAGE_CONF='$tmp/storage.conf'
export CONTAINERS_CONF='$tmp/containers.conf'
exec unshare -m --propagation private sh -c '
  umount /sys/fs/cgroup/unified 2>/dev/null
  exec podman "\$@"' podman "\$@"
END
  chmod +x "$tmp/podman"
}

# Also what a podman that was killed has left.
podman_stop() {
  [ -z "$podman" ] || "$podman" rm -f -a -t 0 >/dev/null
}
