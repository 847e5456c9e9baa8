"""checkpoint and restore. CRIU of Debian 12 (3.17) ends on recent kernels with "Unexpected rt vDSO
area bounds"; there the real one has to be refused clearly, and a stand-in shows what it is told."""
import json
import os
import subprocess

from lib import *
from bundle import IMAGE, bundle, container, gone, oci, status

ROOT_ONLY = needs(root=True)

STAND_IN = """#!/bin/sh
printf '%s\\n' "$@" > "{log}"
while [ $# -gt 0 ]; do
    [ "$1" = --pidfile ] && pidfile=$2
    [ "$1" = --root ] && root=$2
    [ "$1" = --tree ] && tree=$2
    last=$1; shift
done
[ -n "$pidfile" ] || {{ kill -9 "$tree"; exit 0; }}
ls "$root/bin/busybox" > "{log}.root"
setsid sleep 1000 > /dev/null 2>&1 &
echo $! > "$pidfile"
"""


def stand_in():
    folder = work() / "bin"
    folder.mkdir()
    log = work() / "words"
    (folder / "criu").write_text(STAND_IN.format(log=log))
    os.chmod(folder / "criu", 0o755)
    return log, {"PATH": f"{folder}:{os.environ['PATH']}"}


@ROOT_ONLY
def test_what_criu_is_told_and_what_is_remembered():
    log, env = stand_in()
    images = work() / "images"
    source = work() / "source"
    source.mkdir()
    name = unique("oci")
    folder = bundle(annotations={"org.criu.config": "/etc/my.conf"}, mounts=[
        {"destination": "/proc", "type": "proc", "source": "proc"},
        # devices are made in it, and not in the built-in image
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind"]}])
    oci("run", "-d", "--bundle", folder, name).ok()
    oci("checkpoint", "--image-path", images, "--work-path", work(), "--tcp-established",
        "--file-locks", "--shell-job", "--ext-unix-sk", "--manage-cgroups-mode", "ignore",
        "--empty-ns", "network", "--page-server", "1.2.3.4:567", name, env=env).ok()
    words = log.read_text().splitlines()
    equal(words[0], "dump")
    for word in ["--tcp-established", "--file-locks", "--shell-job", "--ext-unix-sk",
                 "--manage-cgroups=ignore", "--empty-ns=network", "--page-server", str(images),
                 "/etc/my.conf", "mnt[/mnt]:/mnt", "1.2.3.4", "567"]:
        check(word in words, f"{word} is not in {words}")
    check(gone(name), "the container is still there")
    oci("restore", "--detach", "--image-path", images, "--bundle", folder, "--pid-file",
        work() / "pid", name, env=env).ok()
    words = log.read_text().splitlines()
    equal(words[:2], ["restore", "--restore-detached"])
    check(f"mnt[/mnt]:{source}" in words, str(words))
    contains((work() / "words.root").read_text(), "busybox")
    equal(status(name), "running")
    fails(oci("restore", "-d", "--image-path", images, "--bundle", folder, name, env=env), 1,
          "already exists")
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_the_container_goes_on_when_it_is_asked_for():
    log, env = stand_in()
    with container() as name:
        oci("checkpoint", "--image-path", work() / "i", "--pre-dump", "--parent-path", "../p", name,
            env=env).ok()
        words = log.read_text().splitlines()
        equal(words[0], "pre-dump")
        for word in ["--track-mem", "--prev-images-dir", "../p"]:
            check(word in words, f"{word} is not in {words}")
        check(not gone(name))


@ROOT_ONLY
def test_restore_from_nothing():
    name = unique("oci")
    fails(oci("restore", "--image-path", work() / "none", "--bundle", work(), name), 1, "none")
    check(gone(name))
    with container(start=False) as name:
        fails(oci("checkpoint", "--image-path", work() / "i", name), 1, "created state")


@needs(root=True, programs=["criu"])
def test_the_real_criu_works_or_is_refused_clearly():
    works = subprocess.run(["criu", "check"], capture_output=True, check=False).returncode == 0
    with container() as name:
        found = oci("checkpoint", "--image-path", work() / "i", "--leave-running", name)
        if works:
            found.ok()
        else:
            fails(found, 1, "cannot work on this kernel")
        equal(status(name), "running")
    fails(oci("checkpoint", "nobody"), 1, "does not exist")
