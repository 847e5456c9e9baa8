"""checkpoint and restore. CRIU of Debian 12 (3.17) ends on recent kernels with "Unexpected rt vDSO
area bounds"; there the real one has to be refused clearly, and a stand-in shows what it is told."""
import json
import os
import pathlib
import re
import socket
import subprocess

from lib import *
from bundle import IMAGE, bundle, container, gone, oci, own_root, reaper, state, state_dir, status

ROOT_ONLY = needs(root=True)

HERE = pathlib.Path(__file__).parent

# What it is told is decoded by another's code, from a description of the protocol; a script in the
# test's folder says what else it does before it answers.
STAND_IN = """#!/usr/bin/python3
import os, pathlib, socket, subprocess, sys
sys.path.insert(0, "{work}")
import criu_pb2 as rpc
work = pathlib.Path("{work}")
sock = socket.socket(fileno=int(sys.argv[2]))
request = rpc.criu_req.FromString(sock.recv(65536))
(work / "told").write_text(str(request))
parent = os.getppid()
def answer(**fields):
    sock.send(rpc.criu_resp(**fields).SerializeToString())
def notify(script, pid=0, fds=()):
    message = rpc.criu_resp(type=rpc.NOTIFY, success=True, notify=rpc.criu_notify(script=script, pid=pid))
    socket.send_fds(sock, [message.SerializeToString()], fds)
    reply = rpc.criu_req.FromString(sock.recv(65536))
    return reply.type == rpc.NOTIFY and reply.notify_success
if request.type != rpc.RESTORE:
    if request.type == rpc.DUMP and not request.opts.leave_running:
        os.kill(request.opts.pid, 9)
    exec((work / "dump.py").read_text() if (work / "dump.py").exists() else "")
    answer(type=request.type, success=True)
    sys.exit(0)
(work / "root").write_text(" ".join(os.listdir(request.opts.root + "/bin")))
(work / "fds").write_text("".join(f"{{fd}} {{os.readlink('/proc/self/fd/' + fd)}}\\n" for fd in
                                  os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/" + fd)))
pid = int(subprocess.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"], text=True,
                         stdout=subprocess.PIPE).stdout)
ok = notify("setup-namespaces", pid)
exec((work / "restore.py").read_text() if (work / "restore.py").exists() else "")
ok = ok and notify("pre-resume", pid)
if not ok:
    os.kill(pid, 9)
answer(type=rpc.RESTORE, success=ok, restore=rpc.criu_restore_resp(pid=pid))
"""


def stand_in():
    """A criu that is found first; what it was told, as text."""
    folder = work() / "bin"
    folder.mkdir()
    run("protoc", f"-I{HERE}", f"--python_out={work()}", "criu.proto").ok()
    (folder / "criu").write_text(STAND_IN.format(work=work()))
    os.chmod(folder / "criu", 0o755)
    return work() / "told", {"PATH": f"{folder}:{os.environ['PATH']}"}


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
    told = log.read_text()
    for line in ["type: DUMP", "tcp_established: true", "file_locks: true", "shell_job: true",
                 "ext_unix_sk: true", "manage_cgroups_mode: IGNORE", f"empty_ns: {0x40000000}",
                 'config_file: "/etc/my.conf"', 'external: "mnt[/mnt]:/mnt"', 'address: "1.2.3.4"',
                 "port: 567", "notify_scripts: true", "orphan_pts_master: true"]:
        contains(told, line)
    check("tcp_close" not in told and "link_remap" not in told, told)
    check(gone(name), "the container is still there")
    streams = json.loads((images / "descriptors.json").read_text())
    matches(streams[0], r"^pipe:\[\d+\]$")  # what a test's command is given as its input
    equal(streams[1:], ["", ""])
    oci("restore", "--detach", "--image-path", images, "--bundle", folder, "--pid-file",
        work() / "pid", "--manage-cgroups-mode", "ignore", "--network-lock", "skip", "--tcp-close",
        name, env=env).ok()
    told = log.read_text()
    for line in ["type: RESTORE", "rst_sibling: true", f'external: "mnt[/mnt]:{source}"',
                 "tcp_close: true", "network_lock: SKIP"]:
        contains(told, line)
    contains((work() / "root").read_text(), "busybox")
    number = re.search(rf'key: "{re.escape(streams[0])}"\n +fd: (\d+)', told).group(1)
    matches((work() / "fds").read_text(), rf"(?m)^{number} pipe:\[\d+\]$")
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
    contains(log.read_text(), f'external: "net[{inode}]:extRootNetNS"')
    # the engine has written another configuration meanwhile
    config = json.loads((folder / "config.json").read_text())
    config["annotations"] = {"new": "yes"}
    (folder / "config.json").write_text(json.dumps(config))
    oci("restore", "-d", "--image-path", images, "--bundle", folder, "--manage-cgroups-mode", "ignore",
        name, env=env).ok()
    told = log.read_text()
    contains(told, 'key: "extRootNetNS"')
    matches(told, r'ns: "uts"\n +ns_file: "/proc/self/ns/uts"')
    equal(state(name)["annotations"], {"new": "yes"})
    oci("delete", "--force", name).ok()
    config["linux"]["namespaces"][2]["path"] = "/proc/self/ns/none"
    (folder / "config.json").write_text(json.dumps(config))
    fails(oci("restore", "-d", "--image-path", images, "--bundle", folder, name, env=env), 1,
          "network namespace")
    check(gone(name))


def written(**changes):
    """A bundle whose container was written to images by the stand-in and is gone; both."""
    log, env = stand_in()
    folder, name, images = bundle(**changes), unique("oci"), work() / "images"
    oci("run", "-d", "--bundle", folder, name).ok()
    oci("checkpoint", "--image-path", images, name, env=env).ok()
    return folder, images, log, env


def restore(folder, images, env, *options, name=None):
    return oci("restore", "-d", "--image-path", images, "--bundle", folder, *options,
               name or unique("oci"), env=env)


@ROOT_ONLY
def test_hooks_of_a_restore_come_in_order_and_can_end_it():
    """Those that runc runs: the namespaces are there, and nothing of the workload runs yet."""
    told, on = work() / "hooks", work() / "go"
    hook = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"(echo {kind}; cat; echo) >> {told}; {ends}"]}]
            for kind, ends in [("prestart", "true"), ("createRuntime", f"test -e {on}"),
                               ("poststop", "true")]}
    folder, images, _, env = written()
    config = json.loads((folder / "config.json").read_text())
    config["hooks"] = hook
    (folder / "config.json").write_text(json.dumps(config))
    (work() / "restore.py").write_text("(work / 'pid').write_text(str(pid))")
    name = unique("oci")
    fails(restore(folder, images, env, name=name), 1, "createRuntime: hook /bin/sh ended with status 1")
    check(gone(name))
    eventually(lambda: not os.path.exists(f"/proc/{(work() / 'pid').read_text()}/exe"), 10)
    told.unlink()
    on.touch()
    restore(folder, images, env, name=name).ok()
    lines = told.read_text().splitlines()
    equal(lines[::2], ["prestart", "createRuntime"])
    for line in lines[1::2]:
        found = json.loads(line)
        equal([found["id"], found["status"], str(found["pid"]), found["bundle"]],
              [name, "creating", (work() / "pid").read_text(), str(folder)])
    oci("delete", "--force", name).ok()
    equal(told.read_text().splitlines()[4], "poststop")


@ROOT_ONLY
def test_a_restored_terminal_goes_through_the_console_socket():
    folder, images, _, env = written()
    (work() / "restore.py").write_text(
        "master, peer = os.openpty()\nos.write(peer, b'hello')\n"
        "ok = ok and notify('orphan-pts-master', fds=[master])")
    name = unique("oci")
    fails(restore(folder, images, env, name=name), 1, "give --console-socket")
    check(gone(name))
    path = work() / "console"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        restore(folder, images, env, "--console-socket", path, name=name).ok()
        message, fds, _, _ = socket.recv_fds(sock.accept()[0], 64, 1)
    equal(message, b"orphan-pts-master")
    equal(os.read(fds[0], 5), b"hello")
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_another_name_gets_a_control_group_of_its_own_before_the_workload():
    limits = {"resources": {"pids": {"limit": 77}}}
    folder, images, log, env = written(linux=limits)
    (work() / "restore.py").write_text(  # as it is before the first process may go on
        "(work / 'groups').write_text(open(f'/proc/{pid}/cgroup').read())")
    name = unique("oci")
    restore(folder, images, env, name=name).ok()
    matches(log.read_text(), rf'cg_root {{\n(    ctrl: .*\n)?    path: "\S*/{name}"\n')
    saved = json.loads((state_dir() / name / "state.json").read_text())["cgroup"]
    places = [saved["unified"]] if saved.get("unified") else []
    places += [place if isinstance(place, str) else place["path"] for place in saved.get("v1", {}).values()]
    check(places and all(place.endswith("/" + name) for place in places), places)
    limit = next(pathlib.Path(place) / "pids.max" for place in places
                 if (pathlib.Path(place) / "pids.max").exists())
    equal(limit.read_text().strip(), "77")
    oci("delete", "--force", name).ok()
    check(not any(os.path.exists(place) for place in places), places)
    # what CRIU is to leave alone is moved by us, before the workload goes on
    restore(folder, images, env, "--manage-cgroups-mode", "ignore", name=name).ok()
    contains((work() / "groups").read_text(), f"/{name}\n")
    # a group that another has is left alone
    config = json.loads((folder / "config.json").read_text())
    config["linux"]["cgroupsPath"] = f"/{name}"
    (folder / "config.json").write_text(json.dumps(config))
    fails(restore(folder, images, env), 1, name)
    equal(status(name), "running")
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_places_of_mounts_that_a_moved_root_lacks_are_made():
    source = work() / "source"
    (source / "old").mkdir(parents=True)
    (source / "file").touch()
    folder, images, _, env = written()
    config, root = json.loads((folder / "config.json").read_text()), own_root()
    config["root"]["path"] = str(root)
    config["mounts"] += [{"destination": place, "type": "bind", "source": str(source / what), "options": ["bind"]}
                         for place, what in [("/new/a", ""), ("/new/a/inner", "old"), ("/run/env", "file"),
                                             ("/dev/not", "file")]]
    (folder / "config.json").write_text(json.dumps(config))
    name = unique("oci")
    restore(folder, images, env, name=name).ok()
    check((root / "new/a").is_dir() and (source / "inner").is_dir() and (root / "run/env").is_file())
    check(not (root / "dev/not").exists())  # on a tmpfs, which CRIU fills
    oci("delete", "--force", name).ok()


@ROOT_ONLY
def test_what_criu_answers_is_told():
    folder, images, _, env = written()
    reply = "(work / 'images/restore.log').write_text('(0.1) Error (criu/x.c:1): no such luck\\n')\n"
    (work() / "restore.py").write_text(reply + "ok = False")
    fails(restore(folder, images, env), 1, "criu failed: type RESTORE errno 0: Error (criu/x.c:1): no such luck; "
          f"log file: {images}/restore.log")
    (work() / "restore.py").write_text("os.kill(pid, 9); sock.send(b'\\xff\\xff'); os._exit(0)")
    fails(restore(folder, images, env), 1, "no message of its protocol")
    (work() / "restore.py").write_text("os.kill(pid, 9); sys.stderr.write('Error (criu: of itself)\\n'); sys.stderr.flush(); os._exit(3)")
    fails(restore(folder, images, env), 1, "of itself")
    env["PATH"] = "/nowhere"
    fails(restore(folder, images, env), 1, "criu is not installed")
    fails(restore(folder, images, env, "--empty-ns", "mount"), 1, 'is not supported')


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
        for line in ["type: PRE_DUMP", "track_mem: true", 'parent_img: "../p"']:
            contains(log.read_text(), line)
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
