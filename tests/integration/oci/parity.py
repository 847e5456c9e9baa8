"""The same command lines through runc, crun and viv-oci, on the same bundles, and what they answer.

Where Debian's runc and crun agree on a status, viv-oci has it too; elsewhere it has runc's, whose
command line it is. Output is compared with runc's once names, pids and times are taken out.
"""
import json
import os
import re

from lib import *
from bundle import bundle, bundle_of, reaper, sh, spec

TIMEOUT = 400
NAME = f"parity{os.getpid()}"  # its control groups are the host's: another build may be tested beside it
DIFFERENT = ["ociVersion", "owner"]  # values; runc 1.1 has an empty owner in `state`

CREATE, START = ["create", "--bundle", "SLEEPS", NAME], ["start", NAME]
STATES = {
    "none": [],
    "created": [CREATE],
    "running": [CREATE, START],
    "stopped": [CREATE, START, ["kill", NAME, "KILL"]],
    "paused": [CREATE, START, ["pause", NAME]],
}

# In each state. The part of the error's text that runc and viv-oci share, where there is an error.
EVERYWHERE = [
    ["state", NAME], ["list"], ["list", "-q"], ["list", "--format", "json"], ["start", NAME],
    ["kill", NAME], ["kill", NAME, "0"], ["kill", "--all", NAME, "9"], ["pause", NAME],
    ["resume", NAME], ["delete", NAME], ["delete", "--force", NAME], ["ps", NAME],
    ["ps", "--format", "json", NAME], ["exec", NAME, "/bin/echo", "through"],
    ["update", "--pids-limit", "20", NAME], ["create", "--bundle", "SLEEPS", NAME],
    ["run", "--bundle", "TRUE", NAME],
]
RUNNING = [
    ["exec", NAME, "/bin/sh", "-c", "exit 5"], ["exec", NAME, "/bin/sh", "-c", "kill -9 $$"],
    ["exec", NAME, "no-such"], ["exec", NAME, "/etc"], ["exec", NAME, "/no/such"], ["exec", NAME],
    ["exec", "--cwd", "/tmp", NAME, "/bin/pwd"], ["exec", "--user", "1000:100", NAME, "/bin/id"],
    ["exec", "--user", "1000", NAME, "/bin/id"], ["exec", "--env", "A", NAME, "/bin/true"],
    ["exec", "--env", "=b", NAME, "/bin/true"], ["exec", "--cap", "CAP_NOSUCH", NAME, "/bin/true"],
    ["exec", "--cwd", "/no/such", NAME, "/bin/pwd"], ["exec", "--env", "A=b", NAME, "/bin/env"],
    ["exec", "-e", "PATH=/x", NAME, "/bin/env"], ["exec", "--process", "/no/such", NAME],
    ["exec", "--cap", "CAP_SYS_ADMIN", NAME, "/bin/grep", "CapEff", "/proc/self/status"],
    ["exec", "--no-new-privs", NAME, "/bin/grep", "NoNewPrivs", "/proc/self/status"],
    ["exec", "--additional-gids", "7", NAME, "/bin/id", "-G"],
    ["exec", "--detach", NAME, "/bin/true"], ["update", "--resources", "/no/such", NAME],
    ["ps", NAME, "-o", "user,pid"], ["kill", NAME, "TERM"], ["kill", NAME, ""], ["kill", NAME, "SIGKILL"],
    ["kill", NAME, "NOSUCH"], ["kill", NAME, "99"],
]
ALONE_ONES = [
    ["run", "--bundle", "EXITS", NAME], ["run", "--bundle", "MISSING", NAME],
    ["run", "--bundle", "FOLDER", NAME], ["run", "--bundle", "NOWHERE", NAME],
    ["run", "--bundle", "BROKEN", NAME], ["run", "--bundle", "EMPTY", NAME],
    ["run", "--bundle", "/no/such", NAME], ["run", "--bundle", "PRINTS", NAME],
    ["run", "--bundle", "KILLED", NAME], ["run", "--bundle", "UNKNOWN", NAME], ["create", "--bundle", "SLEEPS", "a/b"],
    ["create"], ["create", "a", "b"], ["state"], ["kill"], ["delete"], ["start"], ["no-such"],
    ["list", "--no-such"], ["--no-such", "list"], ["--log-format", "xml", "list"],
    ["list", "--format", "xml"], ["run", "--bundle", "TRUE", "--pid-file", "/no/such/pid", NAME],
    ["run", "--bundle", "TRUE", "--console-socket", "/no/such", NAME],
]
# runc's words that engines look for; each must have been met where runc says it.
PHRASES = [
    "container does not exist", "container with given ID already exists", "container not running",
    "container not paused", "cannot start an already running container",
    "cannot start a container that has stopped", "cannot start a container in the paused state",
    "that is not stopped", "cannot exec in a stopped container", "cannot exec in a paused container",
    "executable file not found in $PATH", "no such file or directory", "permission denied",
    "process args cannot be empty", "JSON specification file config.json not found",
    "invalid environment variable",
    "unknown signal", "cannot use console socket if runc will not detach or allocate tty",
    "No help topic for",
]


class Runtime:
    """One of the three, with a folder of its own for states."""

    def __init__(self, name, path, bundles):
        self.name, self.path, self.bundles = name, path, bundles
        self.root = work().parent / f"state-{name}"

    def __call__(self, *words):
        words = [str(self.bundles.get(word, word)) for word in words]
        return run(self.path, "--root", self.root, *words)

    def state(self):
        return json.loads(self("state", NAME).ok().out)

    def has_begun(self):
        """Whether the workload has taken over from the runtime, whose threads count as well."""
        pid = self.state()["pid"]
        return not re.search("memfd:|/(runc|viv-oci)$", os.readlink(f"/proc/{pid}/exe"))

    def answer(self, state, words):
        """What it says to that command in that state; afterwards nothing is there."""
        pid = 0
        for step in STATES[state]:
            self(*step).ok()
            pid = self.state()["pid"] or pid
        if state == "stopped":
            eventually(lambda: self.state()["status"] == "stopped")
            eventually(lambda: not os.path.exists(f"/proc/{pid}"))  # one that is not reaped is still listed
        if state == "running":
            eventually(self.has_begun)
        found = self(*words)
        gone = self("delete", "--force", NAME)
        check(gone.status == 0, lambda: f"after {words} in {state}: {gone}")
        return found


def plain(text):
    """Without what differs from run to run."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, (dict, list)):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                item.update({key: "" for key in DIFFERENT if key in item})
                item["pid"] = bool(item["pid"])
                item["created"] = re.sub(r"\d", "0", item["created"][:19])
        return [0] if isinstance(value, list) and value and isinstance(value[0], int) else value
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    lines = [re.sub(r"\b\d\d:\d\d(:\d\d)?\b|\b[1-9]\d{2,}\b", "N", line).split()
             for line in text.splitlines()]
    # what waits to be started has the runtime's own name; CPU shares are those of the moment
    return [line if line[:1] != ["root"] or "N" not in line else line[:3] for line in lines]


def bundles():
    empty = work().parent / "empty"
    empty.mkdir()
    caps = {name: ["CAP_KILL"] for name in spec()["process"]["capabilities"]}
    made = {"SLEEPS": ["/bin/sleep", "1000"], "TRUE": ["/bin/true"], "EXITS": sh("exit 3"),
            "MISSING": ["no-such"], "FOLDER": ["/etc"], "NOWHERE": ["/no/such"],
            "PRINTS": sh("id; pwd; env; cat /proc/self/limits; ls /dev | grep -v core"), "KILLED": sh("kill -9 $$")}
    plainly = {"ociVersion": "1.0.2", "hostname": "h", "process": {
        "capabilities": caps, "user": {"uid": 0, "gid": 0, "additionalGids": [5, 6]}, "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 64, "soft": 64}]},
        # what the runtimes of Debian 12 know
        "linux": {"namespaces": [{"type": name} for name in ["pid", "network", "ipc", "uts",
                                                             "mount"]]}}
    found = {name: bundle(args, **plainly) for name, args in made.items()}
    caps = {kind: [*names, "CAP_NOSUCH"] for kind, names in caps.items()}
    plainly["process"]["capabilities"] = caps
    found["UNKNOWN"] = bundle(sh("grep Cap /proc/self/status"), **plainly)
    return {**found, "BROKEN": bundle_of("{"), "EMPTY": empty}


def compare(three, state, words, met, faults):
    runc, crun, ours = [runtime.answer(state, words) for runtime in three]
    agreed = runc.status == crun.status
    if ours.status != runc.status:
        faults.append(f"{state}: {' '.join(words)}: status {ours.status}, runc {runc.status}"
                      f"{', and crun' if agreed else ''}: {ours.err}{runc.err}")
    if runc.status == 0 and plain(ours.out) != plain(runc.out):
        faults.append(f"{state}: {' '.join(words)}: output\n  {plain(ours.out)}\n  {plain(runc.out)}")
    for phrase in PHRASES:
        if phrase in runc.err:
            met.add(phrase)
            if phrase.lower() not in ours.err.lower():  # the system's own words have a capital
                faults.append(f"{state}: {' '.join(words)}: runc says {phrase!r}: {ours.err}")


@needs(root=True, programs=["runc", "crun"])
@private("mnt")
def test_runc_crun_and_viv_oci_answer_alike():
    if os.path.ismount("/sys/fs/cgroup/unified"):
        run("umount", "/sys/fs/cgroup/unified").ok()  # crun refuses a host that has both
    reaper()
    made = bundles()
    three = [Runtime("runc", "runc", made), Runtime("crun", "crun", made),
             Runtime("viv", program("viv-oci"), made)]
    met, faults = set(), []
    for state in STATES:
        for words in EVERYWHERE:
            compare(three, state, words, met, faults)
    for words in RUNNING:
        compare(three, "running", words, met, faults)
    for words in ALONE_ONES:
        compare(three, "none", words, met, faults)
    check(not faults, lambda: "\n".join(faults))
    equal(sorted(set(PHRASES) - met), [], "never said by runc")


# Go's omitempty leaves counters out that are zero, which they may be in one of the two.
MAY_BE_ZERO = ["cache", "usage", "max", "total"]


def shape(value):
    """Names and kinds, without the numbers themselves."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()
                if key not in MAY_BE_ZERO or isinstance(item, dict)}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


@needs(root=True, programs=["runc"])
@private("mnt")
def test_events_have_runcs_rows_of_the_disks():
    if os.path.ismount("/sys/fs/cgroup/unified"):
        run("umount", "/sys/fs/cgroup/unified").ok()
    reaper()
    data = work().parent / "data"
    data.mkdir()
    number = os.stat(data).st_dev
    device = {"major": os.major(number), "minor": os.minor(number), "rate": 1 << 40}
    disk = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    if not os.path.exists(disk) or os.path.exists(f"{disk}/partition"):
        skip("the test's folder is on no disk of its own, which alone can be throttled")
    mounts = spec()["mounts"] + [{"destination": "/mnt", "type": "bind", "source": str(data),
                                  "options": ["bind"]}]
    folder = bundle(sh("dd if=/dev/zero of=/mnt/f bs=4096 count=4 oflag=direct && touch /mnt/done; "
                       "exec sleep 1000"), ociVersion="1.0.2", mounts=mounts,
                    process={"capabilities": None, "rlimits": []}, hostname=None, linux={
                        "namespaces": [{"type": "mount"}, {"type": "pid"}],
                        # newer kernels count where something is throttled
                        "resources": {"blockIO": {"throttleWriteBpsDevice": [device]}}})
    told = []
    for runtime in [Runtime("runc", "runc", {}), Runtime("viv", program("viv-oci"), {})]:
        (data / "done").unlink(missing_ok=True)
        runtime("create", "--bundle", folder, NAME).ok()
        try:
            runtime("start", NAME).ok()
            eventually((data / "done").exists, 30)
            found = runtime("events", "--stats", NAME).ok()
        finally:
            runtime("delete", "--force", NAME)
        told.append(json.loads(found.out)["data"]["blkio"])
    runc, ours = told
    if not runc.get("ioServiceBytesRecursive"):
        skip("the file system's disk is not counted by cgroup v1")
    equal(sorted(ours), sorted(runc))
    for key, rows in runc.items():
        kinds = [(row["major"], row.get("minor"), row.get("op")) for row in rows]
        equal([(row["major"], row.get("minor"), row.get("op")) for row in ours[key]], kinds, key)
    written = [sum(row.get("value", 0) for row in rows["ioServiceBytesRecursive"]
                   if row["op"] in ("Write", "Total")) for rows in told]
    check(min(written) >= 2 * 4 * 4096, written)


@needs(root=True, programs=["runc"])
@private("mnt")
def test_events_have_runcs_members():
    if os.path.ismount("/sys/fs/cgroup/unified"):
        run("umount", "/sys/fs/cgroup/unified").ok()  # what v2 adds, such as pressure, runc 1.1 lacks
    reaper()
    plainly = {"process": {"capabilities": None, "rlimits": []}, "linux": {
        "resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "cpu": {"shares": 512}}}}
    made = {"SLEEPS": bundle(["/bin/sleep", "1000"], ociVersion="1.0.2", **plainly)}
    told = []
    for runtime in [Runtime("runc", "runc", made), Runtime("viv", program("viv-oci"), made)]:
        found = json.loads(runtime.answer("running", ["events", "--stats", NAME]).ok().out)
        told.append(found["data"])
        equal(found["data"]["pids"], {"current": 1, "limit": 50})
    runc, ours = told
    equal(sorted(ours), sorted(runc))
    for key in runc:
        equal(shape(ours[key]), shape(runc[key]), key)
    for key in ["usage", "swap", "kernel", "kernelTCP"]:
        equal(ours["memory"][key]["limit"], runc["memory"][key]["limit"], key)
    equal(ours["cpuset"], runc["cpuset"])
