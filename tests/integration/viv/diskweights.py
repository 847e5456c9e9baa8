"""Weights of disks bite, for a whole group and for one device, and can be changed."""
import contextlib
import json
import os
import pathlib
import re

from lib import *
from box import box
from groups import loop_device

TIMEOUT = 240


@contextlib.contextmanager
def scheduled_by(name, device):
    """The device under that scheduler, and as before afterwards."""
    path = pathlib.Path("/sys/block", pathlib.Path(device).name, "queue/scheduler")
    before = re.search(r"\[(\S+)\]", path.read_text())[1]
    path.write_text(name)
    try:
        yield
    finally:
        path.write_text(before)


def test_disk_weights():
    """Of two that read all the time the heavier one gets more, and the other one when it is made so."""
    with box() as b, loop_device(1 << 30) as device, scheduled_by("bfq", device):
        os.chmod(device, 0o666)
        script = f"while :; do dd if={device} of=/dev/null bs=64k iflag=direct 2>/dev/null; done"
        first, second = (b.start("--device", device, "--blkio-weight", "100", *more, script=script)
                         for more in (["--blkio-weight-device", f"{device}:1000"], []))
        major = os.major(os.stat(device).st_rdev)

        def read(name):
            stats = json.loads(b.viv("stats", "--no-stream", "--format", "json", name).ok().out)[0]
            return sum(item.get("read_bytes", 0) for item in stats["io"] if item["major"] == major)

        def gets_more(one, other):
            begin = {name: read(name) for name in (one, other)}

            def twice():
                more, less = (read(name) - begin[name] for name in (one, other))
                return more > (32 << 20) and more > 2 * less
            eventually(twice, 20, f"{one} does not read twice as much")
        gets_more(first, second)
        b.viv("update", "--blkio-weight-device", f"{device}:10", first).ok()
        gets_more(second, first)
