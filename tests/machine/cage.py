"""The sandbox that viv-vmm itself is in: what a guest would find that has taken it over."""
import contextlib
import os
import pathlib
import re
import subprocess

from lib import *
from lib.guest import *

TIMEOUT = 180
BUILDS = ["plain"]
CAPS = {"chown": 0, "dac_override": 1, "fowner": 3, "fsetid": 4, "setgid": 6, "setuid": 7}


def boot_arguments(script, *more):
    return [program("viv"), "--root", pathlib.Path("run").resolve(), "boot",
            "--kernel", kernel() / "vmlinuz", "--initrd", initramfs(script),
            "--append", APPEND, "--accel", "emu", "-m", "200m", *more]


def children(pid):
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status(path):
    return dict(re.findall(r"^(\w+):\t(.*)$", (pathlib.Path(path) / "status").read_text(), re.M))


def own_memory(pid, guest):
    """KiB that a viv-vmm needs beside its guest's memory, whose mapping is at least that large."""
    return beside_guest(pathlib.Path(f"/proc/{pid}/smaps").read_text(), guest)


def beside_guest(smaps, guest):
    beside = 0
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", smaps)[1:]:
        begin, end = (int(number, 16) for number in mapping.split()[0].split("-"))
        if end - begin < guest:
            beside += int(re.search(r"^Pss: +(\d+) kB", mapping, re.M)[1])
    return beside


@contextlib.contextmanager
def machine(script, *more):
    """A machine whose guest has said "up", as (its console, the pid of viv-vmm)."""
    with Background(*boot_arguments(f"{script} echo up; read x; echo end $x", *more),
                    stdin=subprocess.PIPE) as viv:
        viv.wait_for("up", 120)
        yield viv, children(viv.process.pid)[0]
        viv.process.stdin.write(b"now\n")
        viv.process.stdin.flush()
        viv.wait_for("end now", 60)
        equal(viv.wait(60), 0)


@needs(root=True)
def test_it_is_nobody_nowhere_with_no_rights():
    pathlib.Path("d.raw").write_bytes(bytes(1 << 20))
    with machine("dd if=/dev/zero of=/dev/vda bs=4k count=4 conv=fsync;",
                 "--disk", "d.raw", "--cpus", "2") as (_, pid):
        tasks = sorted(pathlib.Path(f"/proc/{pid}/task").iterdir())
        names = [(task / "comm").read_text().strip() for task in tasks]
        # the loop, two vCPUs, a disk; threads of the kernel's for its io_uring come and go
        equal(sum(not name.startswith("iou-wrk-") for name in names), 4)
        for task in tasks:
            found = status(task)
            equal([found[name] for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapPrm", "CapInh")],
                  ["2", "1"] + ["0" * 16] * 3)
            check(int(found["Uid"].split()[0]) >= 524288, found["Uid"])
            equal(set(found["Uid"].split()), {found["Uid"].split()[0]})
            equal(found["Groups"].strip(), "")
        check(own_memory(pid, 200 << 20) < 32 << 10, f"{own_memory(pid, 200 << 20)} KiB")
        print("KiB beside the guest's memory:", own_memory(pid, 200 << 20))
        equal(os.listdir(f"/proc/{pid}/root"), [])
        for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user"):
            check(os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind)
        check(os.access("run", os.X_OK) and os.listdir("run/.ids") != [], "no range was taken")
    equal(os.listdir("run/.ids"), [])


@needs(root=True)
def test_a_shared_folder_keeps_its_owners():
    """Rights over files are the share's thread's alone, and good for its own ids alone."""
    folder = pathlib.Path("d")
    folder.mkdir()
    (folder / "roots").write_text("r\n")
    (folder / "users").write_text("u\n")
    os.chown(folder / "users", 1000, 1001)
    with machine("mkdir /m; mount -t virtiofs tag /m; stat -c '%n %u %g' /m/*; echo x > /m/new;"
                 "chown 7:8 /m/new; echo y >> /m/users; chmod 600 /m/users;",
                 "--share", "tag=d") as (viv, pid):
        matches(viv.out(), r"/m/roots 0 0\s+/m/users 1000 1001")
        found = [status(task) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
        caps = sorted(int(task["CapEff"], 16) for task in found)
        equal(caps, [0, 0, sum(1 << number for number in CAPS.values())])
        equal({task["Seccomp"] for task in found}, {"2"})
        equal(os.listdir(f"/proc/{pid}/root"), [])
        check(all(int(task["Uid"].split()[0]) >= 524288 for task in found), lambda: str(found))
    new, users = (folder / "new").stat(), (folder / "users").stat()
    equal((new.st_uid, new.st_gid), (7, 8))
    equal((users.st_uid, users.st_gid, users.st_mode & 0o777), (1000, 1001, 0o600))


@needs(root=True, programs=["setpriv"])
def test_an_ordinary_users_machine_is_caged_too():
    """With the one id that needs nobody's help."""
    here = pathlib.Path.cwd()
    for path in [here, *here.parents]:
        if path != pathlib.Path("/") and not path.stat().st_mode & 1:
            skip(f"{path} is closed to others")
    argv = boot_arguments("mkdir /m; mount -t virtiofs tag /m; echo z > /m/new; stat -c %u /m/new;"
                          " echo up; read x", "--share", "tag=d")
    pathlib.Path("d").mkdir()
    pathlib.Path("run").mkdir()
    for name in ("d", "run"):
        os.chown(name, 54321, 54321)
    with Background("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups",
                    *argv, stdin=subprocess.PIPE) as viv:
        viv.wait_for("up", 120)
        pid = children(viv.process.pid)[0]
        equal(os.listdir(f"/proc/{pid}/root"), [])
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            found = status(task)
            equal([found["Seccomp"], found["NoNewPrivs"]], ["2", "1"])
            equal(found["Uid"].split()[0], "54321")
        check(os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        viv.process.stdin.write(b"\n")
        viv.process.stdin.flush()
        equal(viv.wait(60), 0)
    equal(pathlib.Path("d/new").stat().st_uid, 54321)


@contextlib.contextmanager
def no_network_namespaces():
    """The words in front of a command that runs as this user in a user namespace with the same ids, where
    the kernel makes no network namespace."""
    with Background("unshare", "--user", "sleep", "100000") as holder:
        place = pathlib.Path(f"/proc/{holder.process.pid}")
        eventually(lambda: os.readlink(place / "ns/user") != os.readlink("/proc/self/ns/user"), 60)
        for name in ("uid_map", "gid_map"):
            lines = [line.split() for line in pathlib.Path(f"/proc/self/{name}").read_text().splitlines()]
            (place / name).write_text("".join(f"{own} {own} {count}\n" for own, _, count in lines))
        enter = ["nsenter", "--user", "--target", holder.process.pid]
        run(*enter, "sh", "-c", "echo 0 > /proc/sys/user/max_net_namespaces").ok()
        yield enter


@needs(root=True, programs=["nsenter", "unshare"])
def test_a_host_that_refuses_namespaces_is_told():
    """The machine runs, with what needs none of them."""
    told = "viv-vmm runs without namespaces of its own, which this host refuses"
    note = work() / "note"
    note.write_text("well\n")
    with no_network_namespaces() as enter:
        with Background(*enter, *boot_arguments("echo booted; read x; echo end $x"),
                        stdin=subprocess.PIPE) as viv_boot:
            viv_boot.wait_for("booted", 120)
            equal(viv_boot.err().count(told), 1)
            [pid] = children(viv_boot.process.pid)
            equal(os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/self/ns/net"))
            found = status(f"/proc/{pid}")
            equal([found[name] for name in ("Seccomp", "NoNewPrivs", "CapEff", "CapPrm")],
                  ["2", "1"] + ["0" * 16] * 2)
            viv_boot.process.stdin.write(b"now\n")
            viv_boot.process.stdin.flush()
            equal(viv_boot.wait(60), 0)
        done = run(*enter, program("viv"), "--root", pathlib.Path("run").resolve(), "run", "--rm",
                   "--isolation", "vm", "--accel", "emu", "-v", f"{note}:/note", "busybox", "cat", "/note",
                   timeout=150).ok()
        equal((done.out, done.err.count(told)), ("well\n", 1), str(done))
        equal(list(pathlib.Path("/tmp").glob("viv-vmm-*")), [])


@needs(root=True, programs=["ip"])
@private("net")
def test_taps_and_vsock_are_reached_from_inside():
    run("ip", "link", "set", "lo", "up").ok()
    run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr").ok()
    run("ip", "addr", "add", "10.99.0.1/24", "dev", "tap0").ok()
    run("ip", "link", "set", "tap0", "up").ok()
    import socket
    import threading
    server = socket.socket(socket.AF_UNIX)
    server.bind("v_7000")
    server.listen()

    def answer():
        client, _ = server.accept()
        client.sendall(b"answer of the host\n")
        client.close()
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    script = ("ip link set eth0 up; ip addr add 10.99.0.2/24 dev eth0; ping -c 1 -w 100 10.99.0.1;"
              "guest-vsock connect 7000 < /dev/null")
    initramfs(script, programs=[program("tests/machine/guest-vsock")])
    argv = boot_arguments(script, "--net", "tap0", "--vsock", "v")
    initramfs(script, programs=[program("tests/machine/guest-vsock")])
    done = run(*argv, timeout=120).ok()
    contains(done.out, " 0% packet loss")
    contains(done.out, "answer of the host")
