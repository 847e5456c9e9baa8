"""Control groups through viv's flags and configurations: set, readable back, changed, counted, and
biting; on this host's hierarchies, and where cgroup v2 is alone."""
import contextlib
import json
import os
import pathlib
import re
import time

from lib import *
from box import CGROUPS, box

TIMEOUT = 240
ALSO_IN = ["v2 plain"]  # a sanitized viv takes minutes there

V2 = (CGROUPS / "cgroup.controllers").exists()
MOUNTED = " - cgroup2 " in pathlib.Path("/proc/self/mountinfo").read_text()


def group(b, name, controller="memory"):
    """The sandbox's directory for a controller, and whether it is one of v2."""
    found = b.inspect(name)["Cgroups"]
    own = next((path for names, path in found.items() if controller in names.split(",")), None)
    return pathlib.Path(own or found["unified"]), controller == "unified" or not own


def value(b, name, controller, file, file2=None):
    """What a file of the group holds: the first name on v1, the second one on v2."""
    folder, unified = group(b, name, controller)
    return (folder / ((file2 or file) if unified else file)).read_text().strip()


# Flags, and the file that holds what they said: controller, v1's file and text, v2's file and text.
# None: that version has no such thing, and the flag is refused.
SETTABLE = {
    "--memory": (["-m", "64m"], "memory", ("memory.limit_in_bytes", str(64 << 20)),
                 ("memory.max", str(64 << 20))),
    "--memory-swap": (["-m", "64m", "--memory-swap", "96m"], "memory",
                      ("memory.memsw.limit_in_bytes", str(96 << 20)),
                      ("memory.swap.max", str(32 << 20))),
    "--memory-reservation": (["-m", "64m", "--memory-reservation", "32m"], "memory",
                             ("memory.soft_limit_in_bytes", str(32 << 20)),
                             ("memory.low", str(32 << 20))),
    "--memory-swappiness": (["-m", "64m", "--memory-swappiness", "20"], "memory",
                            ("memory.swappiness", "20"), None),
    "--oom-kill-disable": (["-m", "64m", "--oom-kill-disable"], "memory",
                           ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0"),
                           None),
    "--cpus": (["--cpus", "0.5"], "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000")),
    "--cpu-quota": (["--cpu-quota", "20000", "--cpu-period", "40000"], "cpu",
                    ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 40000")),
    "--cpu-period": (["--cpu-quota", "20000", "--cpu-period", "40000"], "cpu",
                     ("cpu.cfs_period_us", "40000"), ("cpu.max", "20000 40000")),
    "--cpu-burst": (["--cpu-quota", "20000", "--cpu-period", "40000", "--cpu-burst", "1000"], "cpu",
                    ("cpu.cfs_burst_us", "1000"), ("cpu.max.burst", "1000")),
    "--cpu-shares": (["--cpu-shares", "2048"], "cpu", ("cpu.shares", "2048"), ("cpu.weight", "174")),
    "--cpuset-cpus": (["--cpuset-cpus", "0"], "cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
    "--cpuset-mems": (["--cpuset-mems", "0"], "cpuset", ("cpuset.mems", "0"), ("cpuset.mems", "0")),
    "--pids-limit": (["--pids-limit", "33"], "pids", ("pids.max", "33"), ("pids.max", "33")),
    "--hugetlb-limit": (["--hugetlb-limit", "2MB=4m"], "hugetlb",
                        ("hugetlb.2MB.limit_in_bytes", str(4 << 20)),
                        ("hugetlb.2MB.max", str(4 << 20))),
    "--cgroup-conf": (["--cgroup-conf", "cgroup.max.descendants=44"], "unified", None,
                      ("cgroup.max.descendants", "44")),
}
# What other tests of this file set and read back.
SHOWN_ELSEWHERE = """--blkio-weight --blkio-weight-device --device-read-bps --device-write-bps
--device-read-iops --device-write-iops --device-cgroup-rule --cpu-rt-runtime --cpu-rt-period
--cgroup-parent --cgroup-manager""".split()


def test_every_flag_of_a_limit_is_here():
    part = viv("run", "--help").ok().out.split("Resources", 1)[1].split("\n\n")[0]
    flags = set(re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", part, re.MULTILINE))
    check(len(flags) > 20, str(flags))
    equal(sorted(flags ^ set(SETTABLE) ^ set(SHOWN_ELSEWHERE)), [])


def settable():
    """The rows of what this host's version has, and the flags of the others."""
    rows, refused = {}, []
    for flag, (flags, controller, old, new) in SETTABLE.items():
        here = new if V2 else old or new and MOUNTED
        if here:
            rows[flag] = flags, controller, old, new
        else:
            refused.append(flags)
    return rows, refused


def test_what_is_set_is_there():
    rows, _ = settable()
    with box() as b:
        # --cpus is another name of quota and period
        for names in ({"--cpus"}, set(rows) - {"--cpus"}):
            name = b.start(*sum((rows[flag][0] for flag in sorted(names)), []))
            for flag in sorted(names):
                _, controller, old, new = rows[flag]
                _, unified = group(b, name, controller)
                file, text = new if unified else old
                equal(value(b, name, controller, file), text, f"{flag}: {file}")


def test_what_this_version_lacks_is_refused():
    with box() as b:
        for flags in settable()[1]:
            fails(b.run(*flags, "busybox", "true"), 125, "v2")


# What update changes while it runs: words, controller, v1's file and text, v2's.
CHANGES = [
    (["-m", "80m", "--memory-swap", "-1"], "memory", ("memory.limit_in_bytes", str(80 << 20)),
     ("memory.max", str(80 << 20))),
    (["--memory-reservation", "16m"], "memory", ("memory.soft_limit_in_bytes", str(16 << 20)),
     ("memory.low", str(16 << 20))),
    (["--cpus", "0.2"], "cpu", ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 100000")),
    (["--cpu-shares", "1024"], "cpu", ("cpu.shares", "1024"), ("cpu.weight", "100")),
    (["--cpuset-cpus", "0"], "cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0")),
    (["--pids-limit", "71"], "pids", ("pids.max", "71"), ("pids.max", "71")),
    (["--hugetlb-limit", "2MB=6m"], "hugetlb", ("hugetlb.2MB.limit_in_bytes", str(6 << 20)),
     ("hugetlb.2MB.max", str(6 << 20))),
]


def test_update_changes_it_while_it_runs():
    with box() as b:
        # A controller of v2 is there only where a limit asked for it.
        name = b.start("-m", "64m", "--cpus", "0.5", "--cpuset-cpus", "0-1", "--pids-limit", "50",
                       "--hugetlb-limit", "2MB=2m", "--memory-reservation", "8m")
        for words, controller, old, new in CHANGES:
            b.viv("update", *words, name).ok()
            _, unified = group(b, name, controller)
            file, wanted = new if unified else old
            equal(value(b, name, controller, file), wanted, f"update {words}")
        b.viv("update", "-m", "48m", name).ok()
        b.viv("restart", "-t", "0", name).ok()
        equal(value(b, name, "memory", "memory.limit_in_bytes", "memory.max"), str(48 << 20))
        b.viv("stop", "-t", "0", name).ok()
        b.viv("update", "-m", "40m", name).ok()
        equal(b.inspect(name)["HostConfig"]["Memory"], 40 << 20)
        b.viv("start", name).ok()
        equal(value(b, name, "memory", "memory.limit_in_bytes", "memory.max"), str(40 << 20))
        fails(b.viv("update", name), 125, "name a limit")


def resources(b, limits, *command):
    """A sandbox of a configuration with these resources; its name."""
    top = work() / unique("bundle")
    top.mkdir()
    config = {"ociVersion": "1.0.2", "root": {"path": str(image()), "readonly": True},
              "process": {"cwd": "/", "args": list(command or ("sleep", "1000")),
                          "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]},
              "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                         {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
              "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "resources": limits}}
    (top / "config.json").write_text(json.dumps(config))
    name = unique("r")
    b.viv("run", "-d", "--name", name, *b.flags("--bundle", top)).ok()
    return name


def test_limits_that_only_a_configuration_has():
    with box() as b:
        name = resources(b, {"cpu": {"idle": 1}})
        equal(value(b, name, "cpu", "cpu.idle"), "1")
        files = {"memory.oom.group": "1", "memory.high": str(48 << 20)} if V2 else \
            {"cgroup.max.depth": "3"} if MOUNTED else {}
        name = resources(b, {"unified": files})
        for file, wanted in files.items():
            equal(value(b, name, "unified", file), wanted)
        if not V2:
            name = resources(b, {"memory": {"kernelTCP": 8 << 20}})
            equal(value(b, name, "memory", "memory.kmem.tcp.limit_in_bytes"), str(8 << 20))


def used_of_a_cpu(used_ns, seconds=1.0):
    """What part of one CPU's time is used in the next `seconds`."""
    before, begin = used_ns(), time.monotonic()
    time.sleep(seconds)
    return (used_ns() - before) / 1e9 / (time.monotonic() - begin)


def has_realtime_groups():
    return any(CGROUPS.glob("*/cpu.rt_runtime_us"))


def test_a_realtime_budget_bites():
    """Without the budget a group has no realtime process; with it no more of a CPU's time than that, and
    that much also beside others, since realtime comes before all of them."""
    if not has_realtime_groups() and not V2:
        skip("this kernel has no realtime groups (CONFIG_RT_GROUP_SCHED)")
    flags = ["--cpu-rt-period", "100000", "--cpu-rt-runtime", "10000", "--cpuset-cpus", "0"]
    spin = "while :; do :; done"
    fifo = os.SCHED_FIFO, os.sched_param(1)
    with box() as b:
        if V2:
            fails(b.run(*flags, "busybox", "true"), 125,
                  "/linux/resources/cpu/realtimePeriod: cgroup v2 has nothing")
            return
        try:
            os.sched_setscheduler(b.pid(b.start()), *fifo)
            check(False, "realtime without a budget")
        except PermissionError:
            pass
    with box() as b:
        name = b.start(*flags, script=spin)
        equal([value(b, name, "cpu", f"cpu.rt_{what}_us") for what in ("period", "runtime")],
              ["100000", "10000"])
        used = group(b, name, "cpuacct")[0] / "cpuacct.usage"
        os.sched_setscheduler(b.pid(name), *fifo)
        for runtime, most in (10000, 0.15), (40000, 0.45):
            if runtime > 10000:
                fails(b.viv("update", "--cpu-rt-runtime", runtime, name), 1, "cpu.rt_runtime_us")
                (group(b, name, "cpu")[0].parent / "cpu.rt_runtime_us").write_text(str(runtime))
                b.viv("update", "--cpu-rt-runtime", runtime, name).ok()
            found = []
            while len(found) < 20 and (not found or found[-1] < most - 0.1):
                found.append(used_of_a_cpu(lambda: int(used.read_text())))
            check(max(found) <= most and found[-1] >= most - 0.1, f"{runtime}: {found}")


def test_too_much_memory():
    with box() as b:
        done = b.viv("run", "--name", "oom", *b.flags("-m", "16m", "busybox", "--", "sh", "-c",
                                                      "exec tail /dev/zero"))
        equal(done.status, 137)
        contains(done.err, "the workload ran out of memory and the kernel killed it; raise the "
                           "limit with --memory")
        found = b.inspect("oom")
        equal((found["State"]["OOMKilled"], found["ExitCode"]), (True, 137))


def test_a_kill_that_is_no_want_of_memory():
    with box() as b:
        b.viv("run", "--name", "killed", *b.flags("busybox", "sh", "-c", "kill -9 $$"))
        equal(b.inspect("killed")["State"]["OOMKilled"], False)


def test_half_a_cpu():
    """With the greatest weight, so that others do not take what the quota leaves it."""
    with box() as b:
        name = unique("half")
        b.viv("run", "-d", "--name", name, "--cpus", "0.5", "--cpu-shares", "262144", "busybox",
              "--", "sh", "-c", "while :; do :; done").ok()
        folder, unified = group(b, name, "cpu" if V2 else "cpuacct")

        def used_ns():
            if not unified:
                return int((folder / "cpuacct.usage").read_text())
            return 1000 * int(re.search(r"usage_usec (\d+)", (folder / "cpu.stat").read_text())[1])

        found = []
        while len(found) < 20 and not any(0.4 <= used <= 0.6 for used in found):
            found.append(used_of_a_cpu(used_ns, 2))
        check(any(0.4 <= used <= 0.6 for used in found), f"the CPUs used are {found}")
        b.viv("update", "--cpus", "0.2", name).ok()
        stats = json.loads(b.viv("stats", "--no-stream", "--format", "json", name).ok().out)[0]
        contains(json.dumps(stats).lower(), "throttled")


def test_too_many_processes():
    with box() as b:
        done = b.sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done", "--pids-limit", "4")
        check(done.status != 0)
        contains(done.err, "Resource temporarily unavailable")


def test_devices():
    with box() as b:
        done = b.sh("mknod /tmp/mem c 1 1 && cat /tmp/mem", "--userns", "host", "--tmpfs",
                    "/tmp:dev")
        check(done.status != 0)
        contains(done.err, "Operation not permitted")
        b.sh("mknod /tmp/n c 1 3 && echo x > /tmp/n", "--userns", "host", "--tmpfs",
             "/tmp:dev").ok()
        b.sh("echo x > /dev/fuller; test $? = 1 && test -c /dev/fuller", "--device",
             "/dev/full:/dev/fuller").ok()


def test_frozen():
    with box() as b:
        name = b.start("--tmpfs", "/tmp", script="while :; do echo x >> /tmp/n; sleep 0.01; done")

        def length():
            return (pathlib.Path(f"/proc/{b.pid(name)}/root/tmp/n")).stat().st_size

        eventually(lambda: os.path.exists(f"/proc/{b.pid(name)}/root/tmp/n"))
        b.viv("pause", name).ok()
        contains(b.viv("ps").ok().out.lower(), "paused")
        first = length()
        time.sleep(0.3)
        equal(length(), first)
        b.viv("unpause", name).ok()
        eventually(lambda: length() > first)
        b.viv("pause", name).ok()
        b.viv("rm", "-f", name).ok()


@contextlib.contextmanager
def loop_device(size=16 << 20):
    """A block device of our own."""
    backing = work() / "disk"
    with open(backing, "wb") as out:
        out.truncate(size)
    device = run("losetup", "--show", "-f", "--direct-io=on", backing)
    if device.status:
        device = run("losetup", "--show", "-f", backing).ok()
    try:
        yield device.out.strip()
    finally:
        run("losetup", "-d", device.out.strip())


def test_disk_rates():
    """A megabyte at 512 KiB a second takes two, on the sandbox's own clock; without the limit it takes
    less."""
    with box() as b, loop_device() as device:
        os.chmod(device, 0o666)
        script = (f"cat /proc/uptime; dd if=/dev/zero of={device} bs=64k count=16 oflag=direct "
                  "conv=fsync 2>/dev/null; cat /proc/uptime")

        def seconds(*flags):
            before, after = b.sh(script, "--device", device, *flags).ok().lines()
            return float(after.split()[0]) - float(before.split()[0])
        slow = seconds("--device-write-bps", f"{device}:512k")
        free = [seconds()]  # more only while others use the disk too: not for ever
        while len(free) < 10 and min(free) >= slow:
            free.append(seconds())
        check(slow >= 1.4 and min(free) < slow, f"{free} s without the limit, {slow} s with it")


def test_statistics_of_all():
    """Usage, throttled time, pressure, I/O of each device, faults, counts of want of memory."""
    with box() as b, loop_device() as device:
        os.chmod(device, 0o666)
        name = b.start("-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "--hugetlb-limit", "2MB=2m",
                       "--device", device, "--device-write-bps", f"{device}:100m", script=
                       f"dd if=/dev/zero of={device} bs=64k count=16 oflag=direct 2>/dev/null; sleep 1000")
        contains(b.viv("stats", "--no-stream", name).ok().out, name)

        def told():
            return json.loads(b.viv("stats", "--no-stream", "--format", "json", name).ok().out)[0]

        eventually(lambda: re.search(r'"write_?bytes": *[1-9]', json.dumps(told()), re.IGNORECASE),
                   20, lambda: json.dumps(told()))
        text = json.dumps(told()).lower()
        for part in ("usage", "throttled", "faults", "oom", "pids", "hugetlb", "io"):
            contains(text, part)
        if V2:
            contains(text, "pressure")


def test_delegation():
    """viv inside a sandbox that was given its own subtree."""
    with box() as b:
        # inside is the plain build's program: it needs no library of the host
        done = b.sh("VIV_DATA_ROOT=/tmp/data /viv/viv --root /tmp/store run --rm --userns host --network host --pids-limit 9 "
                    "busybox -- sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; echo inside'",
                    "--privileged", "--userns", "host", "-v", f"{ROOT / 'build'}:/viv:ro",
                    "--tmpfs", "/tmp")
        contains(done.ok().out, "inside")
        equal(done.out.split()[0], "9")


def ended():
    """The orphans of a sandbox in the host's PID namespace are the test's children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return not descendants()


def test_removed_with_what_is_left_inside():
    with box() as b:
        with no_leaks(b.scope):
            name = b.start("--pid", "host", "--userns", "host",
                           script="setsid sleep 1000 & setsid sleep 1000 & sleep 1000")
            b.viv("rm", "-f", name).ok()
            eventually(ended)
            for folder in b.cgroup_dirs():
                folder.rmdir()
