"""Docker 20.10 with viv-oci-vm: its containers are in machines, on the bridge of its prestart hook."""
import contextlib
import os

from lib import *
import docker
from box import DOCS
from docker import container, inspect, once

TIMEOUT = 240


@contextlib.contextmanager
def shared():
    text = (DOCS / "docker-daemon.json").read_text()
    with docker.engine("docker-vm", text.replace("/usr/local/bin/viv-oci-vm", str(program("viv-oci-vm")))):
        yield


def test_a_container_in_a_machine():
    found = once("--runtime", "viv-vm", "-e", "A=b", "--network", "none",
                 command=("sh", "-c", "uname -r; echo $A; ls /sys/class/net; echo e >&2; exit 7"))
    equal((found.status, found.lines()[1:]), (7, ["b", "lo"]))
    check(found.lines()[0] != os.uname().release, found)
    contains(found.err, "e\n")


def test_a_published_port_and_the_way_out():
    with container("--runtime", "viv-vm", "-p", "8089:80",
                   command=("nc", "-ll", "-p", "80", "-e", "echo", "served")) as name:
        address, gateway = (inspect(name, f"{{{{.NetworkSettings.{key}}}}}") for key in ("IPAddress", "Gateway"))
        eventually(lambda: "served" in docker.box.run("busybox", "nc", "-w", "5", address, "80").out, 30)
        equal(docker.box.run("busybox", "nc", "-w", "5", "127.0.0.1", "8089").out, "served\n")
        host = docker.box.run("sh", "-c", "busybox nc -ll -p 7000 -e echo from the host >/dev/null 2>&1 & echo $!")
        eventually(lambda: "from the host" in docker.docker("exec", name, "nc", "-w", "5", gateway, "7000").out, 30)
        docker.box.run("kill", host.ok().out.strip()).ok()
        contains(docker.docker("exec", name, "ip", "addr", "show", "eth0").ok().out, f"{address}/")
        docker.docker("stop", "-t", "0", name).ok()
        equal(inspect(name, "{{.State.ExitCode}}"), "137")
        docker.docker("start", name, timeout=150).ok()
        eventually(lambda: "served" in docker.box.run("busybox", "nc", "-w", "5", inspect(
            name, "{{.NetworkSettings.IPAddress}}"), "80").out, 30)


def test_names_on_a_network_of_the_users_own():
    network = unique("n")
    docker.docker("network", "create", network).ok()
    try:
        with container("--network", network, "--network-alias", "other") as other:
            address = inspect(other, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
            found = once("--runtime", "viv-vm", "--network", network,
                         command=("sh", "-c", "echo taken $(grep -c ':0035 ' /proc/net/udp); cat /etc/resolv.conf; nslookup other; ping -c 1 other"))
            for part in ("taken 0\n", "nameserver 127.0.0.11", address, "1 packets received"):
                contains(found.ok().out, part)
    finally:
        docker.docker("network", "rm", network).ok()
