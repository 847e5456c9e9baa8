"""Limits of a machine's traffic, measured with iperf3, as network_rates does for containers."""
import pathlib
import sys

from lib import *
from lib.nginx import libraries

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/viv"))
from nethost import *  # noqa: E402
from network_rates import FRAME, attempts, rate  # noqa: E402

TIMEOUT = 240
BUILDS = ["plain"]
ALONE = True

IN, OUT = 6e6, 3e6  # what the software CPU carries easily, on a busy machine too


def iperf_root(root):
    """A root with iperf3 and what it is linked to."""
    for folder in ("dev", "proc", "sys", "tmp", "run", "etc", "usr/bin", "usr/lib", "usr/lib64"):
        (root / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for found in ("/usr/bin/iperf3", *libraries("/usr/bin/iperf3")):
        to = root / found.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-L", found, to).ok()
    return root


@private("net")
@needs(root=True, programs=["iperf3"])
def test_rates_of_a_machine():
    """Each direction by its own limit."""
    with host() as h:
        name = unique("m")
        h.viv("run", "-d", "--name", name, *h.flags(), "--isolation", "vm", "--accel", "emu", "--network",
              "bridge", "--network-rate-in", "6mbit", "--network-rate-out", "3m", "--rootfs",
              iperf_root(work() / "root"), "/usr/bin/iperf3", "-s", "--forceflush", timeout=150).ok()
        eventually(lambda: "listening" in h.viv("logs", name).out, 60)

        def measured(*way):
            with Background("iperf3", "-c", h.address(name), "-t", "4", "-O", "1", "-J", *way) as client:
                return rate(client) * FRAME

        attempts(measured, 0.9 * IN, 1.1 * IN)
        attempts(lambda: measured("-R"), 0.9 * OUT, 1.1 * OUT)
        h.viv("rm", "-f", name).ok()
