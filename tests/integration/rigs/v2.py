"""The rig with cgroup v2 and KVM is what the tests on it rely on."""
from lib import *

RIG = "v2"
BUILDS = ["plain"]

KVM_TEST = r"""
import fcntl, os
kvm = os.open('/dev/kvm', os.O_RDWR)
print(fcntl.ioctl(kvm, 0xAE00, 0))
machine = fcntl.ioctl(kvm, 0xAE01, 0)
vcpu = fcntl.ioctl(machine, 0xAE41, 0)
print(vcpu > 0)
"""


def test_cgroup_v2_is_alone_with_all_controllers():
    guest = rig("v2")
    found = guest.sh("grep -w cgroup2 /proc/self/mountinfo | wc -l; grep -w 'cgroup cgroup' "
                     "/proc/self/mountinfo | wc -l; cat /sys/fs/cgroup/cgroup.subtree_control").ok()
    equal(found.lines()[:2], ["1", "0"])
    equal(set(found.lines()[2].split()),
          {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"})


def test_kvm_makes_a_vcpu():
    equal(rig("v2").run("python3", "-c", KVM_TEST).ok().lines(), ["12", "True"])


def test_commands_give_status_output_and_input():
    guest = rig("v2")
    found = guest.sh("cat; echo e >&2; exit 3", stdin="x" * 300000)
    equal((found.status, len(found.out), found.err), (3, 300000, "e\n"))
    equal(guest.sh("kill -9 $$").status, 137)
    equal(guest.run("echo", "a b", "'").out, "a b '\n")


def test_a_daemon_does_not_hold_a_command():
    found = rig("v2").sh("sleep 30 & echo $!; disown", timeout=20).ok()
    rig("v2").run("kill", found.out.strip()).ok()


def test_files_go_in():
    data = bytes(range(256)) * 1000
    rig("v2").push("/tmp/rig test/file", data)
    found = rig("v2").run("sha256sum", "/tmp/rig test/file").ok()
    import hashlib
    contains(found.out, hashlib.sha256(data).hexdigest())
    rig("v2").run("rm", "-r", "/tmp/rig test").ok()


def test_commands_run_side_by_side():
    guest = rig("v2")
    import threading
    results = []
    threads = [threading.Thread(target=lambda: results.append(guest.run("sleep", "1").seconds))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(len(results), 4)


def test_a_command_that_is_given_up_ends():
    guest = rig("v2")
    mark = unique("mark")
    try:
        guest.sh(f"exec -a {mark} sleep 100", timeout=1)
    except Exception as error:  # pylint: disable=broad-except
        contains(str(error), "in time")
    eventually(lambda: guest.sh(f"pgrep -f '^{mark} '").status == 1, 20, "it still runs")


def test_the_projects_folder_is_there():
    guest = rig("v2")
    guest.sh("test -x build/share/viv/busybox/bin/busybox && test -r tests/run").ok()
    check(guest.sh("touch build/x").status != 0, "the project's folder can be written")
