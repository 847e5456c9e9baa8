"""The table of workloads on a true /dev/kvm: the same tests as in workload.py, run in the rig, whose
machines are on its own kernel's KVM."""
import pathlib
import sys

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cage  # noqa: E402
import workload  # noqa: E402
from workload import (shared, test_exec_flags, test_many_at_once,  # noqa: E402,F401
                      test_pause, test_scripts_end_the_same, test_scripts_print_the_same,
                      test_the_flags_of_run, test_update)

TIMEOUT = 600
BUILDS = ["plain"]
RIG = "v2"


class InRig(workload.Sandboxes):
    """Sandboxes of the rig, which has our programs where they are outside."""

    def __init__(self):
        super().__init__()
        self.place = pathlib.Path("/tmp") / unique("workload-")

    def call(self, *args, **more):
        more["timeout"] = 280
        return rig("v2").run(program("viv"), *args, **more)

    def machines(self):
        """Its own: other tests have theirs in the same rig, in other control groups."""
        return rig("v2").sh(f"for pid in $(pgrep -x viv-vmm); do grep -q {self.scope}/ /proc/$pid/cgroup"
                            " && echo $pid; done").out.split()

    def look(self):
        found = rig("v2").sh(f"ls {self.place}/run; ls -d /sys/fs/cgroup/{self.scope}/*/;"
                             f"rm -rf {self.place}")
        equal(found.out, "")
        equal(self.machines(), [])


workload.MAKE[0] = InRig
# No file system of the rig can be idmapped, so that a mapped root could not be written to.
workload.KINDS["container"] = ["--userns", "host"]
workload.KINDS["vm"] = ["--isolation", "vm", "--accel", "kvm"]


def test_memory_beside_the_guests():
    """Of the machine that all tests share, whose guest was booted into 256 MiB at once."""
    box = workload.BOX["shared"]
    pid, = box.machines()
    beside = cage.beside_guest(rig("v2").run("cat", f"/proc/{pid}/smaps").ok().out, 256 << 20)
    print(beside, "KiB beside the guest's memory")
    between(beside, 500, 5 << 10, "KiB beside the guest's memory")


def test_auto_takes_kvm():
    """And a workload sees the CPU that KVM shows."""
    box = InRig()
    done = box.viv("run", "--rm", "--isolation", "vm", "busybox", "--", "sh", "-c",
                   "grep -c -w hypervisor /proc/cpuinfo; cat "
                   "/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()
    equal(done.out, "1\nkvm-clock\n")
    box.end()


def counted(box):
    return [int(line) for line in box.viv("logs", "p").ok().out.split()]


def goes_on(box, accel):
    """Its life under an accelerator, after a snapshot of the one before: it counts on."""
    box.viv("snapshot", "--stop", "p").ok()
    before = len(counted(box))
    box.viv("restore", "--accel", accel, "p").ok()
    eventually(lambda: len(counted(box)) >= before + 5, 100)


def test_a_portable_one_goes_on_under_either_accelerator():
    """One whose guest was shown what KVM has is refused, and can still go on as it was."""
    box = InRig()
    script = "i=0; while :; do i=$((i + 1)); echo $i; usleep 100000; done"
    try:
        box.start("vm", "p", "--portable", script=script)
        eventually(lambda: counted(box), 100)
        goes_on(box, "emu")
        goes_on(box, "kvm")
        numbers = counted(box)
        equal(numbers, list(range(1, len(numbers) + 1)))
        lacks(box.viv("exec", "p", "cat", "/proc/cpuinfo").ok().out, " avx")
        box.viv("rm", "-f", "p").ok()
        box.start("vm", "p", script=script)
        eventually(lambda: counted(box), 100)
        box.viv("snapshot", "--stop", "p").ok()
        refused = box.viv("restore", "--accel", "emu", "p")
        fails(refused, 125, "CPU features that are not here: ")
        contains(refused.err, "one that is started with --portable")
        box.viv("restore", "--accel", "kvm", "p").ok()
    finally:
        box.end()
