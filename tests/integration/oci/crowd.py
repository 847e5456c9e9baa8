"""Many at once, and a runtime that is killed at any moment."""
import os
import re
import threading

from lib import *
from bundle import bundle, gone, oci, reaper, state_dir

TIMEOUT = 150
ROOT_ONLY = needs(root=True)
EACH = 20 if SANITIZED else 100


def engine(folder, names, faults):
    """As one engine: each container is made, started, entered, killed and taken away."""
    def one(*words):
        found = run(program("viv-oci"), "--root", state_dir(), *words)
        if found.status:
            faults.append(str(found))
    for name in names:
        one("create", "--bundle", folder, name)
        one("start", name)
        one("exec", name, "true")
        one("kill", name, "KILL")
        one("delete", "--force", name)


@ROOT_ONLY
def test_two_engines_at_once():
    faults = []
    folder = bundle()
    reaper()
    with no_leaks(f"oci{os.getpid()}"):
        threads = [threading.Thread(target=engine, args=(
            folder, [f"oci{os.getpid()}-{number}-{i}" for i in range(EACH)], faults))
            for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(not faults, lambda: f"{len(faults)}: " + "\n".join(faults[:5]))
        equal(oci("list", "-q").ok().out, "")


def strace(folder, name, *options):
    # LeakSanitizer cannot look while strace holds the process.
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    return run("strace", "-qq", "-o", work() / "trace", *options, program("viv-oci"), "--root",
               state_dir(), "create", "--bundle", folder, name, env=env)


@needs(root=True, programs=["strace"])
def test_killed_at_any_step_and_then_deleted():
    folder = bundle()
    name = unique("oci")
    reaper()
    strace(folder, name).ok()
    oci("delete", "--force", name).ok()
    calls = re.findall(r"^(\w+)\(", (work() / "trace").read_text(), re.M)
    counts, points = {}, []
    for call in calls:
        counts[call] = counts.get(call, 0) + 1
        points.append((call, counts[call]))
    begin = next(i for i, (call, _) in enumerate(points) if call == "mkdirat")
    late = points[begin:]
    missed = 0
    step = max(1, len(late) // (12 if SANITIZED else 50))
    for call, number in late[::step]:
        name = unique("oci")
        with no_leaks(name):
            found = strace(folder, name, "-e", f"trace={call}", "-e",
                           f"inject={call}:signal=SIGKILL:when={number}")
            where = f"killed at {call} number {number}"
            missed += found.status == 0  # not every run makes as many of each call
            end = oci("delete", "--force", name, timeout=20)
            check(end.status == 0, lambda: f"{where}: {end}")
            check(gone(name), where)
            eventually(lambda: not [line for line in os.listdir(state_dir()) if line == name], 5, where)
    check(missed * 4 <= len(late[::step]), lambda: f"{missed} of {len(late[::step])} went on")
    equal(oci("list", "-q").ok().out, "")
