"""Workloads in a machine behave as workloads in a container do: the same cases with both isolations.
What needs no machine of its own runs by `exec` in two sandboxes that all tests share."""
import contextlib
import hashlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/viv"))
from terminal import Screen  # noqa: E402

TIMEOUT = 300
BUILDS = ["plain"]
ACCEL = "emu"
KINDS = {"container": [], "vm": ["--isolation", "vm", "--accel", ACCEL]}
BOX = {}


class Sandboxes:
    """A store of its own, and what is run in it."""

    def __init__(self):
        self.place = work()
        self.scope = unique("viv-vm-")
        if "shared" in BOX:  # what a machine goes on from is booted once
            (self.place / "data").mkdir()
            (self.place / "data/templates").symlink_to(BOX["shared"].place / "data/templates")

    def call(self, *args, **more):
        return viv(*args, **more)

    def viv(self, *args, **more):
        more.setdefault("timeout", 150)
        return self.call("--root", self.place / "run", "--data-root", self.place / "data", *args,
                         **more)

    def run(self, kind, *args, **more):
        return self.viv("run", *KINDS[kind], "--cgroup-parent", "/" + self.scope, *args, **more)

    def start(self, kind, name, *flags, script="exec sleep 100000", **more):
        self.run(kind, "-d", "--name", name, *flags, "busybox", "--", "sh", "-c", script, **more).ok()

    def inspect(self, name):
        return json.loads(self.viv("inspect", name).ok().out)[0]

    def status_of(self, name):
        return pathlib.Path(f"/proc/{self.inspect(name)['Pid']}/status").read_text()

    def end(self):
        self.remove()
        self.look()

    def remove(self):
        names = [row.split()[0] for row in self.viv("ps", "-a").ok().lines()[1:]]
        if names:
            self.viv("rm", "-f", *names).ok()

    def look(self):
        """Nothing is left behind."""
        top = pathlib.Path("/sys/fs/cgroup")
        groups = [path for path in [top / self.scope, *top.glob("*/" + self.scope)]
                  if path.is_dir()]
        equal([str(path) for group in groups for path in group.glob("*/")], [], "control groups")
        equal([path.name for path in (self.place / "run").glob("[!.]*")], [], "folders")
        for path in groups:
            path.rmdir()


@contextlib.contextmanager
def shared():
    box = Sandboxes()
    BOX["shared"] = box
    try:
        stray = os.open(box.place, os.O_RDONLY)
        for kind in KINDS:
            box.start(kind, kind, "-e", "A=outer", "-w", "/tmp", "--pids-limit", "90",
                      "--tmpfs", "/scratch:size=64m", pass_fds=(stray,))
        os.close(stray)
        yield
    finally:
        box.remove()
    box.look()


@contextlib.contextmanager
def own_box():
    box = Sandboxes()
    try:
        yield box
    finally:
        box.remove()
    box.look()


def both(*args, flags=(), **more):
    """`exec` in both; the results, which have to be alike in status and output."""
    done = {kind: BOX["shared"].viv("exec", *flags, kind, *args, **more) for kind in KINDS}
    one, other = done.values()
    equal((one.status, one.out, one.err.replace("container", "vm")),
          (other.status, other.out, other.err), str(args))
    return other


def sh(script, *flags, **more):
    return both("sh", "-c", script, flags=flags, **more)


# Each prints the same in a container and in a machine, and those of ENDS end the same way too.
ENDS = ["echo $A; exit 3", "kill -9 $$", "kill -TERM $$",
        "for i in $(seq 200); do echo $i; echo e$i >&2; done; exit 9"]
# /dev/core is there where the kernel has /proc/kcore, and each of them has its own kernel.
SCRIPTS = ["id", "pwd", "echo one; echo two >&2",
           "ls -la /dev | awk '{print $1, $NF}' | grep -v -e total -e kcore",
           "mount | awk '{print $3, $5}' | grep -v -e '^/ ' -e devtmpfs -e /sys/ -e /proc/ | sort",
           "cat /proc/self/status | grep -e Cap -e NoNewPrivs -e Seccomp:", "cat /proc/1/comm",
           "echo $PATH $HOME", "umask; ulimit -n", "hostname | grep -c .", "ls /sys/class/net",
           "cut -d: -f3 /proc/self/cgroup | sort -u", "readlink /proc/self/fd/0",
           "touch /proc/sys/kernel/panic 2>&1", "mkdir /sys/x 2>&1",
           "mknod /tmp/d b 1 1 2>/dev/null && head -c 1 /tmp/d 2>/dev/null || echo refused",
           "df -k /scratch | awk 'END{print $2}'", "[ $(date +%s) -gt 1700000000 ] && date +%Z"]


def test_scripts_print_the_same():
    """All in one go: an exec takes long where machines are slow."""
    mark = "status=$?; echo == $status; echo == $status >&2"
    done = sh("\n".join(f"sh -c {shlex.quote(script)}\n{mark}" for script in SCRIPTS)).ok()
    out, err = done.out.split("== "), done.err.split("== ")
    equal((len(out), len(err)), (len(SCRIPTS) + 1,) * 2)
    for at, script in enumerate(SCRIPTS):
        # what is before a mark but the status of the one before
        printed = [text[at].split("\n", 1 if at else 0)[-1] for text in (out, err)]
        check(any(printed), lambda: f"{script} printed nothing: {done}")


def test_scripts_end_the_same():
    for script in ENDS:
        done = sh(script)
        check(done.status, script)


def test_exec_flags():
    equal(sh("id; echo $A $B; pwd", "-u", "user", "-e", "B=inner", "-w", "/etc").out,
          "uid=1000(user) gid=1000(user) groups=100(users)\nouter inner\n/etc\n")
    fails(both("no-such-program"), 127, "executable file not found")
    fails(both("/etc/passwd"), 126, "permission denied")
    fails(both("true", flags=["-u", "nobody-known"]), 125, "user")
    sh("awk '/CapEff/{print $2}' /proc/self/status", "--privileged")


def test_streams_lose_nothing():
    """A few megabytes each way at once, and through both outputs side by side."""
    data = os.urandom(3 << 20)
    box = BOX["shared"]
    wanted = hashlib.md5(data).hexdigest()
    done = box.viv("exec", "-i", "vm", "sh", "-c", "tee /scratch/copy | md5sum; md5sum < /scratch/copy",
                   stdin=data).ok()
    equal([line.split()[0] for line in done.lines()], [wanted, wanted])
    script = ("(seq 1 60000) & (seq 1 60000 >&2) & wait; echo end; echo end >&2")
    done = box.viv("exec", "vm", "sh", "-c", script).ok()
    counted = "".join(f"{i}\n" for i in range(1, 60001)) + "end\n"
    check(done.out == counted, f"stdout has {len(done.out)} of {len(counted)} bytes")
    check(done.err == counted, f"stderr has {len(done.err)} of {len(counted)} bytes")


def test_a_stream_that_nobody_reads_holds_up_no_other():
    """The workload fills standard output, which is not read; a signal still comes through."""
    box = BOX["shared"]
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [program("viv"), "--root", str(box.place / "run"), "--data-root", str(box.place / "data"),
         "exec", "vm", "sh", "-c", "trap 'echo asked >&2; kill %1; exit 4' TERM; yes & "
         "echo ready >&2; while :; do sleep 0.1; done"],
        stdin=subprocess.DEVNULL, stdout=write_end, stderr=subprocess.PIPE, text=True)
    os.close(write_end)
    equal(process.stderr.readline(), "ready\n")
    process.send_signal(signal.SIGTERM)
    equal(process.stderr.readline(), "asked\n")
    os.close(read_end)
    equal(process.wait(60), 4)


def test_many_at_once():
    results = [None] * 8

    def work_at(number):
        results[number] = BOX["shared"].viv("exec", "-i", "vm", "sh", "-c", f"cat; exit {number}",
                                            stdin=f"{number}" * 50000)
    threads = [threading.Thread(target=work_at, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, done in enumerate(results):
        equal((done.status, done.out), (number, f"{number}" * 50000))


def test_a_terminal():
    box = BOX["shared"]
    for kind in KINDS:
        screen = Screen(program("viv"), "--root", box.place / "run", "--data-root",
                        box.place / "data", "exec", "-it", kind, "sh")
        screen.wait_for("# ", 60)
        screen.type("stty size; tty\n")
        screen.wait_for("30 100")
        screen.size(40, 120)
        screen.type("until [ \"$(stty size)\" = '40 ''120' ]; do sleep 0.1; done; stty size\n")
        screen.wait_for("40 120")
        screen.type("echo so; cat\n")
        screen.wait_for("\r\nso\r\n")
        screen.type("abc\n")
        screen.wait_for("abc\r\nabc")
        screen.type("\x03")
        screen.wait_for("^C")
        eventually(lambda: screen.text.rstrip("\x1b[6n").endswith("# ") or screen.read(), 20)
        screen.type("exit 6\n")
        equal(screen.end(60), 6, kind)


def test_figures_and_processes():
    box = BOX["shared"]
    rows = box.viv("stats", "--no-stream", "container", "vm").ok().lines()
    equal([row.split()[0] for row in rows[1:]], ["container", "vm"])
    equal([row["Isolation"] for row in json.loads(box.viv("inspect", "container", "vm").ok().out)],
          ["container", "vm"])
    found = {kind: box.inspect(kind).get("Machine") for kind in KINDS}
    equal(found["container"], None)
    equal((found["vm"]["Accelerator"], found["vm"]["Because"], found["vm"]["UnknownInstructions"]),
          (KINDS["vm"][-1], "asked for", {}))
    equal((found["vm"]["Cpus"], found["vm"]["Memory"]), (1, 256 << 20))
    one, other = (box.viv("top", kind, "-o", "comm,args,nlwp,nice,tty").ok().lines() for kind in KINDS)
    equal(other, one)
    contains(one[1], "sleep 100000")
    rows = [row.split() for row in box.viv("top", "vm", "pid", "ppid", "uid", "etime").ok().lines()[1:]]
    check(all(int(row[0]) < 32768 and row[2] == "0" and row[3] < "01:00:00" for row in rows), str(rows))


def test_a_machine_that_hangs_keeps_nobody_who_looks():
    box = BOX["shared"]
    [vmm] = children_of(box.inspect("vm")["Pid"])
    os.kill(vmm, signal.SIGSTOP)
    try:
        check("Machine" not in box.inspect("vm"), "a stopped viv-vmm has answered")
    finally:
        os.kill(vmm, signal.SIGCONT)
    equal(box.inspect("vm")["Machine"]["Accelerator"], KINDS["vm"][-1])


def test_who_stands_for_a_workload_on_the_host_can_do_nothing_else():
    text = BOX["shared"].status_of("vm")
    for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        contains(text, line + "\n")


def test_nothing_that_the_caller_has_open_goes_along():
    """A folder of the host's would be a way out of viv-vmm, and a lock be held until the end."""
    box = BOX["shared"]
    for kind in KINDS:
        pid = box.inspect(kind)["Pid"]
        monitor = int(pathlib.Path(f"/proc/{pid}/stat").read_text().split()[3])
        for one in (monitor, pid, *(children_of(pid) if kind == "vm" else [])):
            links = [os.readlink(path) for path in pathlib.Path(f"/proc/{one}/fd").iterdir()]
            check(str(box.place) not in links, f"{kind}: process {one} has {links}")


def test_update():
    for kind in KINDS:
        BOX["shared"].viv("update", "--pids-limit", "33", "--cpuset-cpus", "0", kind).ok()
    equal(BOX["shared"].viv("exec", "vm", "cat", "/sys/fs/cgroup/pids.max").ok().out, "33\n")
    fails(BOX["shared"].viv("update", "--memory", "4g", "vm"), 1, "cannot grow while it runs")


def test_pause():
    box = BOX["shared"]
    for kind in KINDS:
        box.viv("pause", kind).ok()
        equal(box.inspect(kind)["State"]["Status"], "paused")
        fails(box.viv("exec", kind, "true"), 125, "is paused")
        box.viv("unpause", kind).ok()
    sh("echo on")


# ---- with a machine of their own -----------------------------------------------------------------

RUN = ["-h", "inside", "--domainname", "d1", "-e", "A=x y", "-w", "/var", "-u", "12:34",
       "--group-add", "55", "--umask", "0027", "--ulimit", "nofile=77:88", "--oom-score-adj", "321",
       "--shm-size", "3m", "--read-only", "--tmpfs", "/mnt:size=1m", "--cap-drop", "ALL",
       "--cap-add", "NET_RAW", "--security-opt", "no-new-privileges", "--init", "--sysctl",
       "net.ipv4.ip_default_ttl=77", "--device", "/dev/full:/dev/fuller:r", "--network", "none",
       "--cpuset-cpus", "0"]
RUN_SCRIPT = """hostname; cat /proc/sys/kernel/domainname; echo $A; pwd; id; umask; ulimit -n
cat /proc/self/oom_score_adj; df -k /dev/shm /mnt | awk '{print $2}'; touch /x
awk '/Cap|NoNew|Seccomp:/{print $2}' /proc/self/status; cat /proc/sys/net/ipv4/ip_default_ttl
test -c /dev/fuller && echo device; nproc; md5sum; echo problem >&2; exit 3"""


def test_the_flags_of_run():
    data = bytes(range(251)) * 4000
    with own_box() as box:
        one, other = (box.run(kind, "-i", *RUN, "busybox", "--", "sh", "-c", RUN_SCRIPT,
                              stdin=data) for kind in KINDS)
    equal(one.status, 3, str(one))
    contains(one.out, hashlib.md5(data).hexdigest())
    contains(one.err, "problem\n")
    equal(other.lines(), one.lines())
    equal((other.status, other.err), (one.status, "touch: /x: Read-only file system\nproblem\n"))


def test_a_root_of_ones_own_is_not_changed():
    root = work() / "root"
    run("cp", "-a", image(), root).ok()
    (root / "etc/mark").write_text("mark\n")
    with own_box() as box:
        done = box.run("vm", "--rm", "--rootfs", root, "--", "sh", "-c",
                       "cat /etc/mark; echo more > /etc/mark; cat /etc/mark").ok()
    equal(done.out, "mark\nmore\n")
    equal((root / "etc/mark").read_text(), "mark\n")


def test_folders_and_files_of_the_host():
    """Both kinds share the same folder at once, with the owners that the host has."""
    folder = work() / "folder"
    folder.mkdir()
    (folder / "file").write_text("content\n")
    (work() / "note").write_text("note\n")
    with own_box() as box:
        for kind in KINDS:
            ids = ["--userns", "host"] if kind == "container" else []
            done = box.run(kind, "--rm", *ids, "-v", f"{folder}:/mnt", "-v", f"{folder}:/ro:ro",
                           "-v", f"{work() / 'note'}:/etc/note:ro", "busybox", "--", "sh", "-c",
                           f"cat /mnt/file /etc/note; echo {kind} > /mnt/{kind}; ls /ro;"
                           f"chown 7:8 /mnt/{kind}; touch /ro/x /etc/note 2>&1 | sort")
            check(done.out.startswith("content\nnote\n"), str(done))
            contains(done.out, "Read-only file system")
            equal((folder / kind).read_text(), f"{kind}\n")
            equal(((folder / kind).stat().st_uid, (folder / kind).stat().st_gid), (7, 8))


# What each prints with a single file of the host's at /one and, for reading, at /two.
FILE_CASES = [("cat /one; echo $KIND >> /one; tail -n 1 /two", "{before}{kind}\n"),
              ("echo x >> /two", "sh: can't create /two: Read-only file system\n"),
              ("rm /one; mv /one /three", "rm: can't remove '/one': Resource busy\n"
               "mv: can't rename '/one': Resource busy\n"),
              ("chown 7:8 /one; chmod 640 /one; stat -c '%u %g %a' /two", "7 8 640\n"),
              ("true > /one; cat /two; stat -c %s /one", "0\n")]


def test_a_single_file_is_the_hosts_own():
    """What either side writes the other one sees at once, and it is the file, not its name; nothing
    else that is in its folder can be seen."""
    folder = work() / "files"
    folder.mkdir()
    note = folder / "note"
    with own_box() as box:
        note.write_text("")
        for kind in KINDS:
            ids = ["--userns", "host"] if kind == "container" else []
            box.start(kind, kind, *ids, "-e", f"KIND={kind}", "-v", f"{note}:/one", "-v",
                      f"{note}:/two:ro")

        def inside(kind, script):
            done = box.viv("exec", kind, "sh", "-c", f"({script}) 2>&1; true").ok()
            return done.out.replace("Device or resource busy", "Resource busy")
        for kind in KINDS:
            for other in KINDS:
                note.write_text(f"of {kind}\n")
                for script, wanted in FILE_CASES[:1]:
                    equal(inside(other, script), wanted.format(before=f"of {kind}\n", kind=other))
                equal(note.read_text(), f"of {kind}\n{other}\n")
            for script, wanted in FILE_CASES[1:]:
                equal(inside(kind, script), wanted, f"{kind}: {script}")
            equal((note.stat().st_uid, note.stat().st_size), (7, 0))
        (folder / "new").write_text("new\n")
        with note.open("a") as old:
            (folder / "new").rename(note)
            old.write("old\n")
        equal([inside(kind, "cat /one") for kind in KINDS], ["old\n"] * 2)


def look_at_what_was_written(box):
    """What a machine has written to its root is on the host, as a container's is."""
    changes = [sorted(box.viv("diff", kind).ok().lines()) for kind in KINDS]
    equal(changes[0], changes[1])
    check("A /srv/x/file" in changes[1] and "D /etc/passwd" in changes[1], lambda: str(changes[1]))
    for kind in KINDS:
        box.viv("cp", f"{kind}:/srv/x/file", f"out-{kind}").ok()
        equal(pathlib.Path(f"out-{kind}").read_text(), "kept\n")
    pathlib.Path("a-file").write_text("host\n")
    box.viv("cp", "a-file", "vm:/srv/from-host").ok()
    [folder] = [path for path in (box.place / "data/images/roots").glob("*/machine")]
    status = folder.stat()
    equal((status.st_uid, status.st_mode & 0o777), (4294967294, 0o755))


SMALL = ["-m", "64m", "--cpus", "1.5"]


def test_a_life_in_the_background():
    """Log, signals, memory that runs out, a second start, and the end."""
    with own_box() as box:
        for kind in KINDS:
            box.start(kind, kind, *SMALL, script=
                      "trap 'echo caught' USR1; echo begun; cat /sys/fs/cgroup/memory.max "
                      "/sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null;"
                      "while :; do sleep 0.1; done")
        for kind in KINDS:
            eventually(lambda: "begun" in box.viv("logs", kind).out, 30)
            box.viv("kill", "-s", "USR1", kind).ok()
            eventually(lambda: "caught" in box.viv("logs", kind).out, 30)
            equal(box.viv("logs", kind).ok().out, "begun\n67108864\ncaught\n", kind)
        equal(box.viv("exec", "vm", "nproc").ok().out, "2\n")
        done = box.viv("exec", "vm", "sh", "-c", "head -c 200m /dev/zero | tail -c 200m | wc -c")
        check(done.status == 137 or "0\n" in done.out or "Killed" in done.err, str(done))
        for kind in KINDS:
            box.viv("exec", kind, "sh", "-c", "mkdir -p /srv/x; echo kept > /srv/x/file; rm /etc/passwd;"
                    "rm -r /srv/y /usr/share; mkdir /srv/y; chown 7:8 /srv/x; ln -s x /srv/link")
            box.viv("kill", kind).ok()
            equal(box.viv("wait", kind).ok().out, "137\n")
        look_at_what_was_written(box)
        box.viv("start", "vm").ok()
        eventually(lambda: box.viv("logs", "vm").out.count("begun") == 2, 60)
        equal(box.viv("exec", "vm", "sh", "-c", "cat /srv/link/file /srv/from-host; stat -c %u:%g"
                      " /srv/x; ls /etc/passwd 2>&1").out,
              "kept\nhost\n7:8\nls: /etc/passwd: No such file or directory\n")
        fails(box.viv("cp", "a-file", "vm:/srv/"), 125, "a running machine")
        box.viv("stop", "-t", "1", "vm").ok()
        equal(box.inspect("vm")["State"]["ExitCode"], 137)


def test_memory_that_runs_out_is_told():
    script = "x=a; while :; do x=$x$x; done"
    with own_box() as box:
        for kind in KINDS:
            done = box.run(kind, "--name", kind, *SMALL, "busybox", "--", "sh", "-c", script)
            equal(done.status, 137, kind)
            contains(done.err, "ran out of memory")
            equal(box.inspect(kind)["State"]["OOMKilled"], True)


def children_of(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def test_killed_at_any_place_leaves_nothing():
    """viv-vmm, the shim, or the monitor is killed: the workload ends with 137 or is buried by the
    next command, and no process or group stays."""
    with own_box() as box:
        for victim in ("vmm", "shim", "monitor"):
            box.start("vm", victim)
            shim = box.inspect(victim)["Pid"]
            monitor = int(pathlib.Path(f"/proc/{shim}/stat").read_text().split()[3])
            vmm = children_of(shim)
            equal(len(vmm), 1, victim)
            os.kill({"vmm": vmm[0], "shim": shim, "monitor": monitor}[victim], signal.SIGKILL)
            if victim == "monitor":
                box.viv("rm", "-f", victim).ok()
            else:
                equal(box.viv("wait", victim).ok().out, "137\n")
            if victim == "vmm":
                eventually(lambda: "killed by signal 9" in box.viv("logs", victim).err)
            for pid in (shim, vmm[0], monitor):
                eventually(lambda: ended(pid), 20, f"{victim} was killed: {pid}")


def test_an_ordinary_user():
    """Needs no right of the host's; limits hold inside, whatever the host lets the user set."""
    home = work() / "home"
    home.mkdir()
    os.chown(home, 54321, 54321)
    done = as_user(program("viv"), "--root", home / "run", "run", "--rm", *KINDS["vm"], "-m", "64m",
                   "busybox", "--", "sh", "-c", "id -u; cat /sys/fs/cgroup/memory.max; exit 3",
                   uid=54321, timeout=150, env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                                                "VIV_DATA_ROOT": str(home / "data")})
    equal((done.status, done.out), (3, "0\n67108864\n"), str(done))


# ---- what cannot be ------------------------------------------------------------------------------

def test_explain_shows_both_halves():
    with own_box() as box:
        done = box.viv("explain", "--isolation", "vm", "--memory", "64m", "-v", "/etc/passwd:/x", "-v",
                       "/etc:/y", "busybox").ok()
        for path in ("/etc/passwd", "/etc"):
            contains(done.out, f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLONE|')
        for step in ("host    mkdir", "child   viv-vmm", "machine memory", "guest   mount",
                     "guest   mask", "guest   seccomp", "child   execve"):
            matches(done.out, rf"(?m)^ +\d+  {step} ")


def test_what_a_machine_cannot_have():
    with own_box() as box:
        for flags, text in [
                (["--memory", "4000g"], "choose less with --memory"),
                (["--kernel", "/etc"], "not a folder for machines"),
                (["--network", f"ns:/proc/{os.getpid()}/ns/net"], "cannot join the network namespace")]:
            fails(box.run("vm", "--rm", *flags, "busybox", "true"), 125, text)


def test_what_is_the_hosts_alone_is_told():
    modes = [word for kind in ("network", "pid", "ipc", "uts") for word in (f"--{kind}", "host")]
    with own_box() as box:
        done = box.run("vm", "--rm", *modes, "busybox", "true").ok()
    equal(done.err.count("is not a machine's: "), 4, str(done))


def test_what_needs_the_hosts_own_processes_is_refused():
    """What stands for a machine on the host has the host's namespaces and root: they are not joined,
    and not taken for the workload's."""
    box = BOX["shared"]
    for flags in (["--network", "container:vm"], ["--pid", "container:vm"]):
        fails(box.run("container", "--rm", *flags, "busybox", "true"), 125, "in a machine")
    box.start("vm", "passes", "--rm")
    for command in (["export", "passes"], ["commit", "passes"], ["diff", "passes"]):
        fails(box.viv(*command), 125, "is a machine that is removed when it ends (--rm)")
    box.viv("rm", "-f", "passes").ok()


def test_an_agent_of_other_sources_compares_its_plan():
    folder = work() / "other"
    folder.mkdir()
    guest = pathlib.Path(image()).parent / "guest"
    for name in ("initramfs", "vmlinuz"):
        (folder / name).symlink_to(guest / name)
    facts = json.loads((guest / "facts.json").read_text())
    facts["planSources"] = "of another version"
    with own_box() as box:
        (folder / "facts.json").write_text(json.dumps(facts))
        box.run("vm", "--rm", "--kernel", folder, "busybox", "true").ok()
        facts["lastCapability"] -= 1
        (folder / "facts.json").write_text(json.dumps(facts))
        fails(box.run("vm", "--rm", "--kernel", folder, "--cap-add", "ALL", "busybox", "true"), 125,
              "the machine's agent would do something else than the host has worked out")


def test_a_kernel_of_the_wrong_kind():
    folder = work() / "kernel"
    folder.mkdir()
    guest = pathlib.Path(image()).parent / "guest"
    for name in ("initramfs", "facts.json"):
        (folder / name).symlink_to(guest / name)
    (folder / "vmlinuz").write_text("this is no kernel, but long enough to be looked at\n" * 200)
    with own_box() as box:
        fails(box.run("vm", "--rm", "--kernel", folder, "busybox", "true"), 125,
              "the machine did not come up")
