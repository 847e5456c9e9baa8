"""Podman with systemd as the manager of control groups (--systemd-cgroup), in the rig that systemd has
booted: scopes, their properties, delegation, and an ordinary user with a manager of its own."""
import contextlib

from lib import *
from box import podman_of

RIG = "systemd"
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
