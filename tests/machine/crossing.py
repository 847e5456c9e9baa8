"""Snapshots that go from one accelerator to the other: emu here, kvm and emu in the rig."""
import contextlib
import json
import pathlib
import re
import shutil
import sys

from lib import *
from lib.guest import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import workload  # noqa: E402

TIMEOUT = 400
BUILDS = ["plain"]
RIG = "v2"

COUNT = "i=0\n" + until_told("""
    i=$((i + 1)); x=$(echo $((i * i)))
    echo at $i $(cut -d' ' -f1 /proc/uptime)""") + """
grep -c ^processor /proc/cpuinfo; dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c; echo end $i $x
"""

# Runs in the rig: argv is a folder with machine.json, then steps "accelerator:snapshot to go on
# from:snapshot to write:text to wait for", each a machine's life. One that writes no snapshot is told to
# come to its end. Prints a line of JSON for each.
STEPS = """
import json, os, sys
sys.path.insert(0, %(tests)r)
from lib.guest import Machine
os.chdir(sys.argv[1])
for step in sys.argv[2:]:
    accel, begin, end, text = step.split(":")
    more = {"snapshot": {"path": begin}} if begin else {}
    if accel == "portable":
        accel, more = "kvm", {**more, "portable": True}
    with Machine("machine.json", accel=accel, **more) as machine:
        if text:
            machine.wait_for(text)
        if end:
            machine.ask("pause")
            with open(end, "w+b") as file:
                assert machine.ask("snapshot", file, stop=True)["ok"]
        elif text:
            machine.tell()
        status = machine.wait()
        print(json.dumps({"status": status, "out": machine.out(), "err": machine.err()}), flush=True)
"""


def steps_in_rig(description, *steps):
    """What each said: {"status": …, "out": …, "err": …}."""
    guest, folder = rig("v2"), f"/tmp/{unique('crossing-')}"
    description = json.loads(pathlib.Path(description).read_text(encoding="utf-8"))
    guest.sh(f"mkdir -p {folder}")
    guest.push(f"{folder}/initramfs", pathlib.Path("initramfs").read_bytes())
    description["initrd"]["path"] = f"{folder}/initramfs"
    guest.push(f"{folder}/machine.json", json.dumps(description).encode())
    done = guest.run("env", f"VIV_BUILD={BUILD}", f"VIV_TEST_WORK={folder}/work", "python3", "-c",
                     STEPS % {"tests": str(ROOT / "tests")}, folder, *steps, timeout=380)
    guest.sh(f"rm -rf {folder}")
    check(done.status == 0, lambda: str(done))
    return [json.loads(line) for line in done.out.splitlines()]


@contextlib.contextmanager
def shared_folder():
    """A place that is seen in the rig as well."""
    path = ROOT / "tests/.cache" / unique("crossing-")
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check_counts(*consoles):
    """They go on from each other without a gap. One line may have been cut in two."""
    text = "".join(consoles)
    numbers = [int(number) for number in re.findall(r"^at (\d+) ", text, re.M)]
    last = len(numbers)
    equal(numbers, list(range(1, last + 1)))
    times = [float(time) for time in re.findall(r"^at \d+ ([\d.]+)$", text, re.M)]
    check(all(a <= b < a + 600 for a, b in zip(times, times[1:])), lambda: str(times))
    contains(consoles[-1], f"64\nend {last} {last * last}\n")


def test_emu_goes_on_under_kvm_and_back():
    with shared_folder() as place:
        description = describe(COUNT, cpus=2, memory=128 << 20)
        with Machine(description) as machine:
            machine.wait_for("at 20 ")
            machine.ask("pause")
            with open(place / "first", "w+b") as file:
                equal(machine.ask("snapshot", file, stop=True)["ok"], True)
            machine.wait()
            before = machine.out()
        second, third = steps_in_rig(description, f"kvm:{place}/first:second:at ", "emu:second::at ")
    equal((second["status"], third["status"]), (0, 0))
    check_counts(before, second["out"], third["out"])
    contains(third["out"], "\n2\n")


def test_kvm_goes_on_under_emu_if_it_was_made_portable():
    first, by_emu, by_kvm, own, refused = steps_in_rig(
        describe(COUNT, memory=128 << 20), "portable::first:at 50 ", "emu:first::at ",
        "kvm:first::at ", "kvm::host:at 1 ", "emu:host::")
    check_counts(first["out"], by_emu["out"])
    check_counts(first["out"], by_kvm["out"])
    equal((own["status"], refused["status"]), (0, 1))
    contains(refused["err"], "host: the guest uses CPU features that are not here: ")


# ---- sandboxes -----------------------------------------------------------------------------------

# In the rig: a disk where the store was outside, since its tmpfs holds no user attributes.
MOVE_IN = """set -e; mkdir -p {top}; truncate -s 1G {top}.disk; mkfs.ext4 -q -O ^has_journal {top}.disk
mount -o loop {top}.disk {top}; cp -a --sparse=always {place}/. {top}"""
MOVE_OUT = "umount {top}; rm -rf {top} {top}.disk"


def test_a_sandbox_of_emu_goes_on_under_kvm():
    """Its store is brought from the one host to the other. The workload counts on, and has what it
    kept in its memory and in the guest's. (Files that are copied are others, and stale for it.)"""
    box, guest = workload.Sandboxes(), rig("v2")

    def there(*args):
        return guest.run(program("viv"), "--root", f"{work()}/there", "--data-root", box.place / "data",
                         *args, timeout=150).ok()
    with shared_folder() as place:
        box.start("vm", "s", script="X=kept; echo $X > /dev/shm/f; trap 'echo $X; cat /dev/shm/f; exit 7' TERM;"
                  " i=0; while :; do i=$((i + 1)); echo $i; usleep 50000; done")
        eventually(lambda: len(box.viv("logs", "s").ok().lines()) >= 5, 100)
        box.viv("snapshot", "--stop", "s").ok()
        before = box.viv("logs", "s").ok().lines()
        run("cp", "-a", "--sparse=always", f"{work()}/.", place).ok()
        box.end()
        try:
            guest.sh(MOVE_IN.format(top=work(), place=place)).ok()
            there("restore", "--accel", "kvm", "s")
            equal(there("inspect", "-f", "{{.Machine.Accelerator}}", "s").out, "kvm\n")
            eventually(lambda: len(there("logs", "s").lines()) >= len(before) + 5, 100)
            contains(there("exec", "s", "ps").out, "sh -c X=kept")
            there("kill", "-s", "TERM", "s")
            equal(there("wait", "s").out, "7\n")
            lines = there("logs", "s").lines()
            there("rm", "s")
        finally:
            guest.sh(MOVE_OUT.format(top=work()))
    count = len(lines) - 2
    equal(lines, [str(number + 1) for number in range(count)] + ["kept", "kept"])
