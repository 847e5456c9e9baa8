"""Workloads in a machine behave as workloads in a container do: the same cases with both
isolations."""
import hashlib

from lib import *

TIMEOUT = 200
BUILDS = ["plain"]
KINDS = {"container": [], "vm": ["--isolation", "vm", "--accel", "emu"]}


def run_with(kind, *args, **more):
    return viv("--root", work() / f"store-{kind}", "run", "--rm", *KINDS[kind],
               "--cgroup-parent", "/" + unique("viv-vm-"), *args, timeout=100, **more)


def test_status_and_streams():
    data = bytes(range(251)) * 4000
    for kind in KINDS:
        done = run_with(kind, "-i", "-h", "inside", "-e", "A=x y", "-w", "/tmp", "-u", "12:34",
                        "busybox", "--", "sh", "-c", "hostname; echo $A; pwd; id -u; id -g;"
                        "md5sum; echo problem >&2; exit 3", stdin=data)
        equal(done.status, 3, kind)
        equal(done.out, f"inside\nx y\n/tmp\n12\n34\n{hashlib.md5(data).hexdigest()}  -\n", kind)
        equal(done.err, "problem\n", kind)


def test_a_missing_program():
    for kind in KINDS:
        fails(run_with(kind, "busybox", "no-such-program"), 127,
              'exec: "no-such-program": executable file not found in $PATH')


def test_explain_shows_both_halves():
    done = viv("--root", work() / "s", "explain", "--isolation", "vm", "--memory", "64m",
               "busybox").ok()
    for step in ("host    mkdir", "child   viv-vmm", "machine memory", "guest   mount",
                 "guest   mask", "guest   seccomp", "child   execve"):
        matches(done.out, rf"(?m)^ +\d+  {step} ")
    check(not [path for path in (work() / "s").glob("[!.]*")], "a sandbox was made")


def test_memory_beyond_the_host():
    fails(run_with("vm", "--memory", "4000g", "busybox", "true"), 125,
          "choose less with --memory")
