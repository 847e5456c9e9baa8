"""Machines on networks of viv's: names, published ports, the way out, beside containers."""
import pathlib
import re
import sys

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/viv"))
from nethost import *  # noqa: E402

TIMEOUT = 200
BUILDS = ["plain"]
VM = ["--isolation", "vm", "--accel", "emu"]


@private("net")
def test_a_machine_beside_a_container():
    with host() as h:
        run("ip", "link", "set", "lo", "up").ok()
        h.outside_server()
        container = h.serve("--network", "bridge")
        fails(h.run("--network", f"container:{container}", *VM, "busybox", "true"), 125,
              "would take that sandbox's interfaces away")
        machine = h.start("--network", "bridge", "-p", "8080:80", "--tmpfs", "/www", *VM,
                          script=SERVE % "80")
        inside = lambda *argv: h.viv("exec", machine, *argv, timeout=60).ok().out.strip()
        eventually(lambda: "here" in inside("sh", "-c", "wget -qO- http://127.0.0.1/ || true"), 20)
        equal(inside("wget", "-qO-", f"http://{container}/"), f"here {container}")
        equal(h.viv("exec", container, "wget", "-qO-", f"http://{machine}/").ok().out.strip(),
              f"here {machine}")
        equal((get(HERE, 8080, h.outside), get("::1", 8080)), 2 * (f"here {machine}",))
        equal(inside("wget", "-qO-", f"http://{OUTSIDE}/"), HERE)
        contains(inside("ip", "-o", "addr", "show", "eth0"), h.address(machine))
        contains(inside("cat", "/etc/hosts"), f"{h.address(machine)}\t{machine}")
        # another goes on from the first one's template, with an address of its own
        second = h.start("--network", "bridge", "--tmpfs", "/www", *VM, script=SERVE % "80")
        eventually(lambda: h.viv("exec", container, "wget", "-qO-", f"http://{second}/").out.strip()
                   == f"here {second}", 20)
        equal(inside("wget", "-qO-", f"http://{second}/"), f"here {second}")
        macs = [h.viv("exec", name, "cat", "/sys/class/net/eth0/address").ok().out
                for name in (machine, second)]
        check(macs[0] != macs[1], lambda: str(macs))
        join_and_leave(h, machine, inside)
        h.viv("rm", "-f", machine, second, container).ok()


def join_and_leave(h, machine, inside):
    """What `viv network connect` and `disconnect` do to a machine that runs, and serves."""
    links = lambda: sorted(inside("ls", "/sys/class/net").split())
    gateway = lambda: re.search(r"default via (\S+)", inside("ip", "route"))[1]
    network = lambda *words, **more: h.viv("network", *words, timeout=60, **more)
    equal(links(), ["eth0", "lo"])  # spare devices are out of sight
    for name in ("further", "third", "fourth"):
        network("create", name).ok()
    other = h.serve("--network", "further")
    network("connect", "--alias", "also", "--ip", h.network_of("further", 77), "further", machine).ok()
    equal(links(), ["eth0", "eth1", "lo"])
    here, there = h.address(machine, "further"), h.address(other, "further")
    equal(here, h.network_of("further", 77))
    equal(inside("wget", "-qO-", f"http://{there}/"), f"here {other}")
    equal(inside("wget", "-qO-", f"http://{other}/"), f"here {other}")
    for name in (here, machine, "also"):
        equal(h.viv("exec", other, "wget", "-qO-", f"http://{name}/").ok().out.strip(), f"here {machine}")
    contains(inside("cat", "/etc/hosts"), f"{here}\t{machine}")
    equal(gateway(), h.network_of("bridge", 1))
    contains(h.viv("inspect", machine).ok().out, '"further"')
    fails(network("connect", "further", machine), 125, "already")
    network("connect", "third", machine).ok()
    fails(network("connect", "fourth", machine), 125, "has no network device left")
    equal(h.leases("fourth"), {})
    # what leaves gives its address and names back, and the way out to another
    network("disconnect", "bridge", machine).ok()
    equal(links(), ["eth1", "eth2", "lo"])
    check(machine not in h.leases("bridge"))
    equal(gateway(), h.network_of("further", 1))
    equal(inside("wget", "-qO-", f"http://{OUTSIDE}/"), HERE)
    lacks(inside("cat", "/etc/hosts"), h.network_of("bridge", ""))
    equal(inside("wget", "-qO-", f"http://{other}/"), f"here {other}")
    network("connect", "fourth", machine).ok()  # on the device of the first
    contains(inside("ip", "-o", "addr", "show", "eth0"), h.address(machine, "fourth"))
    for name in ("further", "third"):
        network("disconnect", name, machine).ok()
    equal(links(), ["eth0", "lo"])
    equal(gateway(), h.network_of("fourth", 1))
    h.viv("rm", "-f", other).ok()


@private("net")
def test_a_machine_that_is_restored_is_where_it_was():
    with host() as h:
        h.outside_server()
        container = h.serve("--network", "bridge")
        machine = h.start("--network", "bridge", "-p", "8080:80", "--tmpfs", "/www", *VM,
                          script=SERVE % "80")
        inside = lambda *argv: h.viv("exec", machine, *argv, timeout=60).ok().out.strip()
        eventually(lambda: "here" in inside("sh", "-c", "wget -qO- http://127.0.0.1/ || true"), 20)
        address, mac = h.address(machine), inside("cat", "/sys/class/net/eth0/address")
        for name in ("left", "joined"):
            h.viv("network", "create", name).ok()
            h.viv("network", "connect", name, machine).ok()
        h.viv("network", "disconnect", "left", machine).ok()
        further = h.serve("--network", "joined")
        h.viv("snapshot", "--stop", machine, timeout=60).ok()
        h.viv("restore", "--accel", "emu", machine, timeout=100).ok()
        equal((h.address(machine), inside("cat", "/sys/class/net/eth0/address")), (address, mac))
        eventually(lambda: h.viv("exec", container, "wget", "-qO-", f"http://{machine}/").out.strip()
                   == f"here {machine}", 20)
        equal(inside("wget", "-qO-", f"http://{container}/"), f"here {container}")
        equal(get(HERE, 8080, h.outside), f"here {machine}")
        equal(inside("wget", "-qO-", f"http://{further}/"), f"here {further}")
        contains(inside("ip", "-o", "addr", "show", "eth2"), h.address(machine, "joined"))
        h.viv("network", "connect", "left", machine).ok()
        contains(inside("ip", "-o", "addr", "show", "eth1"), h.address(machine, "left"))
        h.viv("kill", machine).ok()
        h.viv("wait", machine)
        fails(h.viv("restore", "--accel", "emu", machine, timeout=100), 125,
              "it was on other networks when the snapshot was taken (bridge, joined)")
        h.viv("network", "disconnect", "left", machine).ok()
        thief = h.start("--network", f"bridge:ip={address}", script="exec sleep 100000")
        fails(h.viv("restore", "--accel", "emu", machine, timeout=100), 125,
              f'address {address} of network "bridge" belongs to sandbox "{thief}"')
        h.viv("rm", "-f", machine, container, further, thief).ok()
