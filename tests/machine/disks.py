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
    script = ("i=0; while [ $i -lt 900 ]; do n=$(printf %07d $i); at=$((i * 389 % 1024));"
              "yes $n | head -c 65536 > /tmp/b;"
              "for d in vda vdb; do dd if=/tmp/b of=/dev/$d bs=64k seek=$at conv=fsync 2>/dev/null;"
              "done; echo flushed $i; i=$((i + 1)); done")
    wanted = random.randrange(5, 40)
    with Background(program("viv-vmm"), describe(script, disks=disks)) as machine:
        machine.wait_for(f"flushed {wanted}\n", 120)
        machine.process.kill()
        machine.process.wait()
        told = [int(number) for number in re.findall(r"flushed (\d+)\n", machine.out())]
    run("qemu-img", "check", "-q", "d.qcow2").ok()
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "d.qcow2", "copy.raw").ok()
    for name in ("d.raw", "copy.raw"):
        data = pathlib.Path(name).read_bytes()
        for number in range(max(told) + 1):
            at = number * 389 % 1024 * BLOCK
            check(data[at:at + BLOCK] == block(number), f"{name}: block {number} of {max(told)}")


def test_discards_give_space_back():
    disks = [make("d.raw", "raw", "16M"), make("d.qcow2", "qcow2", "16M")]
    done = boot("for d in vda vdb; do dd if=/dev/urandom of=/dev/$d bs=1M count=8 conv=fsync"
                " 2>/dev/null; blkdiscard -o 1M -l 6M /dev/$d 2>/dev/null ||"
                " blkdiscard -o 1048576 -l 6291456 /dev/$d; sync; echo 3 > /proc/sys/vm/drop_caches;"
                "dd if=/dev/$d bs=1M skip=1 count=6 2>/dev/null | tr -d '\\0' | wc -c; done",
                disks=disks).ok()
    equal(re.findall(r"^(\d+)$", done.out, re.M), ["0", "0"])
    check(os.stat("d.raw").st_blocks * 512 < 3 << 20, str(os.stat("d.raw")))
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
