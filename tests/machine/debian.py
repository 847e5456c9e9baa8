"""An unmodified Debian with systemd on the software CPU: from the kernel to a login prompt, and real
programs in it, whose results are compared with the same on the host."""
import os
import pathlib
import re
import subprocess

from lib import *
from lib.debian import debian_disk
from lib.guest import *

TIMEOUT = 900  # the Debian is made once, and kept in tests/.cache
BUILDS = ["plain"]
LONG = 200  # seconds for what takes ten or twenty on a host with nothing else to do

# The same text runs in the machine and in a chroot of the same disk.
SCRIPT = r"""
dpkg --version | head -n 1
dpkg -l | tail -n +6 | awk '{print $2, $3}' | md5sum
dpkg --verify bash coreutils | grep -v /usr/share/; echo verified
perl -MDigest::MD5=md5_hex -e '$x = join ",", map { sprintf "%.17g", sqrt($_) * exp(1 / $_) } 1 .. 3000; print md5_hex($x), "\n"'
perl -e '$_ = "abc" x 2000; $n = () = /b(?=c)/g; print "matches $n\n"'
python3 -c 'import hashlib; d = {str(i): [i ** 3, 1 / (i + 1)] for i in range(2000)}; print(hashlib.sha256(repr(d).encode()).hexdigest())'
python3 -c 'print(sum(3 ** i % 1000003 for i in range(2000)), 2 ** 4096 % 1000000007)'
cat > /tmp/t.c <<'END'
#include <math.h>
#include <stdio.h>
int main(void)
{
    long double sum = 0;
    for (int i = 1; i < 20000; i++)
        sum += sinl(i) / i;
    printf("compiled %.18Lg %a\n", sum, (double)sum);
    return 0;
}
END
gcc -O2 -S -o /tmp/t.s /tmp/t.c && md5sum < /tmp/t.s
gcc -O2 -o /tmp/t /tmp/t.c -lm && /tmp/t
seq 1 20000 | sort -r | sha256sum
"""


def on_the_host():
    """In a chroot of the same disk, whose changes go nowhere."""
    upper = pathlib.Path("upper").resolve()
    upper.mkdir()
    mount = (f"mount -t tmpfs t {upper} && mkdir {upper}/disk {upper}/data {upper}/work {upper}/root && "
             f"mount -o ro,loop {debian_disk()} {upper}/disk && "
             f"mount -t overlay o -o lowerdir={upper}/disk,upperdir={upper}/data,"
             f"workdir={upper}/work {upper}/root && exec chroot {upper}/root /bin/bash -s")
    return run("unshare", "--mount", "bash", "-c", mount, stdin=SCRIPT, timeout=200,
               env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).ok().out


def started_init():
    """An initramfs that goes on with the root on the disk. In /run it tells systemd to be patient: there
    is no login prompt when the terminal's device has not come within 90 seconds, on a busy host."""
    patient = "/root/run/systemd/system.conf.d"
    return initramfs("mkdir -p /root; mount -t ext4 /dev/vda /root; umount /sys; umount /proc;"
                     f"mount -t tmpfs -o mode=755 run /root/run; mkdir -p {patient};"
                     "printf '[Manager]\\nDefaultTimeoutStartSec=3600\\nDefaultDeviceTimeoutSec=3600\\n'"
                     f" > {patient}/patient.conf;"
                     "mount --move /dev /root/dev; exec switch_root /root /sbin/init",
                     modules=["virtio_ring", "virtio", "virtio_mmio", "virtio_blk"])


@needs(root=True, programs=["mmdebstrap", "mke2fs", "qemu-img"])
def test_debian_with_systemd_comes_to_a_prompt_and_works():
    disk = pathlib.Path("disk.qcow2").resolve()
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", debian_disk(), "-F", "raw", disk).ok()
    reads, writes = os.pipe()
    description = describe("true", cpus=2, memory=512 << 20)
    started_init()  # in the place of the description's own
    with Machine(description,
                 append="console=ttyS0 panic=-1 pci=off quiet systemd.show_status=0",
                 disks=[{"file": {"path": str(disk)}}],
                 console={"input": reads, "output": 1}, fds=[reads]) as machine:
        os.close(reads)

        def type_in(text):
            os.write(writes, text.encode())
        machine.wait_for("login: ", LONG)
        type_in("root\n")
        machine.wait_for("Password: ", LONG)
        type_in("glass\n")
        machine.wait_for("root@", LONG)
        # A shell without prompt and echo: what it prints are results.
        type_in("stty -echo; export LC_ALL=C PS1= PS2=; exec sh\n"
                "nproc; systemctl is-system-running --wait;"
                "systemctl --failed --no-legend | wc -l; echo be''gin\n")
        machine.wait_for("begin\n", LONG)
        type_in(SCRIPT + "\necho en''d\n")
        machine.wait_for("\nend\n", LONG)
        text = machine.out()
        stats = machine.ask("stats")["stats"]
        type_in("systemctl poweroff\n")
        equal(machine.wait(LONG), 0)
    os.close(writes)
    matches(text, r"\n2\nrunning\n0\nbegin\n")
    equal(text.split("begin\n")[1].split("\nend\n")[0].strip(), on_the_host().strip())
    equal(stats.get("unknown", []), [], "opcodes that the CPU does not have")
    print(f"{sum(cpu['instructions'] for cpu in stats['cpus']) / 1e9:.1f} G instructions")
    equal(subprocess.run(["qemu-img", "check", "-q", disk], check=False).returncode, 0)
    check(re.search(r"Debian GNU/Linux 12", text), lambda: text[-3000:])
