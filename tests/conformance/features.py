"""What `viv-oci features` names, as the specification's features document has it, is what create takes:
each word goes through a container once."""
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/oci"))

from lib import *  # noqa: E402
from bundle import bundle, oci, spec  # noqa: E402 pylint: disable=wrong-import-position

TIMEOUT = 120
ROOT_ONLY = needs(root=True)
# The document's members (features.md, features-linux.md), those of other systems left out.
MEMBERS = {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux",
           "potentiallyUnsafeConfigAnnotations"}
LINUX = {"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt",
         "memoryPolicy", "mountExtensions", "netDevices"}
SECCOMP = {"enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"}
# Of a bind mount, not of a file system; idmap and ridmap have a test of their own (runtime.py).
OF_BINDS = ["bind", "rbind", "remount", "copy-symlink", "src-nofollow", "dest-nofollow"]
WITH_MORE = ["idmap", "ridmap"]


def features():
    return json.loads(oci("features").ok().out)


def takes(what, **changes):
    """What create has against it; nothing when it takes it."""
    found = oci("run", "--bundle", bundle(["/bin/true"], **changes), unique("oci"))
    return [] if found.status == 0 else [f"{what}: {found.err}"]


def mounted(option):
    source = work() / "source"
    source.mkdir(exist_ok=True)
    if option in OF_BINDS:
        mount = {"type": "bind", "source": str(source), "options": ["bind", option]}
    else:
        mount = {"type": "tmpfs", "source": "tmpfs", "options": [option]}
    return {"mounts": spec()["mounts"] + [{"destination": "/tmp", **mount}]}


def test_the_document_is_whole():
    found = features()
    equal(set(found), MEMBERS)
    equal(set(found["linux"]), LINUX)
    equal(set(found["linux"]["seccomp"]), SECCOMP)
    check(set(found["linux"]["seccomp"]["supportedFlags"]) <=
          set(found["linux"]["seccomp"]["knownFlags"]))


@ROOT_ONLY
def test_each_mount_option_is_taken():
    faults = []
    for option in features()["mountOptions"]:
        if option not in WITH_MORE:
            faults += takes(option, **mounted(option))
    check(not faults, lambda: "\n".join(faults))
    check(takes("nosuch", **mounted("nosuch")), "a word that is no option was taken")


@ROOT_ONLY
def test_each_word_of_seccomp_is_taken():
    known = features()["linux"]["seccomp"]
    faults = takes("architectures", linux={"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": known["archs"]}})
    faults += takes("flags", linux={"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "flags": [flag for flag in known["supportedFlags"]
                                                     if "WAIT_KILLABLE" not in flag]}})
    for action in known["actions"]:
        if action != "SCMP_ACT_NOTIFY":  # wants a listener: test_a_seccomp_agent_answers_calls
            faults += takes(action, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["swapon"], "action": action}]}})
    for operator in known["operators"]:
        faults += takes(operator, linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["swapon"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 1, "value": 1, "valueTwo": 1, "op": operator}]}]}})
    check(not faults, lambda: "\n".join(faults))


@ROOT_ONLY
def test_each_memory_policy_is_taken():
    policy = features()["linux"]["memoryPolicy"]
    faults = []
    kernel = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
    for mode in policy["modes"]:
        if mode == "MPOL_WEIGHTED_INTERLEAVE" and kernel < (6, 9):
            continue
        nodes = {} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        faults += takes(mode, linux={"memoryPolicy": {"mode": mode, **nodes}})
    for flag in policy["flags"]:
        faults += takes(flag, linux={"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0",
                                                      "flags": [flag]}})
    check(not faults, lambda: "\n".join(faults))


@ROOT_ONLY
def test_each_namespace_hook_and_capability_is_taken():
    found = features()
    names = found["linux"]["namespaces"]
    maps = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    faults = takes("namespaces", linux={"namespaces": [{"type": name} for name in names],
                                        "uidMappings": maps, "gidMappings": maps})
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    names = found["linux"]["capabilities"]
    check(len(names) > last, names)
    faults += takes("capabilities", process={"capabilities": {"bounding": names}})
    for hook in found["hooks"]:
        faults += takes(hook, hooks={hook: [{"path": "/bin/true"}]})
    check(not faults, lambda: "\n".join(faults))
