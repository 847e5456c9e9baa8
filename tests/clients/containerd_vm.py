"""containerd 1.6 with viv-oci-vm: tasks in machines by ctr, and pods by the CRI's handler "viv-vm"."""
import contextlib
import os

from lib import *
import containerd
from containerd import client, ctr, ended, pod, start

TIMEOUT = 240

VM = program("viv-oci-vm")
BY = ["ctr", "run", "--runc-binary", VM]


@contextlib.contextmanager
def shared():
    with containerd.engine("containerd-vm"):
        yield


def nothing_left():
    eventually(lambda: [containerd.box.run(VM, "--root", f"/run/containerd/runc/{namespace}", "list", "-q").ok().out
                        for namespace in ("default", "k8s.io")] == ["", ""])


def test_ctr_runs_in_a_machine():
    found = containerd.box.run(*BY, "--rm", containerd.IMAGE, unique("t"), "sh", "-c",
                "uname -r; echo e >&2; exit 7", timeout=150)
    equal(found.status, 7)
    check(found.out.strip() != os.uname().release, found)
    contains(found.err, "e\n")
    nothing_left()


def test_ctr_exec_and_kill():
    with containerd.task(by=BY) as name:
        found = ctr("tasks", "exec", "--exec-id", "e1", "--cwd", "/tmp", "--user", "5:6", name, "sh", "-c",
                    "echo $PWD $(id -u); exit 9", timeout=60)
        equal((found.status, found.out), (9, "/tmp 5\n"))
        contains(ctr("tasks", "exec", "--exec-id", "e2", name, "nosuch", timeout=60).err,
                 "executable file not found in $PATH")
        ctr("tasks", "kill", "-s", "SIGKILL", name).ok()
        eventually(lambda: containerd.status(name) == "STOPPED", 30)
    nothing_left()


def test_a_pod_with_a_machine():
    """Its namespaces are held by a container on the host; the workload is in a machine on its network."""
    own_pids = {"namespace_options": {"pid": 1}}  # as the kubelet asks, unless a pod shares them
    with client() as cri, pod(cri, "viv-vm") as (sandbox, config):
        address = cri.PodSandboxStatus(pod_sandbox_id=sandbox).status.network.ip
        container, log = start(cri, sandbox, config, [
            "sh", "-c", "echo out-$A; echo err >&2; hostname; uname -r; nc -ll -p 80 -e echo served"],
            security_context=own_pids)
        eventually(lambda: containerd.box.read(log).count("\n") == 4, 30)
        said = containerd.box.read(log)
        matches(said, r"stdout F out-of-the-container$")
        matches(said, r"stderr F err$")
        matches(said, f"stdout F {config['hostname']}$")
        check(f"F {os.uname().release}\n" not in said, said)
        eventually(lambda: "served" in containerd.box.run("busybox", "nc", "-w", "5", address, "80").out, 30)
        answer = cri.ExecSync(container_id=container, cmd=["sh", "-c", "ip addr show eth0; exit 4"], timeout=60)
        equal(answer.exit_code, 4)
        contains(answer.stdout.decode(), f"{address}/24")
        try:
            start(cri, sandbox, config, ["true"], security_context=own_pids)
            check(False, "a second machine has the pod's network")
        except cri.error as error:
            contains(error.details(), "is another machine's")
        try:
            start(cri, sandbox, config, ["true"])
            check(False, "a machine has the pod's processes")
        except cri.error as error:
            contains(error.details(), "cannot join the pid namespace")
        cri.StopContainer(container_id=container, timeout=0)
        equal(ended(cri, container).exit_code, 137)
        again, _ = start(cri, sandbox, config, ["sh", "-c", "test -e /sys/class/net/eth0; exit 5"],
                         security_context=own_pids)
        equal(ended(cri, again).exit_code, 5)
    nothing_left()
