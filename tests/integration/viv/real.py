"""Real input: a Debian root made by mmdebstrap, and a bundle that umoci has unpacked from an image
that skopeo wrote."""
import json

from lib import *
from lib.registry import debian_root
from box import box

TIMEOUT = 300  # the Debian root is made once, and kept in tests/.cache


@needs(root=True, programs=["umoci", "skopeo"])
def test_a_bundle_of_umoci():
    """An image made by umoci from the built-in root, written anew by skopeo, unpacked by umoci."""
    layout, copy, bundle = work() / "layout", work() / "copy", work() / "bundle"
    run("umoci", "init", "--layout", layout).ok()
    run("umoci", "new", "--image", f"{layout}:bb").ok()
    run("umoci", "insert", "--image", f"{layout}:bb", image(), "/").ok()
    run("umoci", "config", "--image", f"{layout}:bb", "--config.cmd", "/bin/sh", "--config.env",
        "PATH=/bin:/sbin:/usr/bin").ok()
    run("skopeo", "--insecure-policy", "copy", f"oci:{layout}:bb", f"oci:{copy}:bb").ok()
    run("umoci", "unpack", "--image", f"{copy}:bb", bundle).ok()
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/sh", "-c", "id -u; hostname; echo $PATH; test -c /dev/null"]
    (bundle / "config.json").write_text(json.dumps(config))
    with box() as b:
        with no_leaks(b.scope + "/"):
            done = b.run("--bundle", bundle).ok()
        equal(done.out.split(), ["0", config["hostname"], "/bin:/sbin:/usr/bin"])


@needs(root=True, programs=["mmdebstrap", "gcc"])
def test_debian():
    """bash, dpkg, perl and a compiled program, as root and as another user."""
    root = debian_root()
    (work() / "t.c").write_text(
        '#include <stdio.h>\n#include <unistd.h>\n'
        'int main(void) { printf("compiled %d\\n", (int)getuid()); return 0; }\n')
    run("gcc", "-o", work() / "program", work() / "t.c").ok()
    script = ("echo bash ${BASH_VERSION%%.*}; dpkg -s perl-base | grep ^Status; "
              "perl -e 'print 6 * 7, qq(\\n)'; /made/program")
    with box() as b:
        for flags, uid in (([], 0), (["-u", "1234:1234"], 1234)):
            done = b.run(*flags, "-v", f"{work()}:/made:ro", "--rootfs", root, "bash", "-c", script)
            equal(done.ok().out.splitlines(),
                  ["bash 5", "Status: install ok installed", "42", f"compiled {uid}"])
