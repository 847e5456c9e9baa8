"""Control groups through viv's flags: set, readable back, and biting."""
import contextlib
import json
import os
import pathlib
import time

from lib import *
from box import CGROUPS, box

TIMEOUT = 60


def group(b, name, controller="memory"):
    return pathlib.Path(b.inspect(name)["Cgroups"][controller])


def value(b, name, controller, file):
    return (group(b, name, controller) / file).read_text().strip()


# Flags, and the files that hold what they said.
SETTABLE = [
    (["-m", "64m", "--memory-swappiness", "20"],
     [("memory", "memory.limit_in_bytes", str(64 << 20)), ("memory", "memory.swappiness", "20")]),
    (["-m", "64m", "--memory-reservation", "32m"],
     [("memory", "memory.soft_limit_in_bytes", str(32 << 20))]),
    (["--cpus", "0.5"],
     [("cpu", "cpu.cfs_quota_us", "50000"), ("cpu", "cpu.cfs_period_us", "100000")]),
    (["--cpu-quota", "20000", "--cpu-period", "40000", "--cpu-burst", "1000"],
     [("cpu", "cpu.cfs_quota_us", "20000"), ("cpu", "cpu.cfs_period_us", "40000"),
      ("cpu", "cpu.cfs_burst_us", "1000")]),
    (["--cpu-shares", "512"], [("cpu", "cpu.shares", "512")]),
    (["--cpuset-cpus", "0", "--cpuset-mems", "0"],
     [("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0")]),
    (["--pids-limit", "33"], [("pids", "pids.max", "33")]),
    (["--cgroup-conf", "cgroup.max.descendants=44"], [("unified", "cgroup.max.descendants", "44")]),
    (["--hugetlb-limit", "2MB=4m"], [("unified", "hugetlb.2MB.max", str(4 << 20))]),
]


def test_what_is_set_is_there():
    with box() as b:
        for flags, files in SETTABLE:
            name = b.start(*flags)
            for controller, file, wanted in files:
                equal(value(b, name, controller, file), wanted, f"{flags}: {file}")


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
        usage = group(b, name, "cpuacct") / "cpuacct.usage"
        found = []
        while len(found) < 5 and not any(0.4 <= used <= 0.6 for used in found):
            before, begin = int(usage.read_text()), time.monotonic()
            time.sleep(2)
            found.append((int(usage.read_text()) - before) / 1e9 / (time.monotonic() - begin))
        check(0.4 <= max(found) <= 0.6, f"the CPUs used are {found}")
        b.viv("update", "--cpus", "0.2", name).ok()
        equal(value(b, name, "cpu", "cpu.cfs_quota_us"), "20000")
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
        contains(b.viv("ps").ok().out, "paused")
        first = length()
        time.sleep(0.3)
        equal(length(), first)
        b.viv("unpause", name).ok()
        eventually(lambda: length() > first)
        b.viv("pause", name).ok()
        b.viv("rm", "-f", name).ok()


@contextlib.contextmanager
def loop_device():
    """A block device of our own, 16 MB."""
    backing = work() / "disk"
    with open(backing, "wb") as out:
        out.truncate(16 << 20)
    device = run("losetup", "--show", "-f", "--direct-io=on", backing)
    if device.status:
        device = run("losetup", "--show", "-f", backing).ok()
    try:
        yield device.out.strip()
    finally:
        run("losetup", "-d", device.out.strip())


def test_disk_rates():
    """A megabyte at 512 KiB a second takes two; without the limit it takes no time."""
    with box() as b, loop_device() as device:
        os.chmod(device, 0o666)
        command = f"dd if=/dev/zero of={device} bs=64k count=16 oflag=direct conv=fsync 2>/dev/null"
        free = b.sh(command, "--device", device).ok().seconds
        slow = b.sh(command, "--device", device, "--device-write-bps", f"{device}:512k").ok().seconds
        between(slow - free, 1.0, 6.0, "the seconds that the limit costs")


def test_update_and_stats():
    with box() as b:
        name = b.start("-m", "64m")
        b.viv("update", "-m", "80m", "--memory-swap", "-1", "--pids-limit", "70", name)
        b.viv("update", "--pids-limit", "71", name).ok()
        equal(value(b, name, "pids", "pids.max"), "71")
        contains(b.viv("stats", "--no-stream", name).ok().out, name)
        found = json.loads(b.viv("stats", "--no-stream", "--format", "json").ok().out)
        equal(len(found), 1)


def test_delegation():
    """viv inside a sandbox that was given its own subtree."""
    with box() as b:
        # inside is the plain build's program: it needs no library of the host
        done = b.sh("/viv/viv --root /tmp/store run --rm --userns host --network host --pids-limit 9 "
                    "busybox -- sh -c 'cat /sys/fs/cgroup/pids/pids.max; echo inside'",
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
