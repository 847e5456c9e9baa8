"""viv-oci-vm: the OCI runtime whose containers are in machines."""
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

from lib import *

TIMEOUT = 200
BUILDS = ["plain"]


class Runtime:
    def __init__(self):
        self.root = work() / "oci"
        self.bundle = work() / "bundle"
        self.bundle.mkdir()
        (self.bundle / "rootfs").symlink_to(image())
        self.scope = unique("viv-ocivm-")
        self.out = self.bundle / "out"

    def call(self, *args, **more):
        more.setdefault("timeout", 150)
        return run(program("viv-oci-vm"), "--root", self.root, *args, cwd=self.bundle,
                   env={"VIV_DATA_ROOT": str(work() / "data")}, **more)

    def configure(self, script, mounts=(), **more):
        path = self.bundle / "config.json"
        path.unlink(missing_ok=True)
        self.call("spec").ok()
        config = json.loads(path.read_text())
        config["process"].update(terminal=False, args=["sh", "-c", script])
        config["linux"]["cgroupsPath"] = f"/{self.scope}/c"
        config["mounts"] += mounts
        config.update(more)
        path.write_text(json.dumps(config))

    def create(self, name):
        """As an engine: the workload has files as its streams."""
        with open(self.out, "wb") as out:
            done = subprocess.run(
                [program("viv-oci-vm"), "--root", self.root, "create", "--bundle", self.bundle,
                 "--pid-file", self.bundle / "pid", name], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, check=False, timeout=150,
                env={**os.environ, "VIV_DATA_ROOT": str(work() / "data")})
        equal(done.returncode, 0, self.out.read_text())

    def ids(self):
        """The ranges of ids that are taken."""
        return list(self.root.glob(".ids/*"))

    def machine(self):
        """The user ids of viv-vmm."""
        shim = (self.bundle / "pid").read_text()
        for pid in pathlib.Path(f"/proc/{shim}/task/{shim}/children").read_text().split():
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            if "Name:\tviv-vmm" in text:
                return re.search(r"^Uid:\t(.*)$", text, re.M)[1]
        raise AssertionError("there is no viv-vmm")

    def status(self, name):
        return json.loads(self.call("state", name).ok().out)["status"]


@contextlib.contextmanager
def runtime():
    it = Runtime()
    yield it
    equal(it.call("list", "-q").ok().out, "")
    equal([path.name for path in it.root.glob("[!.]*")], [])
    for path in pathlib.Path("/sys/fs/cgroup").glob("*/" + it.scope):
        path.rmdir()


def test_the_life_of_a_machine():
    note = work() / "note"
    note.write_text("from the host\n")
    bind = {"destination": "/etc/note", "type": "bind", "source": str(note),
            "options": ["bind", "ro"]}
    with runtime() as it:
        it.configure("echo started; cat /etc/note; trap 'echo asked; exit 9' TERM;"
                     "while :; do sleep 0.1; done", [bind])
        it.create("c1")
        equal(it.status("c1"), "created")
        equal(it.out.read_text(), "")
        it.call("start", "c1").ok()
        eventually(lambda: it.out.read_text() == "started\nfrom the host\n", 30)
        equal(len(it.ids()), 1)
        for uid in it.machine().split():
            check(int(uid) >= 524288, f"viv-vmm has the host's id {uid}")
        equal(it.call("exec", "c1", "sh", "-c", "uname -r; exit 4").status, 4)
        check(it.call("exec", "c1", "uname", "-r").out.strip() != os.uname().release, "the host's")
        equal(it.call("exec", "--user", "5:6", "c1", "id").ok().out, "uid=5 gid=6\n")
        fails(it.call("exec", "c1", "no-such-program"), 255, "executable file not found")
        contains(it.call("ps", "c1").ok().out, "sh -c echo started")
        check(len(json.loads(it.call("ps", "--format", "json", "c1").ok().out)) >= 1, "no pid")
        fails(it.call("checkpoint", "--image-path", "x", "c1"), 1, "in a machine")
        it.call("pause", "c1").ok()
        equal(it.status("c1"), "paused")
        it.call("resume", "c1").ok()
        it.call("kill", "c1", "TERM").ok()
        eventually(lambda: it.status("c1") == "stopped", 30)
        contains(it.out.read_text(), "asked\n")
        it.call("delete", "c1").ok()
        equal(it.ids(), [])


def test_a_missing_program_is_told_by_create():
    with runtime() as it:
        it.configure("true")
        path = it.bundle / "config.json"
        config = json.loads(path.read_text())
        config["process"]["args"] = ["no-such-program"]
        path.write_text(json.dumps(config))
        fails(it.call("create", "c1"), 1, "executable file not found")


def test_run_and_a_forced_end():
    with runtime() as it:
        it.configure("cat; exit 5")
        done = it.call("run", "c1", stdin="data\n")
        equal((done.status, done.out), (5, "data\n"))
        it.configure("sleep 1000", hooks={"poststart": [{"path": "/bin/false"}]})
        fails(it.call("run", "c1"), 1, "poststart")
        it.configure("while :; do sleep 0.1; done")
        it.create("c2")
        it.call("start", "c2").ok()
        pid = int((it.bundle / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: it.status("c2") == "stopped", 20)
        it.call("delete", "c2").ok()
        it.create("c3")
        it.call("delete", "--force", "c3").ok()
        # all of them went on from the first one's boot
        equal(len(list((work() / "data/templates").glob("*.snap"))), 1)
