"""Networks: traffic to and from sandboxes on a host of the test's own, with a machine outside."""
import json
import os
import signal
import socket
import struct
import sys

from lib import *
from nethost import *

TIMEOUT = 90

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 9001)); print("ready", flush=True)
while True:
    s.sendto(*s.recvfrom(99))
"""


@private("net")
def test_the_way_out_and_back():
    """Outside, a sandbox has the host's address; nobody outside reaches what is not published."""
    with host() as h:
        h.outside_server()
        equal(h.out(f"wget -qO- http://{OUTSIDE}/", "--network", "bridge"), HERE)
        name = h.serve("--network", "bridge")
        address = h.address(name)
        h.outside("ip", "route", "add", "10.0.0.0/8", "via", HERE).ok()
        equal(get(address, 80), f"here {name}")
        equal(get(address, 80, h.outside, 0.5), "nothing")


@private("net")
def test_published_ports_from_everywhere():
    with host() as h:
        name = h.serve("-p", "8080:80", "-p", f"{HERE}:8081:80", "-p", "127.0.0.1:8082:80",
                       "-p", "7000-7002:80-82", "-p", "80", ports="80 81 82")
        here = f"here {name}"
        chosen = h.viv("port", name, "80").ok().out.split()[-1].rsplit(":", 1)[1]
        for port in ("8080", "8081", "7000", "7001", "7002", chosen):
            equal(get(HERE, port, h.outside), here)
        equal(get(HERE, 8082, h.outside), "refused")
        for address, port in ((HERE, 8080), ("127.0.0.1", 8080), ("127.0.0.1", 8082)):
            equal(get(address, port), here)
        equal(get("127.0.0.1", 8081), "refused")
        # from a sibling on the same network, from one on another, and from itself
        h.viv("network", "create", "other").ok()
        for network in ("bridge", "other"):
            equal(h.out(f"wget -qO- http://{HERE}:8080/", "--network", network), here)
        equal(h.viv("exec", name, "wget", "-qO-", f"http://{HERE}:8080/").ok().out.strip(), here)
        # nobody uses the loopback's way in from a sandbox
        equal(h.out("wget -qO- http://127.0.0.1:8080/ || echo none", "--network", "bridge"), "none")
        contains(h.viv("ps").ok().out, "0.0.0.0:8080->80/tcp")


@private("net")
def test_ports_of_udp_and_ipv6():
    with host() as h:
        h.viv("network", "create", "--ipv6", "six").ok()
        name = h.serve("--network", "six", "-p", "9000-9001:9000-9001/udp", "-p", "8080:80",
                       "-p", f"[{HERE6}]:8081:80")
        here = f"here {name}"
        equal(get(HERE6, 8080, h.outside), here)
        equal(get(HERE6, 8081, h.outside), here)
        equal(get(HERE, 8081, h.outside), "refused")
        ask = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); "
               f"s.sendto(b'ping', ('{HERE}', 9001)); print(s.recvfrom(9)[0].decode())")
        with Background("nsenter", f"--net=/proc/{h.pid(name)}/ns/net", sys.executable, "-c",
                        ECHO) as server:
            server.wait_for("ready")
            equal(h.outside(sys.executable, "-c", ask).out.strip(), "ping")
        six = h.address(name, "six", "ipv6")
        equal(h.out(f"wget -qO- http://[{six}]/", "--network", "six"), here)


@private("net")
def test_the_administrator_comes_first():
    """A published port does not get round the rules of the chain that is the administrator's."""
    with host() as h:
        name = h.serve("-p", "8080:80")
        here = f"here {name}"
        equal(get(HERE, 8080, h.outside), here)
        run("nft", "add", "rule", "inet", "vivarium", "administrator", "meta", "l4proto", "tcp",
            "ct", "original", "proto-dst", "8080", "ip", "saddr", OUTSIDE, "drop").ok()
        equal(get(HERE, 8080, h.outside, 0.5), "nothing")
        equal(h.out(f"wget -qO- http://{HERE}:8080/", "--network", "bridge"), here)
        # what another table drops is dropped, and the chain outlives the sandbox
        run("nft", "flush", "chain", "inet", "vivarium", "administrator").ok()
        run("nft", "add table inet f; add chain inet f f { type filter hook forward priority 10; "
            "policy drop; }").ok()
        equal(get(HERE, 8080, h.outside, 0.5), "nothing")
        # rules that somebody has flushed come back
        run("nft", "flush", "ruleset").ok()
        equal(get(HERE, 8080, h.outside), "refused")
        h.viv("network", "reload").ok()
        equal(get(HERE, 8080, h.outside), here)
        h.viv("rm", "-f", name).ok()
        contains(run("nft", "list", "table", "inet", "vivarium").ok().out, "chain administrator")
        check("8080" not in run("nft", "list", "table", "inet", "vivarium").out, "the port is left")


@private("net")
def test_networks_are_apart():
    with host() as h:
        h.outside_server()
        for name, flags in (("a", []), ("b", []), ("in", ["--internal"]),
                            ("o1", ["-o", "isolate=false"]), ("o2", ["-o", "isolate=false"])):
            h.viv("network", "create", *flags, name).ok()
        served = {net: h.address(h.serve("--network", net), net) for net in ("a", "b", "in", "o1")}
        tries = "; ".join(f"wget -qO- http://{served[net]}/ >/dev/null 2>&1 && echo {net}"
                          for net in ("a", "b", "o1"))
        equal(h.out(tries + "; true", "--network", "a"), "a")
        equal(h.out(tries + "; true", "--network", "o2"), "o1")
        # inside an internal network there is company, but no way out
        equal(h.out(f"wget -qO- http://{served['in']}/ >/dev/null && echo in; ip route | grep -c default; "
                    f"ip route add default via {served['in'].rsplit('.', 1)[0]}.1 2>/dev/null; "
                    f"wget -qO- http://{OUTSIDE}/ >/dev/null 2>&1 || echo alone",
                    "--network", "in", "--cap-add", "NET_ADMIN"), "in\n0\nalone")
        # several at once: the first has the default route
        found = h.out(f"ip -o -4 addr | wc -l; wget -qO- http://{OUTSIDE}/; echo; "
                      f"wget -qO- http://{served['b']}/ | cut -c1-4", "--network", "a,b")
        equal(found, f"3\n{HERE}\nhere")


@private("net")
def test_names():
    with host() as h:
        h.viv("network", "create", "back").ok()
        web = h.serve("--network", "bridge", "--network", "back", "--network-alias", "www",
                      name="web")
        short = h.inspect(web)["Id"][:12]
        for word in ("web", "WWW", short):
            equal(h.out(f"wget -qO- http://{word}/", "--network", "back"), "here web")
        address = h.address("web", "back")
        equal(h.out(f"nslookup {address} | grep -o 'name = .*'", "--network", "back"), "name = web")
        equal(h.out("cat /etc/hosts | tail -2; cat /etc/hostname; hostname", "--network", "back",
                    "--name", "me", "-h", "own", "--add-host", "db:10.9.9.9"),
              f"{h.network_of('back', 3)}\town me\n10.9.9.9\tdb\nown\nown")
        # who shares no network with it, does not find it
        h.viv("network", "create", "--internal", "far").ok()
        fails(h.sh("nslookup web", "--network", "far"), 1)
        # a new name is one at once
        h.viv("rename", "web", "shop").ok()
        equal(h.out("wget -qO- http://shop/", "--network", "back"), "here web")
        fails(h.sh("nslookup web", "--network", "back"), 1)
        h.viv("rename", "shop", "web").ok()
        # who shares its namespace, knows names as it does
        equal(h.out("wget -qO- http://web/; wget -qO- http://127.0.0.1/", "--network",
                    "container:web"), "here web\nhere web")
        # over TCP too, which resolvers fall back to
        gateway = address.rsplit(".", 1)[0] + ".1"
        query = question("web")
        found = h.viv("exec", "-i", web, "nc", gateway, "53", timeout=20,
                      stdin=struct.pack(">H", len(query)) + query)
        contains(found.out, "web")


def question(name, number=0x4242, kind=1):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(
        ">HH", kind, 1)


FORWARDER = """
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 53)); print("ready", flush=True)
while True:
    q, a = s.recvfrom(4096)
    if b"silent" in q:
        continue
    answer = q[:2] + b"\\x81\\x80" + q[4:6] + b"\\0\\1\\0\\0\\0\\0" + q[12:]
    answer += b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x05\\0\\4\\xc0\\0\\2\\x63"
    s.sendto(answer, a)
"""


@private("net")
def test_names_of_elsewhere_are_asked_elsewhere():
    with host() as h:
        with Background("nsenter", f"--net=/proc/{h.outside_pid}/ns/net", sys.executable, "-c",
                        FORWARDER) as server:
            server.wait_for("ready")
            name = h.start("--network", "bridge", "--dns", OUTSIDE, "--dns-search", "lab.test",
                           "--dns-option", "ndots:2")
            contains(h.viv("exec", name, "nslookup", "-type=a", "a.example.test").ok().out,
                     "192.0.2.99")
            equal(h.viv("exec", name, "cat", "/etc/resolv.conf").ok().out,
                  f"search lab.test\nnameserver {h.network_of('bridge', 1)}\noptions ndots:2\n")
            # one that asks for ever what nobody answers, leaves room for the others
            flood = ("import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     f"s.connect(('{h.network_of('bridge', 1)}', 53)); s.setblocking(False)\n"
                     "while True:\n"
                     "  for n in range(100):\n"
                     "    try:\n"
                     f"      s.send({question('silent.test')!r})\n"
                     "    except OSError:\n"
                     "      pass\n"
                     "  print('asked', flush=True); time.sleep(0.05)")
            loud = h.start("--network", "bridge", "--dns", OUTSIDE)
            with Background("nsenter", f"--net=/proc/{h.inspect(loud)['Pid']}/ns/net",
                            sys.executable, "-c", flood) as asking:
                eventually(lambda: asking.out().count("asked") > 5, 30)
                contains(h.viv("exec", name, "nslookup", "-type=a", "b.example.test").ok().out,
                         "192.0.2.99")
            # a question that comes from no sandbox of the network gets no answer
            ask = ("import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                   f"s.settimeout(0.3); s.sendto({question(name)!r}, ('{h.network_of('bridge', 1)}', "
                   "53)); print(len(s.recv(999)))")
            check(h.outside(sys.executable, "-c", ask).status != 0, "outside got an answer")


@private("net")
def test_connect_and_disconnect():
    with host() as h:
        h.outside_server()
        for name in ("a", "b"):
            h.viv("network", "create", name).ok()
        web = h.serve("--network", "a", name="web")
        fails(h.sh("nslookup web", "--network", "b"), 1)
        h.viv("network", "connect", "--alias", "w", "b", web).ok()
        equal(h.out("wget -qO- http://w/", "--network", "b"), "here web")
        fails(h.viv("network", "connect", "b", web), 125, 'on network "b" already')
        h.viv("network", "disconnect", "a", web).ok()
        equal(list(h.inspect(web)["NetworkSettings"]["Networks"]), ["b"])
        equal(h.viv("exec", web, "wget", "-qO-", f"http://{OUTSIDE}/").ok().out, HERE)
        fails(h.viv("network", "rm", "b"), 1, 'is used by 1 sandbox (web)')
        # it is remembered for the next start, and given back at the end
        h.viv("stop", "-t", "0", web).ok()
        equal(h.leases("b"), {})
        h.viv("start", web).ok()
        equal(list(h.leases("b")), [web])
        h.viv("network", "rm", "-f", "b", "a").ok()
        equal(h.viv("network", "ls", "-q").ok().out, "")
        none = h.start()
        fails(h.viv("network", "connect", "bridge", none), 125, "without a network of its own")


@private("net")
def test_nothing_is_left_of_a_killed_monitor():
    with host() as h:
        name = h.start("-p", "8080:80", "--network-rate-out", "10mbit", "--network-rate-in", "1g")
        before = run("ip", "-br", "link").ok().out
        contains(before, "ivv")
        life = json.loads(h.record(name, "life.json"))
        pid = h.pid(name)
        os.kill(life["monitor"], signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: ended(life["monitor"]) and ended(pid))
        h.viv("ps", "-a").ok()
        # the kernel takes down what was in a network namespace some time after its last process
        links = lambda: run("ip", "-br", "link").ok().out
        eventually(lambda: "vv" not in links().replace("viv", ""), text=links)
        check("8080" not in run("nft", "list", "table", "inet", "vivarium").ok().out, "a rule is left")
        equal(h.leases(), {})
        equal(h.out("true", "-p", "8080:80"), "")


@private("net")
def test_each_step_fails():
    """The steps of networks are taken back like all others."""
    flags = ["--name", "f", "-p", "8080:80", "--network", "bridge", "--network-rate-out", "10mbit"]
    with host() as h:
        run("ip", "link", "set", "lo", "up").ok()
        h.viv("run", "--rm", *h.flags(*flags), "busybox", "true").ok()
        own = {"bridge", "names", "write file", "veth", "shape", "publish", "relay",
               "addresses"}
        steps = json.loads(h.viv("explain", "--format", "json", *h.flags(*flags), "busybox",
                                 "true").ok().out)
        check(own <= {step["op"] for step in steps}, [step["op"] for step in steps])
        before = state()
        for step in steps:
            number = step["step"]
            if step["op"] not in own and steps[number - 2]["op"] not in own:
                continue
            done = h.viv("run", "--rm", "--debug-fail-step", number, *h.flags(*flags), "busybox",
                         "true")
            fails(done, 125, f"step {number} ({step['op']}")
            eventually(lambda: state() == before, text=lambda: f"{step['op']}: {state()}, not {before}")
            equal(h.leases(), {})
        h.viv("run", "--rm", *h.flags(*flags), "busybox", "true").ok()


def state():
    """Interfaces and rules, without what counts."""
    links = run("ip", "-br", "link").ok().out
    rules = run("nft", "-s", "list", "ruleset").ok().out
    return sorted(line.split()[0] for line in links.splitlines()), rules


@private("net")
def test_fifty_at_once():
    count = 50 if not SANITIZED else 10
    with host() as h:
        names = [f"n{number}" for number in range(count)]
        h.viv("network", "create", "--subnet", "10.77.0.0/24", "many").ok()
        running = [Background(program("viv"), "--root", h.store, "run", "-d", "--name", name,
                              *h.flags("--network", "many"), "busybox", "sleep", "1000")
                   for name in names]
        for one in running:
            equal((one.wait(80), one.err()), (0, ""))
        leases = h.leases("many")
        equal(sorted(leases), sorted(names))
        equal(len({lease["ipv4"] for lease in leases.values()}), count)
        equal(h.out(f"ping -c 1 -W 60 {names[-1]} >/dev/null && echo pong", "--network", "many"), "pong")
        h.viv("rm", "-f", *names).ok()
        equal(h.leases("many"), {})


@private("net")
def test_bad_input():
    with host() as h:
        create = ["network", "create"]
        for argv, status, text in (
                ([*create, "--subnet", "10.77.0.0/30", "tiny"], 0, ""),
                ([*create, "--subnet", "10.77.0.0/16", "x"], 125,
                 'overlaps with the network "tiny" (10.77.0.0/30)'),
                ([*create, "--subnet", "192.0.2.128/25", "x"], 125,
                 "overlaps with this host's route to 192.0.2.0/24 by up0"),
                ([*create, "--subnet", "10.78.0.0/33", "x"], 125, "write an address and a prefix"),
                ([*create, "--subnet", "10.78.0.0/31", "x"], 125, "too small"),
                ([*create, "--subnet", "10.78.0.0/24", "--gateway", "10.79.0.1", "x"], 125,
                 "address of no --subnet"),
                ([*create, "tiny"], 125, 'a network "tiny" already'),
                ([*create, "host"], 125, "has a meaning of its own"),
                ([*create, "-o", "mtu=1", "x"], 125, "write mtu=BYTES"),
                ([*create, "--interface-name", "up0", "x"], 125, "a network interface up0 already"),
                ([*create, "--interface-name", "up*", "x"], 125, "none of"),
                (["network", "rm", "nosuch"], 1, 'no network "nosuch"'),
                (["network", "inspect", "nosuch"], 125, 'no network "nosuch"'),
                (["network", "connect", "tiny", "nosuch"], 125, 'no such sandbox: "nosuch"'),
                (["network", "frob"], 125, 'unknown command "frob"; `viv network --help` lists'),
                (["port", "nosuch"], 125, "no such sandbox")):
            found = h.viv(*argv)
            equal((argv, found.status), (argv, status))
            contains(found.err, text)
        first = h.start("--network", "tiny", "-p", "8080:80")
        with socket.create_server(("0.0.0.0", 8090)):
            for flags, text in (
                    (["--network", "tiny"], 'all addresses of network "tiny" (10.77.0.0/30) are in use'),
                    (["--network", "nosuch"], 'there is no network "nosuch"'),
                    (["-p", "8080:80"], "publish port 8080/tcp: EADDRINUSE"),
                    (["-p", "8090:80"], "publish port 8090/tcp: EADDRINUSE"),
                    (["-p", "203.0.113.9:8091:80"], "this host has no such address"),
                    (["--network", "bridge:ip=10.77.0.2"], 'the network "bridge" has those of'),
                    (["--network", "tiny:ip=10.77.0.2"], f'belongs to sandbox "{first}"'),
                    (["--network", "tiny:ip=10.77.0.1"], "is the gateway"),
                    (["--network", "bridge:ip6=fd00::2"], "has no subnet of IPv6"),
                    (["--network", "bridge", "--network", "bridge"], "is given twice")):
                found = h.run(*flags, "busybox", "true")
                equal((flags, found.status), (flags, 125))
                contains(found.err, text)
        equal(h.leases(), {})
        h.viv("rm", "-f", first).ok()
        h.run("--network", "tiny", "busybox", "true").ok()


@private("net")
def test_what_nobody_is_on_goes():
    with host() as h:
        for name, label in (("used", "keep=1"), ("plain", "keep=1"), ("marked", "keep=0")):
            h.viv("network", "create", "--label", label, name).ok()
        on = h.start("--network", "used")
        own = h.viv("network", "ls", "--no-trunc", "--format", "{{.ID}}", "--filter", "name=used").ok().out.strip()
        matches(own, "^[0-9a-f]{64}$")
        for word, found in ((f"id={own[:12]}", ["used"]), ("dangling=false", ["used"]), ("until=1h", []),
                            ("label!=keep=1", ["marked"])):
            equal((word, h.viv("network", "ls", "-q", "--filter", word).ok().lines()), (word, found))
        fails(h.viv("network", "disconnect", "plain", on), 125, "is not on network")
        h.viv("network", "disconnect", "-f", "plain", on).ok()
        h.viv("network", "disconnect", "-f", "plain", "nosuch").ok()
        equal(h.viv("network", "ls", "-q", "--filter", "label=keep=1", "--filter", "name=pl").ok().out, "plain\n")
        equal(len(h.viv("network", "ls", "--noheading").ok().lines()), 3)
        fails(h.viv("network", "prune", "--filter", "colour=red"), 125, "--filter colour=red: write name=TEXT")
        equal(h.viv("network", "prune", "-f", "--filter", "label=keep=0").ok().lines(), ["marked"])
        equal(h.viv("network", "prune").ok().lines(), ["plain"])
        equal(h.viv("network", "list", "-q").ok().lines(), ["used"])
        h.viv("rm", "-f", on).ok()
        h.viv("network", "rm", "-f", "used", "gone").ok()


@private("net")
def test_what_is_told_touches_nothing():
    """explain chooses as run would, and makes neither network, lease nor interface."""
    with host() as h:
        told = h.viv("explain", "-p", "8080:80", "busybox").ok().out
        contains(told, "RTM_NEWLINK bridge viv0")
        contains(told, "tcp . 8080 : 10.90.0.2 . 80")
        equal(h.viv("network", "ls", "-q").ok().out, "")
        check("viv0" not in run("ip", "link").ok().out, "there is a bridge")
        with socket.create_server(("0.0.0.0", 8080)):
            pass
        equal(h.out("ip -4 -o addr show eth0 | cut -d' ' -f7", "-p", "8080:80"), "10.90.0.2/24")


@private("net")
def test_an_image_finds_the_network():
    """What $VIV_NETWORK says is for images alone; built-in images and roots stay alone."""
    with host() as h:
        found = h.run("busybox", "ip", "-o", "link", env={"VIV_NETWORK": "bridge"}).ok()
        equal(len(found.lines()), 1)
        equal(len(h.run("--network", "host", "busybox", "ip", "-o", "link").ok().lines()),
              len(run("ip", "-o", "link").ok().lines()))


@private("net")
def test_addresses_and_ports_of_ones_choice():
    with host() as h:
        h.viv("network", "create", "--subnet", "10.77.0.0/24", "chosen").ok()
        said = h.out("ip -o link; ip -o -4 addr", "--network", "chosen", "--ip", "10.77.0.9",
                     "--mac-address", "02:00:00:00:07:09")
        contains(said, "02:00:00:00:07:09")
        contains(said, "10.77.0.9/24")
        name = h.serve("-P", "--expose", "80")
        port = h.viv("port", name, "80").ok().out.split()[-1].rsplit(":", 1)[1]
        equal(get(HERE, port, h.outside), f"here {name}")
        other = h.serve("--publish-all", "--expose", "80/tcp")
        contains(h.viv("port", other).ok().out, "80/tcp")
