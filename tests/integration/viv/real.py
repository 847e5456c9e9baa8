"""Real input: a bundle that umoci has unpacked from an image that skopeo wrote."""
import json

from lib import *
from box import box

TIMEOUT = 60


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
