"""Machines that boot Debian's kernel on our own CPU: how they start, what they find, how they end."""
import pathlib
import re
import subprocess

from lib import *
from lib.guest import *

TIMEOUT = 150
BUILDS = ["plain"]


def test_reaches_user_space_and_powers_off():
    done = boot("echo kernel $(uname -r) memory $(grep MemTotal /proc/meminfo)").ok()
    matches(done.out, r"kernel 6\.\d+\.\d+-\d+-cloud-amd64 memory MemTotal: +2\d{5} kB")


def test_two_cpus_are_online_and_interrupt_each_other():
    done = boot("cat /sys/devices/system/cpu/online; taskset 2 sh -c 'grep RES /proc/interrupts'",
                cpus=2).ok()
    contains(done.out, "\n0-1\n")
    counts = re.search(r"RES: +(\d+) +(\d+)", done.out)
    check(counts and int(counts[1]) + int(counts[2]) > 0, lambda: str(done))


def test_the_clock_is_right():
    """The time of day comes from the host, and a second lasts a second."""
    import time
    earlier = time.time()
    done = boot("a=$(cut -d' ' -f1 /proc/uptime); date +%s; sleep 2;"
                "cat /sys/devices/system/clocksource/clocksource0/available_clocksource;"
                "echo slept $a $(cut -d' ' -f1 /proc/uptime);"
                "grep hres_active /proc/timer_list").ok()
    told = int(re.search(r"^(\d{10})$", done.out, re.M)[1])
    between(told, int(earlier) - 1, int(time.time()) + 1, "the guest's time of day")
    contains(done.out, "kvm-clock")
    begin, end = re.search(r"slept ([\d.]+) ([\d.]+)", done.out).groups()
    between(float(end) - float(begin), 1.9, done.seconds, "two seconds in the guest")
    matches(done.out, r"hres_active +: 1")


def test_ends_are_told_apart():
    for script, status, word in [("reboot -f", 3, "reset"),
                                 ("echo c > /proc/sysrq-trigger", 4, "panic")]:
        done = boot(script)
        fails(done, status, word)


def test_disks_hold_what_was_written():
    pathlib.Path("one.raw").write_bytes(bytes(range(256)) * 8192)
    run("qemu-img", "create", "-q", "-f", "raw", "base.raw", "8M").ok()
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "two.qcow2").ok()
    here = pathlib.Path.cwd()
    done = boot("md5sum /dev/vda; cat /sys/block/vda/ro /sys/block/vdb/serial; echo;"
                "dd if=/dev/vda of=/dev/vdb bs=64k seek=8 conv=fsync 2>/dev/null;"
                "echo 3 > /proc/sys/vm/drop_caches;"
                "dd if=/dev/vdb bs=64k skip=8 count=32 2>/dev/null | md5sum",
                disks=[{"file": {"path": str(here / "one.raw")}, "readOnly": True},
                       {"file": {"path": str(here / "two.qcow2")}, "serial": "second"}]).ok()
    sums = re.findall(r"^([0-9a-f]{32}) ", done.out, re.M)
    equal(len(sums), 2)
    equal(sums[0], sums[1])
    contains(done.out, "1\nsecond\n")
    run("qemu-img", "check", "-q", "two.qcow2").ok()
    run("qemu-img", "convert", "-O", "raw", "two.qcow2", "two.raw").ok()
    equal(pathlib.Path("two.raw").read_bytes()[512 << 10:][:2 << 20],
          pathlib.Path("one.raw").read_bytes())


def test_random_numbers_and_memory_go_and_come():
    done = boot("cat /sys/class/misc/hw_random/rng_current; dd if=/dev/hwrng bs=512 count=4 "
                "2>/dev/null | wc -c; ls -d /sys/bus/virtio/drivers/virtio_balloon/virtio*").ok()
    contains(done.out, "virtio_rng.0\n2048\n/sys/bus/virtio/drivers/virtio_balloon/virtio")


@needs(root=True, programs=["ip"])
@private("net")
def test_network_over_a_tap():
    run("ip", "link", "set", "lo", "up").ok()
    run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr").ok()
    run("ip", "addr", "add", "10.99.0.1/24", "dev", "tap0").ok()
    run("ip", "link", "set", "tap0", "up").ok()
    data = bytes(range(251)) * 40000
    pathlib.Path("data").write_bytes(data)
    with Background("busybox", "httpd", "-f", "-p", "10.99.0.1:8099", "-h", pathlib.Path.cwd()):
        done = boot("ip link set eth0 up; ip addr add 10.99.0.2/24 dev eth0;"
                    "cat /sys/class/net/eth0/address; ping -c 2 -w 100 10.99.0.1;"
                    "wget -q -O /tmp/data http://10.99.0.1:8099/data; md5sum /tmp/data",
                    nets=[{"tap": "tap0", "mac": "02:00:00:00:00:07"}]).ok()
    import hashlib
    contains(done.out, "02:00:00:00:00:07\n")
    contains(done.out, " 0% packet loss")
    contains(done.out, hashlib.md5(data).hexdigest())


def test_bad_input_says_what_to_do():
    cases = [({"kernel": {"path": "/etc/passwd"}}, "neither a bzImage nor an ELF"),
             ({"kernel": {"path": "/nonexistent"}}, "open the kernel /nonexistent: ENOENT"),
             ({"memory": 16 << 20}, "give the machine more (-m)"),
             ({"memory": 1 << 50}, "1 MiB to 512 GiB"),
             ({"memory": 12345}, "not a multiple of 4096"),
             ({"cpus": 1000}, "/cpus: 1000; a machine has 1 to 64"),
             ({"disks": [{"file": {"path": "/nonexistent"}}]}, "make one with truncate -s SIZE"),
             ({"disks": [{"file": {"path": "/etc/passwd"}, "format": "vmdk"}]}, "known are raw"),
             ({"nets": [{}]}, "needs a tap device"),
             ({"nets": [{"tap": "x", "mac": "01:00:00:00:00:00"}]}, "MAC address"),
             ({"append": "x" * 3000}, "Linux takes 2047"),
             ({"accel": "xen"}, "there are auto, kvm and emu")]
    for more, text in cases:
        description = describe("true")
        import json
        changed = {**json.loads(description.read_text()), **more}
        description.write_text(json.dumps(changed))
        fails(run(program("viv-vmm"), description), 1, text)


def test_damaged_disks_say_what_is_wrong():
    run("qemu-img", "create", "-q", "-f", "qcow2", "good", "8M").ok()
    good = pathlib.Path("good").read_bytes()

    def put(offset, value):
        return good[:offset] + value + good[offset + len(value):]
    for data, text in [(good[:300], "the file is cut short"), (b"", "bad: is empty; make it"), (bytes(512), "not a qcow2 image"),
                       (put(4, b"\0\0\0\x09"), "qcow2 version 9; 2 and 3 are known"),
                       (put(20, b"\0\0\0\x03"), "qcow2 header is damaged: cluster size; take a copy"),
                       (put(24, b"\xff" * 8), "qcow2 header is damaged: size of the disk"),
                       (put(40, b"\xff" * 8), "its L1 table lies outside it")]:
        pathlib.Path("bad").write_bytes(data)
        description = describe("true", disks=[{"file": {"path": str(pathlib.Path("bad").resolve())},
                                               "format": "qcow2"}])
        fails(run(program("viv-vmm"), description), 1, text)


def test_what_the_host_does_not_have_is_told():
    with open("huge", "wb") as file:
        file.truncate(1 << 30)
    fails(run(program("viv-vmm"), describe("true", initrd={"path": str(work() / "huge")})), 1,
          "1073741824 bytes do not fit beside the kernel into 256 MiB of guest memory")
    fails(viv("boot", "--kernel", kernel() / "vmlinuz", "-m", "400g"), 125, "and this host has ")
    fails(viv("boot", "--kernel", kernel() / "vmlinuz", "--net", "vivnothere"), 125,
          "no interface vivnothere; make it with ip tuntap add vivnothere")


@needs(root=True)
@private("mnt")
def test_without_kvm_it_says_what_to_do():
    description = describe("true", accel="kvm")
    run("mount", "-t", "tmpfs", "none", "/dev").ok()
    fails(run(program("viv-vmm"), description), 1, "or use --accel emu")
    pathlib.Path("/dev/kvm").write_text("")
    pathlib.Path("/dev/kvm").chmod(0o600)
    description.chmod(0o644)
    for folder in [description.parent, *description.parent.parents][:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    fails(as_user(program("viv-vmm"), description), 1, "become a member of the group kvm")


def test_a_killed_machine_lets_go_of_its_disk():
    pathlib.Path("d.raw").write_bytes(bytes(1 << 20))
    disk = {"file": {"path": str(pathlib.Path("d.raw").resolve())}}
    description = describe("echo up; sleep 100", disks=[disk])
    with Background(program("viv-vmm"), description) as machine:
        eventually(lambda: any("lock:" in path.read_text()
                               for path in pathlib.Path(f"/proc/{machine.pid}/fdinfo").iterdir()))
        second = run(program("viv-vmm"), description)
        fails(second, 1, "another machine uses this disk")
        machine.process.kill()
        machine.process.wait()
    boot("true", disks=[disk]).ok()


def test_viv_boot_is_a_machine_on_the_terminal():
    argv = ["boot", "--kernel", kernel() / "vmlinuz", "--initrd",
            initramfs("echo ready; read x; echo got $x"), "--append", APPEND,
            "--accel", "emu", "-m", "200m"]
    with Background(program("viv"), *argv, stdin=subprocess.PIPE) as machine:
        machine.wait_for("ready", 100)
        machine.process.stdin.write(b"something typed\n")
        machine.process.stdin.flush()
        machine.wait_for("got something typed", 30)
        equal(machine.wait(60), 0)
