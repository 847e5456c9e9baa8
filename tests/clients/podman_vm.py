"""Podman with viv-oci-vm: its containers are in machines of their own."""
import contextlib
import os

from lib import *
from box import Box, image_tar

TIMEOUT = 240

box = None


@contextlib.contextmanager
def shared():
    global box
    with Box("podman-vm") as box:
        box.install("podman-nested.conf")
        podman("import", "--change", "CMD=/bin/sh", image_tar(work() / "bb.tar"), "localhost/bb:1").ok()
        yield


def podman(*argv, **more):
    more.setdefault("timeout", 150)
    return box.run("podman", "--runtime", program("viv-oci-vm"), *argv, **more)


def test_a_container_in_a_machine():
    done = podman("run", "--rm", "-i", "--network", "none", "--hostname", "inside", "-e", "A=b",
                  "bb:1", "sh", "-c", "uname -r; hostname; echo $A; cat; echo e >&2; exit 7",
                  stdin="given\n")
    equal(done.status, 7, str(done))
    release, *rest = done.lines()
    check(release != os.uname().release, "the host's kernel")
    equal(rest, ["inside", "b", "given"])
    contains(done.err, "e\n")


def test_a_life_in_the_background():
    name = unique("c")
    note = work() / "note"
    note.write_text("of the host\n")
    podman("run", "-d", "--name", name, "--network", "none", "-v", f"{note}:/note", "bb:1", "sh", "-c",
           "trap 'exit 3' TERM; echo begun; while :; do sleep 0.1; done").ok()
    done = podman("exec", name, "sh", "-c", "id -u; cat /note; echo of the guest >> /note; exit 4")
    equal((done.status, done.out, note.read_text()), (4, "0\nof the host\n", "of the host\nof the guest\n"))
    eventually(lambda: podman("logs", name).out == "begun\n", 20)
    podman("stop", "-t", "20", name).ok()
    equal(podman("inspect", "--format", "{{.State.ExitCode}}", name).ok().out, "3\n")
    podman("rm", name).ok()


def test_a_missing_program():
    fails(podman("run", "--rm", "--network", "none", "bb:1", "nosuch"), 127, "not found")


def test_a_published_port_and_the_way_out():
    """The bridge that Podman makes by default."""
    name = unique("p")
    podman("run", "-d", "--name", name, "-p", "8089:80", "bb:1", "nc", "-ll", "-p", "80", "-e", "echo", "served").ok()
    address, gateway, mac = podman(
        "inspect", "--format", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.MacAddress}}",
        name).ok().out.split()
    eventually(lambda: "served" in box.run("busybox", "nc", "-w", "5", address, "80").out, 30)
    equal(box.run("busybox", "nc", "-w", "5", "127.0.0.1", "8089").out, "served\n")
    host = box.run("sh", "-c", "busybox nc -ll -p 7000 -e echo from the host >/dev/null 2>&1 & echo $!").ok().out.strip()
    eventually(lambda: "from the host" in podman("exec", name, "nc", "-w", "5", gateway, "7000").out, 30)
    box.run("kill", host).ok()
    shown = podman("exec", name, "ip", "addr", "show", "eth0").ok().out
    contains(shown, f"{address}/")
    contains(shown, mac)
    contains(podman("exec", name, "cat", "/etc/hosts").ok().out, address)
    podman("rm", "-f", "-t", "0", name).ok()
    equal(box.run("sh", "-c", "ip netns list; ip -br link | grep -c veth").out.split(), ["0"])
