"""Disks: what a guest was told is on the disk is there, whatever happens to viv-vmm; discards give
space back; rates are kept."""
import os
import pathlib
import random
import re

from lib import *
from lib.guest import *

TIMEOUT = 180
BUILDS = ["plain"]
BLOCK = 64 << 10
KINDS = {"raw": [], "qcow2": ["-o", "cluster_size=4096"]}


def make(name, kind, size):
    run("qemu-img", "create", "-q", "-f", kind, *KINDS[kind], name, size).ok()
    return {"file": {"path": str(pathlib.Path(name).resolve())}, "format": kind}


def block(number):
    return (f"{number:07}\n" * (BLOCK // 8)).encode()


def test_a_flush_survives_a_kill():
    """Blocks all over the disk, each told to be written once it was flushed; then SIGKILL."""
    disks = [make("d.raw", "raw", "64M"), make("d.qcow2", "qcow2", "64M")]
    script = ("dd if=/dev/vda of=/dev/null bs=8M iflag=direct 2>/dev/null;"
              "i=0; while [ $i -lt 900 ]; do n=$(printf %07d $i); at=$((i * 389 % 1024));"
              "yes $n | head -c 65536 > /tmp/b;"
              "for d in vda vdb; do dd if=/tmp/b of=/dev/$d bs=64k seek=$at conv=fsync 2>/dev/null;"
              "done; echo flushed $i; i=$((i + 1)); done")
    wanted = random.randrange(5, 40)
    with Machine(describe(script, disks=disks)) as machine:
        machine.wait_for(f"flushed {wanted}\n", 120)
        stats = machine.ask("stats")["stats"]["disks"]
        machine.process.kill()
        machine.process.wait()
        told = [int(number) for number in re.findall(r"flushed (\d+)\n", machine.out())]
    if offers_io_uring():
        equal([disk["io"] for disk in stats], ["io_uring"] * 2)
        check(stats[0]["deepest"] > 1, lambda: f"one transfer at a time: {stats}")
    run("qemu-img", "check", "-q", "d.qcow2").ok()
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "d.qcow2", "copy.raw").ok()
    for name in ("d.raw", "copy.raw"):
        data = pathlib.Path(name).read_bytes()
        for number in range(max(told) + 1):
            at = number * 389 % 1024 * BLOCK
            check(data[at:at + BLOCK] == block(number), f"{name}: block {number} of {max(told)}")


def test_a_raw_disk_cannot_be_made_into_another_format():
    """A qcow2 header with a backing file would show any file of the host's at the next start."""
    pathlib.Path("secret").write_bytes(b"of the host\n".ljust(1 << 20))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", pathlib.Path("secret").resolve(),
        "fake", "1M").ok()
    names = ("guessed.raw", "said.raw")
    for name in names:
        pathlib.Path(name).write_bytes(b"x" * (1 << 20))
    script = ("for d in vda vdb; do for bs in 512 64k; do"
              " dd if=/dev/vdc of=/dev/$d bs=$bs count=1 conv=fsync;"
              " echo $d $bs $?; done; head -c 3 /dev/$d; echo; done;"
              "dd if=/dev/zero of=/dev/vda bs=64k count=2 oflag=direct; echo zeros $?")
    disks = [{"file": {"path": str(pathlib.Path(name).resolve())}} for name in (*names, "fake")]
    for disk in disks[1:]:
        disk["format"] = "raw"
    done = boot(script, disks=disks).ok()
    for line in ("vda 512 1", "vda 64k 1", "xxx", "vdb 512 0", "vdb 64k 0", "QFI", "zeros 0"):
        contains(done.out, f"{line}\n")
    equal(pathlib.Path("guessed.raw").read_bytes(), bytes(128 << 10) + b"x" * (896 << 10))


def test_zeros_and_discards_without_io_uring():
    """A third of each disk is discarded, then zeros are asked for that give space back, and zeros
    that keep it. The host forbids io_uring, as many do: it is told, and all goes on without."""
    disks = [make("d.raw", "raw", "16M"), make("d.qcow2", "qcow2", "16M")]
    script = ("for d in vda vdb; do dd if=/dev/urandom of=/dev/$d bs=1M count=12 conv=fsync"
              " 2>/dev/null; blkdiscard -o 1M -l 3M /dev/$d 2>/dev/null ||"
              " blkdiscard -o 1048576 -l 3145728 /dev/$d;"
              "guest-disk punch /dev/$d 0x500000 0x1ff000; guest-disk zero /dev/$d 0x800000 0x2ff200;"
              "sync; echo 3 > /proc/sys/vm/drop_caches;"
              "for at in 1:3 5:2 8:3; do dd if=/dev/$d bs=1M skip=${at%:*} count=${at#*:} 2>/dev/null"
              " | tr -d '\\0' | wc -c; done; done; echo done; sleep 100000")
    with Machine(describe(script, disks=disks, programs=[program("tests/machine/guest-disk")]),
                 before=without_io_uring) as machine:
        machine.wait_for("done\n", 150)
        stats = machine.ask("stats")["stats"]["disks"]
        counts = [int(number) for number in re.findall(r"^(\d+)$", machine.out(), re.M)]
        machine.ask("stop")
        equal(machine.wait(60), 0)
    for disk in stats:
        equal((disk["io"], disk["because"]), ("preadv", "io_uring_setup: Operation not permitted"))
    for index in (0, 3):  # random bytes, of which one in 256 is a zero
        equal(counts[index], 0)
        check(4000 < counts[index + 1] <= 4096, lambda: str(counts))
        check(3400 < counts[index + 2] <= 3584, lambda: str(counts))
    data = pathlib.Path("d.raw").read_bytes()
    check(not any(data[0x500000:0x6ff000]) and not any(data[0x800000:0xaff200]), "no zeros there")
    check(data[0x4fff00:0x500000].count(0) < 64 and data[0xaff200:0xaff300].count(0) < 64, "too many")
    # 12 MiB were written, 5 MiB less 4 KiB given back; what is no hole stays where it was
    kept = os.stat("d.raw").st_blocks * 512
    check(abs(kept - (7 << 20)) < 256 << 10, f"{kept} bytes are kept")
    run("qemu-img", "check", "-q", "d.qcow2").ok()


@needs(root=True, programs=["ip"])
@private("net")
def test_rates_are_kept():
    """At least as long as the rate says; how much longer depends on the machine."""
    run("ip", "link", "set", "lo", "up").ok()
    run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr").ok()
    run("ip", "addr", "add", "10.99.0.1/24", "dev", "tap0").ok()
    run("ip", "link", "set", "tap0", "up").ok()
    pathlib.Path("data").write_bytes(bytes(2 << 20))
    slow = [make("a.raw", "raw", "16M"), make("b.raw", "raw", "16M")]
    slow[0]["rate"] = {"bytesPerSecond": 1 << 20}
    slow[1]["rate"] = {"operationsPerSecond": 20}
    script = ("t() { a=$(cut -d' ' -f1 /proc/uptime); \"$@\"; echo took $a $(cut -d' ' -f1"
              " /proc/uptime); }; ip link set eth0 up; ip addr add 10.99.0.2/24 dev eth0;"
              "t dd if=/dev/vda of=/dev/null bs=64k count=48 iflag=direct;"
              "t dd if=/dev/vdb of=/dev/null bs=4k count=40 iflag=direct;"
              "t wget -q -O /tmp/data http://10.99.0.1:8098/data; wc -c /tmp/data")
    with Background("busybox", "httpd", "-f", "-p", "10.99.0.1:8098", "-h", pathlib.Path.cwd()):
        done = boot(script, disks=slow, nets=[{"tap": "tap0", "rate": {"bytesPerSecond": 1 << 20}}]
                    ).ok()
    took = [float(end) - float(begin)
            for begin, end in re.findall(r"took ([\d.]+) ([\d.]+)", done.out)]
    equal(len(took), 3)
    contains(done.out, f"{2 << 20} /tmp/data")
    # a tenth of a second's worth may go at once
    for seconds, least in zip(took, (2.8, 1.7, 1.7)):
        check(seconds > least, f"{took}: {seconds} is less than {least}")
