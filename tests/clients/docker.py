"""Docker 20.10 with viv-oci as its default runtime, by the file docs/clients/docker-daemon.json."""
import contextlib
import json

from lib import *
from box import DOCS, Box, documented, image_tar, place_of

TIMEOUT = 60

box = None


@contextlib.contextmanager
def shared():
    with engine("docker", (DOCS / "docker-daemon.json").read_text()):
        yield


@contextlib.contextmanager
def engine(name, config):
    """A box with dockerd in it, and the image."""
    global box
    with Box(name) as box:
        box.put(place_of("docker-daemon.json"), config)
        daemon = box.start("dockerd")
        eventually(lambda: box.exists("/run/docker.sock") or not daemon.running(), 30, lambda: daemon.err()[-3000:])
        docker("import", "--change", 'CMD ["/bin/sh"]', image_tar(work() / "bb.tar"), "bb:1").ok()
        yield


def docker(*argv, **more):
    return box.run("/usr/bin/docker", *argv, env={"DOCKER_BUILDKIT": "0"}, **more)


@contextlib.contextmanager
def container(*argv, command=("sleep", "1000")):
    """A container that runs beside the test: its name."""
    name = unique("c")
    docker("run", "-d", "--name", name, *argv, "bb:1", *command, timeout=150).ok()
    try:
        yield name
    finally:
        docker("rm", "-f", "-v", name).ok()


def inspect(name, form):
    return docker("inspect", "--format", form, name).ok().out.strip()


def once(*argv, command):
    """The result of a container that runs to its end."""
    return docker("run", "--rm", *argv, "bb:1", *command, timeout=150)


def cgroup(name, file):
    controller, file = file.split("/")
    return box.read(f"/sys/fs/cgroup/{controller}/docker/{inspect(name, '{{.Id}}')}/{file}").strip()


def nothing_left():
    """The engine tidies up beside the command that has ended."""
    def left():
        return [docker("ps", "-aq").ok().out,
                box.run("viv-oci", "--root", "/run/docker/runtime-runc/moby", "list", "-q").ok().out,
                box.run("find", "/sys/fs/cgroup", "-mindepth", "3", "-path", "*/docker/*", "-type", "d").out]
    eventually(lambda: left() == ["", "", ""], text=left)


def test_runs_a_command():
    equal(docker("info", "--format", "{{.DefaultRuntime}}").ok().out, "viv\n")
    equal(once(command=("echo", "hi")).ok().out, "hi\n")
    program_name, *words = documented("docker")
    equal([program_name, words[:2]], ["docker", ["run", "--runtime"]])
    equal(docker(*words, "--rm", "bb:1", "echo", "hi").ok().out, "hi\n")
    nothing_left()


def test_a_life():
    name = unique("life")
    docker("create", "--name", name, "--stop-signal", "USR1", "--hostname", "h1", "bb:1", "sh", "-c",
           "trap 'exit 3' USR1; hostname; echo two >&2; while :; do sleep 0.1; done").ok()
    equal(inspect(name, "{{.State.Status}}"), "created")
    docker("start", name).ok()
    eventually(lambda: docker("logs", name).ok().err == "two\n")
    equal(docker("logs", name).ok().out, "h1\n")
    contains(docker("top", name).ok().out, "sleep")
    docker("stop", "-t", "20", name).ok()
    equal(inspect(name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 3")
    docker("restart", name).ok()
    docker("kill", name).ok()
    equal(docker("wait", name).ok().out, "137\n")
    docker("rm", name).ok()
    nothing_left()


def test_exit_statuses():
    equal(once(command=("sh", "-c", "exit 7")).status, 7)
    fails(once(command=("nosuch",)), 127, "executable file not found in $PATH")
    fails(once(command=("/nosuch/path",)), 127, "no such file or directory")
    fails(once(command=("/etc",)), 126, "permission denied")
    nothing_left()


def test_exec():
    with container("--env", "A=of-the-container") as name:
        found = docker("exec", "-e", "B=2", "-w", "/tmp", "-u", "5:6", name, "sh", "-c", "echo $A $B $PWD $(id -u):$(id -g)")
        equal(found.ok().out, "of-the-container 2 /tmp 5:6\n")
        equal(docker("exec", name, "sh", "-c", "exit 9").status, 9)
        # Docker 20.10 ends with 126 here, and prints what it was told on its stdout.
        found = docker("exec", name, "nosuch")
        equal(found.status, 126)
        contains(found.out + found.err, "executable file not found in $PATH")
        equal(docker("exec", "-i", name, "cat", stdin="given").ok().out, "given")
        docker("exec", "-d", name, "touch", "/tmp/detached").ok()
        eventually(lambda: docker("exec", name, "test", "-e", "/tmp/detached").status == 0)
        contains(box.run("script", "-qec", f"/usr/bin/docker exec -it {name} tty", "/dev/null").ok().out, "/dev/pts/")


def test_a_terminal():
    found = box.run("script", "-qec", "/usr/bin/docker run --rm -t bb:1 sh -c 'test -t 0 && tty'", "/dev/null").ok()
    matches(found.out, r"/dev/(console|pts/0)\r*$")


def test_limits_and_update():
    limits = ["--memory", "64m", "--cpus", "0.5", "--pids-limit", "30", "--cpuset-cpus", "1", "--cpu-shares", "512"]
    with container(*limits) as name:
        for file, value in {"memory/memory.limit_in_bytes": str(64 << 20), "cpu/cpu.cfs_quota_us": "50000",
                            "cpu/cpu.shares": "512", "pids/pids.max": "30", "cpuset/cpuset.cpus": "1"}.items():
            equal(cgroup(name, file), value, file)
        docker("update", "--memory", "96m", "--memory-swap", "200m", "--cpus", "0.25", "--pids-limit", "40", "--cpuset-cpus", "0", name).ok()
        for file, value in {"memory/memory.limit_in_bytes": str(96 << 20), "cpu/cpu.cfs_quota_us": "25000",
                            "cpu/cpu.shares": "512", "pids/pids.max": "40", "cpuset/cpuset.cpus": "0"}.items():
            equal(cgroup(name, file), value, file)
        # In place: the devices are still those of the container.
        docker("exec", name, "sh", "-c", "echo >/dev/null").ok()


def out_of_memory():
    """How one has ended; containerd's shim drops the event where it comes to look at it after the control
    group is gone."""
    name = unique("oom")
    found = docker("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", "bb:1", "sh", "-c",
                   "x=0123456789; while :; do x=$x$x; done")
    equal(found.status, 137)
    told = lambda: inspect(name, "{{.State.OOMKilled}} {{.State.ExitCode}}")
    with contextlib.suppress(Failed):
        eventually(lambda: told() == "true 137", 3)
    found = told()
    docker("rm", name).ok()
    return found


def test_out_of_memory_is_told():
    eventually(lambda: out_of_memory() == "true 137")


def test_stats():
    with container() as name:
        found = json.loads(docker("stats", "--no-stream", "--format", "{{json .}}", name).ok().out)
        equal((found["Name"], found["PIDs"]), (name, "1"))
        check(not found["MemUsage"].startswith("0B"), found)


def test_pause():
    with container() as name:
        docker("pause", name).ok()
        equal(inspect(name, "{{.State.Status}}"), "paused")
        check(docker("exec", name, "true", timeout=10).status != 0, "exec in a paused container")
        docker("unpause", name).ok()
        docker("exec", name, "true").ok()
        docker("pause", name).ok()
    nothing_left()


def test_init():
    with container("--init", command=("sh", "-c", "sh -c 'sleep 0.1 &'; exec sleep 1000")) as name:
        contains(docker("exec", name, "cat", "/proc/1/cmdline").ok().out, "init")
        eventually(lambda: "Z" not in docker("exec", name, "ps", "-o", "stat").ok().out)


def test_restart_policies():
    with container("--restart", "on-failure:2", command=("sh", "-c", "echo run; exit 4")) as name:
        eventually(lambda: inspect(name, "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}") == "exited 2 4")
        equal(docker("logs", name).ok().out, "run\nrun\nrun\n")
    with container("--restart", "always") as name:
        first = inspect(name, "{{.State.Pid}}")
        box.run("kill", "-9", first).ok()
        eventually(lambda: inspect(name, "{{.State.Status}} {{.RestartCount}}") == "running 1")
        check(inspect(name, "{{.State.Pid}}") != first)


def test_networks():
    """The bridge comes by dockerd's own prestart hook, libnetwork-setkey."""
    with container("--publish", "8081:80", command=("nc", "-ll", "-p", "80", "-e", "echo", "served")) as name:
        address = inspect(name, "{{.NetworkSettings.IPAddress}}")
        eventually(lambda: "served" in box.run("busybox", "nc", address, "80").out)
        eventually(lambda: "served" in box.run("busybox", "nc", "-w", "2", "127.0.0.1", "8081").out)
        contains(once("--network", f"container:{name}", command=("ifconfig", "eth0")).ok().out, address)
    equal(once("--network", "none", command=("ls", "/sys/class/net")).ok().out, "lo\n")
    network = unique("n")
    docker("network", "create", network).ok()
    with container("--network", network, "--network-alias", "served") as name:
        docker("exec", name, "ping", "-c", "1", "served").ok()
    docker("network", "rm", network).ok()


def test_copies_and_volumes():
    with container("--volume", f"{unique('v')}:/vol", "--tmpfs", "/scratch:size=1m", "--read-only") as name:
        source = work() / "given"
        source.write_text("content")
        docker("cp", source, f"{name}:/vol/there").ok()
        equal(docker("exec", name, "cat", "/vol/there").ok().out, "content")
        docker("cp", f"{name}:/vol/there", work() / "back").ok()
        equal((work() / "back").read_text(), "content")
        contains(docker("exec", name, "touch", "/new").err, "Read-only")
        docker("exec", name, "touch", "/scratch/new").ok()


def test_security_options():
    status = ("grep", "-E", "CapEff|NoNewPrivs|Seccomp:", "/proc/self/status")
    found = once("--cap-drop", "all", "--cap-add", "chown", "--security-opt", "no-new-privileges", command=status).ok().out
    matches(found, r"CapEff:\s+0000000000000001")
    matches(found, r"NoNewPrivs:\s+1")
    matches(found, r"Seccomp:\s+2")
    matches(once("--privileged", command=status).ok().out, r"Seccomp:\s+0")
    equal(once("--ulimit", "nofile=99:100", "--sysctl", "kernel.shmmni=77", "--user", "33:44", "--group-add", "55", command=(
        "sh", "-c", "ulimit -n; cat /proc/sys/kernel/shmmni; id -u; id -G")).ok().out, "99\n77\n33\n44 55\n")
    equal(once("--device", "/dev/zero:/dev/nought:r", command=("sh", "-c", "head -c 2 /dev/nought | wc -c")).ok().out.strip(), "2")


DOCKERFILE = """FROM bb:1
RUN echo built-$(id -u) >/built && test -e /proc/self
WORKDIR /srv
COPY given copied
USER 7
HEALTHCHECK --interval=1s --retries=1 CMD test -e /tmp/well
CMD cat /built copied
"""


def test_builds_and_checks_health():
    for file, text in {"Dockerfile": DOCKERFILE, "given": "given\n"}.items():
        box.put(f"/opt/data/context/{file}", text)
    docker("build", "-t", "built:1", "/opt/data/context").ok()
    equal(docker("run", "--rm", "built:1").ok().out, "built-0\ngiven\n")
    name = unique("health")
    docker("run", "-d", "--name", name, "built:1", "sleep", "1000").ok()
    eventually(lambda: inspect(name, "{{.State.Health.Status}}") == "unhealthy")
    docker("exec", name, "touch", "/tmp/well").ok()
    eventually(lambda: inspect(name, "{{.State.Health.Status}}") == "healthy")
    docker("rm", "-f", name).ok()


def test_the_classic_name_is_chosen_for_one_container():
    """Beside runc in one daemon: each container has its runtime."""
    with container("--runtime", "runc") as name:
        equal(inspect(name, "{{.HostConfig.Runtime}}"), "runc")
        docker("exec", name, "true").ok()
