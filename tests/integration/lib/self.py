"""The test library tested by itself, and an example of its use."""
import os
import subprocess
import tempfile

from lib import *
from lib import marks

ALSO_IN = ["v2"]

INNER = """
from lib import *
import os, subprocess, time

def test_passes():
    equal(1 + 1, 2)

def test_fails():
    print("what it printed")
    equal("left", "right")

def test_skips():
    skip("no moon tonight")

@needs(programs=["no-such-program"])
def test_needs():
    check(False)

def test_leaves_a_process():
    subprocess.Popen(["sleep", "100"])

def test_orphans():
    subprocess.run(["sh", "-c", "sleep 100 & "])

@timeout(0.3)
def test_hangs():
    time.sleep(100)

def test_dies():
    os.kill(os.getpid(), 9)
"""


def inner(part=""):
    path = work() / "inner.py"
    path.write_text(INNER)
    return by_main(path, part)


def by_main(path, *part):
    return run("/usr/bin/python3", ROOT / "tests/lib/main.py", path, *part, env={"VIV_TEST_GRACE": "0.5"})


def test_outcomes_are_told():
    found = inner()
    equal(found.status, 1)
    for line in ["ok passes", "FAILED fails", "skipped skips: no moon tonight",
                 "skipped needs: needs the program no-such-program",
                 "FAILED leaves_a_process", "FAILED orphans", "FAILED hangs", "FAILED dies"]:
        check(line in found.lines(), f"{line!r} is not a line of {found}")
    contains(found.out, "found 'left', expected 'right'")
    contains(found.out, "what it printed")
    matches(found.out, r"inner\.py:\d+: found")


SHARING = """
import contextlib, os
from lib import *

@contextlib.contextmanager
def shared():
    global daemon
    with Background("sleep", "100") as daemon:
        yield
        print("left", daemon.running())

def lives():
    # Not daemon.running(): a test is a process of its own, and not the parent.
    return os.path.exists(f"/proc/{daemon.pid}")

def test_first():
    check(lives())

def test_second():
    Background("sleep", "100")
    check(lives())

def test_third():
    check(lives())
"""


def test_what_tests_share_outlives_them():
    path = work() / "sharing.py"
    path.write_text(SHARING)
    found = by_main(path)
    equal(found.status, 1)
    lines = [line for line in found.lines() if not line.startswith("  ")]
    equal(lines, ["ok first", "FAILED second", "ok third", "left True"])
    path.write_text(SHARING.replace('with Background("sleep", "100") as daemon:', "raise OSError\n    if 1:"))
    found = by_main(path)
    equal((found.status, found.lines()), (1, ["FAILED shared"]))


def test_part_of_a_name_chooses():
    equal(inner("passes").lines(), ["ok passes"])


@private("mnt")
@needs(root=True)
def test_leaked_mount_is_seen():
    try:
        with no_leaks():
            run("mount", "-t", "tmpfs", "none", work()).ok()
    except Failed as failed:
        contains(str(failed), f"on {work()} (tmpfs)")
        return
    check(False, "the mount was not seen")


@private("net")
@needs(root=True)
def test_leaked_veth_is_seen():
    before = snapshot()
    run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb").ok()
    found = leaked(before)
    check("interface va" in found and "interface vb" in found, found)


def test_leaked_descriptor_process_and_file_are_seen():
    before = snapshot(folders=[work()])
    with tempfile.NamedTemporaryFile(dir=work()) as file, Background("sleep", "50") as sleeper:
        found = "\n".join(leaked(before, folders=[work()]))
        contains(found, f"file {file.name}")
        contains(found, f"to {file.name}")
        contains(found, f"process {sleeper.pid} (sleep)")
    equal([line for line in leaked(before, folders=[work()])], [])


@needs(root=True)
def test_leaked_namespace_is_seen():
    before = snapshot()
    with Background("unshare", "--uts", "sleep", "50") as sleeper:
        own = os.readlink("/proc/self/ns/uts")
        eventually(lambda: os.readlink(f"/proc/{sleeper.pid}/ns/uts") != own)
        contains("\n".join(leaked(before)), "namespace uts:")
    equal(leaked(before), [])


def test_marks_are_kept():
    def plain():
        pass
    marked = marks.private("net")(marks.needs(root=True)(plain))
    equal(marked.private, ("net",))
    equal(len(marked.reasons), 1)


def test_run_survives_a_daemon_that_keeps_the_output_open():
    found = run("sh", "-c", "sleep 1000 & echo $!").ok()
    subprocess.run(["kill", "-9", found.out.strip()], check=True)
