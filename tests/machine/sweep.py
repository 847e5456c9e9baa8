"""The steps that only machines have, and some of a guest's, in turn are made to fail, and are where viv is
killed: the next command works, and nothing is left behind. tests/integration/viv/sweep.py has all
those of containers."""
import pathlib
import sys

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/viv"))
from box import box  # noqa: E402
from sweep import fails_at, killed_at, steps_of, warmed  # noqa: E402

TIMEOUT = 120
BUILDS = ["plain"]
FLAGS = ["--isolation", "vm", "--accel", "emu", "-m", "64m", "--cpus", "0.5", "-v", "/etc:/x:ro"]


def own(steps):
    """One step of each kind of the machine's and its shim's, and the guest's first and last ones."""
    guest = [step for step in steps if step["place"] == "guest"]
    first = next(step["step"] for step in steps if step["op"] == "socketpair")
    kinds = {(step["place"], step["op"]): step for step in steps
             if step["step"] >= first and step["place"] != "guest"}
    check({"template", "viv-vmm", "memory", "vcpu", "vsock"} <= {op for _, op in kinds}, str(kinds))
    clone = next(step for step in guest if step["op"] == "clone3")
    return [*kinds.values(), guest[0], clone, guest[-1]]


@private("net")
def test_each_step_of_a_machine_fails_and_is_where_viv_is_killed():
    with box() as b:
        name = unique("m")
        before = warmed(b, name, FLAGS)
        for step in own(steps_of(b, name, FLAGS)):
            fails_at(b, name, FLAGS, step, before)
            killed_at(b, name, FLAGS, step, before)
        b.viv("run", "--rm", "--name", name, *b.flags(*FLAGS), "busybox", "true").ok()
