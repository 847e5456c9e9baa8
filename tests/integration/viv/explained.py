"""What `viv explain` prints is what `viv run` asks of the kernel: the isolating system calls that
strace sees, up to the start of the workload, are those of the plan, in that order, with those
arguments, and there are no others."""
import json
import os
import re

from lib import *
from box import box, overlaid

TIMEOUT = 120
ORDINARY = 54321  # a user without subordinate ids

# Calls that isolate, or that prepare the sandbox's root.
CALLS = """clone clone3 fork vfork setns unshare mount umount2 pivot_root chroot open_tree move_mount
fsopen fsconfig fsmount fspick mount_setattr sethostname setdomainname setuid setgid setreuid
setregid setresuid setresgid setgroups setfsuid setfsgid capset prctl seccomp keyctl add_key
landlock_create_ruleset landlock_add_rule landlock_restrict_self prlimit64 setrlimit mkdirat mkdir
mknodat mknod symlinkat symlink linkat link unlinkat unlink rmdir fchownat lchown chown fchown
fchmodat fchmod chmod openat2 write pwrite64 setsid setpriority ioprio_set sched_setattr
sched_setscheduler sched_setaffinity personality set_mempolicy bpf ioctl close_range chdir fchdir
umask execve execveat""".split()

# What viv does for itself before the plan begins: its own protected copy, looking up the user, and
# trying on a copy of its own whether a volume's file system can show ids shifted.
BEFORE = [
    r"umask\(022\)",
    r'open_tree\(AT_FDCWD, "/proc/self/exe"',
    r'mount_setattr\(<>, "", AT_EMPTY_PATH, \{attr_set=MOUNT_ATTR_RDONLY',
    r'execveat\(<>, "", \["[^"]*/viv"',
    r'openat2\(<>, "(\.|etc|etc/(passwd|group))"',
    r"clone\(child_stack=NULL, flags=CLONE_CHILD_CLEARTID",  # who watches over it later
    r"setsid\(",
    r'open_tree\(AT_FDCWD, "[^"]*", OPEN_TREE_CLOEXEC\|OPEN_TREE_CLONE\)',
    r"clone3\(\{flags=CLONE_NEWUSER, exit_signal=0\}",
    r'openat2\(AT_FDCWD, "/proc"|openat2\(<>, "([^"]*/(uid_map|gid_map|ns)|user)"',
    r'write\(<>, "0 \d+ \d+',
    r"mount_setattr\(<>, .*attr_set=MOUNT_ATTR_IDMAP",
]

# The folders of a sandbox's record and of what it changes, which are made before the plan begins.
BOOKKEEPING = "mkdirat unlinkat symlinkat fchmod fchown chown write pwrite64".split()

# Asking is not isolating.
QUESTIONS = [
    r"prctl\(PR_(CAPBSET_READ|GET_|SET_NAME|SET_VMA|CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET)",
    r"seccomp\(SECCOMP_(GET_|SET_MODE_FILTER, \S+, NULL|SET_MODE_STRICT)",
    r"prlimit64\([^,]*, \w+, NULL",
    r"ioctl\(<>, (TCGETS|TIOCGWINSZ|TIOCGPTPEER|TIOCGPTN|FIONREAD|SIOCGIF)",
    r"keyctl\(KEYCTL_DESCRIBE",
    r"landlock_create_ruleset\(NULL",
    r"ioctl\(<>, NS_GET_",
    r"clone3\(\{flags=CLONE_VM\|CLONE_VFORK",  # a helper, which is told by its execve()
]

# What is asked of systemd, through a pipe to a helper.
ORDER = r'write\([^,]*, "\{\\"call\\":'


def joined(text):
    """(pid, call) in the order in which they began; what strace cut in two is put together."""
    calls, waiting = [], {}
    for line in text.splitlines():
        pid, rest = line.split(None, 1)
        cut = re.match(r"(.*?)\s*<unfinished \.\.\.>$", rest)
        back = re.match(r"<\.\.\. \w+ resumed>\s?(.*)", rest)
        if cut:
            waiting[pid] = len(calls)
            calls.append((pid, cut[1]))
        elif back and pid in waiting:
            at = waiting.pop(pid)
            gap = " " if calls[at][1].endswith(",") else ""
            calls[at] = (pid, calls[at][1] + gap + back[1])
        elif re.match(r"\w+\(", rest):
            calls.append((pid, rest))
    return calls


def path_of(call):
    """The file that a descriptor stands for, or the absolute path that is the argument."""
    first = re.match(r'\w+\((?:\d+|AT_FDCWD)<([^>]*)>', call)
    named = re.match(r'\w+\((?:AT_FDCWD<[^>]*>, )?"(/[^"]*)"', call)
    return named[1] if named else first[1] if first else ""


def counts(call, store):
    """Whether the call has to be in the plan. What viv remembers of sandboxes isolates nothing."""
    name = call.split("(")[0]
    path = path_of(call)
    data = os.environ["VIV_DATA_ROOT"]
    if name in BOOKKEEPING and (path.startswith(data) or f"<{data}" in call or
                                (path and data.startswith(path + "/"))):
        return False
    if re.match(ORDER, call):
        return True
    if name in ("write", "pwrite64"):
        return path.startswith("/") and not path.startswith((str(store), "/dev/", str(work())))
    if name != "open_tree" and (path.startswith(str(store)) or f"<{store}" in call):
        return False
    return not any(re.match(question, plain(call)) for question in QUESTIONS)


def plain(call):
    """A call of either side in one notation: descriptors as <>, no results, pids as <pid>."""
    call = re.sub(r"\)\s+= .*$", ")", call)
    call = re.sub(r"roots/[0-9a-f]{64}", "roots/ID", call)
    call = re.sub(r"AT_FDCWD<[^>]*>", "AT_FDCWD", call)
    call = call.replace("<PATH>/", "{PATH}/")
    call = re.sub(r'(?<![\w"])-?\d+<[^>]*>(\(deleted\))?', "<>", call)
    call = re.sub(r'(?<=[(, =])<[^">]*>', "<>", call)
    return call.replace("{PATH}/", "<PATH>/")


def flag_sets(call):
    """Flags joined by | are sets, whose order says nothing; O_RDONLY is 0."""
    call = call.replace("O_RDONLY|", "").replace("propagation=0 /* MS_??? */", "propagation=0")
    return re.sub(r"[\w<]+(\|[\w<]+)+", lambda found: "|".join(sorted(found[0].split("|"))), call)


def seen_bpf(call):
    """Of a bpf(2) strace prints the whole structure; what is told is what was filled in."""
    call = re.sub(r"insns=0x\w+, license=\"([^\"]*)\", .*\}, (\d+)\)$", r'insns=<>, license="\1"}, \2)', call)
    return re.sub(r"(BPF_PROG_ATTACH, .*), replace_bpf_fd=(?:<>|\d+)\}", r"\1}", call)


def seen_form(call, root_pid):
    call = seen_bpf(plain(call))
    call = re.sub(r'(<>, ")%s/' % root_pid, r"\1<child>/", call)
    call = re.sub(r"prlimit64\(%s," % root_pid, "prlimit64(<>,", call)
    call = re.sub(r", pidfd=0x\w+|, stack=NULL, stack_size=0|, parent_tid=\w+|\s*=> \{.*?\}(?=, 88)",
                  "", call)
    call = re.sub(r"cgroup=\d+", "cgroup=<>", call)
    call = re.sub(r"userns_fd=\d+", "userns_fd=<>", call) if "IDMAP" in call else call
    call = re.sub(r"filter=0x\w+", "filter=<>", call)
    call = re.sub(r", resolve=0(?=\})", "", call)
    if re.match(ORDER, call):
        call = re.sub(r"\[%s\](.*), \d+\)$" % root_pid, r"[<child>]\1)", call)
    call = re.sub(r"exit_signal=0(?=[,}])", "exit_signal=0", call)
    if call.startswith("execve("):
        call = re.sub(r", 0x\w+ /\* \d+ vars? \*/\)", ", <>)", call)
    return flag_sets(call)


def told_form(call):
    call = plain(call)
    call = re.sub(r", 0x\w+ /\* \d+ vars? \*/\)", ", <>)", call)
    return flag_sets(call)


def same(told, seen):
    """A <PATH> of the plan is one of the directories of PATH, and a keyring's number and
    permissions are known only when there is one."""
    if "<PATH>" in told:
        pattern = re.escape(told).replace(re.escape("<PATH>"), r"[^\"]*")
        return re.fullmatch(pattern, seen) is not None
    if re.fullmatch(r"setfs[ug]id\(<>\)", told):  # of the namespace that is joined
        return re.fullmatch(told.replace("(<>)", r"\(\d+\)"), seen) is not None
    if re.match(r'fch(own|mod)at\(<>, "upper", <>', told):  # as the folder in the store has them
        first, rest = told.split('"upper"')
        pattern = re.escape(first) + '"upper"' + rest.replace("<>", r"\d+").replace(")", r"\)")
        return re.fullmatch(pattern, seen) is not None
    if told == "keyctl(KEYCTL_SETPERM, <>, <>)":
        return re.fullmatch(r"keyctl\(KEYCTL_SETPERM, \d+, \S*KEY_USR_SEARCH\S*\)", seen) is not None
    return told == seen


def told_calls(b, args, **user):
    """What `viv explain` tells of these arguments."""
    return calls_told(json.loads(b.viv("explain", "--format", "json", *args, **user).ok().out))


def calls_told(steps):
    """[(step, who makes it, whether it may come late, call)]. What the new process does first of all
    is told with the step that makes it, and goes on beside the host's next steps. Files that are written
    into the store, to be mounted, isolate nothing: calls_seen() leaves them out too."""
    found = []
    for step in steps:
        who, late = step["place"], False
        for call in map(told_form, step["args"] if step["op"] != "write file" else []):
            name = call.split("(")[0]
            if name in CALLS and not any(re.match(question, call) for question in QUESTIONS):
                found.append((step["step"], who, late, call))
            if step["op"] == "clone3" and name == "clone3":
                late = True
            if late and name == "clone3":
                who = "child"
    return found


def from_the_plan(calls):
    """Without what comes before the plan."""
    first = 0
    while first < len(calls) and any(re.match(known, calls[first][1]) for known in BEFORE):
        first += 1
    return calls[first:]


def strace(log):
    """The words in front of a command that write its calls to the file log."""
    return ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e",
            "trace=" + ",".join(CALLS), "-o", log]


def seen_calls(b, args, **user):
    """What `viv run` does with these arguments. (A leak check cannot be traced.)"""
    log = work() / "strace"
    done = run(*strace(log), program("viv"), "--root", b.store, "run", *args, timeout=80,
               env={"ASAN_OPTIONS": "detect_leaks=0:disable_coredump=0"}, **user)
    check(done.status == 0, lambda: done.err)
    return calls_seen(log.read_text(errors="replace"), b.store)


def calls_seen(text, store):
    """[(who made it, call)] of what strace wrote, in the order in which they began."""
    calls = joined(text)
    check(any(call.startswith("clone3(") for _, call in calls), "there was no clone3")
    found, helpers = [], []
    child, whose = "", {calls[0][0]: "host"}
    for pid, call in calls[1:]:
        # A helper acts for who made it; the number that clone3() gave may be of another namespace.
        who = whose.setdefault(pid, "child" if pid == child else helpers.pop(0) if helpers else "host")
        if call.startswith("clone3(") and "CLONE_VFORK" not in call:
            if "CLONE_FILES" in call:
                helpers.append(who)
            else:
                child = re.search(r"= (\d+)", call.rsplit(")", 1)[1])[1]
        if counts(call, store):
            found.append((who, seen_form(call, child or "0")))
        if call.startswith("execve(") and pid == child and re.search(r"\) += 0$", call):
            return from_the_plan(found)
    raise Failed("the workload was never started: " + "\n".join(map(str, found[-5:])))


def differences(told, seen):
    """The first place where they part, with what is around it: each process makes the calls that
    were told of it, in that order, and none before what the other one does in an earlier step."""
    whose = {who: [entry for entry in enumerate(told) if entry[1][1] == who]
             for who in ("host", "child")}
    done = set()

    def parted(index, left, why):
        around = "\n".join(f"      {who} {call}" for who, call in
                           seen[max(0, index - 3):index + 4])
        return f"after {index} equal calls: {why}\n  told {left}\n{around}"

    for index, (who, call) in enumerate(seen):
        if not whose[who]:
            return parted(index, "(nothing more)", f"the {who} made {call}")
        place, left = whose[who].pop(0)
        if not same(left[3], call):
            return parted(index, left, f"the {who} made {call}")
        waiting = [] if left[2] else [entry for entry in enumerate(told[:place]) if
                                      entry[0] not in done and not entry[1][2]]
        if waiting:
            return parted(index, left, f"it came before {waiting[0]}")
        done.add(place)
    if len(done) < len(told):
        missing = min(set(range(len(told))) - done)
        return parted(len(seen), told[missing], "that was not made")
    return ""


def agrees(*flags, command=("true",), image=("busybox",), keep=False, **user):
    with box() as b:
        flags = flags if keep else ("--rm", *flags)
        args = b.flags("--name", unique("x"), *flags, *image, "--", *command)
        told = told_calls(b, args, **user)
        seen = seen_calls(b, args, **user)
        parted = differences(told, seen)
        check(not parted, parted)
        check(len(seen) > 60, f"only {len(seen)} calls were compared")


def test_default():
    agrees()


def test_host_user_namespace():
    agrees("--userns", "host")


def test_limits():
    agrees("-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512",
           "--cpuset-cpus", "0", "--pids-limit", "64", "--blkio-weight", "300",
           "--oom-score-adj", "200", "--ulimit", "nofile=64:128", "--ulimit", "core=0")


def test_volumes_and_read_only():
    (work() / "data").mkdir()
    agrees("--read-only", "-v", f"{work()}/data:/mnt", "-v", f"{work()}/data:/srv/deep/er:ro",
           "--tmpfs", "/scratch:size=1m", "--device", "/dev/full:/dev/fuller")


def test_mount_points_that_are_missing():
    root = work() / "root"
    run("cp", "-a", image(), root).ok()
    (work() / "file").write_text("x")
    agrees("-v", f"{work()}/file:/new/sub/file", "--tmpfs", "/made/here", command=("/bin/true",),
           image=("--rootfs", str(root)))


def test_user_and_capabilities():
    agrees("-u", "1000:1000", "--group-add", "5", "--cap-drop", "ALL", "--cap-add", "NET_RAW",
           "--security-opt", "no-new-privileges")


def test_clocks_and_names():
    agrees("--time-offset", "monotonic=1000,boottime=2000", "--hostname", "h1", "--domainname", "d1",
           "--sysctl", "net.ipv4.ip_unprivileged_port_start=0")


def test_init_and_host_network():
    agrees("--init", "--network", "host", "--ipc", "host")


def test_privileged():
    agrees("--privileged")


def test_terminal():
    agrees("-t")


def test_kept_and_logged():
    agrees(keep=True)


@private("mnt")
def test_changes_in_memory():
    os.environ["VIV_DATA_ROOT"] = str(overlaid())
    agrees("--userns", "host")


def test_joined_namespaces():
    with box() as b:
        other = b.start()
        args = b.flags("--name", unique("x"), "--network", f"container:{other}", "--pid",
                       f"container:{other}", "--ipc", f"container:{other}", "busybox", "--", "true")
        parted = differences(told_calls(b, args), seen_calls(b, args))
        check(not parted, parted)


def test_an_ordinary_user():
    """Rootless, with one id: what helpers with more rights do is not asked of them when traced."""
    os.chown(work(), ORDINARY, ORDINARY)
    os.chmod(work(), 0o755)
    user = {"user": ORDINARY, "group": ORDINARY, "extra_groups": []}
    with box() as b:
        b.store = work() / "store"
        os.environ["VIV_DATA_ROOT"] = str(work() / "own")
        args = ["--rm", "--name", unique("x"), "busybox", "--", "true"]
        told = told_calls(b, args, **user)
        parted = differences(told, seen_calls(b, args, **user))
        check(not parted, parted)
        check(len(told) > 60, f"only {len(told)} calls were compared")


@private("net")
def test_network_devices_that_move_in():
    run("ip", "link", "add", "vd0", "type", "veth", "peer", "name", "vd1").ok()
    config = {"ociVersion": "1.3.0", "root": {"path": str(image())},
              "process": {"cwd": "/", "args": ["/bin/true"], "user": {"uid": 0, "gid": 0}},
              "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                         {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
              "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}, {"type": "pid"}],
                        "netDevices": {"vd0": {"name": "eth7"}}}}
    (work() / "config.json").write_text(json.dumps(config))
    agrees(image=("--bundle", str(work())), command=("/bin/true",))


def test_a_false_explanation_is_seen():
    told = [(1, "host", False, 'sethostname("a", 1)'), (2, "child", False, "setsid()")]
    first, second = ("host", 'sethostname("a", 1)'), ("child", "setsid()")
    equal(differences(told, [first, second]), "")
    contains(differences(told, [("host", 'sethostname("b", 1)'), second]), '"a"')
    contains(differences(told, [first]), "not made")
    contains(differences(told, [first, second, ("child", "chroot()")]), "chroot")
    contains(differences(told, [second, first]), "came before")
    contains(differences(told, [first, ("host", "setsid()")]), "nothing more")
