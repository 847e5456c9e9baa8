"""Many at once, and a runtime that is killed at any moment."""
import os
import re

from lib import *
from bundle import bundle, gone, oci, reaper, state_dir, status
from fleet import two_engines

TIMEOUT = 150
ROOT_ONLY = needs(root=True)
CROWD = 20 if SANITIZED else 200


@ROOT_ONLY
def test_two_engines_with_many_containers_at_once():
    with no_leaks(f"oci{os.getpid()}"):
        equal(two_engines(bundle(), CROWD // 2, rounds=1), CROWD)
        equal(oci("list", "-q").ok().out, "")


def strace(folder, name, *options, manager="cgroupfs"):
    # LeakSanitizer cannot look while strace holds the process.
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    return run("strace", "-qq", "-o", work() / "trace", *options, program("viv-oci"), "--root",
               state_dir(), "--cgroup-manager", manager, "create", "--bundle", folder, name, env=env)


def calls_of_create(folder, **more):
    """The system calls of one create from the first that makes something, as (name, how often it was
    called by then)."""
    name = unique("oci")
    strace(folder, name, **more).ok()
    oci("delete", "--force", name).ok()
    calls = re.findall(r"^(\w+)\(", (work() / "trace").read_text(), re.M)
    points = [(call, calls[:i + 1].count(call)) for i, call in enumerate(calls)]
    return points[next(i for i, (call, _) in enumerate(points) if call == "mkdirat"):]


def kill_and_delete(folder, point, **more):
    """Whether the runtime was killed there. Nothing may be left when it has been deleted."""
    call, number = point
    name = unique("oci")
    where = f"killed at {call} number {number}"
    with no_leaks(name):
        found = strace(folder, name, "-e", f"trace={call}", "-e",
                       f"inject={call}:signal=SIGKILL:when={number}", **more)
        end = oci("delete", "--force", name, timeout=20)
        check(end.status == 0, lambda: f"{where}: {end}")
        check(gone(name), where)
        check(name not in os.listdir(state_dir()), where)
    return found.status != 0  # not every run makes as many of each call


@needs(root=True, programs=["strace"])
def test_killed_at_any_step_and_then_deleted():
    folder = bundle()
    reaper()
    points = calls_of_create(folder)
    points = points[::max(1, len(points) // (12 if SANITIZED else 50))]
    killed = sum(kill_and_delete(folder, point) for point in points)
    check(killed * 4 >= len(points) * 3, lambda: f"only {killed} of {len(points)} were killed")
    equal(oci("list", "-q").ok().out, "")


@needs(root=True, programs=["strace"])
def test_killed_while_the_child_waits_and_no_cgroup_tells_of_it():
    # from the child's last answer on, it waits for a start that never comes
    folder = bundle(linux={"resources": None})
    reaper()
    points = calls_of_create(folder, manager="disabled")
    last = max(i for i, (call, _) in enumerate(points) if call == "recvfrom")
    killed = [kill_and_delete(folder, point, manager="disabled") for point in points[last:last + 6]]
    check(any(killed), killed)


@ROOT_ONLY
def test_what_is_being_created_is_not_deleted():
    folder = bundle(hooks={"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]})
    name = unique("oci")
    reaper()
    with no_leaks(name), Background(program("viv-oci"), "--root", state_dir(), "create", "--bundle",
                                    folder, name) as maker:
        eventually(lambda: oci("state", name).status == 0)
        equal(status(name), "creating")
        fails(oci("delete", "--force", name), 1, "being created")
        maker.stop()
        oci("delete", "--force", name).ok()
        check(gone(name))
