"""viv-oci with systemd as the manager of control groups: scopes with their limits and properties, and
groups below them, inside the rig that systemd has booted."""
import contextlib
import json

from lib import *

RIG = "systemd"
TIMEOUT = 200


@contextlib.contextmanager
def bundle(annotations):
    """A bundle for a scope of the system's: (the rig, its folder, the name, how viv-oci is called)."""
    guest, name = rig("systemd"), unique("viv-oci-")
    top = f"/tmp/{name}"
    oci = f"{program('viv-oci')} --root /run/{name} --systemd-cgroup"
    guest.sh(f"mkdir {top}; {oci} spec --bundle {top}").ok()
    config = json.loads(guest.run("cat", f"{top}/config.json").ok().out)
    config["root"] = {"path": image(), "readonly": True}
    config["process"].update(terminal=False, args=["/bin/sleep", "1000"])
    config["linux"].update(cgroupsPath=f"system.slice:viv:{name}",
                           resources={"memory": {"limit": 50 << 20}, "cpu": {"shares": 512}})
    config["annotations"] = annotations
    guest.push(f"{top}/config.json", json.dumps(config))
    try:
        yield guest, top, name, oci
    finally:
        guest.sh(f"{oci} delete --force {name}; rm -rf {top} /run/{name}")


def test_a_group_below_the_scope():
    with bundle({"run.oci.systemd.subgroup": "payload", "run.oci.delegate-cgroup": "mine"}) as \
            (guest, top, name, oci):
        group = f"/sys/fs/cgroup/system.slice/viv-{name}.scope"
        found = guest.sh(f"""
            set -e
            {oci} create --bundle {top} {name} </dev/null >/dev/null
            {oci} start {name}
            cat {group}/payload/memory.max
            {oci} exec {name} cat /proc/self/cgroup
            {oci} update --memory 100m {name}
            systemctl daemon-reload
            cat {group}/memory.max {group}/payload/memory.max
            {oci} delete --force {name}
            test ! -e {group}""", timeout=150).ok()
    equal(found.lines(), [str(50 << 20), "0::/mine", str(100 << 20), str(100 << 20)])


def test_a_scope_and_its_properties():
    with bundle({"org.systemd.property.CollectMode": "'inactive-or-failed'",
                 "org.systemd.property.TimeoutStopSec": "uint64 7",
                 "org.systemd.property.Description": "'a box of the test'"}) as \
            (guest, top, name, oci):
        scope = f"viv-{name}.scope"
        found = guest.sh(f"""
            set -e
            {oci} create --bundle {top} {name} </dev/null >/dev/null
            {oci} start {name}
            systemctl show {scope} -p MemoryMax -p Slice -p CollectMode -p TimeoutStopUSec -p Description
            {oci} exec {name} cat /proc/self/cgroup
            {oci} update --memory 100m {name}
            systemctl show {scope} -p MemoryMax
            systemctl daemon-reload
            cat /sys/fs/cgroup/system.slice/{scope}/memory.max
            {oci} delete --force {name}
            test ! -e /sys/fs/cgroup/system.slice/{scope}""", timeout=150).ok()
    equal(sorted(found.lines()), sorted([
        f"MemoryMax={50 << 20}", "Slice=system.slice", "CollectMode=inactive-or-failed",
        "TimeoutStopUSec=7s", "Description=a box of the test", "0::/", f"MemoryMax={100 << 20}",
        str(100 << 20)]))
