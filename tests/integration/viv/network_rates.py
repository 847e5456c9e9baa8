"""Limits of a sandbox's traffic, measured with iperf3."""
import json

from lib import *
from nethost import *

TIMEOUT = 90
ALONE = True

IN, OUT = 40e6, 20e6
FRAME = 1514 / 1448  # frames are limited, and iperf3 counts what is in them


def measured(h, pid, address, port, *more):
    """Bits a second that arrive, without the first second."""
    server = Background("nsenter", f"--net=/proc/{pid}/ns/net", "iperf3", "-s", "-1", "-p", port,
                        "--forceflush")
    h.stack.enter_context(server)
    server.wait_for("listening")
    client = Background("iperf3", "-c", address, "-p", port, "-t", "3", "-O", "1", "-J", *more)
    h.stack.enter_context(client)
    return client


def rate(client):
    equal((client.wait(60), client.err()), (0, ""))
    return json.loads(client.out())["end"]["sum_received"]["bits_per_second"]


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
        address, pid = h.address(name), h.pid(name)
        for port, way, wanted in (("5201", (), IN), ("5202", ("-R",), OUT)):
            attempts(lambda p=port, w=way: rate(measured(h, pid, address, p, *w)) * FRAME,
                     0.9 * wanted, 1.1 * wanted)
        free = h.start("--network", "bridge")
        attempts(lambda: rate(measured(h, h.pid(free), h.address(free), "5203")), 2 * IN, 1e15)
