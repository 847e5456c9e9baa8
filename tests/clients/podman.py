"""Podman 4.3 with viv-oci as its runtime, by the configuration of docs/clients/podman.conf."""
import contextlib
import json
import re

from lib import *
from box import Box, documented, image_tar

TIMEOUT = 60

SUBIDS = "viv:100000:65536\n"

box = None


@contextlib.contextmanager
def shared():
    global box
    with Box("podman") as box:
        box.install("podman.conf")
        box.install("podman-nested.conf")
        box.put("/etc/subuid", SUBIDS)
        box.put("/etc/subgid", SUBIDS)
        tar = image_tar(work() / "bb.tar")
        podman("import", "--change", "CMD=/bin/sh", tar, "localhost/bb:1").ok()
        yield


def podman(*argv, **more):
    return box.run("podman", *argv, **more)


@contextlib.contextmanager
def container(*argv, command=("sleep", "1000")):
    """A container that runs beside the test: its name."""
    name = unique("c")
    podman("run", "-d", "--name", name, "--network", "none", *argv, "bb:1", *command).ok()
    try:
        yield name
    finally:
        podman("rm", "-f", "-t", "0", name).ok()


def inspect(name, form):
    return podman("inspect", "--format", form, name).ok().out.strip()


def once(*argv, command):
    """The result of a container that runs to its end."""
    return podman("run", "--rm", "--network", "none", *argv, "bb:1", *command)


def nothing_left():
    """The engine tidies up beside the command that has ended."""
    def left():
        return [podman("ps", "-aq").ok().out, box.run("viv-oci", "list", "-q").ok().out,
                box.run("find", "/sys/fs/cgroup", "-mindepth", "2", "-type", "d", "-name", "libpod-*").out]
    eventually(lambda: left() == ["", "", ""], text=left)


def test_runs_a_command():
    equal(once(command=("echo", "hi")).ok().out, "hi\n")
    equal(podman("info", "--format", "{{.Host.OCIRuntime.Name}}").ok().out, "viv\n")
    nothing_left()


def test_runs_a_command_by_the_line_of_the_guide():
    words = documented("podman")
    equal(words[1], "--runtime")
    found = box.run(*words, "--rm", "--network", "none", "bb:1", "echo", "hi")
    equal(found.ok().out, "hi\n")
    nothing_left()


def test_exit_statuses():
    equal(once(command=("sh", "-c", "exit 7")).status, 7)
    # By a signal to a process that is not the first one, which is immune to its own.
    equal(once("--init", command=("sh", "-c", "kill -9 $$")).status, 137)
    fails(once(command=("nosuch",)), 127, "not found")
    fails(once(command=("/nosuch/path",)), 127, "no such file or directory")
    fails(once(command=("/etc",)), 126, "permission denied")
    fails(once("--volume", "/nosuch-source:/mnt", command=("true",)), 125, "no such file")
    nothing_left()


def test_streams_are_kept_apart():
    found = podman("run", "--rm", "-i", "--network", "none", "bb:1", "sh", "-c", "cat; echo e >&2; exit 3",
                   stdin="given\n")
    equal((found.status, found.out), (3, "given\n"))
    contains(found.err, "e\n")


def test_a_terminal():
    found = box.run("script", "-qec", "podman run --rm -t --network none bb:1 sh -c 'test -t 0 && tty && stty size'",
                    "/dev/null").ok()
    matches(found.out, r"/dev/(console|pts/0)\r*$")


def test_exec():
    with container("--env", "A=of-the-container") as name:
        found = podman("exec", "-e", "B=2", "-w", "/tmp", "-u", "5:6", name, "sh", "-c", "echo $A $B $PWD $(id -u):$(id -g)")
        equal(found.ok().out, "of-the-container 2 /tmp 5:6\n")
        equal(podman("exec", name, "sh", "-c", "exit 9").status, 9)
        fails(podman("exec", name, "nosuch"), 127, "not found")
        fails(podman("exec", name, "/nosuch/path"), 127, "no such file or directory")
        fails(podman("exec", name, "/etc"), 126, "permission denied")
        equal(podman("exec", "-i", name, "cat", stdin="x").ok().out, "x")
        podman("exec", "-d", name, "touch", "/tmp/detached").ok()
        eventually(lambda: podman("exec", name, "test", "-e", "/tmp/detached").status == 0)
        contains(box.run("script", "-qec", f"podman exec -t {name} tty", "/dev/null").ok().out, "/dev/pts/")
    fails(podman("exec", name, "true"), 125, "no such container")


def test_limits():
    limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "30", "--cpuset-cpus", "1", "--cpu-shares", "512"]
    with container(*limits) as name:
        path = inspect(name, "{{.State.CgroupPath}}")
        for file, value in {"memory/memory.limit_in_bytes": str(64 << 20), "cpu/cpu.cfs_quota_us": "50000",
                            "cpu/cpu.shares": "512", "pids/pids.max": "30", "cpuset/cpuset.cpus": "1"}.items():
            folder, file = file.split("/")
            equal(box.read(f"/sys/fs/cgroup/{folder}{path}/{file}").strip(), value, file)
        contains(podman("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status").ok().out, "1\n")
        many = podman("exec", name, "sh", "-c", "for i in $(seq 40); do sleep 9 & done")
        contains(many.err, "fork")


def test_out_of_memory():
    # conmon 2.1.6 does not see it on cgroup v1, whatever the runtime: .State.OOMKilled says nothing.
    found = once("--memory", "16m", command=("sh", "-c", "x=0123456789; while :; do x=$x$x; done"))
    equal(found.status, 137)


def test_update():
    with container("--memory", "64m", "--pids-limit", "30") as name:
        podman("update", "--memory", "96m", "--cpus", "0.25", "--cpu-shares", "300", name).ok()
        path = inspect(name, "{{.State.CgroupPath}}")
        equal(box.read(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").strip(), str(96 << 20))
        equal(box.read(f"/sys/fs/cgroup/cpu{path}/cpu.cfs_quota_us").strip(), "25000")
        equal(box.read(f"/sys/fs/cgroup/cpu{path}/cpu.shares").strip(), "300")
        equal(box.read(f"/sys/fs/cgroup/pids{path}/pids.max").strip(), "30")


def test_stats_and_top():
    with container() as name:
        found = json.loads(podman("stats", "--no-stream", "--format", "json", name).ok().out)[0]
        equal(found["name"], name)
        equal(found["pids"], "1")
        check(not found["mem_usage"].startswith("0B"), found)
        contains(podman("top", name, "pid", "comm").ok().out, "sleep")
        contains(podman("top", name, "-o", "pid,comm").ok().out, "sleep")


def test_pause():
    with container() as name:
        podman("pause", name).ok()
        equal(inspect(name, "{{.State.Status}}"), "paused")
        equal(json.loads(box.run("viv-oci", "list", "-f", "json").ok().out)[0]["status"], "paused")
        check(podman("exec", name, "true", timeout=10).status != 0, "exec in a paused container")
        podman("unpause", name).ok()
        podman("exec", name, "true").ok()
        podman("pause", name).ok()
    # removed by force while it was paused
    nothing_left()


def test_logs():
    with container(command=("sh", "-c", "echo one; echo two >&2; echo three; sleep 1000")) as name:
        eventually(lambda: "three" in podman("logs", name).out)
        found = podman("logs", name).ok()
        equal((found.out, found.err), ("one\nthree\n", "two\n"))
        contains(podman("logs", "--timestamps", name).ok().out, "T")


def test_stop_kill_restart_wait():
    with container("--stop-signal", "USR1", command=(
            "sh", "-c", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.1; done")) as name:
        eventually(lambda: podman("logs", name).ok().out == "ready\n")
        first = inspect(name, "{{.State.Pid}}")
        podman("stop", "-t", "20", name).ok()
        equal(inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
        podman("start", name).ok()
        podman("restart", "-t", "10", name).ok()
        check(inspect(name, "{{.State.Pid}}") != first)
        podman("kill", "-s", "KILL", name).ok()
        equal(podman("wait", name).ok().out, "137\n")


def test_init():
    with container("--init", command=("sh", "-c", "sh -c 'sleep 0.1 &'; exec sleep 1000")) as name:
        contains(podman("exec", name, "cat", "/proc/1/cmdline").ok().out, "init")
        eventually(lambda: "Z" not in podman("exec", name, "ps", "-o", "stat").ok().out)


def test_copies_and_volumes():
    with container("--volume", f"{unique('v')}:/vol", "--tmpfs", "/scratch:size=1m", "--read-only") as name:
        source = work() / "given"
        source.write_text("content")
        podman("cp", source, f"{name}:/vol/there").ok()
        equal(podman("exec", name, "cat", "/vol/there").ok().out, "content")
        podman("cp", f"{name}:/vol/there", work() / "back").ok()
        equal((work() / "back").read_text(), "content")
        contains(podman("exec", name, "touch", "/new").err, "Read-only")
        podman("exec", name, "touch", "/scratch/new").ok()


def test_security_options():
    status = ("grep", "-E", "CapEff|NoNewPrivs|Seccomp:", "/proc/self/status")
    found = once("--cap-drop", "all", "--cap-add", "chown", "--security-opt", "no-new-privileges", command=status).ok().out
    matches(found, r"CapEff:\s+0000000000000001")
    matches(found, r"NoNewPrivs:\s+1")
    matches(found, r"Seccomp:\s+2")
    found = once("--privileged", command=status).ok().out
    matches(found, r"Seccomp:\s+0")
    found = once("--user", "33:44", command=("id",)).ok().out
    contains(found, "uid=33(33) gid=44(44)")
    found = once("--uidmap", "0:70000:1000", "--gidmap", "0:70000:1000", command=("cat", "/proc/self/uid_map")).ok().out
    equal(found.split(), ["0", "70000", "1000"])
    equal(once("--sysctl", "kernel.shmmni=77", "--ulimit", "nofile=99:100", "--ulimit", "nproc=1000:1000", command=("sh", "-c", "cat /proc/sys/kernel/shmmni; ulimit -n")).ok().out, "77\n99\n")
    equal(once("--hostname", "h1", command=("hostname",)).ok().out, "h1\n")


def test_pods():
    pod = unique("pod")
    podman("pod", "create", "--name", pod, "--network", "none", "--share", "ipc,net,uts,pid").ok()
    try:
        podman("run", "-d", "--pod", pod, "--name", f"{pod}-a", "bb:1", "sh", "-c", "nc -ll -p 8080 -e echo hello").ok()
        eventually(lambda: podman("run", "--rm", "--pod", pod, "bb:1", "nc", "127.0.0.1", "8080").out == "hello\n")
        contains(podman("exec", f"{pod}-a", "ps").ok().out, "nc -ll")
        podman("pod", "pause", pod).ok()
        equal(inspect(f"{pod}-a", "{{.State.Status}}"), "paused")
        podman("pod", "unpause", pod).ok()
        contains(podman("pod", "stats", "--no-stream", pod).ok().out, f"{pod}-a")
    finally:
        podman("pod", "rm", "-f", "-t", "5", pod).ok()
    nothing_left()


def test_health_checks():
    with container("--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1") as name:
        equal(podman("healthcheck", "run", name).status, 1)
        equal(inspect(name, "{{.State.Health.Status}}"), "unhealthy")
        podman("exec", name, "touch", "/tmp/well").ok()
        podman("healthcheck", "run", name).ok()
        equal(inspect(name, "{{.State.Health.Status}}"), "healthy")


def test_a_published_port():
    name = unique("p")
    podman("run", "-d", "--name", name, "--publish", "8089:80", "bb:1", "nc", "-ll", "-p", "80", "-e", "echo", "served").ok()
    try:
        address = inspect(name, "{{.NetworkSettings.IPAddress}}")
        eventually(lambda: "served" in box.run("busybox", "nc", address, "80").out)
        eventually(lambda: "served" in box.run("busybox", "nc", "-w", "2", "127.0.0.1", "8089").out)
    finally:
        podman("rm", "-f", "-t", "0", name).ok()


CONTAINERFILE = """FROM localhost/bb:1
RUN echo built-$(id -u) >/built && test -e /proc/self
WORKDIR /srv
COPY given copied
USER 7
CMD cat /built copied
"""


def build(*argv):
    for name, text in {"Containerfile": CONTAINERFILE, "given": "given\n"}.items():
        box.put(f"/opt/data/context/{name}", text)
    tag = f"localhost/{unique('built')}"
    box.run(*argv, "--network", "none", "-t", tag, "/opt/data/context").ok()
    equal(podman("run", "--rm", "--network", "none", tag).ok().out, "built-0\ngiven\n")


def test_builds():
    build("podman", "build", "--isolation", "oci")


def test_builds_with_buildah():
    build(*documented("buildah"), "--ulimit", "nofile=20000:20000")


def test_as_an_ordinary_user():
    box.run("sh", "-c", "grep -q ^viv: /etc/passwd || echo viv:x:1000:1000::/home/viv:/bin/sh >>/etc/passwd; "
            "mkdir -p /home/viv /run/user/1000; chown 1000:1000 /home/viv /run/user/1000").ok()
    env = {"HOME": "/home/viv", "XDG_RUNTIME_DIR": "/run/user/1000", "USER": "viv", "TMPDIR": "/tmp"}

    def own(*argv):
        return box.run("podman", *argv, user=1000, env=env, cwd="/tmp")
    box.run("sh", "-c", "tar -C \"$1\" -cf /home/viv/bb.tar . && chown 1000 /home/viv/bb.tar", "sh", image()).ok()
    own("import", "/home/viv/bb.tar", "localhost/bb:1").ok()
    found = own("run", "--rm", "--network", "none", "bb:1", "sh", "-c", "id -u; cat /proc/self/uid_map")
    equal(re.split(r"\s+", found.ok().out.strip()), ["0", "0", "1000", "1", "1", "100000", "65536"])
    own("run", "-d", "--name", "r1", "--network", "none", "bb:1", "sleep", "1000").ok()
    equal(own("exec", "-u", "9", "r1", "id", "-u").ok().out, "9\n")
    fails(own("exec", "r1", "nosuch"), 127, "not found")
    contains(own("ps").ok().out, "r1")
    own("rm", "-f", "-t", "0", "r1").ok()
    equal(own("run", "--rm", "--network", "none", "bb:1", "sh", "-c", "exit 5").status, 5)
