"""Health checks by the sandbox's monitor, and by hand."""
from lib import *
from box import box

TIMEOUT = 60


def health(b, name):
    return b.inspect(name)["State"]["Health"]


def test_a_check_goes_from_starting_to_healthy_to_unhealthy_and_back():
    with box() as b:
        b.start("--health-cmd", "echo looked; test ! -e /tmp/bad", "--health-interval", "50ms",
                "--health-retries", "2", name="h")
        eventually(lambda: health(b, "h")["Status"] == "healthy")
        contains(b.viv("ps").ok().out, "(healthy)")
        b.viv("exec", "h", "touch", "/tmp/bad").ok()
        eventually(lambda: health(b, "h")["Status"] == "unhealthy")
        found = health(b, "h")
        check(found["FailingStreak"] >= 2 and len(found["Log"]) <= 5)
        equal((found["Log"][-1]["ExitCode"], found["Log"][-1]["Output"]), (1, "looked\n"))
        equal(b.viv("ps", "--format", "{{.Names}}", "--filter", "health=unhealthy").out, "h\n")
        b.viv("exec", "h", "rm", "/tmp/bad").ok()
        eventually(lambda: health(b, "h")["Status"] == "healthy")
        eventually(lambda: len(health(b, "h")["Log"]) == 5)
        b.viv("stop", "-t", "0", "h").ok()
        b.viv("start", "h").ok()
        eventually(lambda: health(b, "h")["Status"] == "healthy")


def test_a_start_period_forgives_and_time_runs_out():
    with box() as b:
        b.start("--health-cmd", "false", "--health-interval", "50ms", "--health-start-period", "1h",
                "--health-retries", "1", name="s")
        eventually(lambda: len(health(b, "s")["Log"]) >= 3)
        equal((health(b, "s")["Status"], health(b, "s")["FailingStreak"]), ("starting", 0))
        contains(b.viv("ps").ok().out, "(health: starting)")
        b.start("--health-cmd", "sleep 1000", "--health-interval", "50ms", "--health-timeout", "100ms",
                "--health-retries", "1", name="t")
        eventually(lambda: health(b, "t")["Status"] == "unhealthy")
        contains(health(b, "t")["Log"][-1]["Output"], "too long")
        # the check that was killed leaves nothing inside
        b.viv("exec", "t", "touch", "/tmp/x").ok()
        running = lambda: [line for line in b.viv("exec", "t", "ps").ok().lines()
                           if "sleep 1000" in line and "sh -c" not in line]
        check(len(running()) <= 2, running)  # the workload's, and the check that is at it
        b.viv("rm", "-f", "s", "t").ok()


def test_checks_come_sooner_while_it_starts():
    with box() as b:
        b.start("--health-cmd", "test -e /tmp/good", "--health-interval", "1h",
                "--health-start-period", "1h", "--health-start-interval", "50ms", name="s")
        eventually(lambda: len(health(b, "s")["Log"]) >= 3)
        equal((health(b, "s")["Status"], health(b, "s")["FailingStreak"]), ("starting", 0))
        b.viv("exec", "s", "touch", "/tmp/good").ok()
        eventually(lambda: health(b, "s")["Status"] == "healthy")
        ends = [entry["End"] for entry in health(b, "s")["Log"]]
        b.start("--health-cmd", "false", "--health-interval", "50ms", name="beat")
        eventually(lambda: len(health(b, "beat")["Log"]) >= 3)
        equal([entry["End"] for entry in health(b, "s")["Log"]], ends)  # the next is in an hour


def test_what_is_unhealthy_is_ended_or_started_again():
    with box() as b:
        check_ = ("--health-cmd", "test ! -e /dev/shm/bad", "--health-interval", "50ms",
                  "--health-retries", "2", "--stop-timeout", "60")
        script = "trap 'exit 5' TERM; until false; do sleep 0.05; done"
        for action, code in (("none", None), ("kill", 137), ("stop", 5), ("restart", 5)):
            b.start(*check_, "--health-on-failure", action, name=action, script=script)
            first = b.pid(action)
            eventually(lambda name=action: health(b, name)["Status"] == "healthy")
            b.viv("exec", action, "touch", "/dev/shm/bad").ok()
            if action == "restart":  # with a /dev/shm of its own
                eventually(lambda old=first: b.pid("restart") not in (0, old), 60)
                eventually(lambda: health(b, "restart")["Status"] == "healthy", 60)
            elif code:
                eventually(lambda name=action: b.inspect(name)["State"]["Status"] == "exited", 60)
                equal(b.inspect(action)["State"]["ExitCode"], code)
            else:
                eventually(lambda: health(b, "none")["Status"] == "unhealthy")
                equal(b.pid("none"), first)
        codes = b.viv("events", "--no-stream", "--filter", "event=die", "--filter",
                      "container=restart", "--format", "{{.Actor.Attributes.exitCode}}").ok().out
        equal(codes, "5\n")
        equal(b.inspect("restart")["RestartCount"], 1)
        b.viv("stop", "restart").ok()  # who stops it is stronger
        equal(b.inspect("restart")["State"]["Status"], "exited")
        b.viv("start", "restart").ok()  # and starts it with its check
        b.viv("exec", "restart", "touch", "/dev/shm/bad").ok()
        eventually(lambda: b.inspect("restart")["RestartCount"] == 1, 60)
        b.viv("rm", "-f", "none", "restart").ok()


def test_by_hand_and_wrong_use():
    with box() as b:
        b.start("--health-cmd", "test -e /tmp/good", "--health-interval", "1h", name="m")
        equal(health(b, "m")["Status"], "starting")
        equal(b.viv("healthcheck", "run", "m").status, 1)
        b.viv("exec", "m", "touch", "/tmp/good").ok()
        equal(b.viv("healthcheck", "run", "m").status, 0)
        equal([entry["ExitCode"] for entry in health(b, "m")["Log"]], [1, 0])
        b.start(name="none")
        equal(health(b, "none")["Status"], "none")
        fails(b.viv("healthcheck", "run", "none"), 125, "no health check")
        b.viv("stop", "-t", "0", "m").ok()
        fails(b.viv("healthcheck", "run", "m"), 125, "not running")
        for words, part in ((["--health-interval", "5s"], "--health-cmd"),
                            (["--no-healthcheck", "--health-cmd", "true"], "contradict"),
                            (["--health-cmd", "true", "--health-retries", "0"], "from 1"),
                            (["--health-on-failure", "kill"], "--health-cmd"),
                            (["--health-cmd", "true", "--health-on-failure", "restart", "--rm"],
                             "give one of them"),
                            (["--health-cmd", "true", "--health-on-failure", "restart", "--restart",
                              "always"], "both start it again"),
                            (["--health-cmd", "true", "--health-interval", "0"], "from 1ms")):
            fails(b.viv("run", *words, "busybox", "true"), 125, part)
