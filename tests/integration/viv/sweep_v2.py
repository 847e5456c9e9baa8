"""The steps that are others where cgroup v2 is alone are made to fail, and are where viv is killed, as
in sweep.py; and the one by which systemd makes the scope, where it is there."""
import pathlib

from lib import *
from box import box
from sweep import fails_at, killed_at, steps_of, warmed

ONLY_IN = ["v2 plain", "systemd plain"]
TIMEOUT = 120
LIMITS = ["-m", "64m", "--pids-limit", "50", "--cpus", "0.5", "--userns", "host"]
SYSTEMD = pathlib.Path("/run/systemd/system").exists()


@private("net")
def test_each_kind_of_step_that_makes_the_group():
    with box() as b:
        flags, name = list(LIMITS), unique("s")
        if SYSTEMD:
            flags += ["--cgroup-manager", "systemd", "--cgroup-parent", b.scope + ".slice"]
        before = warmed(b, name, flags)
        kinds = {step["op"]: step for step in steps_of(b, name, flags) if step["place"] == "host"}
        for kind in ("StartTransientUnit", "write") if SYSTEMD else ("mkdir", "write", "bpf", "clone3"):
            step = kinds[kind]
            fails_at(b, name, flags, step, before)
            killed_at(b, name, flags, step, before)
        b.viv("run", "--rm", "--name", name, *b.flags(*flags), "busybox", "true").ok()
