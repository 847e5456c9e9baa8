"""Each of the eight namespaces through viv: new, the host's, joined by path and from another
sandbox; what it promises, seen from inside and from outside."""
import json
import os
import pathlib
import re
import socket
import threading

from lib import *
from box import box

TIMEOUT = 60

KINDS = ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"]


def ns_of(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def own(kind):
    return ns_of("self", kind)


def test_all_are_new_by_default():
    with box() as b:
        pid = b.pid(b.start("--time-offset", "monotonic=1"))
        same = [kind for kind in KINDS if ns_of(pid, kind) == own(kind)]
        equal(same, [])


def test_the_hosts_where_asked():
    with box() as b:
        pid = b.pid(b.start("--userns", "host", "--network", "host", "--pid", "host", "--ipc",
                            "host", "--uts", "host", "--cgroupns", "host"))
        equal([kind for kind in KINDS if ns_of(pid, kind) != own(kind)], ["mnt"])


def test_joined_from_another_sandbox():
    with box() as b:
        first = b.start("--userns", "host", "--hostname", "first")
        wanted = b.pid(first)
        place = f"container:{first}"
        pid = b.pid(b.start("--userns", "host", "--network", place, "--pid", place, "--ipc", place,
                            "--uts", place, "--cgroupns", place))
        for kind in ("net", "pid", "ipc", "uts", "cgroup"):
            equal(ns_of(pid, kind), ns_of(wanted, kind), kind)
        check(ns_of(pid, "mnt") != ns_of(wanted, "mnt"))


def test_joined_from_a_sandbox_with_ids_of_its_own():
    with box() as b:
        first = b.start()
        wanted = b.pid(first)
        place = f"container:{first}"
        pid = b.pid(b.start("--network", place, "--pid", place, "--ipc", place))
        for kind in ("net", "pid", "ipc", "user"):
            equal(ns_of(pid, kind), ns_of(wanted, kind), kind)


def test_joined_by_path():
    with box() as b:
        holder = b.pid(b.start("--userns", "host"))
        for flag, kind in (("--network", "net"), ("--pid", "pid"), ("--ipc", "ipc"),
                           ("--uts", "uts"), ("--cgroupns", "cgroup")):
            pid = b.pid(b.start("--userns", "host", flag, f"ns:/proc/{holder}/ns/{kind}"))
            equal(ns_of(pid, kind), ns_of(holder, kind), kind)


def test_pids_inside_and_outside():
    with box() as b:
        name = b.start(script="sleep 1000 & sleep 1000")
        outside = b.pid(name)
        check(outside > 1)
        status = pathlib.Path(f"/proc/{outside}/status").read_text()
        equal(matches(status, r"^NSpid:\s+(.*)$")[1].split()[-1], "1")
        inside = b.viv("exec", name, "ps", "-o", "pid,comm").ok().out
        matches(inside, r"^\s+1 ")
        lacks(inside, "python")


def test_network_of_its_own():
    with box() as b:
        inside = b.out("ls /sys/class/net; cat /proc/net/route | wc -l; ip -o addr")
        equal(inside.splitlines()[0], "lo")
        contains(inside, "127.0.0.1/8")
        equal(b.out("ls /sys/class/net").split(), ["lo"])
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
            check(b.sh(f"nc -w 1 127.0.0.1 {port} </dev/null").status != 0)
            b.sh(f"nc -w 60 127.0.0.1 {port} </dev/null", "--network", "host").ok()


@needs(programs=["nft", "ip", "nsenter"])
def test_addresses_routes_and_firewall_of_its_own():
    """Put there from outside, seen from inside, and not by the host."""
    with box() as b:
        name = b.start("--userns", "host")

        def there(*command):
            return run("nsenter", "-t", b.pid(name), "-n", *command).ok().out

        there("ip", "addr", "add", "10.99.99.1/24", "dev", "lo")
        there("ip", "route", "add", "10.98.0.0/16", "via", "10.99.99.2")
        there("nft", "add table ip viv_inside")
        inside = b.viv("exec", name, "sh", "-c", "ip -o addr; ip route").ok().out
        contains(inside, "10.99.99.1/24")
        contains(inside, "10.98.0.0/16 via 10.99.99.2")
        contains(there("nft", "list", "tables"), "viv_inside")
        host = run("ip", "-o", "addr").ok().out + run("ip", "route").ok().out
        lacks(host, "10.99.99.1/24")
        lacks(host, "10.98.0.0/16 via 10.99.99.2")
        lacks(run("nft", "list", "tables").ok().out, "viv_inside")


def test_names():
    with box() as b:
        before = pathlib.Path("/proc/sys/kernel/hostname").read_text()
        equal(b.out("hostname; cat /proc/sys/kernel/domainname", "--hostname", "h1", "--domainname",
                    "d1").split(), ["h1", "d1"])
        equal(pathlib.Path("/proc/sys/kernel/hostname").read_text(), before)
        equal(b.out("cat /proc/sys/kernel/hostname", "--uts", "host"), before.strip())


def test_user_ids_are_others_outside():
    with box() as b:
        name = b.start()
        uid = os.stat(f"/proc/{b.pid(name)}").st_uid
        check(uid >= 524288, f"root inside is {uid} outside")
        equal(b.viv("exec", name, "id", "-u").ok().out, "0\n")
        other = os.stat(f"/proc/{b.pid(b.start())}").st_uid
        check(abs(other - uid) >= 65536, "two sandboxes share user ids")
        inside = b.viv("exec", name, "cat", "/proc/self/uid_map").ok().out.split()
        equal(inside, ["0", str(uid), "65536"])


def test_no_owner_changes_on_disk():
    root = work() / "root"
    run("cp", "-a", image(), root).ok()
    os.chown(root / "home", 1234, 1235)
    with box() as b:
        done = b.run("--rootfs", root, "sh", "-c",
                     "stat -c %u:%g /home /bin; touch /home/new; chown 77:78 /home/new").ok()
        equal(done.out.split(), ["1234:1235", "0:0"])
    made = os.stat(root / "home/new")
    equal((made.st_uid, made.st_gid), (77, 78))
    equal(os.stat(root / "home").st_uid, 1234)


def test_arbitrary_maps():
    maps = '"uidMappings":[{"containerID":0,"hostID":300000,"size":1},' \
           '{"containerID":7,"hostID":400000,"size":3}],' \
           '"gidMappings":[{"containerID":0,"hostID":300000,"size":10}]'
    top = work() / "bundle"
    top.mkdir()
    (top / "config.json").write_text(
        '{"ociVersion":"1.0.2","root":{"path":"%s","readonly":true},"process":{"cwd":"/","args":'
        '["cat","/proc/self/uid_map"],"user":{"uid":8,"gid":0},"env":["PATH=/bin"]},'
        '"mounts":[{"destination":"/proc","type":"proc","source":"proc"},'
        '{"destination":"/dev","type":"tmpfs","source":"tmpfs"}],"linux":{"namespaces":'
        '[{"type":"mount"},{"type":"user"},{"type":"pid"}],%s}}' % (image(), maps))
    with box() as b:
        done = b.run("--bundle", top).ok()
        equal([line.split() for line in done.lines()],
              [["0", "300000", "1"], ["7", "400000", "3"]])


@private("mnt")
def test_files_that_cannot_be_shown_with_other_owners():
    """ramfs cannot be idmapped: what is missing in an image's root is made all the same, and of a
    root that is a folder of somebody else's it is said what to do."""
    top = work() / "ram"
    top.mkdir()
    run("mount", "-t", "ramfs", "ramfs", top).ok()
    (top / "shared").mkdir()
    run("cp", "-a", image(), top / "root").ok()
    os.environ["VIV_DATA_ROOT"] = str(top / "data")
    with box() as b:
        b.store = work() / "store"
        done = b.sh("touch /new && stat -c %u / /new && ls -d /deep/er", "-v", f"{top}/shared:/deep/er")
        equal(done.ok().out, "0\n0\n/deep/er\n")
        contains(done.err, "cannot be idmapped: inside, its files belong to nobody")
        kept = b.start(name="kept", script="touch /first; sleep 1000")
        b.viv("restart", "-t", "0", kept).ok()
        equal(b.viv("exec", kept, "sh", "-c", "touch /second; stat -c %u / /second").ok().out, "0\n0\n")
        fails(b.run("--rootfs", top / "root", "-v", f"{top}/shared:/deep/er", "--", "true"), 125,
              "make what is missing beforehand")
        b.run("--rootfs", top / "root", "-v", f"{top}/shared:/mnt", "--", "true").ok()
        b.run("--userns", "host", "--rootfs", top / "root", "-v", f"{top}/shared:/deep/er", "--",
              "true").ok()


@private("ipc", "mnt")
@needs(programs=["ipcmk"])
def test_queues_that_others_cannot_see():
    """A System V queue and a POSIX one of the host's (a namespace of the test's own), seen with the
    host's namespace and not with a new one; and the other way round."""
    run("ipcmk", "-Q").ok()
    queues = work() / "queues"
    queues.mkdir()
    run("mount", "-t", "mqueue", "mqueue", queues).ok()
    (queues / "posted").touch()
    there = os.path.isdir("/dev/mqueue")  # what --ipc host shows is the host's mount
    if there:
        run("mount", "--bind", queues, "/dev/mqueue").ok()
    script = "tail -n +2 /proc/sysvipc/msg | wc -l; ls /dev/mqueue | wc -l"
    with box() as b:
        equal(b.out(script).split(), ["0", "0"])
        equal(b.out(script, "--ipc", "host", "--userns", "host").split(),
              ["1", "1" if there else "0"])
        first = b.start("--userns", "host")
        b.viv("exec", first, "sh", "-c", "echo x > /dev/shm/seen; touch /dev/mqueue/inside").ok()
        equal(b.out("ls /dev/mqueue", "--userns", "host", "--ipc", f"container:{first}"), "inside")
        equal(b.out("ls /dev/shm; echo back > /dev/shm/answer", "--userns", "host", "--ipc",
                    f"container:{first}"), "seen")
        equal(b.viv("exec", first, "cat", "/dev/shm/answer").ok().out, "back\n")
        equal(b.sh("ls /dev/shm /dev/mqueue | grep -e seen -e inside", "--userns", "host").out, "")
    equal(os.listdir(queues), ["posted"])


def test_memory_shared_with_another_sandbox():
    """With ids of their own, from both sides, and with the size that the first has chosen."""
    with box() as b:
        first = b.start("--ipc", "shareable", "--shm-size", "1m")
        place = ["--ipc", f"container:{first}"]
        b.viv("exec", first, "sh", "-c", "echo one > /dev/shm/first").ok()
        equal(b.out("cat /dev/shm/first; echo two > /dev/shm/second; "
                    "dd if=/dev/zero of=/dev/shm/big bs=64k count=32 2>/dev/null || echo full", *place),
              "one\nfull")
        equal(b.viv("exec", first, "sh", "-c", "cat /dev/shm/second; stat -c %s /dev/shm/big").ok().out,
              "two\n%d\n" % ((1 << 20) - 2 * 4096))
        equal(b.out("mount | grep -c ' /dev/shm .*nosuid,nodev,noexec'", *place), "1")
        fails(b.run(*place, "--shm-size", "2m", "busybox", "true"), 125,
              f"--shm-size: --ipc container:{first} has no /dev/shm of its own")
        equal(b.run(*place, "busybox", "true").ok().err, "")
        alone = b.start("--ipc", "none")
        equal(b.out("ls /dev/shm", "--ipc", f"container:{alone}"), "")


def test_a_cgroup_root_that_cannot_be_left():
    with box() as b:
        paths = [line.split(":", 2)[2] for line in b.out("cat /proc/self/cgroup").splitlines()]
        equal(set(paths), {"/"})
        seen = b.out("ls -d /sys/fs/cgroup/memory/tasks; "
                     "echo 1 > /sys/fs/cgroup/memory/tasks || echo refused")
        contains(seen, "refused")


def test_clocks():
    with box() as b:
        inside = float(b.out("cut -d' ' -f1 /proc/uptime", "--time-offset",
                             "monotonic=500000,boottime=1000000"))
        outside = float(pathlib.Path("/proc/uptime").read_text().split()[0])
        between(inside - outside, 999900, 1000100, "the offset of boottime")
        name = b.start("--time-offset", "monotonic=500000,boottime=-5")
        offsets = pathlib.Path(f"/proc/{b.pid(name)}/timens_offsets").read_text().split()
        equal(offsets, ["monotonic", "500000", "0", "boottime", "-5", "0"])


# What /proc/self/mountinfo says inside of a volume whose source is shared on the host, whether the
# host's later mounts come in, and whether what is mounted inside is seen by the host.
MODES = {"private": ("", False, False), "rprivate": ("", False, False),
         "slave": ("master", True, False), "rslave": ("master", True, False),
         "shared": ("shared", True, True), "rshared": ("shared", True, True),
         "unbindable": ("unbindable", False, False), "runbindable": ("unbindable", False, False)}


@private("mnt")
def test_every_propagation_mode():
    top = work() / "top"
    (top / "sub").mkdir(parents=True)
    run("mount", "-t", "tmpfs", "none", top).ok()
    run("mount", "--make-shared", top).ok()
    with box() as b:
        try:
            for mode, (word, comes_in, goes_out) in MODES.items():
                for folder in ("sub", "inner"):
                    (top / folder).mkdir(exist_ok=True)
                name = b.start("--userns", "host", "--cap-add", "SYS_ADMIN", "--security-opt",
                               "seccomp=unconfined", "-v", f"{top}:/mnt:{mode}")
                fields = b.viv("exec", name, "sh", "-c", "grep ' /mnt ' /proc/self/mountinfo").ok().out
                equal(re.findall(r"(shared|master|unbindable)", fields.split(" - ")[0]),
                      [word] if word else [], mode)
                run("mount", "-t", "tmpfs", "-o", "size=1m", "outside", top / "sub").ok()
                (top / "sub/file").write_text("x")
                found = b.viv("exec", name, "sh", "-c", "ls /mnt/sub | wc -l").ok().out.strip()
                equal(found, "1" if comes_in else "0", f"{mode}: what the host mounts comes in")
                b.viv("exec", "--privileged", name, "mount", "-t", "tmpfs", "inside", "/mnt/inner").ok()
                equal(os.path.ismount(top / "inner"), goes_out, f"{mode}: what is mounted inside")
                b.viv("rm", "-f", name).ok()
                run("umount", top / "inner")
                run("umount", top / "sub").ok()
        finally:
            run("umount", "-R", "-l", top)


@private("mnt")
def test_propagation_of_the_root():
    """linux.rootfsPropagation: how the whole of the sandbox's tree hangs together with the host's."""
    run("mount", "--make-rshared", "/").ok()
    with box() as b:
        for mode, wanted in (("private", ""), ("slave", "master"), ("unbindable", "unbindable")):
            name = bundle(b, [{"type": "mount"}], rootfs=mode)
            root = [line for line in pathlib.Path(f"/proc/{b.pid(name)}/mountinfo").read_text().splitlines()
                    if line.split()[4] == "/"][0]
            equal(re.findall(r"(shared|master|unbindable)", root.split(" - ")[0]),
                  [wanted] if wanted else [], mode)
            b.viv("rm", "-f", name).ok()
    run("mount", "--make-rprivate", "/").ok()


def bundle(b, namespaces, rootfs=None):
    """A sandbox of a configuration with these namespaces and none else; its name."""
    top = work() / unique("bundle")
    top.mkdir()
    config = {"ociVersion": "1.0.2", "root": {"path": str(image()), "readonly": True},
              "process": {"cwd": "/", "args": ["/bin/sleep", "1000"], "user": {"uid": 0, "gid": 0}},
              "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                         {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
              "linux": {"namespaces": namespaces, "rootfsPropagation": rootfs or "private"}}
    if {"type": "pid"} not in namespaces:
        config["mounts"][0] = {"destination": "/proc", "type": "bind", "source": "/proc",
                               "options": ["rbind"]}
    (top / "config.json").write_text(json.dumps(config))
    name = unique("n")
    b.viv("run", "-d", "--name", name, *b.flags("--bundle", top)).ok()
    return name


def test_each_of_the_eight_joined_by_path():
    """By the configuration, one after the other; time and mount have no flag of their own."""
    types = {"net": "network", "mnt": "mount"}
    with box() as b:
        holder = b.pid(b.start("--userns", "host", "--time-offset", "boottime=1000"))
        for kind in ("pid", "net", "uts", "ipc", "cgroup", "time"):
            own_mounts = [{"type": "mount"}]
            name = bundle(b, [*own_mounts, {"type": types.get(kind, kind),
                                            "path": f"/proc/{holder}/ns/{kind}"}])
            pid = b.pid(name)
            equal(ns_of(pid, kind), ns_of(holder, kind), kind)
            others = set(KINDS) - {kind, "mnt"}
            equal([other for other in sorted(others) if ns_of(pid, other) != own(other)], [], kind)
            b.viv("rm", "-f", name).ok()
        mapped = b.pid(b.start("--time-offset", "boottime=1000"))
        name = bundle(b, [{"type": "mount"}, {"type": "user", "path": f"/proc/{mapped}/ns/user"}])
        equal(ns_of(b.pid(name), "user"), ns_of(mapped, "user"))


def test_exec_joins_all_eight():
    with box() as b:
        name = b.start("--time-offset", "monotonic=5")
        inside = b.viv("exec", name, "sh", "-c",
                       "for n in mnt pid net uts ipc user cgroup time; do readlink /proc/self/ns/$n; done")
        equal(inside.ok().lines(), [ns_of(b.pid(name), kind) for kind in KINDS])


def test_orphans_are_reaped_with_init():
    with box() as b:
        name = b.start("--init", script="(sh -c 'echo x > /tmp/been' & ) ; sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-s", "/tmp/been").status == 0)
        eventually(lambda: "Z" not in b.viv("exec", name, "ps", "-o", "stat").ok().out.split("STAT", 1)[1])
        equal(b.viv("exec", name, "sh", "-c", "cat /proc/1/comm").ok().out.strip(), "init")


def test_a_dying_first_process_takes_all_along():
    with box() as b:
        name = b.start(script="setsid sleep 1000 & setsid sleep 1000 & sleep 1000")
        eventually(lambda: len(descendants()) >= 4)
        b.viv("kill", name).ok()
        b.viv("wait", name)
        eventually(lambda: not [pid for pid, comm in descendants().items() if comm == "sleep"])
