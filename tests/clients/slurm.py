"""Slurm 22.05, one controller and two slurmd, whose tasks run in containers of viv-oci by the file
docs/clients/slurm-oci.conf."""
import contextlib
import json

from lib import *
from box import Box

TIMEOUT = 90

NODES = ["n1", "n2"]
CONFIG = """ClusterName=viv
SlurmctldHost=slurm
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/opt/data/state
SlurmdSpoolDir=/opt/data/spool-%n
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
SlurmctldLogFile=/opt/data/slurmctld.log
SlurmdLogFile=/opt/data/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MessageTimeout=60
TCPTimeout=60
NodeName=n1 NodeHostname=slurm NodeAddr=10.98.0.1 Port=17001 CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname=slurm NodeAddr=10.98.0.1 Port=17002 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
# A network with loopback alone breaks Slurm's look-up of names.
NETWORK = """ip link add link0 type veth peer name link1
ip addr add 10.98.0.1/24 dev link0
ip link set link0 up
ip link set link1 up
echo 10.98.0.1 slurm n1 n2 >>/etc/hosts"""

box = None


@contextlib.contextmanager
def shared():
    global box
    with Box("slurm") as box:
        box.run("sh", "-c", NETWORK).ok()
        box.put("/etc/slurm/slurm.conf", CONFIG)
        box.install("slurm-oci.conf")
        box.run("mkdir", "/opt/data/state", "/opt/data/bundle", *(f"/opt/data/spool-{node}" for node in NODES)).ok()
        box.run("cp", "-a", image(), "/opt/data/bundle/rootfs").ok()
        box.run("viv-oci", "spec", "--bundle", "/opt/data/bundle").ok()
        box.start("slurmctld", "-D")
        for node in NODES:
            box.start("slurmd", "-D", "-N", node)
        eventually(lambda: box.run("sinfo", "-h", "-o", "%T").out.split() == ["idle"], 40, logs)
        yield


def logs():
    return box.run("sh", "-c", "sinfo; tail -n 12 /opt/data/*.log").out


def srun(*argv, **more):
    return box.run("srun", "--container=/opt/data/bundle", *argv, **more)


def containers():
    return box.run("viv-oci", "--root=/run/viv-oci-slurm/", "list", "-q").ok().lines()


def test_a_step_in_a_container():
    found = srun("sh", "-c", "hostname; ls /; id -u")
    check(found.status == 0, lambda: f"{found}\n{logs()}")
    equal(found.lines()[0], "viv")
    contains(found.out, "home")
    equal(found.lines()[-1], "0")
    eventually(lambda: containers() == [])


def test_statuses():
    equal(srun("sh", "-c", "exit 7").status, 7)
    check(srun("nosuch").status not in (0, None))
    eventually(lambda: containers() == [])


def test_two_nodes_at_once():
    """Each with a job of its own: Slurm 22.05 takes one task for a step in a container."""
    command = ["srun", "--container=/opt/data/bundle", "-n", "1"]
    with contextlib.ExitStack() as stack:
        wait = "until test -e /go; do sleep 0.1; done"
        steps = [stack.enter_context(box.start(*command, "-w", node, "sh", "-c", f"echo {node}; {wait}"))
                 for node in NODES]
        eventually(lambda: len(containers()) == 2, 20, logs)
        box.put("/opt/data/bundle/rootfs/go", "")
        equal([step.wait(30) for step in steps], [0, 0])
        equal([step.out() for step in steps], ["n1\n", "n2\n"])
    eventually(lambda: containers() == [])


def test_several_steps_of_a_job():
    script = "#!/bin/sh\nfor i in 1 2 3; do srun --container=/opt/data/bundle sh -c \"echo step $i\"; done\n"
    box.put("/opt/data/job", script, 0o755)
    box.run("sbatch", "--wait", "-n", "1", "-o", "/opt/data/job.out", "/opt/data/job", timeout=80).ok()
    equal(box.read("/opt/data/job.out").splitlines(), ["step 1", "step 2", "step 3"])
    eventually(lambda: containers() == [])


def test_a_cancelled_step_is_killed():
    with box.start("srun", "--container=/opt/data/bundle", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done") as step:
        step.wait_for("up", 20)
        (name,) = containers()
        state = json.loads(box.run("viv-oci", "--root=/run/viv-oci-slurm/", "state", name).ok().out)
        equal(state["status"], "running")
        job = box.run("squeue", "-h", "-o", "%i").ok().out.strip()
        box.run("scancel", job).ok()
        step.wait(30)
        contains(step.err(), "CANCELLED")
    eventually(lambda: containers() == [])
    eventually(lambda: box.run("squeue", "-h").out == "")
