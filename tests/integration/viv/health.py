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
                            (["--health-cmd", "true", "--health-interval", "0"], "from 1ms")):
            fails(b.viv("run", *words, "busybox", "true"), 125, part)
