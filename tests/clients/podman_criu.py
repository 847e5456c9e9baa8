"""Podman's checkpoint and restore with viv-oci, by the configuration of docs/clients/podman.conf: in the
rig, on whose kernel CRIU can work."""
import contextlib

from lib import *
from box import podman_of

RIG = "v2"
BUILDS = ["plain"]  # 90 seconds of a CPU more for what oci/criu shows of the sanitized build
TIMEOUT = 400
IMAGE = "/tmp/viv-bb.tar"
NAME = "viv-criu-test"
COUNTS = "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"

guest = None


@contextlib.contextmanager
def shared():
    global guest
    with podman_of(rig("v2"), IMAGE) as guest:
        yield


def test_a_container_goes_on_and_its_log_too():
    """Its output goes to conmon by pipes, which are others after the restore."""
    found = guest.sh(f"""
        set -e
        podman() {{ command podman --log-level error --cgroup-manager cgroupfs "$@"; }}
        trap 'podman rm -f -t 0 {NAME} >/dev/null 2>&1' EXIT
        longer() {{ # the log, than so many lines
            for i in $(seq 600); do [ $(podman logs {NAME} | wc -l) -gt $1 ] && break; sleep 0.1; done
        }}
        podman import -q --change CMD=/bin/sh {IMAGE} localhost/bb:1 >/dev/null 2>&1
        podman info --format '{{{{.Host.OCIRuntime.Name}}}}'
        podman run -d -q --network none --name {NAME} localhost/bb:1 sh -c '{COUNTS}' >/dev/null
        longer 0
        podman container checkpoint {NAME} >/dev/null
        podman inspect -f '{{{{.State.Status}}}} {{{{.State.Checkpointed}}}}' {NAME}
        before=$(podman logs {NAME} | wc -l)
        podman container restore {NAME} >/dev/null
        podman inspect -f '{{{{.State.Status}}}}' {NAME}
        longer $before
        podman logs {NAME} | sort -n | uniq -d   # nothing is counted twice
        [ $(podman logs {NAME} | tail -n 1) -gt $before ] && echo counts on
        podman exec {NAME} echo inside
        # as a file, to another name
        podman container checkpoint --export /tmp/viv-moved.tar.gz {NAME} >/dev/null
        last=$(podman logs {NAME} | tail -n 1)
        podman rm -f -t 0 {NAME} >/dev/null
        trap 'podman rm -f -i -t 0 {NAME} {NAME}-moved >/dev/null 2>&1; rm -f /tmp/viv-moved.tar.gz' EXIT
        podman container restore --import /tmp/viv-moved.tar.gz --name {NAME}-moved >/dev/null
        podman inspect -f '{{{{.Name}}}} {{{{.State.Status}}}}' {NAME}-moved
        for i in $(seq 600); do
            [ $(podman logs {NAME}-moved | tail -n 1) -gt $last ] && echo counts on && break; sleep 0.1
        done
        podman rm -f -t 0 {NAME}-moved >/dev/null
        viv-oci list -q""", timeout=350)
    equal(found.ok().lines(), ["viv", "exited true", "running", "counts on", "inside",
                               f"{NAME}-moved running", "counts on"])
