"""What cgroup v1 tells of a sandbox's traffic: a filter sees its class. The two hierarchies are mounted
in a mount namespace of the test's own, and given up again."""
import contextlib
import json
import pathlib
import time

from lib import *
from box import box

TIMEOUT = 90
KINDS = ("net_cls", "net_prio")


def hierarchy(kind):
    """The number of the hierarchy that has this controller; 0: none has."""
    for line in pathlib.Path("/proc/cgroups").read_text().splitlines():
        if line.startswith(kind + "\t"):
            return int(line.split()[1])
    return None


@contextlib.contextmanager
def hierarchies():
    """Mounts both. The kernel gives a hierarchy up when it is unmounted without a group in it, and
    removed groups linger: unmounted until it is gone, unless another test has it too."""
    made = []
    try:
        for kind in KINDS:
            folder = work() / kind
            folder.mkdir()
            run("mount", "-t", "cgroup", "-o", kind, kind, folder).ok()
            made.append((kind, folder))
        yield dict(made)
    finally:
        for kind, folder in made:
            for _ in range(10):
                run("umount", folder)
                time.sleep(0.1)
                if not hierarchy(kind):
                    break
                run("mount", "-t", "cgroup", "-o", kind, kind, folder)
            else:
                run("umount", folder)


def pinged(b, network):
    """Whether a sandbox with these limits may send to itself."""
    top = work() / unique("bundle")
    top.mkdir()
    config = {"ociVersion": "1.0.2", "root": {"path": str(image()), "readonly": True},
              "process": {"cwd": "/", "args": ["/bin/ping", "-c", "1", "-W", "5", "127.0.0.1"],
                          "user": {"uid": 0, "gid": 0},
                          "capabilities": {kind: ["CAP_NET_RAW"] for kind in
                                           ("bounding", "permitted", "effective")}},
              "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
              "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}],
                        "resources": {"network": network}}}
    (top / "config.json").write_text(json.dumps(config))
    return b.viv("run", "--rm", *b.flags("--bundle", top))


@private("mnt", "net")
@needs(root=True, programs=["nft", "ip"])
def test_a_filter_sees_the_class():
    run("ip", "link", "set", "lo", "up").ok()
    for rule in ("add table ip t", "add chain ip t o { type filter hook output priority 0; }",
                 "add rule ip t o meta cgroup 0x100001 drop"):
        run("nft", rule).ok()
    with hierarchies(), box() as b:
        pinged(b, {"classID": 0x100002}).ok()
        contains(pinged(b, {"classID": 0x100001}).err, "Operation not permitted")
        run("nft", "flush", "ruleset").ok()
        pinged(b, {"classID": 0x100001}).ok()


@private("mnt")
@needs(root=True)
def test_class_and_priority_are_kept():
    with hierarchies() as folders, box() as b:
        top = work() / "kept"
        top.mkdir()
        config = {"ociVersion": "1.0.2", "root": {"path": str(image()), "readonly": True},
                  "process": {"cwd": "/", "args": ["/bin/sleep", "1000"], "user": {"uid": 0, "gid": 0}},
                  "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
                  "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}],
                            "resources": {"network": {"classID": 7, "priorities":
                                                      [{"name": "lo", "priority": 5}]}}}}
        (top / "config.json").write_text(json.dumps(config))
        b.viv("run", "-d", "--name", "kept", *b.flags("--bundle", top)).ok()
        found = b.inspect("kept")["Cgroups"]
        equal((pathlib.Path(found["net_cls"]) / "net_cls.classid").read_text().strip(), "7")
        contains((pathlib.Path(found["net_prio"]) / "net_prio.ifpriomap").read_text(), "lo 5")
        b.viv("rm", "-f", "kept").ok()
        for folder in folders.values():
            for left in folder.glob(b.scope):
                left.rmdir()
