"""Snapshots that go from one accelerator to the other: emu here, kvm and emu in the rig."""
import base64
import contextlib
import gzip
import json
import pathlib
import re
import shutil

from lib import *
from lib.guest import *

TIMEOUT = 400
BUILDS = ["plain"]
RIG = "v2"

COUNT = """
i=0
while [ $i -lt %d ]; do
    i=$((i + 1)); x=$(echo $((i * i)))
    [ $((i %% 10)) = 0 ] && echo at $i $(cut -d' ' -f1 /proc/uptime)
done
grep -c ^processor /proc/cpuinfo; dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c; echo end $x
"""
LAST = 600

# Runs in the rig: argv is a folder with machine.json, then steps "accelerator:snapshot to go on
# from:snapshot to write:text to wait for", each a machine's life. Prints what their consoles said.
STEPS = """
import os, sys
sys.path.insert(0, %(tests)r)
from lib.guest import Machine
os.chdir(sys.argv[1])
for step in sys.argv[2:]:
    accel, begin, end, text = step.split(":")
    more = {"snapshot": {"path": begin}} if begin else {}
    if accel == "portable":
        accel, more = "kvm", {**more, "portable": True}
    with Machine("machine.json", accel=accel, **more) as machine:
        print("==", step, flush=True)
        if end:
            machine.wait_for(text, 240)
            machine.ask("pause")
            with open(end, "w+b") as file:
                print("snapshot", machine.ask("snapshot", file, stop=True)["ok"])
        print("status", machine.wait(240))
        print(machine.out(), machine.err())
"""


def steps_in_rig(folder, description, *steps, fetch=None):
    """The output, a part for each step; fetch: a file that is brought here, to ./fetched."""
    guest = rig("v2")
    description = json.loads(pathlib.Path(description).read_text(encoding="utf-8"))
    guest.sh(f"mkdir -p {folder}")
    guest.push(f"{folder}/initramfs", pathlib.Path("initramfs").read_bytes())
    description["initrd"]["path"] = f"{folder}/initramfs"
    guest.push(f"{folder}/machine.json", json.dumps(description).encode())
    done = guest.run("env", f"VIV_BUILD={BUILD}", f"VIV_TEST_WORK={folder}/work", "python3", "-c",
                     STEPS % {"tests": str(ROOT / "tests")}, folder, *steps, timeout=380)
    if fetch and done.status == 0:
        packed = guest.sh(f"gzip -1 < {folder}/{fetch} | base64 -w 0", timeout=200).ok().out
        pathlib.Path("fetched").write_bytes(gzip.decompress(base64.b64decode(packed)))
    guest.sh(f"rm -rf {folder}")
    check(done.status == 0, lambda: str(done))
    return done.out.replace("\r", "").split("== ")[1:]


@contextlib.contextmanager
def shared_folder():
    """A place that is seen in the rig as well."""
    path = ROOT / "tests/.cache" / unique("crossing-")
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check_counts(*parts):
    text = "".join(parts)
    numbers = [int(number) for number in re.findall(r"^at (\d+) ", text, re.M)]
    equal(numbers, list(range(10, LAST + 1, 10)))
    times = [float(time) for time in re.findall(r"^at \d+ ([\d.]+)", text, re.M)]
    check(all(a <= b < a + 120 for a, b in zip(times, times[1:])), lambda: str(times))
    contains(parts[-1], f"64\nend {LAST * LAST}\n")


def test_emu_goes_on_under_kvm_and_back():
    with shared_folder() as place:
        description = describe(COUNT % LAST, cpus=2, memory=128 << 20)
        with Machine(description) as machine:
            machine.wait_for("at 200 ", 200)
            machine.ask("pause")
            with open(place / "first", "w+b") as file:
                equal(machine.ask("snapshot", file, stop=True)["ok"], True)
            machine.wait()
            before = machine.out()
        folder = f"/tmp/{unique('crossing-')}"
        second, = steps_in_rig(folder, description, f"kvm:{place}/first:second:at 400 ",
                               fetch="second")
        contains(second, "snapshot True\nstatus 0\n")
    with Machine(description, snapshot={"path": str(pathlib.Path("fetched").resolve())}) as machine:
        equal(machine.wait(100), 0)
        check_counts(before, second, machine.out())


def test_kvm_goes_on_under_emu_if_it_was_made_portable():
    folder = f"/tmp/{unique('crossing-')}"
    parts = steps_in_rig(folder, describe(COUNT % LAST, memory=128 << 20),
                         "portable::first:at 550 ", "emu:first::", "kvm:first::",
                         "kvm::host:at 10 ", "emu:host::")
    check_counts(parts[0], parts[1])
    check_counts(parts[0], parts[2])
    contains(parts[4], "status 1\n")
    contains(parts[4], "host: the guest uses CPU features that are not here: ")
