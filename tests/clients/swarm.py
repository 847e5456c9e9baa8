"""A swarm of two dockerd, each in a network namespace of its own, whose containers are viv-oci's: a
service of four replicas; then one node is cut off and its work moves to the other."""
import contextlib

from lib import *
from box import Box, image_tar

TIMEOUT = 150

# `ip netns exec` would hide the control groups; nsenter does not.
NETWORK = """set -e
ip link add bridge0 type bridge
ip link set bridge0 up
for i in 1 2; do
    ip netns add node$i
    ip link add port$i type veth peer name eth0 netns node$i
    ip link set port$i master bridge0 up
    nsenter --net=/run/netns/node$i sh -c "ip link set lo up; ip addr add 10.97.0.$i/24 dev eth0; ip link set eth0 up; ip route add default via 10.97.0.254"
done"""

box = None


@contextlib.contextmanager
def shared():
    global box
    with Box("swarm") as box:
        box.run("sh", "-c", NETWORK).ok()
        box.install("docker-daemon.json")
        tar = image_tar(work() / "bb.tar")
        daemons = [start_node(node) for node in (1, 2)]
        for node, daemon in zip((1, 2), daemons):
            eventually(lambda n=node, d=daemon: docker(n, "version").status == 0 or not d.running(), 60,
                       lambda d=daemon: d.err()[-3000:])
            docker(node, "import", "--change", 'CMD ["sleep", "100000"]', tar, "bb:1").ok()
        yield


def start_node(node):
    return box.start("nsenter", f"--net=/run/netns/node{node}", "dockerd", "--host", f"unix:///run/node{node}.sock",
                     "--data-root", f"/var/lib/docker/node{node}", "--exec-root", f"/run/docker{node}",
                     "--pidfile", f"/run/docker{node}.pid", "--cgroup-parent", f"/node{node}")


def docker(node, *argv, **more):
    return box.run("/usr/bin/docker", "-H", f"unix:///run/node{node}.sock", *argv, **more)


def running(node):
    return docker(node, "ps", "-q", "--filter", "status=running").ok().lines()


def test_replicas_move_from_a_node_that_is_cut_off():
    docker(1, "swarm", "init", "--advertise-addr", "10.97.0.1", "--listen-addr", "10.97.0.1:2377").ok()
    token = docker(1, "swarm", "join-token", "-q", "worker").ok().out.strip()
    # What it says it did not get done in time, it goes on with.
    docker(2, "swarm", "join", "--token", token, "--advertise-addr", "10.97.0.2", "10.97.0.1:2377")
    eventually(lambda: docker(1, "node", "ls", "--format", "{{.Status}}").ok().lines() == ["Ready"] * 2, 60,
               lambda: docker(2, "info").out)
    # No IPVS here: names are answered by turns.
    docker(1, "service", "create", "--detach", "--name", "work", "--replicas", "4", "--endpoint-mode", "dnsrr",
           "--no-resolve-image", "--stop-grace-period", "1s", "bb:1").ok()
    eventually(lambda: len(running(1)) == 2 and len(running(2)) == 2, 60, lambda: docker(1, "service", "ps", "work").out)
    for node in (1, 2):
        name = running(node)[0]
        equal(docker(node, "inspect", "--format", "{{.HostConfig.Runtime}}", name).ok().out, "viv\n")
        docker(node, "exec", name, "true").ok()
    box.run("ip", "link", "set", "port2", "down").ok()
    eventually(lambda: len(running(1)) == 4, 90, lambda: docker(1, "service", "ps", "work").out)
    box.run("ip", "link", "set", "port2", "up").ok()
    # The node that is back ends what is no longer its own.
    eventually(lambda: len(running(1)) + len(running(2)) == 4, 60)
    docker(1, "service", "rm", "work").ok()
    eventually(lambda: not running(1) and not running(2))
