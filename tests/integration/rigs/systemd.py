"""The rig booted by systemd is what the tests on it rely on."""
from lib import *

RIG = "systemd"
BUILDS = ["plain"]


def test_systemd_runs():
    found = rig("systemd").sh("systemctl is-system-running; ps -o comm= -p 1; systemctl --failed "
                              "--no-legend")
    equal(found.lines(), ["running", "systemd"])


def test_cgroup_v2_is_alone():
    found = rig("systemd").run("stat", "-fc", "%T", "/sys/fs/cgroup").ok()
    equal(found.out, "cgroup2fs\n")


def test_an_ordinary_user_has_a_manager_and_ids():
    guest = rig("systemd")
    equal(guest.sh("id -u; systemctl --user is-active default.target", user="rig").ok().lines(),
          ["1000", "active"])
    contains(guest.run("cat", "/etc/subuid").ok().out, "rig:")
    found = guest.sh("systemd-run --user --scope -q cat /proc/self/cgroup", user="rig")
    contains(found.ok().out, "user@1000.service")


def test_a_transient_scope_has_its_limit():
    found = rig("systemd").sh("systemd-run --scope -q -p MemoryMax=64M -p TasksMax=20 sh -c "
                              "'cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); cat memory.max pids.max'")
    equal(found.ok().lines(), ["67108864", "20"])
