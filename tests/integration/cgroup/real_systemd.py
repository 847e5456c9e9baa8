"""A scope made by a real systemd, entered, limited, changed, frozen and removed: inside the rig."""
from lib import *

RIG = "systemd"
BUILDS = ["plain"]
TIMEOUT = 240


def test_scope():
    found = rig("systemd").run(str(program("tests/integration/cgroup/test-cgroup-scopes")),
                               str(program("viv-systemd")), "-", timeout=200)
    check("FAILED" not in found.out and found.status == 0, lambda: str(found))
    contains(found.out, "ok scope_of_the_real_systemd")
