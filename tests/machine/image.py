"""An image of the store as a machine: its layers become the guest's root, and nothing of it stays."""
import os
import pathlib

from lib import *
from lib.registry import load_image

TIMEOUT = 300
BUILDS = ["plain"]


@needs(root=True, programs=["mkfs.erofs"])
def test_layers_are_the_root_of_a_machine():
    above = work() / "above"
    (above / "etc").mkdir(parents=True)
    (above / "etc/.wh.group").write_text("")
    (above / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:7:8::/:/bin/sh\n")
    os.chown(above / "etc/passwd", 33, 44)
    load_image("localhost/vm:1", image(), above, config={
        "Entrypoint": ["/bin/sh", "-c"], "Env": ["PATH=/bin", "A=image"], "User": "ann",
        "Cmd": ["id -u; echo $A; stat -c %u:%g /etc/passwd; ls /etc/group"]})
    store = work() / "store"
    done = viv("--root", store, "run", "--rm", "--isolation", "vm", "--accel", "emu", "--network",
               "none", "vm:1", timeout=250)
    equal(done.out.split(), ["7", "image", "33:44"])
    contains(done.err, "/etc/group: No such file")
    roots = pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/roots")
    equal(list(roots.iterdir()), [])
    viv("--root", store, "rmi", "vm:1").ok()
