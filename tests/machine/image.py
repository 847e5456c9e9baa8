"""An image of the store as a machine: its layers become the guest's root, and nothing of it stays."""
import contextlib
import json
import os
import pathlib
import shutil
import signal

from lib import *
from lib.registry import load_image

TIMEOUT = 300
BUILDS = ["plain"]


def look_at_one_that_is_kept(store):
    """Its changes are one more layer upon the image, for its next start and for others."""
    script = ("cat /new/file; echo life >> /new/file; rm /etc/passwd; rm -r /dev2; mkdir -p /new /dev2;"
              "echo life >> /new/file")
    viv("--root", store, "run", "--name", "m", "--isolation", "vm", "--accel", "emu", "--network",
        "none", "--user", "0", "vm:1", script, timeout=250).ok()
    again = viv("--root", store, "start", "-a", "m", timeout=250)
    equal(again.out, "life\n")
    viv("--root", store, "commit", "m", "vm:2").ok()
    viv("--root", store, "rm", "m").ok()
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


class Mkfs:
    """Stands in for mkfs.erofs: counts how often it is started, and can be held."""

    def __init__(self):
        self.folder = work() / "bin"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.log.write_text("")
        self.held = self.folder / "held"
        script = self.folder / "mkfs.erofs"
        script.write_text(f'#!/bin/sh\necho $PPID >>{self.log}\n[ -e {self.held} ] && exec sleep 1000\n'
                          f'exec {shutil.which("mkfs.erofs")} "$@"\n')
        script.chmod(0o755)
        os.environ["PATH"] = f"{self.folder}:{os.environ['PATH']}"

    def starts(self):
        return self.log.read_text().split()


@contextlib.contextmanager
def machines_of_an_image():
    above = work() / "above"
    above.mkdir()
    (above / "text").write_text("".join(f"{i}\n" for i in range(100000)))
    load_image("localhost/kept:1", image(), above)
    store = work() / "store"

    def call(*args):
        return viv("--root", store, *args, timeout=250)
    try:
        yield call
    finally:
        call("rm", "-f", "s")


FLAGS = ["--isolation", "vm", "--accel", "emu", "--network", "none"]
SUM = ["kept:1", "md5sum", "/text"]


def background_run():
    return Background(program("viv"), "--root", work() / "store", "run", "--rm", *FLAGS, *SUM)


def disks():
    return list(pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/disks").glob("*/disk"))


@needs(root=True, programs=["mkfs.erofs"])
def test_a_disk_is_made_once():
    """For machines that start at once, one after the other, and go on; it goes with the image."""
    mkfs = Mkfs()
    with machines_of_an_image() as call:
        expected = run("md5sum", work() / "above/text").ok().out.split()[0]
        with background_run() as one, background_run() as other:
            equal((one.wait(250), other.wait(250)), (0, 0), one.err() + other.err())
            equal((one.out(), other.out()), (f"{expected}  /text\n",) * 2)
        equal(len(mkfs.starts()), 1)
        inode = disks()[0].stat().st_ino
        call("run", "-d", "--name", "s", *FLAGS, "kept:1", "sleep", "100000").ok()
        call("snapshot", "--stop", "s").ok()
        call("restore", "--accel", "emu", "s").ok()
        contains(call("exec", "s", "md5sum", "/text").ok().out, expected)
        call("rm", "-f", "s").ok()
        equal(([path.stat().st_ino for path in disks()], len(mkfs.starts())), ([inode], 1))
        usage = json.loads(call("system", "df", "--format", "json").ok().out)
        least = disks()[0].stat().st_blocks * 512
        check(usage[0]["ReclaimableBytes"] == usage[0]["Bytes"] > least, str(usage))
        call("rmi", "kept:1").ok()
        equal(disks(), [])


@needs(root=True, programs=["mkfs.erofs"])
def test_a_disk_that_is_not_whole():
    """Whoever makes it is killed: it has no name. One that was changed is made anew, one that was
    only copied is not; `system check` finds what a start does not look for."""
    mkfs = Mkfs()
    with machines_of_an_image() as call:
        mkfs.held.write_text("")
        with background_run():
            eventually(mkfs.starts)
            os.kill(int(mkfs.starts()[0]), signal.SIGKILL)
        mkfs.held.unlink()
        equal(disks(), [])
        expected = call("run", "--rm", *FLAGS, *SUM).ok().out
        equal(len(mkfs.starts()), 2)
        disk = disks()[0]
        shutil.copy(disk, work() / "copy")
        os.replace(work() / "copy", disk)
        equal(call("run", "--rm", *FLAGS, *SUM).ok().out, expected)
        equal(len(mkfs.starts()), 2)
        spoil(disk)
        equal(call("run", "--rm", *FLAGS, *SUM).ok().out, expected)
        equal(len(mkfs.starts()), 3)
        equal(call("system", "check").ok().out, "")
        spoil(disk)
        contains(call("system", "check").out, "disk ")
        contains(call("system", "check", "--repair").out, "the next machine makes it anew")
        equal((disks(), call("system", "check").ok().out), ([], ""))


def spoil(disk):
    with open(disk, "r+b") as file:
        file.seek(disk.stat().st_size // 2)
        file.write(b"spoilt" * 1000)
