"""The table of workloads on a true /dev/kvm: every test of workload.py, run in the rig, whose machines
are on its own kernel's KVM; and what is KVM's alone."""
import contextlib
import functools
import pathlib
import subprocess
import sys
import tempfile

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cage  # noqa: E402
import workload  # noqa: E402
from workload import *  # noqa: E402,F401,F403

TIMEOUT = 600
BUILDS = ["plain"]
ONLY_IN = ["v2 plain"]



def once_more(test):
    """The same test, tried again where a machine has not come up: of the boots on the KVM of a kernel that
    QEMU's TCG runs, one in dozens stands still for ever, with the rig beside it alive. Nowhere else has
    one done so."""
    @functools.wraps(test)
    def tried():
        try:
            test()
        except Failed as failed:
            if "did not boot within" not in str(failed):
                raise
            print("a machine that did not boot; once more")
            for path in work().iterdir():
                run("rm", "-rf", path).ok()
            test()
    return tried


test_an_ordinary_user = once_more(workload.test_an_ordinary_user)

workload.KINDS["vm"] = ["--isolation", "vm", "--accel", "kvm"]
# No file system of the rig can be idmapped, so that a mapped root could not be written to.
workload.KINDS["container"] = ["--userns", "host"]


@contextlib.contextmanager
def shared():
    """The tests' own folders are on a disk: this kernel's tmpfs holds no user attributes, and so not
    what a machine changes of its root."""
    top = tempfile.mkdtemp(prefix="viv-disk-")
    disk, place = pathlib.Path(top) / "disk", pathlib.Path(top) / "tests"
    pathlib.Path(top).chmod(0o755)
    place.mkdir()
    with open(disk, "wb") as file:
        file.truncate(1 << 30)
    run("mkfs.ext4", "-q", "-O", "^has_journal", disk).ok()
    run("mount", "-o", "loop", disk, place).ok()
    place.chmod(0o1777)
    try:
        with workload.shared():
            tempfile.tempdir = str(place)
            yield
    finally:
        tempfile.tempdir = None
        subprocess.run(["umount", "-R", place], check=False)
        disk.unlink()
        place.rmdir()
        pathlib.Path(top).rmdir()


def test_memory_beside_the_guests():
    """Of the machine that all tests share, whose guest was booted into 256 MiB at once."""
    pid, = children_of(workload.BOX["shared"].inspect("vm")["Pid"])
    beside = cage.own_memory(pid, 256 << 20)
    print(beside, "KiB beside the guest's memory")
    between(beside, 100, 5 << 10, "KiB beside the guest's memory")


def test_auto_takes_kvm():
    """And a workload sees the CPU that KVM shows."""
    with own_box() as box:
        done = box.viv("run", "--rm", "--isolation", "vm", "busybox", "--", "sh", "-c",
                       "grep -c -w hypervisor /proc/cpuinfo; cat "
                       "/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()
    equal(done.out, "1\nkvm-clock\n")


def counted(box):
    return [int(line) for line in box.viv("logs", "p").ok().out.split()]


def goes_on(box, accel):
    """Its life under an accelerator, after a snapshot of the one before: it counts on."""
    box.viv("snapshot", "--stop", "p").ok()
    before = len(counted(box))
    box.viv("restore", "--accel", accel, "p").ok()
    eventually(lambda: len(counted(box)) >= before + 5, 100)


COUNT = "i=0; while :; do i=$((i + 1)); echo $i; usleep 100000; done"


def begin(box, *flags):
    box.start("vm", "p", *flags, script=COUNT)
    eventually(lambda: counted(box), 100)


def check_count(box):
    numbers = counted(box)
    equal(numbers, list(range(1, len(numbers) + 1)))


def test_a_portable_one_goes_on_under_either_accelerator():
    """One whose guest was shown what KVM has is refused, and can still go on as it was."""
    with own_box() as box:
        begin(box, "--portable")
        goes_on(box, "emu")
        goes_on(box, "kvm")
        check_count(box)
        lacks(box.viv("exec", "p", "cat", "/proc/cpuinfo").ok().out, " avx")
        box.viv("rm", "-f", "p").ok()
        begin(box)
        box.viv("snapshot", "--stop", "p").ok()
        refused = box.viv("restore", "--accel", "emu", "p")
        fails(refused, 125, "CPU features that are not here: ")
        contains(refused.err, "one that is started with --portable")
        box.viv("restore", "--accel", "kvm", "p").ok()
