"""The control socket of viv-vmm: what a running machine answers, and does."""
import pathlib

from lib import *
from lib.guest import *

TIMEOUT = 150
BUILDS = ["plain"]

COUNT = "avx; avx; i=0; while true; do i=$((i + 1)); [ $((i % 200)) = 0 ] && echo n$i; done"


def illegal():
    """A program that runs an AVX instruction, which the software CPU does not have."""
    source = pathlib.Path("avx.s")
    source.write_text(".globl _start\n_start: vaddps %xmm0, %xmm1, %xmm2\n", encoding="utf-8")
    run("as", "-o", "avx.o", source).ok()
    run("ld", "-o", "avx", "avx.o").ok()
    return pathlib.Path("avx")


def test_pause_resume_stats_and_stop():
    with Machine(describe(COUNT, cpus=2, programs=[illegal()])) as machine:
        machine.wait_for("n200\n", 100)
        reply = machine.ask("pause")
        equal(reply, {"ok": True, "state": "paused"})
        eventually(lambda: cpus_busy([machine.pid], 0.5) == 0)
        seen, stats = machine.out(), machine.ask("stats")["stats"]
        equal(machine.ask("stats")["stats"]["cpus"], stats["cpus"])
        equal((stats["accel"], len(stats["cpus"]), stats["memory"]), ("emu", 2, 256 << 20))
        check(all(cpu["exits"] > 100 for cpu in stats["cpus"]), lambda: str(stats))
        check(stats["cpus"][0]["instructions"] > 100_000_000, lambda: str(stats))
        check(20 << 20 < stats["resident"] <= stats["memory"], lambda: str(stats))
        equal(stats["unknown"], [{"name": "vex.0f58", "count": 2}])
        equal(machine.out(), seen)
        equal(machine.ask("resume"), {"ok": True, "state": "running"})
        eventually(lambda: len(machine.out()) > len(seen), 60)
        reply = machine.ask("stats")
        equal(reply["state"], "running")
        check(reply["stats"]["cpus"][0]["instructions"] > stats["cpus"][0]["instructions"],
              lambda: str(reply))
        equal(machine.ask("stop"), {"ok": True, "state": "ending"})
        equal(machine.wait(30), 0)
        contains(machine.err(), "the machine ended: stopped")


def test_the_balloon_takes_memory():
    with Machine(describe("echo up; while sleep 1; do grep MemFree /proc/meminfo; done")) as machine:
        machine.wait_for("MemFree", 100)
        equal(machine.ask("balloon", bytes=64 << 20)["ok"], True)
        eventually(lambda: machine.ask("stats")["stats"].get("inflated") == 64 << 20, 60)
        reply = machine.ask("balloon", bytes=1 << 40)
        equal((reply["ok"], reply["errnum"]), (False, 22))
        contains(reply["error"], "no more than 256 MiB to give back")


def test_what_is_no_request_is_refused():
    with Machine(describe("echo up; sleep 100000"), noBalloon=True) as machine:
        for text, errnum, error in [(b"[]", 22, "request"), (b"{", 22, "request:1:2"),
                                    (b'{"command":7}', 22, "/command: expected a string"),
                                    (b"{}", 22, "/command: required, but missing"),
                                    (b'{"command":"dance"}', 95, 'know the command "dance"'),
                                    (b'{"command":"balloon"}', 95, "without a balloon"),
                                    (b'{"command":"' + b"x" * (70 << 10) + b'"}', 90, "65536")]:
            reply = machine.ask_text(text)
            equal((reply["ok"], reply["errnum"], reply["state"]), (False, errnum, "running"))
            contains(reply["error"], error)
        machine.control.close()
        machine.wait_for("up", 100)
        check(machine.running(), "it ended with its control socket")
