"""Limits of a sandbox's traffic, measured with iperf3."""
import contextlib
import json

from lib import *
from nethost import *
from ordinary import as_them, cable, open_tun, own_files

TIMEOUT = 90
ALONE = True

IN, OUT = 40e6, 20e6
FRAME = 1514 / 1448  # frames are limited, and iperf3 counts what is in them


def measured(stack, inside, address, port, *more, outside=()):
    """A client that sends to a server inside for three seconds. `inside`, `outside`: what commands
    there begin with."""
    server = stack.enter_context(Background(*inside, "iperf3", "-s", "-1", "-p", port, "--forceflush"))
    server.wait_for("listening")
    return stack.enter_context(Background(*outside, "iperf3", "-c", address, "-p", port, "-t", "3", "-O", "1",
                                          "-J", *more))


def rate(client):
    """Bits a second that arrived, without the first second; 0 where a machine that was held up has told
    iperf3 nothing."""
    equal((client.wait(60), client.err()), (0, ""))
    return json.loads(client.out())["end"].get("sum_received", {}).get("bits_per_second", 0)


def inside_of(pid):
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def attempts(measure, low, high):
    """A machine that was held up meanwhile measures something else, but not for ever."""
    found = []
    while len(found) < 10 and not any(low <= one <= high for one in found):
        found.append(measure())
    check(any(low <= one <= high for one in found), f"{found} bit/s, not {low} to {high}")


@private("net")
@needs(programs=["iperf3"])
def test_rates():
    """Each direction by its own limit; and one without a limit is faster."""
    with host() as h:
        name = h.start("--network", "bridge", "--network-rate-in", "40mbit", "--network-rate-out",
                       "20m")
        address, inside = h.address(name), inside_of(h.pid(name))
        for port, way, wanted in (("5201", (), IN), ("5202", ("-R",), OUT)):
            attempts(lambda p=port, w=way: rate(measured(h.stack, inside, address, p, *w)) * FRAME,
                     0.9 * wanted, 1.1 * wanted)
        free = h.start("--network", "bridge")
        attempts(lambda: rate(measured(h.stack, inside_of(h.pid(free)), h.address(free), "5203")), 2 * IN, 1e15)


@private("mnt", "net")
@needs(root=True, programs=["iperf3", "pasta", "newuidmap"])
def test_rates_of_an_ordinary_user():
    """By pasta, on the sandbox's own interface, which the workload cannot change."""
    own_files("vivtest:700000:65536\n")
    open_tun()
    with contextlib.ExitStack() as stack:
        outside = cable(stack)
        as_them("run", "-d", "--name", "r1", "--network", "pasta", "--network-rate-in", "40mbit",
                "--network-rate-out", "20m", "-p", "5201:5201", "busybox", "sleep", "1000").ok()
        try:
            inside = inside_of(as_them("inspect", "-f", "{{.State.Pid}}", "r1").ok().out.strip())
            for way, wanted in (((), IN), (("-R",), OUT)):
                attempts(lambda w=way: rate(measured(stack, inside, "192.0.2.1", "5201", *w,
                                                     outside=outside)) * FRAME,
                         0.9 * wanted, 1.1 * wanted)
            check(as_them("exec", "r1", "ip", "link", "set", "eth0", "down").status != 0)
        finally:
            as_them("rm", "-f", "r1").ok()
    fails(as_them("run", "--rm", "--network", "pasta", "-p", "80", "--ip", "10.1.1.1", "busybox", "true"),
          125, "--ip: --network pasta has nothing")
