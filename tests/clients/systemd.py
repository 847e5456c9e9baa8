"""Podman with systemd as the manager of control groups (--systemd-cgroup), in the rig that systemd has
booted: scopes, their properties, delegation, and an ordinary user with a manager of its own."""
import contextlib
import json

from lib import *
from box import podman_of

RIG = "systemd"
BUILDS = ["plain"]  # the machine is an emulated one: minutes more for what the other engines show
TIMEOUT = 400
IMAGE = "/tmp/viv-bb.tar"
NAME = "viv-systemd-test"

guest = None


@contextlib.contextmanager
def shared():
    global guest
    with podman_of(rig("systemd"), IMAGE) as guest:
        yield


def life(user):
    """One container of that user through podman; what each of the commands printed."""
    manager = "systemctl" if user is None else "systemctl --user"
    found = guest.sh(f"""
        set -e
        trap "podman rm -f -t 0 {NAME} >/dev/null 2>&1" EXIT
        podman import -q --change CMD=/bin/sh {IMAGE} localhost/bb:1 >/dev/null 2>&1
        podman info --format '{{{{.Host.OCIRuntime.Name}}}} {{{{.Host.CgroupManager}}}}'
        podman run -d -q --network none --name {NAME} -m 64m --pids-limit 33 localhost/bb:1 \
            sleep 1000 >/dev/null
        scope=libpod-$(podman inspect -f '{{{{.Id}}}}' {NAME}).scope
        {manager} show $scope -p ActiveState -p MemoryMax -p TasksMax -p Delegate
        group=/sys/fs/cgroup$({manager} show $scope -p ControlGroup --value)
        echo files $(cat $group/memory.max $group/pids.max)
        podman exec {NAME} cat /sys/fs/cgroup/memory.max
        podman pause {NAME} >/dev/null; grep frozen $group/cgroup.events; podman unpause {NAME} >/dev/null
        podman update --memory 128m {NAME} >/dev/null
        {manager} show $scope -p MemoryMax
        podman rm -f -t 0 {NAME} >/dev/null
        for i in $(seq 600); do
            [ "$({manager} list-units --all --no-legend "$scope")" ] || [ -e $group ] || break
            sleep 0.1
        done
        {manager} list-units --all --no-legend "$scope"
        test ! -e $group""", user=user, timeout=300)
    return found.ok().lines()


LIFE = ["viv systemd", "Delegate=yes", "ActiveState=active", "MemoryMax=67108864", "TasksMax=33",
        "files 67108864 33", "67108864", "frozen 1", "MemoryMax=134217728"]


def test_podman_as_root():
    equal(sorted(life(None)), sorted(LIFE))


def test_podman_as_an_ordinary_user_with_a_manager():
    equal(sorted(life("rig")), sorted(LIFE))


def put_bundle(annotations):
    """A bundle for a scope of the system's; the start of viv-oci's command lines."""
    config = json.loads(guest.run(program("viv-oci"), "spec", "--bundle", "/tmp").ok().out or "{}") \
        or json.loads(guest.run("cat", "/tmp/config.json").ok().out)
    config["root"] = {"path": image(), "readonly": True}
    config["process"].update(terminal=False, args=["/bin/sleep", "1000"])
    config["linux"].update(cgroupsPath="system.slice:viv:" + NAME,
                           resources={"memory": {"limit": 50 << 20}, "cpu": {"shares": 512}})
    config["annotations"] = annotations
    guest.push("/tmp/viv-bundle/config.json", json.dumps(config))
    guest.run("rm", "-f", "/tmp/config.json").ok()
    return f"{program('viv-oci')} --root /run/viv-test --systemd-cgroup"


def test_a_group_below_the_scope():
    oci = put_bundle({"run.oci.systemd.subgroup": "payload", "run.oci.delegate-cgroup": "mine"})
    group = f"/sys/fs/cgroup/system.slice/viv-{NAME}.scope"
    found = guest.sh(f"""
        set -e
        {oci} create --bundle /tmp/viv-bundle {NAME} </dev/null >/dev/null
        {oci} start {NAME}
        cat {group}/payload/memory.max
        {oci} exec {NAME} cat /proc/self/cgroup
        {oci} update --memory 100m {NAME}
        systemctl daemon-reload
        cat {group}/memory.max {group}/payload/memory.max
        {oci} delete --force {NAME}
        test ! -e {group}""", timeout=200)
    if found.status:
        guest.sh(f"{oci} delete --force {NAME}")
    equal(found.ok().lines(), [str(50 << 20), "0::/mine", str(100 << 20), str(100 << 20)])


def test_viv_oci_alone():
    oci = put_bundle({"org.systemd.property.CollectMode": "'inactive-or-failed'",
                      "org.systemd.property.TimeoutStopSec": "uint64 7",
                      "org.systemd.property.Description": "'a box of the test'"})
    scope = f"viv-{NAME}.scope"
    found = guest.sh(f"""
        set -e
        {oci} create --bundle /tmp/viv-bundle {NAME} </dev/null >/dev/null
        {oci} start {NAME}
        systemctl show {scope} -p MemoryMax -p Slice -p CollectMode -p TimeoutStopUSec -p Description
        {oci} exec {NAME} cat /proc/self/cgroup
        {oci} update --memory 100m {NAME}
        systemctl show {scope} -p MemoryMax
        systemctl daemon-reload
        cat /sys/fs/cgroup/system.slice/{scope}/memory.max
        {oci} delete --force {NAME}
        test ! -e /sys/fs/cgroup/system.slice/{scope}""", timeout=200)
    if found.status:
        guest.sh(f"{oci} delete --force {NAME}")
    equal(sorted(found.ok().lines()), sorted([
        f"MemoryMax={50 << 20}", "Slice=system.slice", "CollectMode=inactive-or-failed",
        "TimeoutStopUSec=7s", "Description=a box of the test", "0::/", f"MemoryMax={100 << 20}",
        str(100 << 20)]))
