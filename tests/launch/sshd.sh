# A server of ssh on loopback for run, which sources this: with keys and a
# configuration of its own in $tmp, and only for the user of the tests.
# shellcheck shell=bash disable=SC2034,SC2154 # what it shares with run

sshd=

# Sets ssh to the command that logs in; on failure why is the reason.
sshd_start() {
  local program port
  program=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) &&
    command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || {
    why="sshd, ssh or ssh-keygen is missing"
    return 1
  }
  # As the system's own start of the server does it; another run may use it, so
  # it stays.
  [ "$(id -u)" != 0 ] || mkdir -p -m 755 /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$tmp/host_key"
  ssh-keygen -q -t ed25519 -N '' -f "$tmp/key"
  cp "$tmp/key.pub" "$tmp/authorized_keys"
  for port in $(shuf -i 20000-32000 -n 20); do
    sshd_listen "$program" "$port" && break
  done
  [ -n "$sshd" ] || {
    why=$(tail -n 1 "$tmp/sshd.log")
    return 1
  }
  echo "[127.0.0.1]:$port $(cat "$tmp/host_key.pub")" >"$tmp/known_hosts"
  ssh=(ssh -F none -T -e none -p "$port" -i "$tmp/key" -o BatchMode=yes
    -o "UserKnownHostsFile=$tmp/known_hosts" -o IdentitiesOnly=yes
    127.0.0.1)
}

# Starts it on a port, and waits until it listens; or it has ended.
sshd_listen() { # sshd_listen PROGRAM PORT
  cat >"$tmp/sshd_config" <<EOF
ListenAddress 127.0.0.1:$2
HostKey $tmp/host_key
AuthorizedKeysFile $tmp/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
EOF
  : >"$tmp/sshd.log"
  # It ends after some time even if it is not stopped.
  timeout 900 "$1" -D -e -f "$tmp/sshd_config" 2>>"$tmp/sshd.log" &
  sshd=$!
  grep -q 'Server listening' \
    < <(tail -n +1 -f --pid=$sshd "$tmp/sshd.log") || sshd_stop
  [ -n "$sshd" ]
}

sshd_stop() {
  [ -n "$sshd" ] || return 0
  kill "$sshd" 2>/dev/null || true # it may have ended by itself
  wait "$sshd" || true
  sshd=
}
