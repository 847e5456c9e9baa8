"""A host for the tests of networks: the test's own network namespace (@private("net")), and a second
one outside, joined by a cable. Nothing of the machine's own network is touched."""
import contextlib
import json
import os
import pathlib
import sys

from lib import *
from box import Box

__all__ = ["NetHost", "host", "HERE", "OUTSIDE", "HERE6", "OUTSIDE6", "SERVE", "get", "beside"]

HERE, OUTSIDE = "192.0.2.1", "192.0.2.2"
HERE6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"

# A web server of busybox's: "here NAME" on port 80, and on each other port that is named.
SERVE = ('echo "here $(hostname)" >/www/index.html; '
         'for p in %s; do httpd -p $p -h /www; done; exec sleep 1000')

# Answers each connection with the address that it came from.
TELL_PEER = """
import socket
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", 80)); s.listen(50); print("ready", flush=True)
while True:
    c, a = s.accept()
    c.recv(4096)
    text = a[0].replace("::ffff:", "").encode()
    c.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(text), text))
    c.close()
"""

# GET by hand, so that the time to wait is ours: prints the body, or "refused", or "nothing".
GET = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    s = socket.create_connection((host, port), float(sys.argv[3]))
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    data = b""
    while part := s.recv(4096):
        data += part
    print(data.split(b"\\r\\n\\r\\n", 1)[-1].decode().strip())
except ConnectionRefusedError:
    print("refused")
except OSError:
    print("nothing")
"""


class NetHost(Box):
    """A store of sandboxes with networks, and a place outside."""

    def __init__(self, stack):
        super().__init__()
        peer = stack.enter_context(Background("unshare", "--net", "sleep", "1000"))
        self.outside_pid = peer.pid
        eventually(lambda: run("readlink", f"/proc/{peer.pid}/ns/net").out !=
                   run("readlink", "/proc/self/ns/net").out)
        up, far = "up0", "up1"
        run("ip", "link", "add", up, "type", "veth", "peer", "name", far, "netns", peer.pid).ok()
        for where, name, four, six in ((run, up, HERE, HERE6), (self.outside, far, OUTSIDE, OUTSIDE6)):
            where("ip", "addr", "add", f"{four}/24", "dev", name).ok()
            where("ip", "addr", "add", f"{six}/64", "dev", name, "nodad").ok()
            where("ip", "link", "set", name, "up").ok()
        self.outside("ip", "link", "set", "lo", "up").ok()
        self.stack = stack

    def outside(self, *argv, **more):
        """A command outside, as another machine of the cable."""
        return run("nsenter", f"--net=/proc/{self.outside_pid}/ns/net", *argv, **more)

    def outside_server(self):
        """A server outside, which tells each client its address."""
        server = self.stack.enter_context(Background(
            "nsenter", f"--net=/proc/{self.outside_pid}/ns/net", sys.executable, "-c", TELL_PEER))
        server.wait_for("ready")

    def serve(self, *flags, name=None, ports="80"):
        """A sandbox that serves its host name; its own name."""
        name = self.start("--tmpfs", "/www", *flags, name=name, script=SERVE % ports)
        last = ports.split()[-1]  # they are opened one after the other
        eventually(lambda: self.viv("exec", name, "wget", "-qO-", f"http://127.0.0.1:{last}/")
                   .status == 0)
        return name

    def leases(self, network="bridge"):
        found = json.loads(self.viv("network", "inspect", network).ok().out)[0]["containers"]
        return {one["name"]: one for one in found.values()}

    def network_of(self, name, number):
        """The address of this number in a network's subnet."""
        found = json.loads(self.viv("network", "inspect", name).ok().out)[0]["subnets"][0]["subnet"]
        return f"{found.rsplit('.', 1)[0]}.{number}"

    def record(self, name, file):
        """A file of a sandbox's record."""
        return pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes", name, file).read_text()

    def address(self, name, network="bridge", family="ipv4"):
        return self.leases(network)[name][family]


def get(address, port, where=run, seconds=60):
    """What a server says, "refused", or "nothing" for an answer that does not come."""
    return where(sys.executable, "-c", GET, address, port, seconds).ok().out.strip()


def beside(*programs):
    """The processes of these programs beside sandboxes; those that have ended are ours to wait for."""
    for pid in [pid for pid, name in descendants().items() if name in programs]:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return [pid for pid, name in descendants().items() if name in programs]


@contextlib.contextmanager
def host():
    """with host() as h: h.run("--network", "bridge", "busybox", "true").ok()"""
    with contextlib.ExitStack() as stack:
        made = NetHost(stack)
        try:
            yield made
        finally:
            made.close()
            eventually(lambda: not beside("viv-dns", "viv-relay"), 10, "it outlives the last sandbox")
