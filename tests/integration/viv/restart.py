"""Restart policies, and what is told when the process that watches is killed."""
import contextlib
import json
import os
import pathlib
import re
import signal

from lib import *
from box import box

TIMEOUT = 90


def life(name):
    return json.loads(pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes", name,
                                   "life.json").read_text())


def state(b, name):
    return b.inspect(name)["State"]


def test_policies_start_it_again_or_not():
    with box() as b:
        for name, policy, code, wanted in (("f2", "on-failure:2", 3, 2), ("f0", "on-failure", 0, 0),
                                           ("no", "no", 3, 0)):
            b.start("--restart", policy, name=name, script=f"echo life; exit {code}")
            eventually(lambda n=name, w=wanted: (b.inspect(n)["RestartCount"],
                                                 state(b, n)["Status"]) == (w, "exited"))
            equal(state(b, name)["ExitCode"], code)
            equal(b.viv("logs", name).ok().out, "life\n" * (wanted + 1))
        # what somebody starts begins anew
        b.viv("start", "f2").ok()
        eventually(lambda: b.viv("logs", "f2").out == "life\n" * 6)


def stopped_while_it_waits(b, name):
    """Whether stop came before the next restart; if not, it was begun too late: another try."""
    if state(b, name)["Status"] == "exited":
        b.viv("start", name).ok()

    def waits():
        found = b.inspect(name)
        return found["State"]["Status"] == "restarting" and found["RestartCount"] > 3 and found["RestartCount"]
    before = eventually(waits)
    b.viv("stop", name).ok()
    return b.inspect(name)["RestartCount"] == before - 1  # that one did not come to be


def test_stop_and_kill_end_it_for_good():
    with box() as b:
        for name, words in (("s", ["stop", "-t", "0"]), ("k", ["kill"]), ("t", ["kill", "-s", "TERM"])):
            b.start("--restart", "always", name=name, script="trap 'exit 5' TERM; sleep 1000 & wait")
            b.viv(*words, name).ok()
            eventually(lambda n=name: state(b, n)["Status"] == "exited")
            equal(b.inspect(name)["RestartCount"], 0)
            equal(b.viv("ps", "-aq", "--filter", f"name={name}",
                        "--filter", "should-start-on-boot=true").out == "", False)
        # while it waits to be started again
        b.start("--restart", "always", name="w", script="exit 1")
        for _ in range(10):  # in each moment between its lives and in them it is not ended
            fails(b.viv("rm", "w"), 1, "it first")
            check(state(b, "w")["Status"] != "exited", "it was told as ended")
        eventually(lambda: stopped_while_it_waits(b, "w"), text="stop waited for a restart")
        equal(state(b, "w")["Status"], "exited")
        b.viv("rm", "w").ok()
        # one that runs, or waits, goes with rm -f
        b.start("--restart", "always", name="g", script="exit 1")
        b.viv("rm", "-f", "g").ok()
        fails(b.viv("inspect", "g"), 125, "no such sandbox")


def test_a_foreground_run_ends_with_its_first_life():
    with box() as b:
        done = b.viv("run", "--restart", "always", "--name", "fg", *b.flags(), "busybox", "--", "sh",
                     "-c", "echo out; exit 4")
        equal((done.status, done.out), (4, "out\n"))
        eventually(lambda: b.inspect("fg")["RestartCount"] >= 1)
        b.viv("update", "--restart", "no", "fg").ok()
        eventually(lambda: state(b, "fg")["Status"] == "exited")
        equal(b.inspect("fg")["HostConfig"]["RestartPolicy"]["Name"], "no")
        fails(b.viv("run", "--rm", "--restart", "always", "busybox", "true"), 125, "--rm")
        fails(b.viv("run", "--restart", "sometimes", "busybox", "true"), 125, "unless-stopped")
        fails(b.viv("run", "--restart", "always:3", "busybox", "true"), 125, "on-failure:N")


def test_those_meant_for_boot_are_found():
    with box() as b:
        for name, policy in (("a1", "always"), ("u1", "unless-stopped"), ("u2", "unless-stopped"),
                             ("n1", "no")):
            b.viv("create", "--name", name, "--restart", policy, *b.flags(), "busybox", "sleep",
                  "1000").ok()
        b.viv("start", "u2").ok()
        b.viv("stop", "-t", "0", "u2").ok()
        equal(sorted(b.viv("start", "--all", "--filter", "should-start-on-boot=true").ok().lines()),
              ["a1", "u1"])
        equal(sorted(b.viv("ps", "--format", "{{.Names}}").lines()), ["a1", "u1"])
        equal(b.viv("ps", "-a", "--format", "{{.Names}}", "--filter", "restart-policy=always").lines(),
              ["a1"])
        equal(sorted(b.viv("stop", "--all", "-t", "0").ok().lines()), ["a1", "u1"])
        equal(sorted(b.viv("rm", "--filter", "name=u").ok().lines()), ["u1", "u2"])
        fails(b.viv("stop"), 125, "--all")
        fails(b.viv("stop", "--all", "a1"), 125, "name none")


def test_a_killed_monitor_leaves_the_truth():
    with box() as b:
        for name, flags in (("kept", []), ("gone", ["--rm"])):
            b.start(*flags, name=name)
            folder = b.store / name
            told = json.loads((folder / "life.json").read_text()) if flags else life(name)
            os.kill(told["monitor"], signal.SIGKILL)
            eventually(lambda t=told: ended(t["monitor"]))
            equal(state(b, name)["Status"], "running")
            equal(b.viv("exec", name, "echo", "in").ok().out, "in\n")
            b.viv("stop", "-t", "0", name).ok()
            check(not folder.exists(), f"{folder} was left")
        fails(b.viv("inspect", "gone"), 125, "no such sandbox")
        equal((state(b, "kept")["Status"], state(b, "kept")["ExitCode"]), ("exited", 0))
        contains(b.viv("ps", "-a").out, "Exited, nobody saw how")
        fails(b.viv("wait", "kept"), 125, "nobody was left to see how")
        equal(os.listdir(b.store / ".ids"), [])
        b.viv("start", "kept").ok()
        equal(state(b, "kept")["Status"], "running")
        # killed while it waits to be started again: it has ended
        b.start("--restart", "always", name="w", script="exit 1")
        eventually(lambda: life("w").get("restarts", 0) > 4 and life("w").get("restarting"))
        os.kill(life("w")["monitor"], signal.SIGKILL)
        eventually(lambda: state(b, "w")["Status"] == "exited")
        b.viv("rm", "w").ok()


def watches(waiting):
    """Whether a process that waits has got so far."""
    for entry in pathlib.Path(f"/proc/{waiting.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "inotify" in os.readlink(entry):
                return True
    return False


def locks(waiting):
    """Whether a process waits for a lock: the kernel lists those with an arrow."""
    return re.search(rf"-> FLOCK .* {waiting.pid} ", pathlib.Path("/proc/locks").read_text())


def test_wait_has_conditions():
    with box() as b:
        b.start("--restart", "always", name="r", script="sleep 0.2; exit 6")
        equal(b.viv("wait", "--condition", "next-exit", "r").ok().out, "6\n")
        equal(b.viv("wait", "--condition", "next-exit", "r").ok().out, "6\n")
        equal(b.viv("wait", "--condition", "running", "r").ok().out, "0\n")
        with Background(program("viv"), "--root", b.store, "wait", "--condition", "removed",
                        "r") as waiting:
            eventually(lambda: watches(waiting))
            b.viv("rm", "-f", "r").ok()
            equal(waiting.wait(), 0)
        # one with --rm tells its status to who waits
        b.start("--rm", name="away", script="until test -e /tmp/go; do sleep 0.05; done; exit 9")
        with Background(program("viv"), "--root", b.store, "wait", "away") as waiting:
            eventually(lambda: locks(waiting))
            b.viv("exec", "away", "touch", "/tmp/go").ok()
            equal((waiting.wait(), waiting.out()), (0, "9\n"))
        b.viv("create", "--name", "c", *b.flags(), "busybox", "--", "sh", "-c", "exit 2").ok()
        equal(b.viv("wait", "c").ok().out, "0\n")
        with Background(program("viv"), "--root", b.store, "wait", "--condition", "next-exit",
                        "c") as waiting:
            eventually(lambda: watches(waiting))
            b.viv("start", "c").ok()
            equal(waiting.wait(), 0)


def test_a_monitor_is_small():
    """At most a megabyte, of which little is its own."""
    with box() as b:
        b.start(name="m")
        field = lambda name: int(next(line for line in pathlib.Path(
            f"/proc/{life('m')['monitor']}/status").read_text().splitlines()
                                      if line.startswith(name + ":")).split()[1])
        if os.path.basename(os.environ["VIV_BUILD"]) == "build":
            eventually(lambda: field("VmRSS") <= 1024)
            check(field("RssAnon") <= 512, f"{field('RssAnon')} KiB of its own")


def test_a_pidfile_that_cannot_be_written():
    with box() as b:
        fails(b.viv("run", "-d", "--name", "p", "--pidfile", work() / "no/file", *b.flags(), "busybox",
                    "sleep", "1000"), 125, "--pidfile")
        equal(b.names(), [])
        for flags in (["-d"], ["-d", "--rm"]):
            b.viv("run", *flags, "--name", "p", "--pidfile", "pid", *b.flags(), "busybox", "sleep",
                  "1000", cwd=work()).ok()
            equal(int((work() / "pid").read_text()), b.pid("p"))
            b.viv("rm", "-f", "p").ok()
