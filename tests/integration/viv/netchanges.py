"""Networks that change while a sandbox runs, and ports and addresses that are chosen of a range."""
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import sys

from lib import *
from nethost import *

TIMEOUT = 180


def servers(h, name):
    """The name servers that a sandbox has."""
    return re.findall(r"(?m)^nameserver (\S+)$", h.viv("exec", name, "cat", "/etc/resolv.conf").ok().out)


def hosts(h, name):
    """{address: names} of a sandbox's /etc/hosts."""
    lines = h.viv("exec", name, "cat", "/etc/hosts").ok().lines()
    return dict(line.split(None, 1) for line in lines)


@private("net")
def test_names_follow_when_it_joins_and_leaves():
    """A sandbox that runs knows its new address and asks who can answer; what it wrote itself stays."""
    with host() as h:
        for network in ("a", "b", "mute"):
            h.viv("network", "create", *(["--disable-dns"] if network == "mute" else []), network).ok()
        peer = h.serve("--network", "b", name="peer")
        web = h.serve("--network", "a", "-h", "own", name="web")
        shared = h.start("--network", "container:web", name="shared")
        first = h.address(web, "a")
        equal(hosts(h, web)[first], "own web")
        equal(servers(h, web), [h.network_of("a", 1)])
        h.viv("exec", web, "sh", "-c", "echo '192.0.2.99 extra' >>/etc/hosts; "
              "echo 'options timeout:3' >>/etc/resolv.conf").ok()
        h.viv("network", "connect", "b", web).ok()
        second = h.address(web, "b")
        for name in (web, shared):
            found = hosts(h, name)
            equal((found[first], found[second], found["192.0.2.99"]), ("own web", "own web", "extra"))
        equal(servers(h, web), [h.network_of("a", 1)])
        h.viv("network", "disconnect", "a", web).ok()
        found = hosts(h, web)
        check(first not in found, found)
        equal((found[second], found["192.0.2.99"], found["127.0.0.1"]), ("own web", "extra", "localhost"))
        equal(servers(h, web), [h.network_of("b", 1)])
        contains(h.viv("exec", web, "cat", "/etc/resolv.conf").out, "options timeout:3")
        equal(h.viv("exec", web, "wget", "-qO-", f"http://{peer}/").ok().out, "here peer\n")
        equal(h.viv("exec", peer, "wget", "-qO-", "http://web/").ok().out, "here own\n")
        # a network without names: the host's servers again
        h.viv("network", "connect", "mute", web).ok()
        h.viv("network", "disconnect", "b", web).ok()
        check(h.network_of("b", 1) not in servers(h, web), servers(h, web))
        equal(list(hosts(h, web)).count(h.address(web, "mute")), 1)
        h.viv("network", "connect", "a", web).ok()
        equal(h.viv("exec", web, "nslookup", "web").status, 0)
        # the next start writes them anew
        h.viv("rm", "-f", shared).ok()
        h.viv("restart", "-t", "0", web).ok()
        check("192.0.2.99" not in hosts(h, web), "the old file is left")
        equal(servers(h, web), [h.network_of("a", 1)])


@private("net")
def test_one_of_a_range_of_ports():
    """Of a range of the host for one port the first free one is taken, as Docker does."""
    with host() as h:
        names = [h.serve("-p", "8000-8001:80") for _ in range(2)]
        for name, port in zip(names, (8000, 8001)):
            equal(h.viv("port", name).ok().out, f"80/tcp -> 0.0.0.0:{port}\n")
            equal(h.viv("port", "--format", "{{.Port}} {{.Protocol}} {{.HostIp}} {{.HostPort}}", name).ok().out,
                  f"80 tcp 0.0.0.0 {port}\n")
            equal(get(HERE, port, h.outside), f"here {name}")
        fails(h.run("-p", "8000-8001:80", "busybox", "true"), 125,
              "publish port 8001/tcp: EADDRINUSE")
        h.viv("rm", "-f", names[0]).ok()
        other = h.serve("-p", "127.0.0.1:7999-8005:80/tcp")
        equal(h.viv("port", other, "80").ok().out, "127.0.0.1:7999\n")
        latest = h.serve("-p", "8000-8001:80")
        equal(h.viv("port", latest, "80").ok().out, "0.0.0.0:8000\n")
        equal(h.viv("port", "-l", "80").ok().out, "0.0.0.0:8000\n")
        told = h.viv("port", "-a").ok().lines()
        for name, port in ((names[1], "0.0.0.0:8001"), (other, "127.0.0.1:7999"),
                           (latest, "0.0.0.0:8000")):
            check(f"{h.inspect(name)['Id'][:12]}\t80/tcp -> {port}" in told, told)
        equal(len(told), 3)
        fails(h.viv("port", "-a", other), 125, "name none")
        fails(h.viv("port"), 125, "name a sandbox")
        fails(h.run("-p", "8000-8001:80-82", "busybox", "true"), 125, "of the same length")


@private("net")
def test_clients_of_the_loopback_of_ipv6():
    """What is published is reached by ::1 too, whatever the network, by a process without rights that
    ends with the sandbox or with its monitor."""
    with host() as h:
        run("ip", "link", "set", "lo", "up").ok()
        h.viv("network", "create", "--ipv6", "six").ok()
        for network in ("six", "bridge"):
            name = h.serve("--network", network, "-p", "8080:80", "-p", "[::1]:8081:80", "-p", "8082:81")
            found = [get(host, 8080) for host in ("::1", "127.0.0.1", "localhost")]
            equal((network, found), (network, 3 * [f"here {name}"]))
            equal((get("::1", 8081), get("127.0.0.1", 8081)), (f"here {name}", "refused"))
            equal(get("::1", 8082), "nothing")  # nobody listens inside
            contains(h.viv("port", name).ok().out, "80/tcp -> [::1]:8081\n")
            relay, = beside("viv-relay")
            status = pathlib.Path(f"/proc/{relay}/status").read_text()
            matches(status, r"(?s)Uid:\t65534\t65534.*NoNewPrivs:\t1")
            matches(status, r"CapEff:\t0+\n")
            fails(h.run("-p", "[::1]:8080:80", "busybox", "true"), 125,
                  "publish port ::1 8080/tcp: EADDRINUSE")
            h.viv("rm", "-f", name).ok()
            eventually(lambda: not beside("viv-relay"))
            equal((get("::1", 8080), get("::1", 8081)), ("refused", "refused"))
        with socket.socket(socket.AF_INET6) as server:
            server.bind(("::1", 8090))
            fails(h.run("-p", "8090:80", "busybox", "true"), 125, "publish port 8090/tcp: EADDRINUSE")
        # whoever kills the monitor ends it too
        name = h.serve("-p", "8080:80")
        os.kill(json.loads(h.record(name, "life.json"))["monitor"], signal.SIGKILL)
        eventually(lambda: not beside("viv-relay"))
        h.viv("rm", "-f", name).ok()


@private("net")
def test_what_the_loopback_of_ipv6_carries():
    """Much in both directions at once, each ended by itself; and datagrams of several clients."""
    with host() as h:
        run("ip", "link", "set", "lo", "up").ok()
        name = h.start("-p", "8080:80", "-p", "9000:9001/udp", "--network", "bridge")
        with Background("nsenter", f"--net=/proc/{h.pid(name)}/ns/net", sys.executable, "-c",
                        ANSWER) as server:
            server.wait_for("ready")
            data = os.urandom(1 << 20)
            clients = [socket.create_connection(("::1", 8080), 60) for _ in range(20)]
            for client in clients:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            for client in clients:
                found = b"".join(iter(lambda c=client: c.recv(65536), b""))
                equal(hashlib.sha256(data).hexdigest() + "\n", found.decode())
                client.close()
            for size in (1, 1400, 9000, 1):
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                    client.settimeout(60)
                    client.sendto(bytes(size), ("::1", 9000))
                    equal(client.recvfrom(65536), (b"got %d" % size, ("::1", 9000, 0, 0)))


# What is received tells the digest of all once it is over; of a datagram, its length.
ANSWER = """
import hashlib, socket, threading
def serve(client):
    found = hashlib.sha256()
    while part := client.recv(65536):
        found.update(part)
    client.sendall(found.hexdigest().encode() + b"\\n")
    client.close()
def datagrams():
    while True:
        data, who = u.recvfrom(65536)
        u.sendto(b"got %d" % len(data), who)
s = socket.create_server(("", 80), backlog=50)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 9001))
threading.Thread(target=datagrams, daemon=True).start()
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=s.accept()[:1], daemon=True).start()
"""


@private("net")
def test_addresses_are_chosen_of_a_range():
    with host() as h:
        create = ["network", "create", "--subnet", "10.77.0.0/24"]
        h.viv(*create, "--ip-range", "10.77.0.64/31", "part").ok()
        names = [h.start("--network", "part") for _ in range(2)]
        equal(sorted(one["ipv4"] for one in h.leases("part").values()),
              ["10.77.0.64", "10.77.0.65"])
        fails(h.run("--network", "part", "busybox", "true"), 125,
              'all addresses of network "part" (10.77.0.64/31) are in use')
        # one that is asked for may be elsewhere in the subnet
        h.run("--network", "part:ip=10.77.0.9", "busybox", "true").ok()
        h.viv("rm", "-f", names[0]).ok()
        equal(h.address(h.start("--network", "part"), "part"), "10.77.0.64")
        h.viv("network", "create", "--subnet", "10.78.0.0/24", "--ip-range", "10.78.0.0/30",
              "low").ok()
        equal(h.address(h.start("--network", "low"), "low"), "10.78.0.2")
        for words in (["--subnet", "10.79.0.0/24", "--ip-range", "10.80.0.0/28"],
                      ["--subnet", "10.79.0.0/24", "--ip-range", "10.79.0.0/16"],
                      ["--ip-range", "10.79.0.0/28"]):
            fails(h.viv("network", "create", *words, "x"), 125, "a part of no --subnet")
        fails(h.viv("network", "create", "--subnet", "10.79.0.0/24", "--ip-range", "10.79", "x"), 125,
              "write an address and a prefix")


@private("net")
def test_explain_tells_the_taps():
    vm = ["--isolation", "vm", "--accel", "emu"]
    with host() as h:
        done = h.viv("explain", "--network", "bridge", *vm, "busybox").ok()
        matches(done.out, r"(?m)^ +\d+  host    tap")
        fails(h.run("--network", "pasta", *vm, "busybox", "true"), 125, "pasta")
