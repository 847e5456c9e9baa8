"""Each command of viv-oci with each of its options, as engines use them."""
import array
import json
import os
import pathlib
import re
import signal
import socket
import time

from lib import *
from bundle import bundle, container, gone, oci, output, sh, spec, state, state_dir, status

TIMEOUT = 60
ROOT_ONLY = needs(root=True)


def received(sock):
    """The descriptors of one message to a listening Unix socket."""
    peer, _ = sock.accept()
    with peer:
        peer.settimeout(60)
        _, ancillary, _, _ = peer.recvmsg(4096, socket.CMSG_SPACE(4))
        return array.array("i", ancillary[0][2]).tolist()


def listener(name):
    sock = socket.socket(socket.AF_UNIX)
    path = str(work().parent / name)
    sock.bind(path)
    sock.listen()
    sock.settimeout(60)
    return sock, path


def test_version_and_help():
    matches(oci("--version").ok().out, r"^viv-oci version \S+\nspec: 1\.3\.0\n$")
    equal(oci("-v").ok().out, oci("--version").out)
    text = oci("--help").ok().out
    for name in ["create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause",
                 "resume", "update", "events", "features", "spec"]:
        contains(text, f"  {name} ")
        contains(oci(name, "--help").ok().out, f"Usage: viv-oci {name}")
    fails(oci("nonsense"), 3, "nonsense")
    fails(oci("--nonsense", "list"), 1, "--nonsense")


@ROOT_ONLY
def test_the_life_of_a_container():
    with no_leaks(str(os.getpid())), container(start=False) as name:
        found = state(name)
        equal(found["status"], "created")
        equal(found["id"], name)
        check(found["pid"] > 0)
        for key in ["ociVersion", "bundle", "rootfs", "created", "owner"]:
            check(found[key], key)
        oci("start", name).ok()
        equal(status(name), "running")
        oci("pause", name).ok()
        equal(status(name), "paused")
        oci("resume", name).ok()
        equal(status(name), "running")
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        equal(state(name)["pid"], 0)
        oci("delete", name).ok()
        fails(oci("state", name), 1, "does not exist")


@ROOT_ONLY
def test_options_stand_behind_the_name_too():
    name = unique("oci")
    file = work() / "pid"
    oci("create", name, "--bundle", bundle(), "--pid-file", file).ok()
    equal(int(file.read_text()), state(name)["pid"])
    equal(os.stat(file).st_mode & 0o777, 0o644)
    oci("delete", name, "--force").ok()


@ROOT_ONLY
def test_pid_files_are_relative_to_the_caller():
    name = unique("oci")
    oci("create", "--bundle", bundle(), "--pid-file", "here.pid", name, cwd=work()).ok()
    check((work() / "here.pid").exists())
    oci("exec", "-d", "--pid-file", "there.pid", name, "true", cwd=work()).status
    oci("start", name).ok()
    oci("exec", "--detach", "--pid-file", "there.pid", name, "/bin/sleep", "9", cwd=work()).ok()
    check(int((work() / "there.pid").read_text()) > 0)
    oci("delete", "-f", name).ok()


@ROOT_ONLY
def test_the_bundle_is_the_working_directory_and_config_may_have_another_name():
    folder = bundle(["/bin/true"])
    equal(oci("run", unique("oci"), cwd=folder).ok().out, "")
    os.rename(folder / "config.json", folder / "other.json")
    fails(oci("run", unique("oci"), cwd=folder), 1, "config.json")
    oci("run", "--config", "other.json", "-b", folder, unique("oci")).ok()


@ROOT_ONLY
def test_run_returns_the_status_of_the_workload():
    equal(oci("run", "--bundle", bundle(sh("exit 42")), unique("oci")).status, 42)
    equal(oci("run", "--bundle", bundle(sh("(kill -9 $$)"), hostname=None, linux={
        "namespaces": [{"type": "mount"}]}), unique("oci")).status, 137)
    name = unique("oci")
    oci("run", "--keep", "--bundle", bundle(["/bin/true"]), name).ok()
    equal(status(name), "stopped")
    oci("delete", name).ok()


@ROOT_ONLY
@leaves_processes
def test_run_detached():
    name = unique("oci")
    oci("run", "--detach", "--bundle", bundle(), name).ok()
    equal(status(name), "running")
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_run_passes_signals_and_input_on():
    found = oci("run", "--bundle", bundle(sh("read x; echo got $x; exit 3")), unique("oci"),
                stdin="word\n")
    equal((found.out, found.status), ("got word\n", 3))
    folder = bundle(sh("trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"))
    with Background(program("viv-oci"), "--root", state_dir(), "run", "--bundle", folder,
                    unique("oci")) as behind:
        behind.wait_for("ready")
        behind.signal(signal.SIGTERM)
        equal(behind.wait(), 5)


@ROOT_ONLY
def test_a_name_is_taken_once():
    with container() as name:
        fails(oci("create", "--bundle", bundle(), name), 1, "already exists")
    for wrong in ["", ".", "..", "a/b", "a b", "-x y", "x" * 300]:
        check(oci("create", "--bundle", bundle(), wrong).status == 1, wrong)


@ROOT_ONLY
def test_engines_find_the_words_that_they_parse():
    fails(oci("run", "--bundle", bundle(["/no/such"]), unique("oci")), 1,
          "no such file or directory")
    fails(oci("run", "--bundle", bundle(["no-such"]), unique("oci")), 1,
          "executable file not found in $PATH")
    fails(oci("run", "--bundle", bundle(["/etc/passwd"]), unique("oci")), 1, "permission denied")
    fails(oci("start", "nobody"), 1, "does not exist")
    with container() as name:
        fails(oci("exec", name, "no-such"), 255, "executable file not found in $PATH")
        fails(oci("exec", name, "/etc/passwd"), 255, "permission denied")
        oci("kill", name, "9").ok()
        eventually(lambda: status(name) == "stopped")
        fails(oci("kill", name, "9"), 1, "container not running")
        fails(oci("exec", name, "true"), 255, "stopped")


@ROOT_ONLY
def test_the_log_is_runcs():
    log = work() / "log"
    fails(oci("--log", log, "--log-format", "json", "state", "nobody"), 1, "does not exist")
    line = json.loads(log.read_text().splitlines()[-1])
    equal(sorted(line), ["level", "msg", "time"])
    equal(line["level"], "error")
    matches(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    log.unlink()
    oci("--log", log, "state", "nobody")
    matches(log.read_text(), r'^time="[^"]+" level=error msg="container does not exist: \\"nobody\\""\n$')
    fails(oci("--log-format", "xml", "list"), 1, "xml")
    fails(oci("--log-level", "loud", "list"), 1, "loud")


@ROOT_ONLY
@private("mnt")
def test_the_hosts_logs_as_crun_names_them():
    log = work() / "log"
    oci("--log", f"file:{log}", "state", "nobody")
    contains(log.read_text(), "does not exist")
    run("mount", "-t", "tmpfs", "tmpfs", "/run").ok()
    run("mkdir", "-p", "/run/dev", "/run/systemd/journal").ok()
    run("mount", "-t", "tmpfs", "tmpfs", "/run/dev").ok()
    run("mknod", "-m", "666", "/run/dev/null", "c", "1", "3").ok()
    fails(oci("--log", "journald:x", "state", "nobody"), 1, "connect to the log")
    run("mount", "--move", "/run/dev", "/dev").ok()
    said = "container does not exist: \"nobody\""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        for sock, path in [(journal, "/run/systemd/journal/socket"), (syslog, "/dev/log")]:
            sock.bind(path)
            sock.settimeout(60)
        fails(oci("--log", "syslog:mine", "--log-format", "json", "state", "nobody"), 1, "does not exist")
        matches(syslog.recv(4096).decode(), rf"^<11>mine\[\d+\]: {re.escape(said)}$")
        oci("--log", "journald:", "state", "nobody")
        start = b"PRIORITY=3\nSYSLOG_IDENTIFIER=viv-oci\nMESSAGE\n"
        equal(journal.recv(4096), start + len(said).to_bytes(8, "little") + said.encode() + b"\n")


@ROOT_ONLY
def test_list():
    equal(oci("list").ok().out.split(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"])
    equal(oci("list", "-f", "json").ok().out, "null\n")
    with container() as one, container(start=False) as two:
        rows = oci("list").ok().lines()
        equal(len(rows), 3)
        equal(rows[1].split()[0], one)
        equal(rows[2].split()[2], "created")
        equal(oci("list", "--quiet").ok().out.split(), [one, two])
        found = json.loads(oci("list", "--format", "json").ok().out)
        equal([item["id"] for item in found], [one, two])
        fails(oci("list", "--format", "xml"), 1, "xml")


@ROOT_ONLY
def test_ps():
    with container() as name:
        pid = state(name)["pid"]
        equal(json.loads(oci("ps", "--format", "json", name).ok().out), [pid])
        rows = oci("ps", name).ok().lines()
        contains(rows[0], "PID")
        contains(rows[1], "sleep 1000")
        equal(oci("ps", name, "-o", "pid").ok().out.split(), ["PID", str(pid)])
        fails(oci("ps", name, "-o", "comm"), 1, "PID")


@ROOT_ONLY
def test_kill():
    with container(sh("trap 'exit 0' USR1; while :; do sleep 0.1; done")) as name:
        fails(oci("kill", name, "NOSUCH"), 1, "NOSUCH")
        eventually(lambda: catches(state(name)["pid"], signal.SIGUSR1))
        oci("kill", name, "sigusr1").ok()
        eventually(lambda: status(name) == "stopped")
    for word in ["9", "KILL", "SIGKILL"]:
        with container() as name:
            oci("kill", name, word).ok()
            eventually(lambda: status(name) == "stopped")
    with container(sh("sleep 1000 & sleep 1000 & wait"), hostname=None,
                   linux={"namespaces": [{"type": "mount"}]}) as name:
        eventually(lambda: len(json.loads(oci("ps", "-f", "json", name).ok().out)) == 3)
        oci("kill", "--all", name, "KILL").ok()
        eventually(lambda: json.loads(oci("ps", "-f", "json", name).ok().out) is None)


@ROOT_ONLY
def test_delete():
    with container() as name:
        fails(oci("delete", name), 1, "not stopped")
        oci("delete", "--force", name).ok()
        check(gone(name))
    with container(start=False) as name:
        pid = state(name)["pid"]
        oci("delete", name).ok()
        eventually(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the created process lives on")
    oci("delete", "--force", "nobody").ok()
    fails(oci("delete", "nobody"), 1, "does not exist")


@ROOT_ONLY
def test_kill_and_delete_by_a_regular_expression():
    with container() as one, container() as two, container() as other:
        pattern = f"^({one}|{two})$"
        oci("kill", "--regex", pattern, "KILL").ok()
        eventually(lambda: [status(one), status(two)] == ["stopped", "stopped"])
        equal(status(other), "running")
        oci("delete", "-r", pattern).ok()
        check(gone(one) and gone(two) and not gone(other))
        fails(oci("delete", "--regex", "oci"), 1, "not stopped")
        fails(oci("kill", "--regex", "(", "KILL"), 1, "invalid regular expression")
        oci("delete", "--force", "--regex", f"^{other}").ok()
        check(gone(other))


@ROOT_ONLY
def test_exec():
    with container() as name:
        equal(oci("exec", name, "echo", "-n", "x").ok().out, "x")
        equal(oci("exec", name, "/bin/sh", "-c", "exit 7").status, 7)
        equal(oci("exec", name, "/bin/sh", "-c", "kill -9 $$").status, 137)
        equal(oci("exec", "--cwd", "/tmp", name, "pwd").ok().out, "/tmp\n")
        equal(oci("exec", "-e", "A=1", "--env", "B=2", name, "sh", "-c", "echo $A$B").ok().out,
              "12\n")
        equal(oci("exec", "--user", "1000:100", name, "id").ok().out.split(" groups")[0].strip(),
              "uid=1000(user) gid=100(users)")
        contains(oci("exec", "-u", "user", name, "id").ok().out, "uid=1000(user) gid=1000(user)")
        contains(oci("exec", "-g", "7", "--additional-gids", "8", name, "id", "-G").ok().out, "7 8")
        fails(oci("exec", "-g", "x", name, "id"), 255, "additional-gids")
        contains(oci("exec", "--no-new-privs", name, "grep", "NoNewPrivs", "/proc/self/status").ok()
                 .out, "1")
        contains(oci("exec", "--cap", "CAP_SYS_ADMIN", name, "grep", "CapEff", "/proc/self/status")
                 .ok().out, "2")
        contains(oci("exec", "--cap", "CAP_NOSUCH", name, "true").ok().err, "CAP_NOSUCH")
        fails(oci("exec", name), 255, "args cannot be empty")
        fails(oci("exec", "nobody", "true"), 255, "does not exist")
        equal(oci("exec", name, "cat", stdin="through\n").ok().out, "through\n")


@ROOT_ONLY
def test_exec_with_a_process_file():
    file = work() / "process.json"
    file.write_text(json.dumps({"cwd": "/", "args": ["/bin/sh", "-c", "echo $X; id -u"],
                                "env": ["X=y", "PATH=/bin"], "user": {"uid": 1000, "gid": 1000}}))
    with container() as name:
        equal(oci("exec", "--process", file, name).ok().out, "y\n1000\n")
        equal(oci("exec", "-p", file, "--preserve-fds", "0", name).ok().out, "y\n1000\n")
        file.write_text("{\"cwd\": 5}")
        fails(oci("exec", "--process", file, name), 255, "/cwd")
        fails(oci("exec", "--process", work() / "none", name), 255, "none")


@ROOT_ONLY
def test_exec_in_a_cgroup_below():
    with container() as name:
        contains(oci("exec", "--cgroup", "/", name, "cat", "/proc/self/cgroup").ok().out, ":/")
        for wrong in ["..", "/../x", "a/../../b"]:
            fails(oci("exec", "--cgroup", wrong, name, "true"), 255, "..")
        fails(oci("exec", "--cgroup", "not/there", name, "true"), 255, "make it first")
        fails(oci("exec", "--cgroup", ":/", name, "true"), 255, "empty <controller> prefix")
        fails(oci("exec", "--cgroup", "a", "--cgroup", "b", name, "true"), 255, "missing <controller>")
        fails(oci("exec", "--cgroup", "nosuch:/", name, "true"), 255, "unknown controller nosuch")


def group_of(name, controller):
    """The container's directory in a v1 hierarchy; None where it is v2's."""
    for line in open(f"/proc/{state(name)['pid']}/cgroup", encoding="ascii"):
        _, controllers, path = line.strip().split(":", 2)
        if controller in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup") / controller / path.lstrip("/")
    return None


@ROOT_ONLY
def test_exec_in_a_v1_hierarchys_group():
    with container(linux={"namespaces": [{"type": "mount"}, {"type": "pid"}]}, hostname=None) as name:
        pids, cpu = group_of(name, "pids"), group_of(name, "cpu")
        if not pids or not cpu or pids == cpu:
            skip("pids and cpu are no hierarchies of v1 here")
        below = pids / "below"
        below.mkdir()
        try:
            seen = oci("exec", "--cgroup", "pids:below", name, "cat", "/proc/self/cgroup").ok().lines()
            ends = {line.split(":")[1]: line.endswith("/below") for line in seen}
            check(ends["pids"] and not ends["cpu"], seen)
            fails(oci("exec", "--cgroup", "pids,cpu:below", name, "true"), 255, "make it first")
            fails(oci("exec", "--cgroup", "pids:below", "--cgroup", "cpu,pids:/", name, "true"), 255,
                  "several times")
            seen = oci("exec", "--cgroup", "below", name, "cat", "/proc/self/cgroup").ok().lines()
            check(any(line.endswith("/below") for line in seen), seen)
        finally:
            eventually(lambda: not (below / "cgroup.procs").read_text())
            below.rmdir()


@ROOT_ONLY
def test_exec_changes_the_containers_own_process():
    user = {"uid": 0, "gid": 0, "additionalGids": [5]}
    caps = {kind: ["CAP_KILL"] for kind in ["bounding", "effective", "permitted"]}
    caps["inheritable"], caps["bounding"] = ["CAP_CHOWN"], ["CAP_KILL", "CAP_CHOWN"]
    with container(process={"user": user, "capabilities": caps, "noNewPrivileges": True}) as name:
        equal(oci("exec", "-g", "7", name, "id", "-G").ok().out, "0 5 7\n")
        grep = ["grep", "-E", "NoNewPrivs|CapAmb", "/proc/self/status"]
        equal(oci("exec", name, *grep).ok().out.split(), ["CapAmb:", "0" * 16, "NoNewPrivs:", "1"])
        found = oci("exec", "--no-new-privs=false", "--cap", "CAP_CHOWN", name, *grep).ok()
        equal(found.out.split(), ["CapAmb:", "0" * 15 + "1", "NoNewPrivs:", "0"])


@ROOT_ONLY
def test_descriptors_go_where_they_are_asked_for():
    read, write = os.pipe()
    end = 3
    os.dup2(write, end)
    os.write(write, b"")
    found = run(program("viv-oci"), "--root", state_dir(), "run", "--preserve-fds", "1", "--bundle",
                bundle(sh("echo through >&3")), unique("oci"), pass_fds=[end])
    found.ok()
    equal(os.read(read, 100), b"through\n")
    listing = output(["ls", "/proc/self/fd"]).split()
    equal(listing, ["0", "1", "2", "3"])
    fails(oci("run", "--preserve-fds", "100000", "--bundle", bundle(), unique("oci")), 1, "100000")


@ROOT_ONLY
def test_listen_fds():
    found = run(program("viv-oci"), "--root", state_dir(), "run", "--bundle",
                bundle(sh("echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd | wc -l")), unique("oci"),
                env={"LISTEN_FDS": "1"}, pass_fds=[]).ok()
    contains(found.out, "1 1\n")


SAYS_READY = """
import os, socket, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
for text in ["STATUS=loading", "READY=0", "MAINPID=1", "STATUS=done\\nREADY=1\\nMAINPID=1"]:
    sock.send(text.encode())
print(os.environ["NOTIFY_SOCKET"], os.listdir("/run/notify"), flush=True)
time.sleep(LONG)
"""


def says_ready(long):
    """A bundle whose workload, in the host's own root, says that it is ready, and goes on."""
    mounts = spec()["mounts"]
    mounts.insert(0, {"destination": "/run", "type": "tmpfs", "source": "tmpfs"})
    return bundle(["/usr/bin/python3", "-c", SAYS_READY.replace("LONG", str(long))],
                  root={"path": "/", "readonly": True}, mounts=mounts,
                  process={"env": ["NOTIFY_SOCKET=/an/old/one", "PATH=/usr/bin"]})


@ROOT_ONLY
def test_readiness_is_passed_on():
    folder, name = says_ready(1000), unique("oci")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        path = str(work().parent / "notify")
        sock.bind(path)
        sock.settimeout(60)
        env = {"NOTIFY_SOCKET": path}
        oci("create", "--bundle", folder, name, env=env).ok()
        check((state_dir() / name / "notify").is_dir())
        oci("start", name, env=env).ok()
        equal(sock.recv(4096).decode(), f"READY=1\nMAINPID={state(name)['pid']}")
        oci("delete", "--force", name).ok()
        oci("run", "--detach", "--bundle", folder, name, env=env).ok()
        equal(sock.recv(4096).decode(), f"READY=1\nMAINPID={state(name)['pid']}")
        oci("delete", "--force", name).ok()
        # in the foreground viv-oci itself stays the service's main process
        found = oci("run", "--bundle", says_ready(0.1), name, env=env).ok()
        equal(found.out, "/run/notify/notify.sock ['notify.sock']\n")
        equal(sock.recv(4096).decode(), "READY=1")
        # a workload that ends without a word
        oci("create", "--bundle", bundle(["/bin/true"], mounts=spec()["mounts"] + [
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs"}]), name, env=env)
        oci("start", name, env=env)
        oci("delete", "--force", name).ok()
        sock.settimeout(0)
        try:
            check(False, sock.recv(4096))
        except BlockingIOError:
            pass
    # nobody waits: nothing of this is made
    with container(sh("echo $NOTIFY_SOCKET; sleep 1000")) as name:
        check(not (state_dir() / name / "notify").exists())


@ROOT_ONLY
def test_a_terminal_goes_through_the_console_socket():
    sock, path = listener("console")
    with sock, container(["/bin/sh", "-c", "tty; stty size; sleep 1000"], process={
            "terminal": True, "consoleSize": {"height": 33, "width": 77}},
            options=["--console-socket", path]) as name:
        master = received(sock)[0]
        text = b""
        while text.count(b"\n") < 2:
            text += os.read(master, 100)
        equal(text.decode().split(), ["/dev/pts/0", "33", "77"])
        oci("exec", "--tty", "--console-socket", path, "-d", name, "stty", "size").ok()
        second = received(sock)[0]
        check(os.read(second, 100))
        os.close(master)
        os.close(second)
    fails(oci("create", "--bundle", bundle(process={"terminal": True}), unique("oci")), 1,
          "cannot allocate tty")
    fails(oci("create", "--console-socket", path, "--bundle", bundle(), unique("oci")), 1,
          "cannot use console socket")


@ROOT_ONLY
def test_a_pidfd_is_sent():
    sock, path = listener("pidfd")
    with sock, container(options=["--pidfd-socket", path]) as name:
        pidfd = received(sock)[0]
        text = open(f"/proc/self/fdinfo/{pidfd}").read()
        equal(int(re.search(r"^Pid:\s+(\d+)", text, re.M).group(1)), state(name)["pid"])
        oci("exec", "-d", "--pidfd-socket", path, name, "sleep", "50").ok()
        os.close(received(sock)[0])
        os.close(pidfd)
    with sock:
        pass


@ROOT_ONLY
def test_the_options_that_are_seldom_used():
    for options in [["--no-pivot"], ["--no-new-keyring"], ["--no-subreaper"]]:
        oci("run", *options, "--bundle", bundle(["/bin/true"]), unique("oci")).ok()
    for options in [["--rootless", "auto"], ["--rootless=false"], ["--criu", "x"], ["--debug"],
                    ["--cgroup-manager", "cgroupfs"], ["--cgroup-manager=disabled"]]:
        oci(*options, "run", "--bundle", bundle(["/bin/true"]), unique("oci")).ok()
    fails(oci("--cgroup-manager", "none", "list"), 1, "none")


def test_spec_writes_a_configuration():
    folder = work() / "b"
    folder.mkdir()
    oci("spec", "--bundle", folder).ok()
    config = json.loads((folder / "config.json").read_text())
    equal(config["process"]["args"], ["sh"])
    equal(config["ociVersion"], "1.3.0")
    fails(oci("spec", "--bundle", folder), 1, "exists")
    (folder / "config.json").unlink()
    oci("spec", "--rootless", "-b", folder).ok()
    config = json.loads((folder / "config.json").read_text())
    check("user" in [item["type"] for item in config["linux"]["namespaces"]])


def test_features():
    found = json.loads(oci("features").ok().out)
    equal(found["ociVersionMax"], "1.3.0")
    equal(found["hooks"], ["prestart", "createRuntime", "createContainer", "startContainer",
                           "poststart", "poststop"])
    for name in ["bind", "rro", "idmap", "tmpcopyup"]:
        contains(found["mountOptions"], name)
    equal(len(found["linux"]["namespaces"]), 8)
    for name in ["cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "netDevices"]:
        contains(found["linux"], name)
