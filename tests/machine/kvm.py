"""The same machines on a true /dev/kvm, in the rig."""
import json
import pathlib

from lib import *
from lib.guest import *

TIMEOUT = 300
BUILDS = ["plain"]
RIG = "v2"


def boot_in_rig(script, **more):
    """Boots a machine inside the rig; the kernel and our program are where they are outside."""
    guest = rig("v2")
    description = json.loads(describe(script, **more).read_text(encoding="utf-8"))
    here = f"/tmp/{unique('machine-')}"
    guest.push(f"{here}.initramfs", pathlib.Path("initramfs").read_bytes())
    description["initrd"]["path"] = f"{here}.initramfs"
    guest.push(f"{here}.json", json.dumps(description).encode())
    done = guest.run(program("viv-vmm"), f"{here}.json", timeout=280)
    done.out = done.out.replace("\r", "")
    return done


def test_auto_takes_kvm_and_the_kernel_boots():
    done = boot_in_rig("cat /sys/devices/system/cpu/online; dd if=/dev/hwrng bs=64 count=1 | wc -c;"
                       "grep -o -m1 -w hypervisor /proc/cpuinfo", accel="auto", cpus=2)
    done.ok()
    contains(done.err, "kvm: /dev/kvm passed its self-test")
    contains(done.out, "\n0-1\n")
    contains(done.out, "64\n")
    contains(done.out, "hypervisor\n")


def test_ends_are_told_apart_on_kvm():
    for script, status, word in [("reboot -f", 3, "reset"),
                                 ("echo c > /proc/sysrq-trigger", 4, "panic")]:
        done = boot_in_rig(script, accel="kvm")
        fails(done, status, word)
