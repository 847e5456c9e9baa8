"""The Linux part of the runtime specification 1.3, sentence by sentence: a piece of configuration, a
command inside the container, and what it must see. Through viv-oci, on the built-in image.

The programs that come with the specification's own tools would be better still; Debian's package of
them holds the libraries alone (no validation/, no cmd/)."""
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/oci"))

from lib import *  # noqa: E402
from bundle import bundle, container, oci, output, sh, spec, state, state_dir  # noqa: E402 pylint: disable=wrong-import-position

TIMEOUT = 120
ROOT_ONLY = needs(root=True)
NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102  # seccomp_unotify(2)
SCHED_SETATTR, SCHED_GETATTR, SCHED_ATTR = 314, 315, "=IIQiIQQQII"  # sched_setattr(2)
UTIL_CLAMPS = 0x60
EXACT = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"],
         "effective": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}


def mounts(*more):
    return {"mounts": spec()["mounts"] + [
        {"destination": destination, "type": kind, "source": str(source), "options": list(options)}
        for destination, kind, source, options in more]}


# config.md and config-linux.md: (what is asked for, the configuration, the command, what it prints)
PROCESS = [
    ("cwd", {"process": {"cwd": "/etc"}}, "pwd", "/etc"),
    ("env", {"process": {"env": ["PATH=/bin", "A=b c"]}}, "echo $A", "b c"),
    ("user", {"process": {"user": {"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 0o27}}},
     "echo $(id -u) $(id -g) $(id -G) $(umask)", "7 8 8 9 10 0027"),
    ("capabilities", {"process": {"capabilities": EXACT, "user": {"uid": 0, "gid": 0}}},
     "grep -E 'Cap(Inh|Bnd|Amb)' /proc/self/status | tr -d '\\t' | tr '\\n' ' '",
     "CapInh:0000000000000020 CapBnd:0000000000000021 CapAmb:0000000000000020"),
    ("rlimits", {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60},
                                         {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}},
     "echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c)", "50 60 0"),
    ("noNewPrivileges", {"process": {"noNewPrivileges": True}},
     "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
    ("oomScoreAdj", {"process": {"oomScoreAdj": 321}}, "cat /proc/self/oom_score_adj", "321"),
    ("scheduler", {"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": 5}}},
     "cut -d' ' -f19,41 /proc/self/stat", "5 3"),
    ("ioPriority", {"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}},
     "ionice -p $$", "best-effort: prio 6"),
]
# The kernel's side: namespaces, their settings, what of /proc and /dev is seen.
SYSTEM = [
    ("hostname and domainname", {"hostname": "one", "domainname": "two"},
     "echo $(hostname) $(cat /proc/sys/kernel/domainname)", "one two"),
    ("a PID namespace", {}, "echo $$", "1"),
    ("sysctl", {"linux": {"sysctl": {"kernel.msgmax": "4321", "net.ipv4.ip_forward": "1"}}},
     "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward | tr '\\n' ' '", "4321 1"),
    ("maskedPaths", {"linux": {"maskedPaths": ["/proc/version", "/proc/tty", "/none"]}},
     "echo $(wc -c < /proc/version) $(ls /proc/tty | wc -l)", "0 0"),
    ("readonlyPaths", {"linux": {"readonlyPaths": ["/proc/sys", "/none"]}},
     "echo x 2>/dev/null > /proc/sys/kernel/domainname || echo refused", "refused"),
    ("personality", {"linux": {"personality": {"domain": "LINUX32"}}}, "uname -m", "i686"),
    ("memoryPolicy", {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}}},
     "head -1 /proc/self/numa_maps | cut -d' ' -f2", "bind:0"),
    ("cgroups", {}, "mkdir $(dirname $(find /sys/fs/cgroup -name cgroup.procs | head -1))/x "
     "2>/dev/null || echo refused", "refused"),
    ("rootfsPropagation", {"linux": {"rootfsPropagation": "shared"}},
     "awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo | tail -1 | cut -d: -f1", "shared"),
    ("devices", {"linux": {"devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3,
                                        "fileMode": 0o640, "uid": 5, "gid": 6}]}},
     "stat -c '%a %u %g %t:%T' /dev/mine", "640 5 6 1:3"),
    ("the default devices", {}, "for d in null zero full random urandom tty; do [ -c /dev/$d ] || "
     "echo $d; done; [ -e /dev/ptmx ] && readlink /dev/fd", "/proc/self/fd"),
    ("seccomp", {"linux": {"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}}},
     "mkdir /dev/x 2>&1 | grep -c 'not implemented'", "1"),
    ("seccomp's arguments", {"linux": {"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                      "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]}}},
     "kill -10 1 2>&1 | grep -c 'not permitted'; kill -0 1 && echo other signals", "1\nother signals"),
]


def writable_cgroups():
    found = spec()["mounts"]
    for mount in found:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")
    return {"mounts": found}


def broken(rows):
    """What did not come true."""
    for what, changes, command, expected in rows:
        found = oci("run", "--bundle", bundle(sh(command), **changes), unique("oci"))
        seen = found.out.strip()
        if found.status or seen != expected:
            yield f"{what}: found {seen!r}, expected {expected!r}: {found}"


@ROOT_ONLY
def test_process():
    faults = list(broken(PROCESS))
    check(not faults, "\n".join(faults))


@ROOT_ONLY
def test_system():
    faults = list(broken([*SYSTEM, (
        "cgroups that are not read-only", writable_cgroups(), "d=$(dirname $(find /sys/fs/cgroup "
        "-name cgroup.procs | head -1))/x; mkdir $d && rmdir $d && echo made", "made")]))
    check(not faults, "\n".join(faults))


@ROOT_ONLY
def test_namespaces_with_offsets_and_maps():
    kinds = [{"type": name} for name in ["pid", "mount", "ipc", "uts", "network", "cgroup"]]
    found = output(sh("cut -d. -f1 /proc/uptime"), linux={
        "namespaces": [*kinds, {"type": "time"}], "timeOffsets": {"boottime": {"secs": 100000000}}})
    check(int(found) >= 100000000, found)
    maps = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    found = output(sh("cat /proc/self/uid_map /proc/self/gid_map; id -u"), linux={
        "namespaces": [*kinds, {"type": "user"}], "uidMappings": maps, "gidMappings": maps})
    equal([line.split() for line in found.splitlines()],
          [["0", "100000", "1000"], ["0", "100000", "1000"], ["0"]])


@ROOT_ONLY
@private("mnt")
def test_mounts():
    source = work() / "source"
    (source / "below").mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", source / "below").ok()
    (source / "file").write_text("text")
    (source / "link").symlink_to("file")
    rows = [
        ("ro, nosuid, nodev, noexec", mounts(("/m", "tmpfs", "t", ["ro", "nosuid", "nodev", "noexec"])),
         "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f6", "ro,nosuid,nodev,noexec,relatime"),
        ("data", mounts(("/m", "tmpfs", "t", ["size=64k", "mode=711"])),
         "stat -c %a /m; df -k /m | tail -1 | tr -s ' ' | cut -d' ' -f2", "711\n64"),
        ("bind of one file", mounts(("/etc/f", "bind", source / "file", ["bind", "ro"])),
         "cat /etc/f; echo x 2>/dev/null > /etc/f || echo refused", "textrefused"),
        ("bind", mounts(("/m", "bind", source, ["bind"])),
         "grep -c ' /m/below ' /proc/self/mountinfo || true", "0"),
        ("rbind, ro is of one mount", mounts(("/m", "bind", source, ["rbind", "ro"])),
         "touch /m/x 2>/dev/null || echo refused; touch /m/below/x && echo written",
         "refused\nwritten"),
        ("rro is of all", mounts(("/m", "bind", source, ["rbind", "rro"])),
         "touch /m/x 2>/dev/null || echo refused; touch /m/below/y 2>/dev/null || echo refused",
         "refused\nrefused"),
        ("rnosuid, rnodev", mounts(("/m", "bind", source, ["rbind", "rnosuid", "rnodev"])),
         "grep ' /m/below ' /proc/self/mountinfo | cut -d' ' -f6", "rw,nosuid,nodev,relatime"),
        ("copy-symlink", mounts(("/m/l", "bind", source / "link", ["bind", "copy-symlink"])),
         "readlink /m/l", "file"),
        ("src-nofollow", mounts(("/m/l", "bind", source / "link", ["bind", "src-nofollow"])),
         "readlink /m/l", "file"),
        ("dest-nofollow", mounts(("/l", "bind", source / "link",
                                  ["bind", "src-nofollow", "dest-nofollow"])),
         "readlink /l; grep -c ' /etc ' /proc/self/mountinfo || true", "file\n0"),
        ("a link is followed", mounts(("/m/l", "bind", source / "link", ["bind"])), "cat /m/l", "text"),
        ("the later one lies above", mounts(("/m", "tmpfs", "a", []), ("/m/a/b", "tmpfs", "b", [])),
         "grep -c ' /m' /proc/self/mountinfo", "2"),
        ("the root read-only", {"root": {"path": image(), "readonly": True}},
         "touch /x 2>/dev/null || echo refused", "refused"),
        ("tmpcopyup", mounts(("/etc", "tmpfs", "t", ["tmpcopyup"])),
         "grep -c root: /etc/passwd; touch /etc/x && echo written", "1\nwritten"),
    ]
    # where a mount point has to be made, the root is one that may be changed
    for row in rows:
        if "root" not in row[1]:
            root = work().parent / unique("root")
            run("cp", "-a", image(), root).ok()
            os.chmod(root, 0o755)
            (root / "l").symlink_to("etc")
            row[1]["root"] = {"path": str(root), "readonly": False}
    faults = list(broken(rows))
    check(not faults, "\n".join(faults))


@ROOT_ONLY
@private("mnt")
def test_idmapped_mounts():
    source = work() / "ids"
    source.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", source).ok()
    (source / "file").write_text("")
    os.chown(source / "file", 0, 0)
    (source / "below").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", source / "below").ok()
    (source / "below/file").write_text("")
    maps = [{"containerID": 0, "hostID": 1234, "size": 10}]
    for option, below in [("idmap", "0"), ("ridmap", "1234")]:
        changes = mounts(("/tmp", "bind", source, ["rbind", option]))
        changes["mounts"][-1].update(uidMappings=maps, gidMappings=maps)
        found = output(sh("stat -c %u /tmp/file /tmp/below/file"), **changes)
        equal(found.split(), ["1234", below], option)


def answer_calls(agent, told):
    """As a seccomp agent: takes the listener, and says "it is there already" to each call."""
    connection, _ = agent.accept()
    with connection:
        text, fds, _, _ = socket.recv_fds(connection, 65536, 4)
    told.update(json.loads(text))
    request = bytearray(80)
    try:
        while True:
            request[:] = bytes(80)
            fcntl.ioctl(fds[0], NOTIF_RECV, request)
            number, = struct.unpack_from("=Q", request)
            fcntl.ioctl(fds[0], NOTIF_SEND, struct.pack("=QqiI", number, 0, -errno.EEXIST, 0))
    except OSError:
        pass  # the last process of the filter has ended
    finally:
        for fd in fds:
            os.close(fd)


@ROOT_ONLY
def test_a_seccomp_agent_answers_calls():
    told = {}
    path = str(work().parent / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        thread = threading.Thread(target=answer_calls, args=(agent, told), daemon=True)
        thread.start()
        found = oci("run", "--bundle", bundle(
            sh("mkdir /dev/new 2>&1"), annotations={"a": "b"}, linux={"seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "for you",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}}),
            unique("oci"))
        thread.join(20)
    equal(found.status, 1)
    contains(found.out, "File exists")
    equal(told["fds"], ["seccompFd"])
    equal(told["metadata"], "for you")
    equal(told["state"]["annotations"], {"a": "b"})
    check(told["pid"] > 1 and told["ociVersion"] and told["state"]["bundle"], told)


@needs(root=True, programs=["ip"])
@private("net")
def test_network_devices():
    run("ip", "link", "add", "viv0", "type", "veth", "peer", "name", "viv1").ok()
    run("ip", "address", "add", "10.99.0.1/24", "dev", "viv0").ok()
    found = output(sh("ip -o link show eth9 | grep -c eth9; ip -o address show eth9 | grep -c 10.99.0.1"),
                   linux={"netDevices": {"viv0": {"name": "eth9"}}})
    equal(found.split(), ["1", "1"])


@ROOT_ONLY
def test_check_before_update():
    file = work() / "resources.json"
    with container(linux={"resources": {"memory": {"limit": 64 << 20}}}) as name:
        file.write_text(json.dumps({"memory": {"limit": 4096, "checkBeforeUpdate": True}}))
        fails(oci("update", "--resources", file, name), 1, "checkBeforeUpdate")
        equal(oci("exec", name, "true").status, 0)
        file.write_text(json.dumps({"memory": {"limit": 32 << 20, "checkBeforeUpdate": True}}))
        oci("update", "--resources", file, name).ok()


# ---- what only some kernels can: the effect there, the reason elsewhere


def sched_attr(number, pid, **values):
    """The call, and the attributes after it; (errno, None) where it is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = struct.calcsize(SCHED_ATTR)
    fields = [size, 0, values.get("flags", 0), 0, 0, 0, 0, 0, *values.get("clamps", (0, 0))]
    attr = ctypes.create_string_buffer(struct.pack(SCHED_ATTR, *fields), size)
    more = [size, 0] if number == SCHED_GETATTR else [0]
    if libc.syscall(number, pid, attr, *more) != 0:
        return ctypes.get_errno(), None
    return 0, struct.unpack(SCHED_ATTR, attr.raw)


@ROOT_ONLY
def test_utilization_clamps():
    scheduler = {"policy": "SCHED_OTHER", "utilClampMin": 100, "utilClampMax": 200,
                 "flags": ["SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"]}
    refused, _ = sched_attr(SCHED_SETATTR, 0, flags=UTIL_CLAMPS, clamps=(0, 1024))
    if refused:
        found = oci("create", "--bundle", bundle(process={"scheduler": scheduler}), unique("oci"))
        fails(found, 1, "CONFIG_UCLAMP_TASK")
        return
    with container(process={"scheduler": scheduler}) as name:
        equal(sched_attr(SCHED_GETATTR, state(name)["pid"])[1][-2:], (100, 200))


@ROOT_ONLY
def test_a_label_for_mounts():
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    found = oci("run", "--bundle", bundle(sh("grep ' /dev ' /proc/self/mountinfo"),
                                          linux={"mountLabel": label}), unique("oci"))
    if os.path.ismount("/sys/fs/selinux"):
        contains(found.ok().out, label)
    else:
        fails(found, 1, f"context={label}")


@ROOT_ONLY
def test_labels_are_set_or_refused():
    for member, label, module in [("apparmorProfile", "some-profile", "/sys/kernel/security/apparmor"),
                                  ("selinuxLabel", "system_u:system_r:container_t:s0", "/sys/fs/selinux")]:
        found = oci("run", "--bundle", bundle(sh("cat /proc/self/attr/current"), process={member: label}),
                    unique("oci"))
        if os.path.isdir(module) and found.status == 0:
            contains(found.out, label)
        else:
            fails(found, 1, member)


@ROOT_ONLY
def test_a_session_keyring_of_its_own():
    for options, own in [([], True), (["--no-new-keyring"], False)]:
        name = unique("oci")
        folder = bundle(sh(f"grep -q ' _ses.{name}: ' /proc/keys && echo own || echo none"),
                        linux={"maskedPaths": []})
        found = oci("run", *options, "--bundle", folder, name).ok()
        equal(found.out, "own\n" if own else "none\n", str(options))


# On v1: what create writes for each member of resources, by file.
RESOURCES = {
    "memory": {"limit": 96 << 20, "reservation": 48 << 20, "swap": 192 << 20, "disableOOMKiller": False},
    "cpu": {"shares": 333, "quota": 60000, "period": 120000, "burst": 30000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 44},
}
WRITTEN = [
    ("memory", "memory.limit_in_bytes", str(96 << 20)),
    ("memory", "memory.soft_limit_in_bytes", str(48 << 20)),
    ("memory", "memory.memsw.limit_in_bytes", str(192 << 20)),
    ("cpu", "cpu.shares", "333"), ("cpu", "cpu.cfs_quota_us", "60000"),
    ("cpu", "cpu.cfs_period_us", "120000"), ("cpu", "cpu.cfs_burst_us", "30000"),
    ("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0"), ("pids", "pids.max", "44"),
]


@ROOT_ONLY
def test_each_resource_is_set_at_create():
    with container(linux={"resources": RESOURCES}) as name:
        saved = json.loads((state_dir() / name / "state.json").read_text())["cgroup"]
        for controller, file, value in WRITTEN:
            folders = [item["path"] for names, item in saved.get("v1", {}).items()
                       if controller in names.split(",")]
            path = pathlib.Path(folders[0], file) if folders else None
            if path and path.exists():
                equal(path.read_text().strip(), value, file)


@ROOT_ONLY
def test_rdma():
    """Without the controller, or without such a device, it is told where it stands."""
    fails(oci("create", "--bundle", bundle(
        linux={"resources": {"rdma": {"mlx5_1": {"hcaHandles": 3}}}}), unique("oci")), 1,
        "/linux/resources/rdma/mlx5_1")


def process_is(pid, letter, pending):
    """Whether it waits in that state, with that signal not yet delivered (or delivered)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    there = int(status["ShdPnd"], 16) | int(status["SigPnd"], 16)
    return status["State"].split()[0] == letter and bool(there >> (pending - 1) & 1)


def disturb_calls(agent, killable, told):
    """As a seccomp agent: sends the caller a signal that it catches before the call is answered."""
    connection, _ = agent.accept()
    with connection:
        _, fds, _, _ = socket.recv_fds(connection, 65536, 4)
    try:
        request = bytearray(80)
        fcntl.ioctl(fds[0], NOTIF_RECV, request)
        number, pid = struct.unpack_from("=QI", request)
        os.kill(pid, signal.SIGUSR1)
        if killable:  # it goes on waiting, and the signal too
            eventually(lambda: process_is(pid, "D", signal.SIGUSR1))
            fcntl.ioctl(fds[0], NOTIF_ID_VALID, struct.pack("=Q", number))
        else:  # the call is begun anew after the signal: another request
            first = number
            request[:] = bytes(80)
            fcntl.ioctl(fds[0], NOTIF_RECV, request)
            number, pid = struct.unpack_from("=QI", request)
            check(number != first, "the first request came twice")
            told.append("anew")
        fcntl.ioctl(fds[0], NOTIF_SEND, struct.pack("=QqiI", number, 0o22, 0, 0))
        told.append("answered")
    except Exception as error:  # pylint: disable=broad-except
        told.append(repr(error))
    finally:
        for fd in fds:
            os.close(fd)


@ROOT_ONLY
def test_a_call_that_an_agent_has_is_not_interrupted():
    """SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV by what it does, and the same without it."""
    for flags, expected in [(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], ["answered"]),
                            ([], ["anew", "answered"])]:
        told = []
        path = str(work().parent / unique("agent"))
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(path)
            agent.listen()
            agent.settimeout(60)
            thread = threading.Thread(target=disturb_calls, args=(agent, bool(flags), told), daemon=True)
            thread.start()
            found = oci("run", "--bundle", bundle(
                sh("trap 'echo caught' USR1; umask 22; echo done"), linux={"seccomp": {
                    "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "flags": flags,
                    "syscalls": [{"names": ["umask"], "action": "SCMP_ACT_NOTIFY"}]}}),
                unique("oci"))
            thread.join(60)
        equal(told, expected)
        equal(sorted(found.ok().out.split()), ["caught", "done"])
