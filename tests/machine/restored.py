"""`viv snapshot` and `viv restore` of sandboxes that are machines: the workload goes on, with its
output, its open files, its terminal and its addresses, and all commands find it as before."""
import contextlib
import pathlib
import re
import sys

from lib import *

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "integration/viv"))
import workload  # noqa: E402
from terminal import Screen  # noqa: E402

TIMEOUT = 400
BUILDS = ["plain"]

# Counts on its output and into a file that stays open, until the host says so.
COUNT = ("exec 5>>/data/log 6</data/held; i=0; while [ ! -e /data/told ]; do i=$((i + 1)); echo $i;"
         "echo $i >&5; usleep 20000; done; cat <&6; echo in the end >&2; exit 7")


@contextlib.contextmanager
def box():
    one = workload.Sandboxes()
    data = one.place / "host"
    data.mkdir()
    (data / "held").write_text("what was held open\n")
    try:
        yield one, data
    finally:
        one.end()


def out(box, name):
    """What the workload has said on its output, from its first life on."""
    return box.viv("logs", name).ok().out


def numbers(text):
    return [int(number) for number in re.findall(r"^(\d+)\n", text, re.M)]


def wait_for(box, name, count):
    eventually(lambda: len(numbers(out(box, name))) >= count, 100)


def row(box, name):
    return box.inspect(name)["State"]


def test_a_workload_goes_on_where_it_was():
    """Ended with its snapshot, nothing that it says is lost or comes twice; its files are open, what
    it has changed of its root is there, and its end is told."""
    with box() as (one, data):
        one.start("vm", "s", "-v", f"{data}:/data", script=COUNT)
        wait_for(one, "s", 10)
        one.viv("exec", "s", "sh", "-c", "echo kept > /root/f; mkdir /new").ok()
        lacks(one.inspect("s"), "Snapshot")
        for _ in range(2):
            one.viv("snapshot", "--stop", "s").ok()
            between(one.inspect("s")["Snapshot"]["Size"], 8 << 20, 400 << 20)
            equal((row(one, "s")["Running"], row(one, "s")["ExitCode"]), (False, 137))
            before = len(numbers(out(one, "s")))
            equal(one.viv("restore", "--accel", "emu", "s").ok().out, "s\n")
            fails(one.viv("restore", "s"), 125, 'sandbox "s" is running')
            wait_for(one, "s", before + 5)
        equal(one.viv("exec", "s", "cat", "/root/f").ok().out, "kept\n")
        contains(one.viv("exec", "s", "ps").ok().out, "while [ ! -e /data/told ]")
        (data / "told").touch()
        equal(one.viv("wait", "s").ok().out, "7\n")
        done = one.viv("logs", "s").ok()
        last = numbers(done.out)[-1]
        equal(done.out, "".join(f"{i}\n" for i in range(1, last + 1)) + "what was held open\n")
        equal(done.err, "in the end\n")
        equal((data / "log").read_text(), "".join(f"{i}\n" for i in range(1, last + 1)))
        # it may be gone on from again: the workload does anew what it did, and finds that it is told
        one.viv("restore", "--accel", "emu", "s").ok()
        equal(one.viv("wait", "s").ok().out, "7\n")
        (data / "told").unlink()
        (data / "log").unlink()
        one.viv("start", "s").ok()
        eventually(lambda: out(one, "s").count("\n1\n") == 1, 100)


def test_a_running_machine_goes_on_and_can_be_gone_back_to():
    with box() as (one, data):
        (data / "held").touch()
        one.start("vm", "s", "-v", f"{data}:/data", script=COUNT)
        wait_for(one, "s", 10)
        one.viv("snapshot", "s").ok()
        wait_for(one, "s", len(numbers(out(one, "s"))) + 10)
        one.viv("kill", "s").ok()
        one.viv("wait", "s")
        first = numbers(out(one, "s"))
        equal(first, list(range(1, len(first) + 1)))
        one.viv("restore", "--accel", "emu", "s").ok()
        wait_for(one, "s", len(first) + 5)
        again = numbers(out(one, "s"))[len(first):]
        between(again[0], 11, len(first) + 1)  # the log is behind the machine by what is on its way
        equal(again, list(range(again[0], again[-1] + 1)))
        one.viv("stop", "-t", "0", "s").ok()


def test_a_terminal_and_what_is_typed():
    with box() as (one, _):
        one.run("vm", "-d", "-it", "--name", "t", "busybox", "--", "sh").ok()

        def at_it():
            return Screen(program("viv"), "--root", one.place / "run", "--data-root",
                          one.place / "data", "attach", "t")
        screen = at_it()
        screen.type("X=still; echo rea''dy\n")
        screen.wait_for("ready", 60)  # so that the keys come to one who waits for them
        screen.type("\x10\x11")
        equal(screen.end(60), 0)
        one.viv("snapshot", "--stop", "t").ok()
        one.viv("restore", "--accel", "emu", "t").ok()
        screen = at_it()
        screen.type("echo $X there; stty size\n")
        screen.wait_for("still there", 60)
        screen.wait_for("30 100", 60)
        screen.type("exit 5\n")
        equal(screen.end(60), 5)


def test_what_is_refused():
    with box() as (one, data):
        fails(one.viv("restore", "s"), 125, "s: neither a machine's name nor a snapshot")
        fails(one.viv("snapshot", "s"), 125, 'no machine "s" runs')
        one.start("container", "c")
        fails(one.viv("snapshot", "c"), 125, 'sandbox "c" is a container: snapshots are of machines '
                                             '(viv run --isolation vm)')
        fails(one.viv("restore", "c"), 125, 'sandbox "c" is a container')
        one.start("vm", "gone", "--rm")
        fails(one.viv("snapshot", "gone"), 125, "--rm")
        one.viv("rm", "-f", "gone").ok()
        one.start("vm", "s", "-v", f"{data}:/data",
                  script="exec 5</data/held; rm /data/held; until [ -e /data/go ]; do usleep 50000;"
                         "done; exec 5<&-; touch /data/closed; exec sleep 100000")
        fails(one.viv("snapshot", "s", "file"), 125, "kept with the sandbox")
        eventually(lambda: not (data / "held").exists(), 60)
        fails(one.viv("snapshot", "s"), 125, "has a file open that was removed")
        (data / "go").touch()
        eventually((data / "closed").exists, 60)
        one.viv("pause", "s").ok()
        fails(one.viv("snapshot", "s"), 125, "viv unpause s first")
        one.viv("unpause", "s").ok()
        one.viv("snapshot", "s").ok()
        fails(one.viv("restore", "s"), 125, 'sandbox "s" is running')
        one.viv("kill", "s").ok()
        one.viv("wait", "s")
        fails(one.viv("snapshot", "s"), 125, 'sandbox "s" is not running')
        look_at_damage(one, one.place / "data/sandboxes/s/snapshot")


def look_at_damage(one, path):
    good = path.read_bytes()
    used = next(at for at in range(len(good) - 4096, 0, -4096) if any(good[at:at + 4096]))
    label = path.with_name("snapshot.json").read_text()
    for where, what, text in [(used, b"\x55" * 64, "memory is damaged"),
                              (5000, bytes([good[5000] ^ 0xff]), "state is damaged"),
                              (0, b"#!/bin/s", "no snapshot of a machine")]:
        with open(path, "r+b") as file:
            file.seek(where)
            before = file.read(len(what))
            file.seek(where)
            file.write(what)
            file.flush()
            fails(one.viv("restore", "--accel", "emu", "s"), 125, text)
            file.seek(where)
            file.write(before)
    other = label.replace('"label":"', '"label":"0')
    path.with_name("snapshot.json").write_text(other)
    fails(one.viv("restore", "s"), 125, "do not belong together")
    path.with_name("snapshot.json").write_text(label)
    one.viv("restore", "--accel", "emu", "s").ok()
    equal(one.viv("exec", "s", "echo", "well").ok().out, "well\n")


@needs(root=True, programs=["mkfs.erofs"])
def test_a_root_that_was_made_into_a_disk():
    """What is read only later has to fit to what the guest has read before."""
    with box() as (one, _):
        root = one.place / "root"
        run("cp", "-a", image(), root).ok()
        (root / "late").write_text("".join(f"{i}\n" for i in range(200000)))
        one.run("vm", "-d", "--name", "s", "--rootfs", root, "sleep", "100000").ok()
        one.viv("snapshot", "--stop", "s").ok()
        one.viv("restore", "--accel", "emu", "s").ok()
        equal(one.viv("exec", "s", "md5sum", "/late").ok().out.split()[0],
              run("md5sum", root / "late").ok().out.split()[0])
        one.viv("kill", "s").ok()
        one.viv("wait", "s")
        (root / "more").write_text("more")
        fails(one.viv("restore", "--accel", "emu", "s"), 125, "the root's disk is another")
