"""Every step of a run in turn is made to fail, and every step in turn is where viv is killed: the
next command works, and nothing is left behind."""
import contextlib
import json
import os

from lib import *
from box import box

TIMEOUT = 90

# All kinds of steps in one plan: limits, clocks, volumes, rlimits, settings of the kernel.
FLAGS = ["-m", "64m", "--pids-limit", "50", "--ulimit", "nofile=64:64", "--oom-score-adj", "300",
         "--time-offset", "monotonic=100", "--tmpfs", "/scratch", "--domainname", "d",
         "--sysctl", "net.ipv4.ip_unprivileged_port_start=0", "--init", "-u", "1000:1000"]


def steps_of(b, name, flags):
    return json.loads(b.viv("explain", "--format", "json", "--rm", "--name", name, *b.flags(*flags),
                            "busybox", "true").ok().out)


def kept(b):
    """What the store keeps between runs: compiled filters, and the folder of the ids."""
    return {"file " + str(b.store / name) for name in (".seccomp", ".ids", ".making", ".names", ".events")}


def reap():
    """The children of a viv that was killed are the test's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def left_behind(b, before):
    reap()
    cached = str(b.store / ".seccomp/")
    return [line for line in leaked(before, b.scope, [b.store])
            if line not in kept(b) and not line.startswith("file " + cached)]


def left_of_killed(b, before):
    """What the next command leaves of a viv that was killed. A process may have been on its way out
    when that command looked: then the one after it counts."""
    b.viv("ps").ok()
    left = left_behind(b, before)
    if left:
        eventually(lambda: b.viv("ps").ok() and not [line for line in left_behind(b, before)
                                                     if line.startswith("process ")], 10,
                   lambda: left_behind(b, before))
        b.viv("ps").ok()
        left = left_behind(b, before)
    return left


def warmed(b, name, flags):
    """A run that goes well, so that what is made once is there; what there is then."""
    b.viv("run", "--rm", "--name", name, *b.flags(*flags), "busybox", "true").ok()
    before = snapshot(b.scope, [b.store])
    check(not any(name in line for line in before), "a run that went well left something")
    return before


def fails_at(b, name, flags, step, before):
    """A step is made to fail: viv says so, and nothing is left."""
    number = step["step"]
    done = b.viv("run", "--rm", "--name", name, "--debug-fail-step", number, *b.flags(*flags), "busybox",
                 "true")
    fails(done, 125, f"step {number} ({step['op']}")
    contains(done.err, "made to fail")
    left = left_behind(b, before)
    check(not left, lambda: f"step {number} ({step['op']}) left {left}")


def killed_at(b, name, flags, step, before):
    """Before a step viv is killed: the next command leaves nothing."""
    number = step["step"]
    done = b.viv("run", "--rm", "--name", name, "--debug-kill-step", number, *b.flags(*flags), "busybox",
                 "true")
    equal(done.status, 128 + 9, f"step {number}: {done.err}")
    left = left_of_killed(b, before)
    check(not left, lambda: f"step {number} ({step['op']}) left {left}")


@private("net")
def test_each_step_fails():
    with box() as b:
        name = unique("f")
        before = warmed(b, name, FLAGS)
        steps = steps_of(b, name, FLAGS)
        check(len(steps) > 80, f"only {len(steps)} steps")
        for step in steps:
            fails_at(b, name, FLAGS, step, before)
        b.viv("run", "--rm", "--name", name, *b.flags(*FLAGS), "busybox", "true").ok()


@private("net")
def test_each_step_is_where_viv_is_killed():
    with box() as b:
        name = unique("k")
        before = warmed(b, name, FLAGS)
        for step in steps_of(b, name, FLAGS):
            killed_at(b, name, FLAGS, step, before)
        b.viv("run", "--rm", "--name", name, *b.flags(*FLAGS), "busybox", "true").ok()


@private("net")
def test_a_run_that_is_killed_later_is_cleaned_up():
    with box() as b:
        before = snapshot(b.scope, [])

        def left():
            reap()
            return [line for line in leaked(before, b.scope, []) if not line.endswith(b.scope)]

        with Background(program("viv"), "--root", b.store, "run", "--rm", "--name", "late",
                        *b.flags("busybox", "sleep", "1000")) as running:
            eventually(lambda: b.viv("ps", "-q").out.strip())
            running.signal(9)
            running.wait()
        eventually(lambda: not [line for line in left() if "process" in line])
        b.viv("rm", "-f", "late").ok()
        equal(left(), [])
        b.run("busybox", "true").ok()
