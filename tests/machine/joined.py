"""Machines that take over the interfaces of a network namespace that somebody else has filled."""
import contextlib
import json
import os
import signal
import subprocess
import sys

from lib import *

TIMEOUT = 240
BUILDS = ["plain"]
HERE, THERE, HERE6, THERE6 = "10.77.0.1", "10.77.0.2", "fd77::1", "fd77::2"
MAC = "02:11:22:33:44:55"

# Answers each connection with the address that it came from.
TELL_PEER = """
import socket, threading
def much():
    s = socket.create_server(("::", 7001), family=socket.AF_INET6, dualstack_ipv6=True)
    c, a = s.accept()
    c.sendall(bytes(3000000))
    c.close()
threading.Thread(target=much, daemon=True).start()
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, a = s.accept()
    c.sendall(a[0].replace("::ffff:", "").encode() + b"\\n")
    c.close()
"""


class Room:
    """The test's own network namespace, with one end of a cable, and a second one, "pod", that has
    the other end, set up as an engine does it."""

    def __init__(self, stack):
        self.stack = stack
        self.m1, self.m2 = unique("m1-"), unique("m2-")  # names of control groups too
        self.root, self.bundle = work() / "oci", work() / "bundle"
        self.bundle.mkdir()
        (self.bundle / "rootfs").symlink_to(image())
        self.pod = work() / "pod"
        self.pod.touch()
        run("unshare", f"--net={self.pod}", "ip", "link", "set", "lo", "up").ok()
        ip = lambda *argv: run("ip", *argv).ok()
        ip("link", "add", "cable", "type", "veth", "peer", "name", "out7")
        ip("addr", "add", f"{HERE}/24", "dev", "cable")
        ip("addr", "add", f"{HERE6}/64", "dev", "cable", "nodad")
        ip("link", "set", "cable", "up")
        with Background("nsenter", f"--net={self.pod}", "sleep", "1000") as inside:
            eventually(lambda: os.stat(f"/proc/{inside.pid}/ns/net").st_ino == os.stat(self.pod).st_ino)
            ip("link", "set", "out7", "netns", inside.pid, "name", "net7")
        there = lambda *argv: self.there("ip", *argv).ok()
        there("link", "set", "net7", "address", MAC, "mtu", "1400")
        there("addr", "add", f"{THERE}/24", "dev", "net7")
        there("addr", "add", "10.78.0.2/32", "dev", "net7")
        there("addr", "add", f"{THERE6}/64", "dev", "net7", "nodad")
        there("link", "set", "net7", "up")
        there("route", "add", "default", "via", HERE)
        there("route", "add", "10.79.0.0/16", "via", HERE, "metric", "7")
        there("route", "add", "10.80.0.0/16", "dev", "net7", "src", "10.78.0.2")
        eventually(lambda: "state UP" in self.there("ip", "link", "show", "net7").out)
        self.before = self.found()

    def found(self):
        """What there is in the namespace, that a machine must leave as it was."""
        return [self.there(*argv).ok().out for argv in (
            ("ip", "-br", "link"), ("ip", "route"), ("tc", "qdisc"),
            ("tc", "filter", "show", "dev", "net7", "ingress"))]

    def there(self, *argv, **more):
        return run("nsenter", f"--net={self.pod}", *argv, **more)

    def call(self, *args, **more):
        return run(program("viv-oci-vm"), "--root", self.root, *args, cwd=self.bundle, timeout=150,
                   env={"VIV_DATA_ROOT": str(work() / "data")}, **more)

    def configure(self, script, network="", **more):
        path = self.bundle / "config.json"
        path.unlink(missing_ok=True)
        self.call("spec").ok()
        config = json.loads(path.read_text())
        config["process"].update(terminal=False, args=["sh", "-c", script])
        config["root"]["readonly"] = False
        config["linux"].setdefault("sysctl", {})["net.ipv4.ping_group_range"] = "0 0"
        for item in config["linux"]["namespaces"]:
            if item["type"] == "network" and network is not None:
                item["path"] = str(network or self.pod)
        config.update(more)
        path.write_text(json.dumps(config))

    def start(self, name):
        """A machine in the background, whose output is in a file."""
        out = self.bundle / "out"
        with open(out, "wb") as to:
            done = subprocess.run(
                [program("viv-oci-vm"), "--root", self.root, "create", "--pid-file",
                 self.bundle / "pid", name], cwd=self.bundle, stdin=subprocess.DEVNULL, stdout=to,
                stderr=to, check=False, timeout=150,
                env={**os.environ, "VIV_DATA_ROOT": str(work() / "data")})
        equal(done.returncode, 0, out.read_text())
        self.call("start", name).ok()
        return out

    def delete(self, name):
        self.call("delete", "--force", name).ok()
        equal(self.found(), self.before)


@contextlib.contextmanager
def room():
    with contextlib.ExitStack() as stack:
        it = Room(stack)
        yield it
        equal(it.call("list", "-q").ok().out, "")


def ask(host, port):
    return run(sys.executable, "-c",
               "import socket, sys; c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5);"
               "print(c.makefile().read().strip())", host, port)


@private("net", "mnt")
def test_a_machine_in_a_network_namespace():
    with room() as it:
        it.configure("nc -ll -p 80 -e echo served")
        server = it.stack.enter_context(Background(sys.executable, "-c", TELL_PEER))
        server.wait_for("ready")
        it.start(it.m1)
        inside = lambda *argv: it.call("exec", it.m1, *argv).ok().out.strip()
        eventually(lambda: ask(THERE, 80).out == "served\n", 30)
        equal(inside("nc", HERE, "7000"), THERE)
        equal(inside("nc", HERE6, "7000"), THERE6)
        equal(inside("cat", "/sys/class/net/net7/address", "/sys/class/net/net7/mtu"), f"{MAC}\n1400")
        equal(inside("cat", "/proc/sys/net/ipv4/ping_group_range").split(), ["0", "0"])
        addresses = inside("ip", "addr")
        for part in (f"{THERE}/24", "10.78.0.2/32", f"{THERE6}/64", "127.0.0.1/8"):
            contains(addresses, part)
        routes = inside("ip", "route")
        matches(routes, rf"(?m)^default via {HERE} dev net7 *$")
        matches(routes, rf"(?m)^10.79.0.0/16 via {HERE} dev net7 +metric 7")
        matches(routes, r"(?m)^10.80.0.0/16 dev net7 scope link +src 10.78.0.2")
        # a second machine does not take away what the first one has
        fails(it.call("run", it.m2), 1, "the interface net7 of the network namespace is another machine's")
        equal(ask(THERE, 80).out, "served\n")
        equal(inside("sh", "-c", f"nc {HERE} 7001 | wc -c"), "3000000")
        it.delete(it.m1)


@private("net", "mnt")
def test_what_a_killed_machine_left_is_taken_over():
    with room() as it:
        it.configure("sleep 1000")
        it.start(it.m1)
        os.kill(int((it.bundle / "pid").read_text()), signal.SIGKILL)
        eventually(lambda: "vivtap" not in it.found()[0], 30)
        check(it.found() != it.before, "nothing was left")
        (it.root / it.m1 / "netns").unlink()  # as if whoever deletes it had been killed
        it.call("delete", "--force", it.m1).ok()
        check(it.found() != it.before, "what is not known of was taken away")
        it.configure("nc -ll -p 80 -e echo anew")
        it.start(it.m2)
        eventually(lambda: ask(THERE, 80).out == "anew\n", 30)
        it.delete(it.m2)


@private("net", "mnt")
def test_hooks_fill_a_new_network_namespace():
    """As Docker's prestart hook does; createContainer's are in it, startContainer's in the guest."""
    with room() as it:
        def hook(name, text):
            path = work() / name
            path.write_text(f"#!/bin/sh\nset -e\n{text}\n")
            path.chmod(0o755)
            return [{"path": str(path)}]
        fill = ("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')\n"
                "ip link add up7 type veth peer name late0 netns $pid\n"
                "ip addr add 10.81.0.1/24 dev up7; ip link set up7 up\n"
                "nsenter -t $pid -n ip addr add 10.81.0.2/24 dev late0\n"
                "nsenter -t $pid -n ip link set late0 up\n")
        note = work() / "note"
        told = "sed 's/.*\"id\":\"\\([^\"]*\\).*/\\1/'"
        guest_hook = [{"path": "/bin/sh", "args": ["sh", "-c", f"({told}; echo; uname -r) >/tmp/hook"]}]
        it.configure("cat /tmp/hook; nc -ll -p 80 -e echo hooked", network=None, hooks={
            "prestart": hook("fill", fill),
            "createContainer": hook("look", f"ip -br addr show late0 >{note}"),
            "startContainer": guest_hook})
        out = it.start(it.m1)
        contains(note.read_text(), "10.81.0.2/24")
        eventually(lambda: ask("10.81.0.2", 80).out == "hooked\n", 30)
        name, release = out.read_text().splitlines()
        equal(name, it.m1)
        check(release != os.uname().release, "startContainer ran on the host")
        it.call("delete", "--force", it.m1).ok()


@private("net", "mnt")
def test_what_cannot_be_joined():
    with room() as it:
        it.configure("true", network=work() / "nosuch")
        fails(it.call("run", it.m1), 1, "nosuch")
        it.configure("true", network="/proc/self/ns/net")
        fails(it.call("run", it.m1), 1, "it is the host's own")
        it.configure("true")
        it.there("tc", "qdisc", "add", "dev", "net7", "clsact").ok()
        found = it.found()
        fails(it.call("run", it.m1), 1, "something is at the ingress of net7 already")
        equal(it.found(), found)
        path = it.bundle / "config.json"
        config = json.loads(path.read_text())
        for item in config["linux"]["namespaces"]:
            if item["type"] in ("pid", "ipc"):
                item["path"] = f"/proc/self/ns/{item['type']}"
                path.write_text(json.dumps(config))
                fails(it.call("run", it.m1), 1, f"cannot join the {item['type']} namespace")
                del item["path"]


@private("net", "mnt")
def test_explain_tells_the_taps():
    with room() as it:
        done = viv("explain", "--isolation", "vm", "--accel", "emu", "--network", f"ns:{it.pod}",
                   "busybox", env={"VIV_DATA_ROOT": str(work() / "data")}).ok()
        matches(done.out, r"(?m)^ +\d+  host    splice taps")
        contains(done.out, "TUNSETIFF")
        equal(it.found(), it.before)
