"""Each of the eight namespaces through viv: new, the host's, joined by path and from another
sandbox; what it promises, seen from inside and from outside."""
import os
import pathlib
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
            b.sh(f"nc -w 2 127.0.0.1 {port} </dev/null", "--network", "host").ok()


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


def test_queues_that_others_cannot_see():
    with box() as b:
        script = "cat /proc/sysvipc/shm | wc -l; ls /dev/mqueue | wc -l"
        equal(b.out(script).split(), ["1", "0"])
        first = b.start("--userns", "host")
        b.viv("exec", first, "sh", "-c", "echo x > /dev/shm/seen").ok()
        equal(b.out("ls /dev/shm | wc -l", "--userns", "host"), "0")


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


def test_propagation():
    """What is mounted inside stays there; with rslave, what the host mounts comes in."""
    with box() as b:
        top = work() / "top"
        (top / "sub").mkdir(parents=True)
        run("mount", "-t", "tmpfs", "none", top).ok()
        run("mount", "--make-shared", top).ok()
        (top / "sub").mkdir()
        try:
            names = {mode: b.start("--userns", "host", "-v", f"{top}:/mnt:{mode}",
                                   name=unique(mode)) for mode in ("rslave", "rprivate", "rshared")}
            run("mount", "-t", "tmpfs", "-o", "size=1m", "outside", top / "sub").ok()
            (top / "sub/file").write_text("x")
            for mode, seen in (("rslave", "1"), ("rprivate", "0"), ("rshared", "1")):
                found = b.viv("exec", names[mode], "sh", "-c", "ls /mnt/sub | wc -l").ok()
                equal(found.out.strip(), seen, mode)
        finally:
            run("umount", "-R", "-l", top)


def test_orphans_are_reaped_with_init():
    with box() as b:
        script = "(sh -c 'sleep 0.1' & ) ; sleep 1000"
        name = b.start("--init", script=script)
        eventually(lambda: "sleep 0.1\n" not in b.viv("exec", name, "ps", "-o", "args").ok().out)
        states = b.viv("exec", name, "ps", "-o", "stat,comm").ok().out
        lacks(states, "Z")
        equal(b.viv("exec", name, "sh", "-c", "cat /proc/1/comm").ok().out.strip(), "init")


def test_a_dying_first_process_takes_all_along():
    with box() as b:
        name = b.start(script="setsid sleep 1000 & setsid sleep 1000 & sleep 1000")
        eventually(lambda: len(descendants()) >= 4)
        b.viv("kill", name).ok()
        b.viv("wait", name)
        eventually(lambda: not [pid for pid, comm in descendants().items() if comm == "sleep"])
