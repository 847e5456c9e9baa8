"""What the limits of swap and the protections of memory do: in the rigs, which may be given a swap
device, and whose control groups have the memory controller with nothing else at work."""
import contextlib
import os
import pathlib

from lib import *
from box import CGROUPS, box
from groups import V2, value

ONLY_IN = ["v2 plain"]  # v1.py has what is the same for the other version
TIMEOUT = 120
MIB = 1 << 20


@contextlib.contextmanager
def device(size):
    """A loop device over memory."""
    image = pathlib.Path("/dev/shm", unique("image-"))
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # later nobody is charged for it
    loop = run("losetup", "--find", "--show", image).ok().out.strip()
    try:
        yield loop
    finally:
        run("losetup", "-d", loop)
        image.unlink()


@contextlib.contextmanager
def swap():
    with device(256 * MIB) as loop:
        run("mkswap", loop).ok()
        run("swapon", loop).ok()
        try:
            yield
        finally:
            run("swapoff", loop).ok()


def keeps(b, size, *flags):
    """The status of a workload that keeps so many MiB."""
    return b.run(*flags, "busybox", "--", "sh", "-c", f"head -c {size}m /dev/zero | tail >/dev/null").status


def test_swap_is_limited():
    with swap(), box() as b:
        equal(keeps(b, 60, "-m", "32m", "--memory-swap", "32m"), 137)
        equal(keeps(b, 60, "-m", "32m", "--memory-swap", "128m"), 0)
        equal(keeps(b, 160, "-m", "32m", "--memory-swap", "128m"), 137)
        if not V2:
            equal(keeps(b, 60, "-m", "32m", "--memory-swap", "128m", "--memory-swappiness", "0"), 137)


@contextlib.contextmanager
def folder():
    """Two files on a disk, of 24 and 200 MiB, that nobody has read."""
    place = work() / "disk"
    place.mkdir(exist_ok=True)
    with device(300 * MIB) as loop:
        run("mkfs.ext4", "-q", loop).ok()
        run("mount", loop, place).ok()
        try:
            for name, size in (("kept", 24), ("read", 200)):
                run("dd", "if=/dev/zero", f"of={place / name}", "bs=1M", f"count={size}").ok()
            run("sync").ok()
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
            yield place
        finally:
            run("umount", place)


def kept_cache(*flags):
    """How many MiB of its cache a sandbox keeps while its neighbour reads more than both may have."""
    with folder() as place, box() as b:
        name = b.start("-m", "200m", *flags, "-v", f"{place}:/d:ro",
                       script="cat /d/kept >/dev/null; touch /dev/shm/done; exec sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-e", "/dev/shm/done").status == 0)
        (CGROUPS / b.scope / "memory.max").write_text(str(64 * MIB))
        b.run("-v", f"{place}:/d:ro", "busybox", "sh", "-c", "cat /d/read >/dev/null").ok()
        stat = dict(line.split() for line in value(b, name, "memory", "memory.stat").splitlines())
        b.viv("rm", "-f", name).ok()
        return int(stat["file"]) // MIB


def test_memory_is_protected():
    bare = kept_cache()
    check(bare < 18, lambda: str(bare))
    for flags in (["--memory-reservation", "40m"], ["--cgroup-conf", f"memory.min={40 * MIB}"]):
        found = kept_cache(*flags)
        check(found >= 22, lambda found=found, flags=flags: f"{flags}: {found}")
