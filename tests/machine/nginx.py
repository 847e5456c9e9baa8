"""A real server in an image: Debian's nginx, pushed to a registry and pulled again, serves clients
outside through a published port, as a container and as a machine."""
import hashlib
import json
import pathlib
import sys

from lib import *
from lib.nginx import *
from lib.registry import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/viv"))
from nethost import *  # noqa: E402

TIMEOUT = 300
BUILDS = ["plain"]
LARGE = 6 << 20
AT_ONCE = 12


def pulled(h, registry):
    """Makes the image of the folder, pushes it, forgets it, and pulls it; the name, and the digest of
    the large file."""
    registries_conf(registry.host)
    digest = nginx_root(work() / "root", LARGE)
    name = f"{registry.host}/web/nginx:1"
    made = h.viv("import", "-c", f"ENTRYPOINT {json.dumps(NGINX)}", "-c", "EXPOSE 80", "-", name,
                 stdin=tar_of(work() / "root")).ok().out.strip()
    h.viv("push", "-q", name).ok()
    h.viv("rmi", name).ok()
    equal(h.viv("images", "-q").ok().out, "")
    equal(h.viv("pull", "-q", name).ok().out.strip(), made)
    return name, digest


def serves(h, port, digest):
    """A page, a large file, and many requests at the same time, from outside."""
    url = f"http://{HERE}:{port}"
    eventually(lambda: h.outside("curl", "-s", "-m", "5", f"{url}/").out == "served by nginx", 120)
    done = h.outside("curl", "-sS", "-m", "100", "-o", work() / "large", f"{url}/large", timeout=120)
    equal((done.status, done.err), (0, ""))
    equal(hashlib.sha256((work() / "large").read_bytes()).hexdigest(), digest)
    parts = [word for i in range(AT_ONCE) for word in (
        "-r", f"{i * 1000}-{i * 1000 + 65535}", "-o", work() / f"part-{i}", f"{url}/large", "--next")]
    h.outside("curl", "-f", "-Z", "--parallel-immediate", "-m", "100", *parts[:-1], timeout=120).ok()
    whole = (work() / "large").read_bytes()
    for i in range(AT_ONCE):
        check((work() / f"part-{i}").read_bytes() == whole[i * 1000:i * 1000 + 65536], f"part {i}")


@private("net")
@needs(root=True, programs=["nginx", "curl", "docker-registry", "mkfs.erofs"])
def test_nginx_of_an_image_serves_a_client_outside():
    with host() as h, Registry() as registry:
        name, digest = pulled(h, registry)
        for port, isolation in (("8080", ()), ("8081", ("--isolation", "vm", "--accel", "emu"))):
            box = h.viv("run", "-d", *h.flags("-p", f"{port}:80", *isolation), name,
                        timeout=150).ok().out.strip()
            serves(h, port, digest)
            equal(h.viv("logs", box).ok().err, "")
            h.viv("rm", "-f", box).ok()
        equal(h.viv("system", "check").ok().out, "")
