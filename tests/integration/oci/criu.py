"""checkpoint and restore. CRIU of Debian 12 (3.17) ends on recent kernels with "Unexpected rt vDSO
area bounds"; there the real one has to be refused clearly, and a stand-in shows what it is told."""
import json
import os
import re
import subprocess

from lib import *
from bundle import IMAGE, bundle, container, gone, oci, reaper, state, state_dir, status

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
ls -l /proc/$$/fd > "{log}.fds"
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
    streams = json.loads((images / "descriptors.json").read_text())
    matches(streams[0], r"^pipe:\[\d+\]$")  # what a test's command is given as its input
    equal(streams[1:], ["", ""])
    oci("restore", "--detach", "--image-path", images, "--bundle", folder, "--pid-file",
        work() / "pid", "--manage-cgroups-mode", "ignore", "--network-lock", "skip", "--tcp-close",
        name, env=env).ok()
    words = log.read_text().splitlines()
    equal(words[:2], ["restore", "--restore-detached"])
    check(f"mnt[/mnt]:{source}" in words, str(words))
    contains((work() / "words.root").read_text(), "busybox")
    for word in ["--tcp-close", "--network-lock", "skip"]:
        check(word in words, f"{word} is not in {words}")
    inherited = next(word for word in words if word.endswith(streams[0]))
    number = re.fullmatch(r"fd\[(\d+)\]:pipe:\[\d+\]", inherited).group(1)
    matches((work() / "words.fds").read_text(), rf"(?m) {number} -> pipe:\[\d+\]$")
    equal(status(name), "running")
    fails(oci("restore", "-d", "--image-path", images, "--bundle", folder, name, env=env), 1,
          "already exists")
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_what_is_the_hosts_is_connected_again():
    log, env = stand_in()
    images = work() / "images"
    joined = [{"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/proc/self/ns/net"},
              {"type": "uts", "path": "/proc/self/ns/uts"}]
    folder, name = bundle(hostname=None, linux={"namespaces": joined}), unique("oci")
    oci("run", "-d", "--bundle", folder, name).ok()
    oci("checkpoint", "--image-path", images, name, env=env).ok()
    inode = os.stat("/proc/self/ns/net").st_ino
    contains(log.read_text(), f"--external\nnet[{inode}]:extRootNetNS\n")
    # the engine has written another configuration meanwhile
    config = json.loads((folder / "config.json").read_text())
    config["annotations"] = {"new": "yes"}
    (folder / "config.json").write_text(json.dumps(config))
    oci("restore", "-d", "--image-path", images, "--bundle", folder, "--manage-cgroups-mode", "ignore",
        name, env=env).ok()
    words = log.read_text()
    matches(words, r"--inherit-fd\nfd\[\d+\]:extRootNetNS\n")
    contains(words, "--join-ns\nuts:/proc/self/ns/uts\n")
    equal(state(name)["annotations"], {"new": "yes"})
    oci("delete", "--force", name).ok()
    config["linux"]["namespaces"][2]["path"] = "/proc/self/ns/none"
    (folder / "config.json").write_text(json.dumps(config))
    fails(oci("restore", "-d", "--image-path", images, "--bundle", folder, name, env=env), 1,
          "network namespace")
    check(gone(name))


@ROOT_ONLY
def test_a_stream_that_is_null_is_the_containers_own():
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}]
    same = "for i in 0 1 2; do stat -L -c %d:%i /proc/1/fd/$i; done; stat -c %d:%i /dev/null"
    folder, name = bundle(mounts=mounts), unique("oci")
    reaper()
    with open("/dev/null", "r+b") as null:
        done = subprocess.run([program("viv-oci"), "--root", state_dir(), "run", "-d", "--bundle",
                               folder, name], stdin=null, stdout=null, stderr=null, check=False)
    equal(done.returncode, 0)
    found = oci("exec", name, "sh", "-c", same).ok().lines()
    check(len(found) == 4 and len(set(found)) == 1, found)
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
