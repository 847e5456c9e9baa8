"""viv run IMAGE: what the image says and what flags say against it; layers, owners, whiteouts,
devices and attributes as the workload sees them; and nothing that stays."""
import json
import os
import pathlib
import signal

from lib import *
from lib.registry import *
from box import box, overlaid

TIMEOUT = 240
ROOTS = "images/roots"


def data(*parts):
    return pathlib.Path(os.environ["VIV_DATA_ROOT"], *parts)


def roots():
    """What sandboxes have changed: an entry for each."""
    return sorted(os.listdir(data(ROOTS))) if data(ROOTS).exists() else []


def configured():
    """An image of the built-in root with everything in its configuration that there is."""
    above = work() / "above"
    (above / "etc").mkdir(parents=True)
    (above / "vol").mkdir()
    os.chown(above / "vol", 7, 8)
    (above / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:7:8::/srv:/bin/sh\n")
    (above / "etc/group").write_text("root:x:0:\nann:x:8:\nextra:x:77:ann\n")
    return load_image("localhost/conf:1", image(), above, config={
        "Entrypoint": ["/bin/echo", "entry"], "Cmd": ["one", "two"],
        "Env": ["PATH=/bin:/usr/bin", "A=image", "B=image"], "WorkingDir": "/srv/deep",
        "User": "ann", "StopSignal": "SIGUSR1", "Labels": {"kind": "test", "empty": ""},
        "Volumes": {"/vol": {}}, "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000}})


def test_what_the_image_says():
    configured()
    with box() as b:
        equal(b.run("localhost/conf:1").ok().out, "entry one two\n")
        equal(b.run("conf:1", "three").ok().out, "entry three\n")
        equal(b.run("--entrypoint", "id", "conf:1", "-u").ok().out, "7\n")
        script = "id; pwd; echo $A $B $HOME; echo y >/vol/z; cat /vol/z"
        found = b.run("--entrypoint", "sh", "-e", "A=flag", "conf:1", "-c", script).ok().lines()
        contains(found[0], "uid=7(ann) gid=8(ann) groups=77(extra)")
        equal(found[1:3], ["/srv/deep", "flag image /srv"])
        found = b.run("--entrypoint", "sh", "-u", "0:8", "-w", "/", "conf:1", "-c",
                      "id -u; id -g; pwd").ok().lines()
        equal(found, ["0", "8", "/"])
        name = unique("s")
        b.viv("run", "-d", "--name", name, *b.flags(), "--entrypoint", "sh", "--label", "more=1",
              "--network", "none", "conf:1", "-c",
              "trap 'exit 9' USR1; while :; do sleep 0.1; done").ok()
        shown = b.inspect(name)
        equal({key: shown["Labels"].get(key) if "Labels" in shown else
               shown["Config"]["Labels"].get(key) for key in ("kind", "more")},
              {"kind": "test", "more": "1"})
        b.viv("stop", name).ok()
        equal(b.viv("wait", name).ok().out, "9\n")
        fails(b.run("-u", "nobody-here", "conf:1"), 125, "unable to find user nobody-here")


def test_the_root_is_layers_and_goes():
    """Whiteouts and opaque folders; the layers stay as they are; nothing is on the host's mount
    table; what was changed goes with the sandbox."""
    low, high = work() / "low", work() / "high"
    for path in ("keep/a", "gone/b", "opaque/old"):
        (low / path).parent.mkdir(parents=True, exist_ok=True)
        (low / path).write_text(path)
    (high / "opaque").mkdir(parents=True)
    (high / "opaque/.wh..wh..opq").write_text("")
    (high / "opaque/new").write_text("new")
    (high / ".wh.gone").write_text("")
    load_image("localhost/layers:1", image(), low, high)
    before = tree_of_layers()
    with box() as b:
        with no_leaks(b.scope + "/"):
            script = ("ls /gone /opaque; cat /keep/a; echo; echo x >/keep/a; mkdir /made; "
                      "rm -r /opaque; cat /keep/a; grep ' / ' /proc/self/mounts")
            done = b.run("layers:1", "--", "sh", "-c", script)
        contains(done.err, "/gone: No such file")
        equal(done.lines()[:4], ["/opaque:", "new", "keep/a", "x"])
        contains(done.lines()[4], "viv / overlay rw,")
        equal(roots(), [])
        equal(tree_of_layers(), before)
        name = b.start(image=("layers:1",), script="echo kept >/keep/b; sleep 1000")
        eventually(lambda: b.viv("exec", name, "cat", "/keep/b").out == "kept\n")
        equal(len(roots()), 1)
        equal([line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
               if "overlay" in line and "viv" in line], [])
        equal(b.viv("diff", name).ok().lines(), ["C /keep", "A /keep/b"])
        fails(b.viv("rmi", "layers:1"), 1, "is in use by container")
        b.viv("stop", "-t", "0", name).ok()
        b.viv("start", name).ok()
        equal(b.viv("exec", name, "cat", "/keep/b").ok().out, "kept\n")
        b.viv("rm", "-f", name).ok()
        equal(roots(), [])
        b.viv("rmi", "layers:1").ok()
        equal(list(data("images/layers").iterdir()), [])


IN_MEMORY = ("viv: the data root {} is on a file system that cannot hold what a sandbox changes: it is "
             "kept in memory, and ends with this run; --data-root chooses another place\n")


@needs(root=True)
@private("mnt")
def test_a_data_root_on_overlayfs():
    """With --rm what is changed is kept in memory; `cp` finds it while it runs, and who reads the
    disk is refused. Without --rm there is no such thing."""
    place = overlaid()
    os.environ["VIV_DATA_ROOT"] = str(place)
    with box() as b:
        own = b.flags("--userns", "host", "--network", "none")
        script = "echo x >/etc/made && mv /etc /moved && cat /moved/made; stat -c %u:%a /"
        done = b.viv("run", "--rm", *own, "busybox", "--", "sh", "-c", script).ok()
        equal((done.out, done.err), ("x\n0:755\n", IN_MEMORY.format(place)))
        contains(b.sh("true", "--network", "none").ok().err, IN_MEMORY.format(place))
        step = next(step for step in json.loads(
            b.viv("explain", "--format", "json", "--rm", *own, "busybox", "true").ok().out)
            if step["op"] == "overlay")
        contains(json.dumps(step), "(in memory, and gone with it)")
        name = b.start("--rm", *own, script="echo x >/made; sleep 1000")
        eventually(lambda: b.viv("cp", f"{name}:/made", "-").status == 0)
        upper = next(data(ROOTS).iterdir()) / "upper"
        equal(list(upper.iterdir()), [])
        for command in (("diff", name), ("export", "-o", work() / "tar", name), ("commit", name, "c:1")):
            fails(b.viv(*command), 125,
                  f'sandbox "{name}" keeps what it changes in memory, since the data root is on')
        b.viv("rm", "-f", name).ok()
        equal(roots(), [])
        kept = b.viv("run", *own, "busybox", "true")
        fails(kept, 125, ": EINVAL: Invalid argument; the file system of the data root cannot hold the "
              "changes of a sandbox")
        contains(kept.err, "or add --rm")
        equal((b.names(), roots()), ([], []))


def tree_of_layers():
    found = []
    for path in sorted(data("images/layers").rglob("*")):
        status = path.lstat()
        found.append((str(path), status.st_mode, status.st_uid, status.st_size, status.st_mtime_ns))
    return found


@needs(root=True)
def test_owners_devices_and_attributes():
    """As the image has them, in every kind of user namespace; also after they were copied up."""
    special = work() / "special"
    special.mkdir()
    (special / "owned").write_text("x")
    os.chown(special / "owned", 33, 44)
    (special / "suid").write_text("x")
    os.chmod(special / "suid", 0o4755)
    os.mknod(special / "null", 0o20600, os.makedev(1, 3))
    os.mkfifo(special / "fifo", 0o600)
    os.setxattr(special / "owned", "user.note", b"kept")
    os.setxattr(special / "suid", "security.capability",
                bytes.fromhex("0100000200200000000000000000000000000000"))
    os.link(special / "owned", special / "second")
    load_image("localhost/special:1", image(), special)
    script = ("stat -c '%n %u:%g %a %F' owned suid null fifo; stat -c %h owned; "
              "touch owned suid; chown 1:2 second; stat -c %u:%g owned second; echo new >made; "
              "stat -c %u:%g made")
    expected = ["owned 33:44 644 regular file", "suid 0:0 4755 regular file",
                "null 0:0 600 character special file", "fifo 0:0 600 fifo", "2"]
    with box() as b:
        for users in (["--userns", "auto"], ["--userns", "host"]):
            name = unique("o")
            b.viv("run", "--name", name, *users, *b.flags(), "-w", "/", "special:1", "--", "sh",
                  "-c", script).ok()
            found = b.viv("logs", name).ok().lines()
            equal(found[:5], expected)
            equal(found[-1], "0:0")
            upper = next(data(ROOTS).glob("*/upper"))
            equal((os.stat(upper / "made").st_uid, os.stat(upper / "second").st_gid), (0, 2), str(users))
            check(os.getxattr(upper / "owned", "user.note") == b"kept")
            b.viv("rm", name).ok()


def test_read_only_and_missing_mount_points():
    """Mount points that the image lacks are made above it, also where nothing may be written."""
    bare = work() / "bare"
    (bare / "bin").mkdir(parents=True)
    run("cp", f"{image()}/bin/busybox", bare / "bin/busybox").ok()
    (bare / "bin/sh").symlink_to("busybox")
    load_image("localhost/bare:1", bare)
    (work() / "file").write_text("inside")
    with box() as b:
        done = b.run("--read-only", "-v", f"{work()}/file:/new/place", "--tmpfs", "/scratch",
                     "bare:1", "/bin/sh", "-c", "/bin/busybox cat /new/place; echo x >/y || "
                     "echo read-only; echo fine >/scratch/z; /bin/busybox ls /")
        contains(done.ok().out, "insideread-only")
        equal(sorted(os.listdir(next(data("images/layers").glob("*/diff")))), ["bin"])
        before = sorted(str(path) for path in pathlib.Path(image()).rglob("*"))
        b.run("-v", f"{work()}/file:/not/there/yet", "--tmpfs", "/nor/this", "busybox", "true").ok()
        equal(sorted(str(path) for path in pathlib.Path(image()).rglob("*")), before)
        equal(roots(), [])


def test_a_failure_and_a_kill_leave_nothing():
    """Each step of the plan around the root fails, or viv is killed before it; the next command
    takes away what was left."""
    load_image("localhost/bb:1", image())
    with box() as b:
        steps = json.loads(b.viv("explain", "--format", "json", *b.flags(), "bb:1", "true").ok().out)
        overlay = next(step["step"] for step in steps if step["op"] == "overlay")
        for step in (overlay, overlay + 1, len(steps)):
            b.run(f"--debug-fail-step={step}", "bb:1", "true")
            equal(roots(), [], f"step {step} failed")
            for keep in ((), ("--rm",)):
                b.viv("run", *keep, "--name", "killed", *b.flags(), f"--debug-kill-step={step}",
                      "bb:1", "true")
                b.viv("ps").ok()
                equal(roots(), [], f"killed before step {step} {keep}")
                equal(b.names(), [])
        name = b.start("--rm", image=("bb:1",))
        os.kill(monitor_of(b, name), signal.SIGKILL)
        b.viv("rm", "-f", name)
        equal(roots(), [])


def monitor_of(b, name):
    return json.loads((b.store / name / "life.json").read_text())["monitor"]


def test_busybox_is_built_in_until_it_is_pulled():
    with box() as b:
        b.run("--pull", "never", "busybox:nosuch", "true")
        equal(b.run("busybox", "cat", "/etc/mine").status, 1)
        mine = work() / "mine"
        (mine / "etc").mkdir(parents=True)
        (mine / "etc/mine").write_text("pulled")
        load_image("docker.io/library/busybox:latest", image(), mine)
        equal(b.run("busybox", "cat", "/etc/mine").ok().out, "pulled")
        b.viv("rmi", "busybox").ok()
        equal(b.run("busybox", "cat", "/etc/mine").status, 1)


def test_explain_touches_nothing():
    load_image("localhost/bb:1", image())
    before = sorted(str(path) for path in data().rglob("*"))
    with box() as b:
        contains(b.viv("explain", "bb:1").ok().out, 'fsconfig(<fs>, FSCONFIG_SET_FD, "upperdir"')
        fails(b.viv("explain", "localhost/none:1"), 125, "explaining fetches nothing")
    equal(sorted(str(path) for path in data().rglob("*")), before)


@timeout(600)  # the root and its layers are made once, and kept in tests/.cache
@needs(root=True, programs=["mmdebstrap"])
def test_debian_in_five_layers():
    layout = debian_layout()
    with Registry() as registry:
        skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:12",
               f"docker://{registry.host}/debian:12")
        registries_conf(registry.host)
        name = f"{registry.host}/debian:12"
        with box() as b:
            done = b.run("--pull", "always", name, "bash", "-c",
                         "echo ${BASH_VERSION%%.*} $D; dpkg -s perl-base | grep ^Status; "
                         "ls -A /srv/data /etc/gone; perl -e 'print 6 * 7'")
            lines = done.lines()
            equal(lines[:2], ["5 12", "Status: install ok installed"])
            contains(done.out, "new")
            check("old" not in done.out and done.out.endswith("42"), str(done))
            contains(done.err, "/etc/gone")
            equal(len(json.loads(b.viv("image", "inspect", name).ok().out)[0]["RootFS"]["Layers"]), 5)
            equal(b.run(name, "sh", "-c", "useradd -m bob && su bob -c 'id -un; pwd'")
                  .ok().out.split()[0], "bob")
            check(b.viv("system", "check").ok().out == "")
