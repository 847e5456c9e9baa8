"""viv-oci protects its own file before libc starts: a start of libc costs more than an execution."""
import os
import pathlib
import re

from lib import *
from bundle import bundle, container, oci, output, state_dir

BUILDS = ["plain"]  # the sanitized one is not static, and protects itself later
COMMAND = ["--root", "store", "run", "--bundle", "missing", "x"]


@needs(programs=["strace", "nm"])
def test_it_is_executed_again_before_libc_starts():
    done = run("strace", "-qq", "-e", "trace=execve,execveat,brk", program("viv-oci"), *COMMAND)
    calls = [line.split("(")[0] for line in done.err.splitlines() if "(" in line]
    equal(calls[:3], ["execve", "execveat", "brk"])
    equal(calls.count("execveat"), 1)
    contains(done.err, "open the bundle")


@needs(programs=["strace"])
def test_other_commands_are_not_executed_again():
    done = run("strace", "-qq", "-e", "trace=execveat", program("viv-oci"), "--root", "store", "state",
               "x")
    lacks(done.err, "execveat")


@needs(programs=["strace"])
def test_the_version_is_told_before_libc_starts():
    for word in ["--version", "-v"]:
        done = run("strace", "-qq", program("viv-oci"), word).ok()
        calls = [line.split("(")[0] for line in done.err.splitlines() if "(" in line]
        equal(calls, ["execve", "write", "exit_group"])
        equal(done.out, run(program("viv-oci"), "--root", "store", word).ok().out)


def test_nothing_of_libc_is_called_there():
    """What the compiler makes of a loop may be a call of memcpy, which is not there yet."""
    archive = BUILD / "src/security/libsecurity_entry.a"
    found = run("nm", "-u", archive).ok().out.split()
    equal([word for word in found if word != "U" and not word.endswith(":")], ["_start", "security_entry_version"])


def test_an_environment_that_is_too_large_is_left_to_later():
    many = {f"V{number}": "x" for number in range(1100)}
    done = run("strace", "-qq", "-e", "trace=execveat", program("viv-oci"), *COMMAND, env=many)
    lacks(done.err, "execveat")
    contains(done.err, "open the bundle")


@needs(root=True, programs=["strace"])
def test_the_clone_is_dissolved_beside_the_work_of_the_child():
    """Whoever closes its last descriptor waits for an RCU grace period: the child does so first."""
    with container() as name:
        for words in (["run", "--bundle", bundle(["/bin/true"]), unique("oci")], ["exec", name, "/bin/true"]):
            run("strace", "-qqf", "-o", "calls", "-e", "trace=execveat,close", program("viv-oci"),
                "--root", state_dir(), *words).ok()
            calls = [line.split(maxsplit=1) for line in pathlib.Path("calls").read_text().splitlines()]
            closes = [who == calls[0][0] for who, call in calls if re.match(r"close\(63\b", call)]
            equal(closes, [False, True])


@needs(root=True)
def test_the_clone_is_not_handed_to_the_workload():
    shown = ["/bin/sh", "-c", "ls -l /proc/self/fd"]
    lacks(output(shown), "viv-oci")
    with container() as name:
        lacks(oci("exec", name, *shown).ok().out, "viv-oci")


@needs(root=True, programs=["strace"])
def test_a_descriptor_of_the_callers_with_its_number_stays():
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 63)
    done = run("strace", "-qq", "-e", "trace=dup3,fcntl", program("viv-oci"), *COMMAND, pass_fds=[63])
    lacks(done.err, "dup3")
    lacks(done.err, "F_SETFD")
