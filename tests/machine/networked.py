"""Machines on networks of viv's: names, published ports, the way out, beside containers."""
import pathlib
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
        h.viv("network", "create", "further").ok()
        for words in (["connect", "further"], ["disconnect", "bridge"]):
            fails(h.viv("network", *words, machine), 125, "joins and leaves networks while it is stopped")
        # another goes on from the first one's template, with an address of its own
        second = h.start("--network", "bridge", "--tmpfs", "/www", *VM, script=SERVE % "80")
        eventually(lambda: h.viv("exec", container, "wget", "-qO-", f"http://{second}/").out.strip()
                   == f"here {second}", 20)
        equal(inside("wget", "-qO-", f"http://{second}/"), f"here {second}")
        macs = [h.viv("exec", name, "cat", "/sys/class/net/eth0/address").ok().out
                for name in (machine, second)]
        check(macs[0] != macs[1], lambda: str(macs))
        h.viv("rm", "-f", machine, second, container).ok()


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
        h.viv("snapshot", "--stop", machine, timeout=60).ok()
        h.viv("restore", "--accel", "emu", machine, timeout=100).ok()
        equal((h.address(machine), inside("cat", "/sys/class/net/eth0/address")), (address, mac))
        eventually(lambda: h.viv("exec", container, "wget", "-qO-", f"http://{machine}/").out.strip()
                   == f"here {machine}", 20)
        equal(inside("wget", "-qO-", f"http://{container}/"), f"here {container}")
        equal(get(HERE, 8080, h.outside), f"here {machine}")
        h.viv("kill", machine).ok()
        h.viv("wait", machine)
        thief = h.start("--network", f"bridge:ip={address}", script="exec sleep 100000")
        fails(h.viv("restore", "--accel", "emu", machine, timeout=100), 125,
              f'address {address} of network "bridge" belongs to sandbox "{thief}"')
        h.viv("rm", "-f", machine, container, thief).ok()


@private("net")
def test_explain_tells_the_taps():
    with host() as h:
        done = h.viv("explain", "--network", "bridge", *VM, "busybox").ok()
        matches(done.out, r"(?m)^ +\d+  host    tap")
        fails(h.run("--network", "pasta", *VM, "busybox", "true"), 125, "pasta")
