"""An image of the store as a machine: its layers become the guest's root, and nothing of it stays."""
import contextlib
import ctypes
import errno
import json
import os
import pathlib
import shutil
import signal
import stat
import struct

from lib import *
from lib.registry import load_image

TIMEOUT = 300
BUILDS = ["plain"]


def look_at_one_that_is_kept(store):
    """Its changes are one more layer upon the image, for its next start and for others."""
    script = ("cat /new/file; echo life >> /new/file; rm /etc/passwd; rm -r /dev2; mkdir -p /new /dev2;"
              "echo life >> /new/file")
    name = unique("m")  # and so the control group's, which is the whole host's
    viv("--root", store, "run", "--name", name, "--isolation", "vm", "--accel", "emu", "--network",
        "none", "--user", "0", "vm:1", script, timeout=250).ok()
    again = viv("--root", store, "start", "-a", name, timeout=250)
    equal(again.out, "life\n")
    viv("--root", store, "commit", name, "vm:2").ok()
    viv("--root", store, "rm", name).ok()
    done = viv("--root", store, "run", "--rm", "--network", "none", "--user", "0", "vm:2",
               "cat /new/file; ls /etc/passwd")
    equal(done.out, "life\n" * 3)
    contains(done.err, "/etc/passwd: No such file")


@needs(root=True, programs=["mkfs.erofs"])
def test_layers_are_the_root_of_a_machine():
    above = work() / "above"
    (above / "etc").mkdir(parents=True)
    (above / "etc/.wh.group").write_text("")
    (above / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:7:8::/:/bin/sh\n")
    os.chown(above / "etc/passwd", 33, 44)
    load_image("localhost/vm:1", image(), above, config={
        "Entrypoint": ["/bin/sh", "-c"], "Env": ["PATH=/bin", "A=image"], "User": "ann",
        "Cmd": ["id -u; echo $A; stat -c %u:%g /etc/passwd; ls /etc/group"]})
    store = work() / "store"
    done = viv("--root", store, "run", "--rm", "--isolation", "vm", "--accel", "emu", "--network",
               "none", "vm:1", timeout=250)
    equal(done.out.split(), ["7", "image", "33:44"], done.err)
    contains(done.err, "/etc/group: No such file")
    roots = pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/roots")
    equal(list(roots.iterdir()), [])
    look_at_one_that_is_kept(store)
    equal(list(roots.iterdir()), [])
    viv("--root", store, "rmi", "vm:1", "vm:2").ok()


def caged_program(source):
    """A program of ours in the place of mkfs.erofs. A script would not do: the cage of mkfs has no
    shell."""
    folder = work() / "bin"
    if not folder.exists():
        folder.mkdir()
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    place = folder / "mkfs.erofs"
    shutil.copy(source, work() / "mkfs")
    os.replace(work() / "mkfs", place)
    return place


class Starts:
    """How often a program has been started: what the kernel says of its file. inotify(7)"""
    OPEN, ACCESS, CLOSE_NOWRITE = 0x20, 0x1, 0x10

    def __init__(self, place):
        libc = ctypes.CDLL(None, use_errno=True)
        self.events = open(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        self.found = 0
        # with what comes between two that are opened, for two equal events become one
        mask = self.OPEN | self.ACCESS | self.CLOSE_NOWRITE
        check(libc.inotify_add_watch(self.events.fileno(), os.fsencode(place), mask) >= 0)

    def count(self):
        while events := self.events.read(65536):
            self.found += sum(mask == self.OPEN for _, mask, _, _ in struct.iter_unpack("iIII", events))
        return self.found


NAME = unique("s")


@contextlib.contextmanager
def machines_of_an_image():
    above = work() / "above"
    above.mkdir()
    (above / "text").write_text("".join(f"{i}\n" for i in range(100000)))
    (above / "hold").write_text("")
    load_image("localhost/kept:1", image(), above)
    store = work() / "store"

    def call(*args):
        return viv("--root", store, *args, timeout=250)
    try:
        yield call
    finally:
        call("rm", "-f", NAME)


FLAGS = ["--isolation", "vm", "--accel", "emu", "--network", "none"]
SUM = ["kept:1", "md5sum", "/text"]


@needs(root=True, programs=["mkfs.erofs"])
def test_an_image_of_an_ordinary_user():
    """Its layers are mounted in a user namespace, by which its files have their owners."""
    home = work() / "home"
    home.mkdir()
    os.chown(home, 1000, 1000)
    run("tar", "--owner=0", "--group=0", "-cf", home / "root.tar", "-C", image(), ".").ok()
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "VIV_DATA_ROOT": str(home / "data")}
    call = [program("viv"), "--root", home / "store"]
    as_user(*call, "import", home / "root.tar", "own:1", env=env).ok()
    done = as_user(*call, "run", "--rm", *FLAGS, "own:1", "stat", "-c", "%u:%g", "/etc/passwd", env=env,
                   timeout=250)
    equal(done.ok().out, "0:0\n")
    equal(len(list((home / "data/images/disks").glob("*/disk"))), 1)


def background_run():
    return Background(program("viv"), "--root", work() / "store", "run", "--rm", *FLAGS, *SUM)


def disks():
    return list(pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/disks").glob("*/disk"))


@needs(root=True, programs=["mkfs.erofs"])
def test_a_disk_is_made_once():
    """For machines that start at once, one after the other, and go on; it goes with the image."""
    mkfs = Starts(caged_program(shutil.which("mkfs.erofs")))
    with machines_of_an_image() as call:
        expected = run("md5sum", work() / "above/text").ok().out.split()[0]
        with background_run() as one, background_run() as other:
            equal((one.wait(250), other.wait(250)), (0, 0), one.err() + other.err())
            equal((one.out(), other.out()), (f"{expected}  /text\n",) * 2)
        equal(mkfs.count(), 1)
        inode = disks()[0].stat().st_ino
        call("run", "-d", "--name", NAME, *FLAGS, "kept:1", "sleep", "100000").ok()
        call("snapshot", "--stop", NAME).ok()
        call("restore", "--accel", "emu", NAME).ok()
        contains(call("exec", NAME, "md5sum", "/text").ok().out, expected)
        call("rm", "-f", NAME).ok()
        equal(([path.stat().st_ino for path in disks()], mkfs.count()), ([inode], 1))
        usage = json.loads(call("system", "df", "--format", "json").ok().out)
        least = disks()[0].stat().st_blocks * 512
        check(usage[0]["ReclaimableBytes"] == usage[0]["Bytes"] > least, str(usage))
        call("rmi", "kept:1").ok()
        equal(disks(), [])


def held(place):
    """The process of a program that lies there, and what is known of it; None: there is none."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "exe") == str(place):
                text = (folder / "status").read_text()
                return dict(line.split(":\t", 1) for line in text.splitlines())
    return None


def look_at_its_cage(mkfs):
    """CAP_DAC_READ_SEARCH and CAP_SYS_ADMIN, no way to others, and a filter of calls."""
    equal({name: int(mkfs[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")},
          {"CapEff": 1 << 2 | 1 << 21, "CapPrm": 1 << 2 | 1 << 21, "CapInh": 0, "CapAmb": 0})
    equal((mkfs["NoNewPrivs"], mkfs["Seccomp"]), ("1", "2"))


@needs(root=True, programs=["mkfs.erofs"])
def test_a_disk_that_is_not_whole():
    """Whoever makes it is killed: it has no name, and mkfs goes too. One that was changed is made
    anew, one that was only copied is not; `system check` finds what a start does not look for."""
    real = shutil.which("mkfs.erofs")
    place = caged_program(BUILD / "tests/machine/mkfs-probe")
    with machines_of_an_image() as call:
        with background_run():
            mkfs = eventually(lambda: held(place))
            look_at_its_cage(mkfs)
            os.kill(int(mkfs["PPid"]), signal.SIGKILL)
            eventually(lambda: not held(place))
        equal(disks(), [])
        mkfs = Starts(caged_program(real))
        expected = call("run", "--rm", *FLAGS, *SUM).ok().out
        equal(mkfs.count(), 1)
        disk = disks()[0]
        shutil.copy(disk, work() / "copy")
        os.replace(work() / "copy", disk)
        equal(call("run", "--rm", *FLAGS, *SUM).ok().out, expected)
        equal(mkfs.count(), 1)
        spoil(disk)
        equal(call("run", "--rm", *FLAGS, *SUM).ok().out, expected)
        equal(mkfs.count(), 2)
        equal(call("system", "check").ok().out, "")
        spoil(disk)
        contains(call("system", "check").out, "disk ")
        contains(call("system", "check", "--repair").out, "the next machine makes it anew")
        equal((disks(), call("system", "check").ok().out), ([], ""))


@private("mnt")
@needs(root=True, programs=["mkfs.erofs"])
def test_holes_fill_no_file_system():
    """mkfs writes them out, and is stopped before nothing is free any more."""
    data, root = work() / "data", work() / "root"
    data.mkdir()
    root.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", data).ok()
    with open(root / "file", "wb") as file:
        file.truncate(1 << 40)
    done = viv("--root", work() / "store", "run", "--rm", *FLAGS, "--rootfs", root, "true", timeout=100,
               env={"VIV_DATA_ROOT": str(data)})
    fails(done, 125, "files with large holes")
    # Landlock lets go of the file a moment later
    eventually(lambda: os.statvfs(data).f_bfree * os.statvfs(data).f_frsize > 31 << 20)


@needs(root=True)
def test_the_cage_of_mkfs():
    """A program in the place of mkfs.erofs reads the tree, others' files in it too, and writes the
    disk. It opens no device that the tree has a node of, reads nothing beside it, changes nothing, and
    has no calls to reach other processes by."""
    if landlock_version() < 1:
        skip("this kernel has no Landlock")
    root, outside = work() / "root", work() / "root.outside"
    root.mkdir()
    outside.mkdir(mode=0o777)
    for path in (root / "file", root / "closed", outside / "file"):
        path.write_text("text")
        path.chmod(0o666)
    (root / "closed").chmod(0o600)
    os.chown(root / "closed", 33, 44)
    os.mknod(root / "node", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    caged_program(BUILD / "tests/machine/mkfs-probe")
    done = viv("--root", work() / "store", "run", "--rm", *FLAGS, "--rootfs", root, "true", timeout=100)
    check(done.status != 0)
    words = done.err[done.err.index("environment"):].split()
    found = dict(zip(words[::2], map(int, words[1::2])))
    expected = dict.fromkeys(["environment", "tree", "closed", "made", "end"], 0)
    expected |= dict.fromkeys(["tree-write", "write", "create"], errno.EROFS)
    expected |= dict.fromkeys(["node", "node-write", "read", "list", "passwd", "exec"], errno.EACCES)
    expected |= dict.fromkeys(["remove", "mkdir", "attribute", "socket", "signal", "thread-signal", "owner",
                               "limits", "ioctl", "fork", "mount"], errno.EPERM)
    equal(found, expected)
    equal((outside / "file").read_text(), "text")


def spoil(disk):
    with open(disk, "r+b") as file:
        file.seek(disk.stat().st_size // 2)
        file.write(b"spoilt" * 1000)
