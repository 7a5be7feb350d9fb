# A Slurm of two nodes on this machine, for one test: munge, a controller, two slurmd, all ours, in one folder.
#
#     . cluster.sh; cluster_start FOLDER; ... cluster_stop FOLDER
#
# Sets SLURM_CONF. What is queued again waits for cred_expire, two minutes if it were not set. Ports are drawn by the process's number. cluster_kill FOLDER NODE ends a node as a lost machine
# would: its daemon and all its tasks at once, by SIGKILL.

cluster_missing() { # prints what is not installed
    for p in slurmctld slurmd munged sbatch; do
        PATH=$PATH:/usr/sbin command -v $p > /dev/null || { echo "$p is not installed"; return; }
    done
}

cluster_start() { # FOLDER
    D=$1 port=$((20000 + $$ % 10000 * 3)) me=$(id -un) host=$(uname -n | sed 's/\..*//')
    PATH=$PATH:/usr/sbin
    mkdir -p "$D/state" "$D/spool-one" "$D/spool-two"
    chmod 755 "$D"
    head -c 128 /dev/urandom > "$D/munge.key"
    chmod 400 "$D/munge.key"
    cat > "$D/slurm.conf" <<END_OF_CONF
ClusterName=retort
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$D/munge.sock,cred_expire=5
CredType=cred/munge
SlurmctldPort=$port
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd-%n.pid
SlurmdSpoolDir=$D/spool-%n
StateSaveLocation=$D/state
SlurmctldLogFile=$D/slurmctld.log
SlurmdLogFile=$D/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=5
MinJobAge=60
KillWait=5
JobRequeue=1
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=2 RealMemory=1000
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 RealMemory=1000
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP
END_OF_CONF
    echo 'CgroupPlugin=cgroup/v1' > "$D/cgroup.conf" # a container may have none; this one asks late
    export SLURM_CONF="$D/slurm.conf"
    munged --force --key-file="$D/munge.key" --socket="$D/munge.sock" --pid-file="$D/munge.pid" \
        --log-file="$D/munge.log" --seed-file="$D/munge.seed" || return 1
    slurmctld -f "$D/slurm.conf" || return 1
    slurmd -f "$D/slurm.conf" -N one || return 1
    slurmd -f "$D/slurm.conf" -N two || return 1
    n=0
    until [ "$(sinfo -h -t idle -o %D 2> /dev/null | tr -d ' ')" = 2 ]; do
        n=$((n + 1)); [ $n -lt 300 ] || { sinfo; return 1; }; sleep 0.1
    done
}

cluster_kill() { # FOLDER NODE
    kill -KILL "$(cat "$1/slurmd-$2.pid")" || return 1
    # What ran on it has the node's name in its environment; first the parents, who would tell of their deaths.
    grep -lasz "^SLURMD_NODENAME=$2$" /proc/[0-9]*/environ 2> /dev/null | while read -r file; do
        if grep -qasz "^SLURM_CONF=$1/" "$file"; then
            p=${file%/environ}
            echo "$(sed -n 's/^PPid:[^0-9]*//p' "$p/status") ${p#/proc/}"
        fi
    done > "$1/killed"
    while read -r parent _; do grep -q '^slurmstepd' "/proc/$parent/comm" && kill -KILL "$parent" || true; done < "$1/killed"
    while read -r _ child; do kill -KILL "$child" || true; done < "$1/killed" 2> /dev/null
    return 0
}

cluster_stop() { # FOLDER
    scancel --me 2> /dev/null || true
    for f in "$1"/slurmd-one.pid "$1"/slurmd-two.pid "$1"/slurmctld.pid "$1"/munge.pid; do
        [ ! -f "$f" ] || kill "$(cat "$f")" 2> /dev/null || true
    done
    return 0
}
