"""containerd 1.6 with viv-oci: by ctr, and through its CRI plugin as Kubernetes' kubelet does, with
the runtime handler "viv" of docs/clients/containerd.toml beside runc."""
import contextlib
import importlib
import re
import sys

from lib import *
from box import DOCS, Box, documented, image_archive, place_of

TIMEOUT = 60
ANSWER = 100  # seconds; two of them, the second while a test that has failed tidies up, are no test's time

IMAGE = "localhost/bb:1"
# What a pod of that RuntimeClass asks the CRI for.
HANDLER = re.search(r"(?m)^handler: (\w+)$", (DOCS / "runtimeclass.yaml").read_text()).group(1)
# What this room needs and users do not: images without a registry, no systemd, a root that may not
# lower an OOM score.
ROOM = """
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/bb:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""
NETWORK = """{"cniVersion": "0.4.0", "name": "pods", "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true,
     "ipam": {"type": "host-local", "subnet": "10.99.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "loopback"}]}"""

box = None
generated = None


@contextlib.contextmanager
def shared():
    with engine("containerd"):
        yield


@contextlib.contextmanager
def engine(name):
    """A box with containerd in it, and the image."""
    global box, generated
    generated = work() / "generated"
    generated.mkdir()
    run("protoc", f"-I{DOCS.parents[1]}/tests/clients", f"--python_out={generated}", "cri.proto").ok()
    with Box(name) as box:
        config = (DOCS / "containerd.toml").read_text()
        config = config.replace("/usr/local/bin/viv-oci-vm", str(program("viv-oci-vm")))
        box.put(place_of("containerd.toml"), config + ROOM)
        box.put("/etc/cni/net.d/10-pods.conflist", NETWORK)
        daemon = box.start("containerd")
        eventually(lambda: box.run("ctr", "version").status == 0 or not daemon.running(), 30,
                   lambda: daemon.err()[-3000:])
        archive = image_archive(work() / "bb.tar", IMAGE, ["sleep", "100000"])
        for namespace in ("default", "k8s.io"):
            ctr("-n", namespace, "images", "import", archive).ok()
        yield


def ctr(*argv, **more):
    return box.run("ctr", *argv, **more)


# ---- by ctr


@contextlib.contextmanager
def task(*argv, command=("sleep", "1000"), by=None):
    """by: the words of the command, in place of the documented ones."""
    by = by or documented("ctr")
    name = unique("t")
    box.run(*by, "-d", *argv, IMAGE, name, *command, timeout=150).ok()
    try:
        yield name
    finally:
        ctr("tasks", "rm", "-f", name).ok()
        ctr("containers", "rm", name).ok()


def once(*argv, command):
    return box.run(*documented("ctr"), "--rm", *argv, IMAGE, unique("t"), *command)


def status(name):
    return [line.split()[2] for line in ctr("tasks", "ls").ok().lines() if line.startswith(name + " ")][0]


def nothing_left():
    """The engine tidies up beside the command that has ended."""
    def left():
        return [ctr("tasks", "ls", "-q").ok().out,
                *(box.run("viv-oci", "--root", f"/run/containerd/runc/{namespace}", "list", "-q").ok().out
                  for namespace in ("default", "k8s.io"))]
    eventually(lambda: left() == ["", "", ""], text=left)


def test_ctr_runs():
    equal(once(command=("echo", "hi")).ok().out, "hi\n")
    equal(once(command=("sh", "-c", "exit 7")).status, 7)
    contains(once(command=("nosuch",)).err, "executable file not found in $PATH")
    contains(once(command=("/etc",)).err, "permission denied")
    nothing_left()


def test_ctr_exec_kill_and_lists():
    with task() as name:
        found = ctr("tasks", "exec", "--exec-id", "e1", "--cwd", "/tmp", "--user", "5:6", name, "sh", "-c", "echo $PWD $(id -u); exit 9")
        equal((found.status, found.out), (9, "/tmp 5\n"))
        contains(ctr("tasks", "exec", "--exec-id", "e2", name, "nosuch").err, "executable file not found in $PATH")
        eventually(lambda: len(ctr("tasks", "ps", name).ok().lines()) == 2)
        equal(status(name), "RUNNING")
        ctr("tasks", "kill", "-s", "SIGKILL", name).ok()
        eventually(lambda: status(name) == "STOPPED")
    nothing_left()


def test_ctr_pause():
    with task() as name:
        ctr("tasks", "pause", name).ok()
        equal(status(name), "PAUSED")
        check(ctr("tasks", "exec", "--exec-id", "e1", name, "true", timeout=10).status != 0)
        ctr("tasks", "resume", name).ok()
        equal(status(name), "RUNNING")
        ctr("tasks", "exec", "--exec-id", "e2", name, "true").ok()


def test_ctr_metrics():
    with task("--memory-limit", str(64 << 20), "--cgroup", "/" + unique("ctr")) as name:
        found = ctr("tasks", "metrics", name).ok().out
        matches(found, r"memory.usage_in_bytes\s+[1-9]")
        matches(found, rf"memory.limit_in_bytes\s+{64 << 20}")
        matches(found, r"pids.current\s+1")


def test_ctr_terminal():
    found = box.run("script", "-qec", f"ctr run -t --rm --runc-binary /usr/local/bin/viv-oci {IMAGE} {unique('t')} tty", "/dev/null")
    matches(found.ok().out, r"/dev/(console|pts/0)\r*$")


def test_ctr_checkpoint():
    """Where CRIU cannot, the answer says so, and the task is none the worse."""
    with task() as name:
        found = ctr("tasks", "checkpoint", "--image-path", f"/opt/data/{name}", name)
        if found.status == 0:
            check(box.run("ls", f"/opt/data/{name}").ok().out, "the checkpoint is empty")
        else:
            matches(found.err, "(?i)checkpoint|criu")
        equal(status(name), "RUNNING")
        ctr("tasks", "exec", "--exec-id", "e1", name, "true").ok()


# ---- by the CRI


class Cri:
    """A client of the plugin: cri.RunPodSandbox(…) makes the request's message from keywords."""

    def __init__(self):
        sys.path.insert(0, str(generated))
        self.types = importlib.import_module("cri_pb2")
        grpc = importlib.import_module("grpc")
        self.error = grpc.RpcError
        self.channel = grpc.insecure_channel(f"unix:/proc/{box.init}/root/run/containerd/containerd.sock")
        self.service = self.types.DESCRIPTOR.services_by_name["RuntimeService"]

    def __getattr__(self, method):
        found = self.service.methods_by_name[method]
        request, answer = (getattr(self.types, part.name) for part in (found.input_type, found.output_type))
        call = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", request.SerializeToString, answer.FromString)

        def ask(**fields):
            try:
                return call(request(**fields), timeout=ANSWER)
            except self.error as error:
                if error.code().name == "DEADLINE_EXCEEDED":
                    print(f"{method} was not answered in time; meanwhile:\n{box.doing()}")
                raise
        return ask


@contextlib.contextmanager
def client():
    cri = Cri()
    try:
        yield cri
    finally:
        cri.channel.close()


def pod_config():
    name = unique("pod")
    return {"metadata": {"name": name, "uid": name, "namespace": "default"}, "hostname": name,
            "log_directory": f"/var/tmp/{name}", "linux": {"cgroup_parent": "/pods"}}


@contextlib.contextmanager
def pod(cri, handler=HANDLER):
    """A pod's id and its configuration."""
    config = pod_config()
    sandbox = cri.RunPodSandbox(config=config, runtime_handler=handler).pod_sandbox_id
    try:
        yield sandbox, config
    finally:
        cri.StopPodSandbox(pod_sandbox_id=sandbox)
        cri.RemovePodSandbox(pod_sandbox_id=sandbox)


def start(cri, sandbox, config, command, **linux):
    """A started container's id."""
    name = unique("c")
    made = cri.CreateContainer(pod_sandbox_id=sandbox, sandbox_config=config, config={
        "metadata": {"name": name}, "image": {"image": IMAGE}, "command": command, "log_path": f"{name}.log",
        "envs": [{"key": "A", "value": "of-the-container"}], "linux": linux}).container_id
    cri.StartContainer(container_id=made)
    return made, f"{config['log_directory']}/{name}.log"


def ended(cri, container):
    """The status of a container, once it has ended."""
    return eventually(lambda: [s for s in [cri.ContainerStatus(container_id=container).status] if s.state == 2])[0]


def test_cri_is_ready():
    with client() as cri:
        eventually(lambda: all(c.status for c in cri.Status().status.conditions), 15, lambda: cri.Status())


def test_cri_pod_exec_and_logs():
    with client() as cri, pod(cri) as (sandbox, config):
        found = cri.PodSandboxStatus(pod_sandbox_id=sandbox).status
        equal((found.state, found.runtime_handler), (0, HANDLER))
        check(found.network.ip.startswith("10.99.0."), found)
        contains(box.run("viv-oci", "--root", "/run/containerd/runc/k8s.io", "list", "-q").ok().out, sandbox)
        container, log = start(cri, sandbox, config, ["sh", "-c", "echo out-$A; echo err >&2; hostname; sleep 1000"])
        eventually(lambda: box.read(log).count("\n") == 3)
        matches(box.read(log), r"stdout F out-of-the-container$")
        matches(box.read(log), r"stderr F err$")
        matches(box.read(log), f"stdout F {config['hostname']}$")
        answer = cri.ExecSync(container_id=container, cmd=["sh", "-c", "echo o; echo e >&2; exit 4"], timeout=60)
        equal((answer.stdout, answer.stderr, answer.exit_code), (b"o\n", b"e\n", 4))
        try:
            cri.ExecSync(container_id=container, cmd=["nosuch"], timeout=60)
            check(False, "a program that does not exist was run")
        except cri.error as error:
            contains(error.details(), "executable file not found in $PATH")
        box.run("busybox", "ping", "-c", "1", found.network.ip).ok()
        cri.StopContainer(container_id=container, timeout=0)
        equal(ended(cri, container).exit_code, 137)
    nothing_left()


def out_of_memory(cri, sandbox, config):
    """Why it has ended, as told by an event of its own: containerd's shim drops that one where it
    comes to look at it after the control group is gone."""
    greedy, _ = start(cri, sandbox, config, ["sh", "-c", "x=0123456789; while :; do x=$x$x; done"],
                      resources={"memory_limit_in_bytes": 16 << 20})
    equal(ended(cri, greedy).exit_code, 137)
    with contextlib.suppress(Failed):
        eventually(lambda: ended(cri, greedy).reason == "OOMKilled", 5)
    return ended(cri, greedy).reason


def test_cri_ends_and_errors():
    with client() as cri, pod(cri) as (sandbox, config):
        container, _ = start(cri, sandbox, config, ["sh", "-c", "exit 5"])
        equal(ended(cri, container).exit_code, 5)
        eventually(lambda: out_of_memory(cri, sandbox, config) == "OOMKilled")
        try:
            start(cri, sandbox, config, ["/nosuch"])
            check(False, "a program that does not exist was started")
        except cri.error as error:
            contains(error.details(), "no such file or directory")
    nothing_left()


def test_cri_stats_and_update():
    with client() as cri, pod(cri) as (sandbox, config):
        container, _ = start(cri, sandbox, config, ["sleep", "1000"], resources={
            "memory_limit_in_bytes": 64 << 20, "cpu_period": 100000, "cpu_quota": 50000, "cpu_shares": 512})
        stats = cri.ContainerStats(container_id=container).stats
        check(stats.memory.working_set_bytes.value > 0 and stats.cpu.usage_core_nano_seconds.value > 0, stats)

        def limit(file):
            controller, name = file.split("/")
            return box.read(f"/sys/fs/cgroup/{controller}/pods/{container}/{name}").strip()
        equal([limit("memory/memory.limit_in_bytes"), limit("cpu/cpu.cfs_quota_us"), limit("cpu/cpu.shares")],
              [str(64 << 20), "50000", "512"])
        cri.UpdateContainerResources(container_id=container, linux={
            "memory_limit_in_bytes": 96 << 20, "cpu_period": 100000, "cpu_quota": 25000, "cpu_shares": 300})
        equal([limit("memory/memory.limit_in_bytes"), limit("cpu/cpu.cfs_quota_us"), limit("cpu/cpu.shares")],
              [str(96 << 20), "25000", "300"])
        equal(cri.ExecSync(container_id=container, cmd=["true"], timeout=60).exit_code, 0)


def test_cri_security():
    with client() as cri, pod(cri) as (sandbox, config):
        container, _ = start(cri, sandbox, config, ["sleep", "1000"], security_context={
            "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["CHOWN"]},
            "no_new_privs": True, "readonly_rootfs": True})

        def run_in(*cmd):
            return cri.ExecSync(container_id=container, cmd=cmd, timeout=60)
        found = run_in("cat", "/proc/self/status").stdout.decode()
        matches(found, r"CapEff:\s+0000000000000001")
        matches(found, r"NoNewPrivs:\s+1")
        contains(run_in("touch", "/new").stderr.decode(), "Read-only")


def test_cri_two_runtimes_side_by_side():
    with client() as cri, pod(cri) as (ours, config), pod(cri, "runc") as (theirs, other):
        for sandbox, config in ((ours, config), (theirs, other)):
            container, _ = start(cri, sandbox, config, ["sleep", "1000"])
            equal(cri.ExecSync(container_id=container, cmd=["echo", "x"], timeout=60).stdout, b"x\n")
        equal([cri.PodSandboxStatus(pod_sandbox_id=s).status.runtime_handler for s in (ours, theirs)], ["viv", "runc"])
