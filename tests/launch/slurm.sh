# A Slurm of one node on loopback for run, which sources this: with a configuration
# and a state of its own in $tmp.  munge has its socket and its key where the system
# has them; one that runs already is used.
# shellcheck shell=bash disable=SC2034,SC2154 # what it shares with run

slurm_pids=()

# Starts it; on failure why is the reason.
slurm_start() {
  local program node=$HOSTNAME port PATH=$PATH:/usr/sbin:/sbin
  for program in slurmctld slurmd srun munged; do
    command -v $program >/dev/null || {
      why="$program is missing"
      return 1
    }
  done
  [ "$(id -u)" = 0 ] || {
    why="it needs the superuser"
    return 1
  }
  slurm_munge || return
  port=$(shuf -i 20000-31000 -n 1)
  mkdir "$tmp/state" "$tmp/spool"
  cat >"$tmp/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$tmp/state
SlurmdSpoolDir=$tmp/spool
SlurmctldPidFile=$tmp/slurmctld.pid
SlurmdPidFile=$tmp/slurmd.pid
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$node Default=YES State=UP OverSubscribe=FORCE:16
END
  export SLURM_CONF=$tmp/slurm.conf
  slurm_run slurmctld slurmctld -D -c
  slurm_run slurmd slurmd -D -c
  slurm_wait
}

slurm_munge() {
  munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return
  mkdir -p -m 755 /run/munge
  chown munge: /run/munge
  slurm_run munged setpriv --reuid=munge --regid=munge --init-groups munged \
    --foreground --force
  for _ in $(seq 100); do
    munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return
    sleep 0.1
  done
  why=$(tail -n 1 "$tmp/munged.log")
  return 1
}

# In the background, until slurm_stop; or for some time at most.
slurm_run() { # slurm_run NAME COMMAND...
  timeout 900 "${@:2}" >"$tmp/$1.log" 2>&1 &
  slurm_pids+=($!)
}

# Until the node takes jobs.
slurm_wait() {
  for _ in $(seq 300); do
    ! sinfo -h -o %t 2>/dev/null | grep -q idle || return 0
    sleep 0.1
  done
  why=$(tail -qn 1 "$tmp/slurmctld.log" "$tmp/slurmd.log" | tr '\n' ' ')
  return 1
}

slurm_stop() {
  local at
  for ((at = ${#slurm_pids[@]} - 1; at >= 0; at--)); do
    kill "${slurm_pids[at]}" 2>/dev/null || true # it may have ended by itself
    wait "${slurm_pids[at]}" || true
  done
}
