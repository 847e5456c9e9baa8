"""An image of the store as a machine: its layers become the guest's root, and nothing of it stays."""
import os
import pathlib

from lib import *
from lib.registry import load_image

TIMEOUT = 300
BUILDS = ["plain"]


def look_at_one_that_is_kept(store):
    """Its changes are one more layer upon the image, for its next start and for others."""
    script = ("cat /new/file; echo life >> /new/file; rm /etc/passwd; rm -r /dev2; mkdir -p /new /dev2;"
              "echo life >> /new/file")
    viv("--root", store, "run", "--name", "m", "--isolation", "vm", "--accel", "emu", "--network",
        "none", "--user", "0", "vm:1", script, timeout=250).ok()
    again = viv("--root", store, "start", "-a", "m", timeout=250)
    equal(again.out, "life\n")
    viv("--root", store, "commit", "m", "vm:2").ok()
    viv("--root", store, "rm", "m").ok()
    done = viv("--root", store, "run", "--rm", "--network", "none", "--user", "0", "vm:2",
               "cat /new/file; ls /etc/passwd")
    equal(done.out, "life\n" * 3)
    contains(done.err, "/etc/passwd: No such file")


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
    equal(done.out.split(), ["7", "image", "33:44"], done.err)
    contains(done.err, "/etc/group: No such file")
    roots = pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/roots")
    equal(list(roots.iterdir()), [])
    look_at_one_that_is_kept(store)
    equal(list(roots.iterdir()), [])
    viv("--root", store, "rmi", "vm:1", "vm:2").ok()
