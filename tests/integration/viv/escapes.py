"""Known escapes from other runtimes, replayed through viv; each fails if it succeeds. What happens
below, with exchanged links and forged procfs, is in the unit tests of rootfs."""
import contextlib
import io
import os
import pathlib
import tarfile
import threading

from lib import *
from box import box

TIMEOUT = 60


def copied_root():
    root = work() / unique("root")
    run("cp", "-a", image(), root).ok()
    return root


def test_cve_2019_5736_our_binary_is_out_of_reach():
    """A workload that is /proc/self/exe would run, and could write to, the runtime's own program."""
    root = copied_root()
    (root / "evil").symlink_to("/proc/self/exe")
    before = os.stat(program("viv"))
    with box() as b:
        for flags in ([], ["--userns", "host"]):
            check(b.run(*flags, "--rootfs", root, "/evil", "--version").status != 0)
            lacks(b.run(*flags, "--rootfs", root, "/evil", "--version").out, "viv")
    after = os.stat(program("viv"))
    equal((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))


def test_the_place_of_our_programs_is_not_the_callers_to_tell():
    """A forged VIV_PROGRAM would lead to other helpers, and to another built-in image."""
    forged = {"VIV_PROGRAM": "/nonexistent/viv"}
    with box() as b:
        equal(b.run("--userns", "host", "busybox", "echo", "own", env=forged).ok().out, "own\n")


def test_cve_2024_21626_no_directory_of_the_host_by_descriptor():
    """A working directory of /proc/self/fd/N must not be a leaked directory of the host."""
    with box() as b:
        name = b.start("--userns", "host")
        for number in range(3, 24):
            place = f"/proc/self/fd/{number}"
            done = b.run("--userns", "host", "-w", place, "busybox", "--", "pwd")
            check(done.status != 0, lambda d=done: str(d))
            done = b.viv("exec", "-w", place, name, "pwd")
            check(done.status != 0, lambda d=done: str(d))


def test_cve_2025_31133_what_masks_is_dev_null():
    """The file that lies over a masked one is the null device, whatever the image calls so."""
    root = copied_root()
    for entry in ("null",):
        path = root / "dev" / entry
        path.unlink(missing_ok=True)
        path.symlink_to("/proc/sys/kernel/core_pattern")
    core = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    with box() as b:
        done = b.run("--rootfs", root, "sh", "-c",
                     "test -c /proc/keys && wc -c < /proc/keys; echo x > /dev/null; "
                     "test -c /dev/null && echo device").ok()
        equal(done.out.split(), ["0", "device"])
    equal(pathlib.Path("/proc/sys/kernel/core_pattern").read_text(), core)


def test_cve_2025_52565_the_console_is_bound_to_no_link():
    root = copied_root()
    (root / "dev/console").unlink(missing_ok=True)
    (root / "dev/console").symlink_to("/proc/sysrq-trigger")
    (root / "dev/pts").mkdir(exist_ok=True)
    with box() as b:
        done = b.run("-t", "--rootfs", root, "sh", "-c", "test -c /dev/console && echo console")
        contains(done.ok().out, "console")


def test_cve_2025_52881_writes_go_to_our_own_procfs():
    """A sysctl is written to the kernel's file, not to what the image has put in its way."""
    root = copied_root()
    shm = work() / "forged"
    (shm / "sys/net/ipv4").mkdir(parents=True)
    (shm / "sys/net/ipv4/ip_default_ttl").write_text("untouched")
    with box() as b:
        done = b.run("--sysctl", "net.ipv4.ip_default_ttl=71", "-v", f"{shm}/sys:/proc/sys",
                     "--rootfs", root, "cat", "/proc/sys/net/ipv4/ip_default_ttl")
        if done.status == 0:
            equal(done.out, "untouched")
        else:
            equal(done.status, 125)
    equal((shm / "sys/net/ipv4/ip_default_ttl").read_text(), "untouched")


def test_cve_2021_30465_links_that_are_exchanged_while_mounts_are_made():
    """A volume's folder turns into a link to "/" and back, while a mount goes below it."""
    shared, data = work() / "shared", work() / "data"
    (shared / "folder/point").mkdir(parents=True)
    data.mkdir()
    (data / "mark").write_text("x")
    (shared / "link").symlink_to("/")
    over = threading.Event()

    def exchange():
        while not over.is_set():
            os.rename(shared / "folder", shared / "aside")
            os.rename(shared / "link", shared / "folder")
            os.rename(shared / "folder", shared / "link")
            os.rename(shared / "aside", shared / "folder")

    swapper = threading.Thread(target=exchange)
    swapper.start()
    try:
        with box() as b:
            for _ in range(25):
                done = b.run("--userns", "host", "-v", f"{shared}:/vol", "-v",
                             f"{data}:/vol/folder/point", "busybox", "sh", "-c",
                             "ls /point 2>/dev/null; test -e /etc/debian_version && echo host")
                lacks(done.out, "host")
                check(not os.path.exists("/point"), "the mount point was made on the host")
    finally:
        over.set()
        swapper.join()


def test_a_tree_as_deep_as_it_likes():
    """What a workload nests deeper than we have stack or descriptors is told, and can be removed."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as out:
        folder = tarfile.TarInfo("d/" * 1200)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        out.addfile(folder)
    images = pathlib.Path(os.environ["VIV_DATA_ROOT"], "images")
    out = work() / "out"
    with box() as b, contextlib.ExitStack() as after:
        name = b.start()
        after.callback(run, "rm", "-rf", out, images / "tmp")  # too deep for the tests' own removal
        b.viv("cp", "-", f"{name}:/tmp", stdin=packed.getvalue()).ok()
        for args in (["diff", name], ["export", "-o", work() / "x.tar", name],
                     ["cp", f"{name}:/tmp/d", out]):
            fails(b.viv(*args), 125, "nested more than 1024 deep")
        run("rm", "-rf", out).ok()
        b.viv("cp", f"{name}:/tmp/{'d/' * 600}", out).ok()
        run("prlimit", "--nofile=400", program("viv"), "--root", b.store, "rm", "-f", name).ok()
        equal(list(images.glob("tmp/*/upper/tmp")) + list(images.glob("roots/*")), [])
