"""Snapshots: a machine is written to a file, and goes on from it, more than once."""
import errno
import pathlib
import re
import shutil
import socket

from lib import *
from lib.guest import *

TIMEOUT = 300
BUILDS = ["plain"]

# Counts in a shell variable, with an open file and a disk that each number is written to. Each line
# has the uptime, so that a clock that jumps is seen.
WORK = "mkdir /tmp/d; exec 5>>/tmp/d/log; i=0\n" + until_told("""
    i=$((i + 1)); echo $i >&5
    echo $i | dd of=/dev/vda bs=512 seek=$i conv=sync 2>/dev/null
    echo at $i $(cut -d' ' -f1 /proc/uptime)""") + """
sync; echo lines $(wc -l < /tmp/d/log) last $(tail -n 1 /tmp/d/log)
"""
COUNTING = "i=0\n" + until_told("i=$((i + 1)); echo at $i now; usleep 20000") + "echo last $i\n"


def take(machine, path, **more):
    with open(path, "w+b") as file:
        reply = machine.ask("snapshot", file, **more)
    check(reply["ok"], lambda: str(reply))
    return reply


def disk(path):
    return {"disks": [{"file": {"path": str(pathlib.Path(path).resolve())}}]}


def numbers(text):
    return [int(number) for number in re.findall(r"^at (\d+) ", text, re.M)]


def check_end(before, after, image):
    """The lines of both follow each other without a gap, and so do those in the guest and on disk."""
    seen = numbers(before + after)  # one line may have been cut in two
    last = len(seen)
    equal(seen, list(range(1, last + 1)))
    contains(after, f"lines {last} last {last}")
    times = [float(time) for time in re.findall(r"^at \d+ ([\d.]+)$", before + after, re.M)]
    check(all(a <= b < a + 600 for a, b in zip(times, times[1:])), lambda: str(times))
    data = pathlib.Path(image).read_bytes()
    equal([int(data[512 * i:512 * i + 8].split(b"\n")[0]) for i in seen], seen)


def test_goes_on_twice_with_files_and_disk():
    pathlib.Path("d.raw").write_bytes(bytes(1 << 20))
    description = describe(WORK, cpus=2, **disk("d.raw"))
    with Machine(description) as machine:
        machine.wait_for("at 20 ")
        machine.ask("pause")
        equal(take(machine, "snap", stop=True)["state"], "ending")
        equal(machine.wait(), 0)
        before = machine.out()
    size = pathlib.Path("snap").stat()
    check(size.st_blocks * 512 < 150 << 20 < size.st_size, lambda: f"not sparse: {size}")
    whole = pathlib.Path("snap").read_bytes()
    for name in ["one.raw", "two.raw"]:
        shutil.copy("d.raw", name)
        with Machine(description, snapshot={"path": str(pathlib.Path("snap").resolve())},
                     **disk(name)) as machine:
            machine.wait_for("at ")
            machine.tell()
            equal(machine.wait(), 0)
            check_end(before, machine.out(), name)
    check(pathlib.Path("snap").read_bytes() == whole, "the snapshot changed")


def test_a_running_machine_goes_on_after_its_snapshot():
    pathlib.Path("d.raw").write_bytes(bytes(1 << 20))
    with Machine(describe(WORK, **disk("d.raw"))) as machine:
        machine.wait_for("at 20 ")
        for name in ["a", "b", "c"]:
            equal(take(machine, name)["state"], "running")
        machine.tell()
        equal(machine.wait(), 0)
        check_end("", machine.out(), "d.raw")


FOLDER = ("mkdir /data; mount -t virtiofs data /data; cd /data/sub; exec 5>>log 6<held; i=0\n"
          + until_told("i=$((i + 1)); echo $i >&5; echo at $i; usleep 20000")
          + "cat <&6; cat ../seen; echo lines $(wc -l < log) last $(tail -n 1 log)\n")


def test_a_shared_folder_goes_on():
    """What the guest has open in it is open again, also in another place by then."""
    here = pathlib.Path("here/sub").resolve()
    here.mkdir(parents=True)
    (here / "held").write_text("what was held open\n")
    (here / "../seen").write_text("seen early\n")

    def shares(folder):
        return {"shares": [{"tag": "data", "folder": {"path": str(pathlib.Path(folder).resolve())}}]}
    description = describe(FOLDER, **shares("here"))
    with Machine(description) as machine:
        machine.wait_for("at 5")
        take(machine, "snap", stop=True)
        equal(machine.wait(), 0)
        before = machine.out()
    with Machine(description, snapshot={"path": str(pathlib.Path("snap").resolve())}) as machine:
        machine.wait_for("at ")
        machine.tell()
        equal(machine.wait(), 0)
        after = machine.out()
    last = int(re.search(r"^lines (\d+) last \1", after, re.M)[1])
    equal([int(at) for at in re.findall(r"^at (\d+)", before + after, re.M)],
          list(range(1, last + 1)))
    equal((here / "log").read_text(), "".join(f"{i}\n" for i in range(1, last + 1)))
    contains(after, "what was held open\nseen early\n")


def broken(good, name, change):
    data = bytearray(good)
    change(data)
    pathlib.Path(name).write_bytes(data)
    return {"path": str(pathlib.Path(name).resolve())}


def put(offset, value):
    def change(data):
        data[offset:offset + len(value)] = value
    return change


def test_damage_is_noticed():
    description = describe("echo up; sleep 100000")
    with Machine(description) as machine:
        machine.wait_for("up")
        take(machine, "snap", stop=True)
    good = pathlib.Path("snap").read_bytes()
    used = next(at for at in range(len(good) - 4096, 0, -4096) if any(good[at:at + 4096]))
    for change, text in [(put(0, b"#!/bin/s"), "no snapshot of a machine"),
                         (put(8, b"\x63"), "a snapshot of version 99; this program knows version 2"),
                         (put(12, b"\x09"), "state is damaged (its checksum differs); make it anew"),
                         (put(5000, b"\xff"), "state is damaged"),
                         (put(used, bytes(4096)), "the snapshot's memory is damaged near guest byte"),
                         (put(len(good) - 1, b"\x01"), "memory is damaged"),
                         (lambda data: data.__delitem__(slice(1 << 20, None)), "cut short"),
                         (lambda data: data.clear(), "no snapshot of a machine")]:
        with Machine(description, snapshot=broken(good, "bad", change)) as machine:
            equal(machine.wait(), 1)
            contains(machine.err(), text)
    pathlib.Path("bad").unlink()
    snapshot = {"path": str(pathlib.Path("snap").resolve())}
    for changes, text in [({"noRng": True}, "the snapshot's machine has 2 virtio devices, the "
                                            "description asks for 1"),
                          ({"noRng": True, "console": {"kind": "virtio"}},
                           "another kind of device there"),
                          ({"snapshot": {"path": "/nonexistent"}}, "open /nonexistent: ENOENT")]:
        with Machine(description, **{"snapshot": snapshot, **changes}) as machine:
            equal(machine.wait(), 1)
            contains(machine.err(), text)


def test_a_snapshot_that_cannot_be_written_says_so():
    with Machine(describe("echo up; while sleep 1; do echo on; done")) as machine:
        machine.wait_for("up")
        with open("/dev/full", "r+b", buffering=0) as full:
            reply = machine.ask("snapshot", full)
        equal(reply["ok"], False)
        contains(reply["error"], "write the snapshot")
        reply = machine.ask("snapshot")
        contains(reply["error"], "needs a descriptor or a path")
        reply = machine.ask("snapshot", path=str(work() / "by-path"))
        equal((reply["ok"], reply["errnum"], reply["state"]), (False, errno.EPERM, "running"))
        contains(reply["error"], "opens no paths; send a descriptor along")
        seen = len(machine.out())
        eventually(lambda: len(machine.out()) > seen)


def test_named_machines_are_written_and_go_on():
    """viv boot --name, viv snapshot, viv restore: by name and by file, and what they refuse."""
    data = ["--data-root", work() / "data"]
    boot_argv = [*data, "boot", "--accel", "emu", "--kernel", kernel() / "vmlinuz", "--initrd",
                 initramfs(COUNTING), "--append", APPEND]
    fails(viv(*data, "snapshot", "m"), 125, 'no machine "m" runs; one is given its name by')
    fails(viv(*data, "restore", "m"), 125, "m: neither a machine's name nor a snapshot")
    pathlib.Path("alone").touch()
    fails(viv(*data, "restore", "./alone"), 125, "viv snapshot writes it beside the snapshot: bring both")
    fails(viv(*boot_argv, "--name", "a/b"), 125, '"a/b" is no name for a machine')
    with Background(program("viv"), *boot_argv, "--name", "m") as machine:
        eventually(lambda: "at 20 " in machine.out(), BOOT, machine.err)
        fails(viv(*boot_argv, "--name", "m"), 125, "a machine of that name runs")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.connect(str(work() / "data/machines/m/control.sock"))
            control.send(b'{"command":"stats"}')
            contains(control.recv(1 << 16).decode(), '"resident":')
        viv(*data, "snapshot", "m", "file").ok()
        viv(*data, "snapshot", "--stop", "m").ok()
        equal(machine.wait(BOOT), 0)
        before = machine.out()
    fails(viv(*data, "snapshot", "m"), 125, 'no machine "m" runs')
    for word in "m", "./file":
        again = viv(*data, "restore", "--accel", "emu", word, stdin="\n", timeout=BOOT).ok().out
        last = int(re.search(r"^last (\d+)", again, re.M)[1])
        told = numbers(again)
        first = told[0] if told else last + 1
        check(first > 20 and told == list(range(first, last + 1)), lambda: again)
        if word == "m":
            equal(numbers((before + again).replace("\r", "")), list(range(1, last + 1)))
    pathlib.Path("file").write_bytes(b"spoilt")
    fails(viv(*data, "restore", "--accel", "emu", "./file"), 1, "no snapshot of a machine")
