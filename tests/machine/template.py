"""Templates: the first machine of a make is booted and kept, later ones go on from it."""
import json
import pathlib
import re
import socket
import time

from lib import *

TIMEOUT = 300
BUILDS = ["plain"]


def run_vm(*args, **more):
    return viv("--root", work() / "run", "--data-root", work() / "data", "run", "--rm", "--isolation",
               "vm", "--accel", "emu", *args, timeout=200, **more)


def templates():
    return sorted((work() / "data/templates").glob("*.snap"))


def one(*args):
    """Runs it and returns what it printed, and the one template that there is then."""
    done = run_vm(*args).ok()
    equal(len(templates()), 1)
    return done.out, templates()[0]


def identity(path):
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def test_the_second_goes_on_from_the_first_with_an_identity_of_its_own():
    script = ("cat /proc/sys/kernel/random/boot_id /proc/uptime; head -c 16 /dev/urandom | md5sum;"
              "date +%s; hostname")
    found = []
    for name in "one", "two", "three":
        earlier = time.time()
        out, template = one("--hostname", name, "busybox", "--", "sh", "-c", script)
        between(int(out.split()[5]), int(earlier) - 1, int(time.time()) + 1, "the guest's time of day")
        found.append((out.split(), identity(template)))
    booted, second, third = (words for words, _ in found)
    equal(len({place for _, place in found}), 1, "the template was made once")
    for at in 0, 3:
        equal(len({words[at] for words in (booted, second, third)}), 3, "random numbers repeat")
    equal([words[6] for words in (booted, second, third)], ["one", "two", "three"])


def test_another_root_disk_is_seen():
    """The disk of the template's machine is not the one that a later machine has."""
    one("busybox", "--", "true")
    out, _ = one("busybox", "--", "sh", "-c", "md5sum /bin/busybox; cat /proc/partitions")
    expected = run("md5sum", pathlib.Path(image()) / "bin/busybox").ok().out.split()[0]
    equal(out.split()[0], expected)
    size = int(re.search(r"(\d+) vda", out)[1]) << 10
    equal(size, (BUILD / "share/viv/busybox.erofs").stat().st_size)


def test_damaged_and_foreign_templates_are_made_anew():
    _, template = one("busybox", "--", "true")
    good = template.read_bytes()
    used = next(at for at in range(len(good) - 4096, 0, -4096) if any(good[at:at + 4096]))

    def put(offset, value):
        data = bytearray(good)
        data[offset:offset + len(value)] = value
        return data
    label = good.index(template.stem.encode())
    for bad in [put(8, b"\x63"), put(used, b"\x55" * 64), put(label, b"0" * 32)]:
        before = identity(template)
        template.write_bytes(bad)
        out, template = one("busybox", "--", "echo", "well")
        equal(out, "well\n")
        check(identity(template) != before, "it was not made anew")
        equal((template.read_bytes()[:8], template.stat().st_size), (good[:8], len(good)))
    before = identity(template)
    template.touch()
    one("busybox", "--", "true")
    check(identity(template)[0] == before[0], "a verified one was made anew")


def test_memory_and_cpus_have_templates_of_their_own():
    for flags in ["--memory", "100m"], ["--cpus", "2"]:
        out = run_vm(*flags, "busybox", "--", "sh", "-c", "nproc; grep MemTotal /proc/meminfo").ok()
        again = run_vm(*flags, "busybox", "--", "sh", "-c", "nproc; grep MemTotal /proc/meminfo").ok()
        equal(again.out, out.out)
    equal(len(templates()), 2)


def test_device_rules_are_those_of_the_configuration():
    """The template has the program of the usual ones loaded, which others must not get."""
    script = "mknod /k c 4 64 && : </k"
    run_vm("busybox", "--", "sh", "-c", "! (" + script + ") && : </dev/null").ok()
    run_vm("--device-cgroup-rule", "c 4:64 rwm", "busybox", "--", "sh", "-c", script).ok()
    run_vm("busybox", "--", "sh", "-c", "! (" + script + ") && : </dev/null").ok()


def proportional(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return {name: int(re.search(rf"^{name}: +(\d+)", text, re.M)[1]) for name in ("Pss", "Rss")}


def machines_of(folder):
    """viv-vmm's processes whose template lies below this folder."""
    found = []
    for maps in pathlib.Path("/proc").glob("[0-9]*/maps"):
        try:
            if f"{folder}/templates/" in maps.read_text(encoding="utf-8", errors="replace"):
                found.append(int(maps.parent.name))
        except OSError:
            pass
    return found


def instructions(path):
    """How many the machine behind a control socket has executed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(str(path))
        control.send(b'{"command":"stats"}')
        return sum(cpu["instructions"] for cpu in json.loads(control.recv(1 << 16))["stats"]["cpus"])


def test_twenty_machines_go_on_from_their_template_and_share_it():
    """All are kept: those with --rm have no device for their root's changes, and another template."""
    common = ["--root", work() / "run", "--data-root", work() / "data"]
    names = [f"m{i}" for i in range(20)]
    viv(*common, "run", "--name", "first", "--isolation", "vm", "--accel", "emu", "busybox", "--",
        "true", timeout=200).ok()
    try:
        for name in names:
            viv(*common, "run", "-d", "--name", name, "--isolation", "vm", "--accel", "emu",
                "busybox", "--", "sleep", "100000", timeout=200).ok()
        pids = machines_of(work() / "data")
        equal(len(pids), len(names))
        # a boot takes some 600 million, a start some 7, and ticks come by the clock
        executed = [instructions(path) for path in (work() / "run").glob("*/control.sock")]
        print(executed)
        check(len(executed) == len(names) and max(executed) < 60_000_000, lambda: str(executed))
        memory = [proportional(pid) for pid in pids]
        print([{k: v >> 10 for k, v in m.items()} for m in memory])
        for figures in memory:  # what is shared by twenty counts a twentieth
            check(figures["Pss"] < figures["Rss"] * 0.6, lambda: f"little is shared: {memory}")
    finally:
        viv(*common, "rm", "-f", "first", *names)
