"""The same programs where cgroup v2 is alone and has every controller: inside the rig."""
from lib import *

RIG = "v2"
BUILDS = ["plain"]
TIMEOUT = 240


def run_there(name):
    found = rig("v2").run(str(program(f"tests/integration/cgroup/test-cgroup-{name}")), timeout=200)
    check("FAILED" not in found.out and found.status == 0, lambda: str(found))


def test_cpu():
    run_there("cpu")


def test_freezer():
    run_there("freezer")


def test_io():
    run_there("io")


def test_pids_devices_and_other_lists():
    run_there("lists")


def test_making_and_delegation():
    run_there("manage")


def test_memory():
    run_there("memory")
