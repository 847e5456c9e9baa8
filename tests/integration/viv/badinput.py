"""What is wrong with the input is said in full: what was tried, why it failed, what to do."""
import json
import os

from lib import *
from box import CGROUPS, box

TIMEOUT = 90

MAPS = {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}]}
SPACES = [{"type": "mount"}, {"type": "pid"}, {"type": "user"}]


def config(**parts):
    made = {"ociVersion": "1.0.2", "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": SPACES, **MAPS}}
    made.update(parts)
    return made


# Flags of viv run behind --name n, status, the whole message.
FLAGS = [
    (["busybox", "nocmd"], 127, 'exec: "nocmd": executable file not found in $PATH'),
    (["busybox", "/no/such"], 127,
     'exec: "/no/such": stat /no/such: no such file or directory'),
    (["busybox", "/etc"], 126, 'exec: "/etc": is a directory: permission denied'),
    (["busybox", "/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'),
    (["--rootfs", "/no/root", "true"], 125,
     "--rootfs /no/root: ENOENT: No such file or directory; name a directory of this host that can "
     "be read"),
    (["--rootfs", "/etc/passwd", "true"], 125, "--rootfs /etc/passwd: that is not a directory; name one"),
    (["--bundle", "/no/bundle"], 125,
     "--bundle /no/bundle: ENOENT: No such file or directory; name a directory of this host that can "
     "be read"),
    (["--pull", "never", "nosuch"], 125,
     "no such image: nosuch (and pulling is not wanted): leave out --pull never, or fetch it by `viv "
     "pull`"),
    ([], 125,
     "what is to be run? Name an image (busybox), or use --rootfs DIR or --bundle DIR"),
    (["--isolation", "moon", "busybox"], 125,
     "flag --isolation wants container or vm, not \"moon\""),
    (["--cap-add", "NET_RWA", "busybox"], 125,
     "--cap-add NET_RWA: unknown capability; did you mean NET_RAW?"),
    (["--stop-signal", "TREM", "busybox"], 125,
     '--stop-signal: unknown signal "TREM"; did you mean "SIGTERM"?'),
    (["-m", "-5", "busybox"], 125,
     '--memory: invalid size "-5": write a number with an optional suffix b, k, m, g, t or p'),
    (["-m", "99999999999999999999g", "busybox"], 125,
     '--memory: size "99999999999999999999g" is larger than 16 EiB'),
    (["--pids-limit", "-3", "busybox"], 125,
     "--pids-limit -3: write a number, or -1 for no limit"),
    (["--ulimit", "nofile=10:5", "busybox"], 125,
     "--ulimit nofile=10:5: the soft limit is above the hard one"),
    (["--ulimit", "foo=1", "busybox"], 125,
     "--ulimit foo=1: there is no such limit, see getrlimit(2)"),
    (["--device", "/no/dev", "busybox"], 125, "--device /no/dev: ENOENT: No such file or directory; "
     "name a device of this host, or a folder of devices"),
    (["-u", "nobodyhere", "busybox"], 125,
     "--user: unable to find user nobodyhere: no matching entries in the root's /etc/passwd; add it "
     "there, or give a number"),
    (["--env-file", "/no/env", "busybox"], 125,
     "--env-file /no/env: ENOENT: No such file or directory; name a file that can be read"),
    (["--tmpfs", "rel", "busybox"], 125, '--tmpfs rel: "rel" is not an absolute path'),
    (["--mmeory", "4m", "busybox"], 125, "unknown flag --mmeory; did you mean --memory?"),
    (["--network", "ns:/etc/passwd", "busybox"], 125,
     "step 1 (open namespace, config.json /linux/namespaces/6): join the network namespace at "
     "/etc/passwd: that is no namespace; give a file like /proc/PID/ns/net or a bind mount of one"),
    (["--network", "ns:/proc/self/ns/uts", "busybox"], 125,
     "step 1 (open namespace, config.json /linux/namespaces/6): join the network namespace at "
     "/proc/self/ns/uts: that is a UTS namespace, not a network namespace"),
    (["--network", "ns:/no/ns", "busybox"], 125,
     "step 1 (open namespace, config.json /linux/namespaces/6): join the network namespace at "
     "/no/ns: open it: ENOENT: No such file or directory; has the process that held it ended?"),
    (["--network", "container:ghost", "busybox"], 125,
     'no such sandbox: "ghost"; `viv ps -a` lists them'),
]

# A configuration (or its text), and the whole message behind "<bundle>/config.json: ".
CONFIGS = [
    ('{"ociVersion": "1.0.0",\n  "process": { oops }\n}',
     ":2:16: not valid JSON: quoted object property name expected"),
    (config(ociVersion=1, root={"path": 3},
            process={"cwd": 5, "args": "x", "user": {"uid": -4, "gid": 0}}),
     ": 5 errors:\n"
     "  /ociVersion: expected a string, found an integer\n"
     "  /root/path: expected a string, found an integer\n"
     "  /process/cwd: expected a string, found an integer\n"
     "  /process/args: expected an array, found a string\n"
     "  /process/user/uid: -4 is not between 0 and 4294967295"),
    (config(linux={"namespaces": SPACES, **MAPS, "uidMappings": [
        {"containerID": 0, "hostID": 1000, "size": 10},
        {"containerID": 5, "hostID": 5000, "size": 10}]}),
     ": /linux/uidMappings/1/containerID: ids 5 to 14 overlap those of entry 0, 0 to 9: give each id "
     "once"),
    (config(linux={"namespaces": SPACES, **MAPS, "resources": {
        "memory": {"limit": -7}, "pids": {"limit": -9}, "cpu": {"quota": -3, "period": 1}}}),
     ": 4 errors:\n"
     "  /linux/resources/memory/limit: -7 bytes: write a size, or -1 for no limit\n"
     "  /linux/resources/cpu/period: 1 microseconds is not between 1000 and 1000000\n"
     "  /linux/resources/cpu/quota: -3 microseconds: write a time, or -1 for no limit\n"
     "  /linux/resources/pids/limit: -9 processes: write a number, or -1 for no limit"),
    (config(mounts=[{"destination": "../x", "type": "tmpfs"}]),
     ': /mounts/0/destination: "../x" leads out of the root by ".."'),
    (config(process={"cwd": "rel", "args": [], "user": {"uid": 0, "gid": 0},
                     "rlimits": [{"type": "RLIMIT_X", "soft": 5, "hard": 1}]}),
     ": 4 errors:\n"
     "  /process/args: no command given: write at least the program's name\n"
     '  /process/cwd: the path "rel" is not absolute: start it with "/"\n'
     '  /process/rlimits/0/type: unknown resource limit "RLIMIT_X"; did you mean "RLIMIT_AS"?\n'
     "  /process/rlimits/0/soft: 5 is above the hard limit, 1"),
]


def said(result):
    check(result.err.startswith("viv: "), str(result))
    return result.err[len("viv: "):].rstrip("\n")


def bundle(content):
    top = work() / unique("bundle")
    (top / "rootfs").mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (top / "config.json").write_text(text)
    return top


def test_flags():
    with box() as b:
        with no_leaks(b.scope):
            for flags, status, message in FLAGS:
                done = b.run(*flags)
                equal((done.status, said(done)), (status, message), f"viv run {flags}")


def test_commands_of_others():
    fails(viv("build", "."), 125, 'there is no command "build": images are built by others: `buildah bud')
    fails(viv("image", "build"), 125, 'unknown command "build"')
    fails(viv("strat"), 125, 'did you mean "start"?')


def test_configurations():
    with box() as b:
        for content, message in CONFIGS:
            top = bundle(content)
            done = b.run("--bundle", top)
            equal((done.status, said(done)), (125, f"{top}/config.json{message}"))


def test_unknown_members_are_a_warning_with_a_suggestion():
    top = bundle(config(hostnme="x", linux={"namespaces": SPACES[:2]}))
    with box() as b:
        done = b.run("--bundle", top)
        equal(done.status, 127)
        contains(done.err,
                 f'{top}/config.json: /hostnme: unknown member; did you mean "hostname"?')


def test_names():
    with box() as b:
        done = b.run("--name", "a/b", "busybox")
        equal((done.status, said(done)),
              (125, '--name "a/b": write up to 128 letters, digits, "_", "." and "-", a letter or '
                    "digit first"))
        name = b.start()
        done = b.run("--name", name, "busybox")
        equal((done.status, said(done)),
              (125, f"--name {name}: there is a sandbox of that name already; choose another name, "
                    f"or take that one away with `viv rm -f {name}`"))
        equal(b.names(), [name])
        equal(said(b.viv("kill", "--signal", "TREM", name)),
              'unknown signal "TREM"; did you mean "SIGTERM"?')
        done = run("setsid", "--wait", program("viv"), "--root", b.store, "run", "--rm", "--step",
                   *b.flags(), "busybox", "true")
        equal((done.status, said(done)),
              (125, "--step asks on the terminal, and there is none: ENXIO: No such device or address; "
                    "run it from one, or use --trace"))
        equal(said(b.viv("exec", "x")), "name a sandbox, or say --latest, and a command")
        equal(said(b.viv("rnu")), 'unknown command "rnu"; did you mean "run"?; `viv --help` lists '
                                  "them")


def test_a_root_that_cannot_be_read():
    """An ordinary user's run of a root that is closed to that user."""
    closed = work() / "closed"
    (closed / "root").mkdir(parents=True)
    os.chmod(closed, 0o700)
    home = work() / "home"
    home.mkdir()
    os.chown(home, 1000, 1000)
    done = as_user(program("viv"), "--root", home / "run", "run", "--rm", "--rootfs",
                   closed / "root", "true", env={"XDG_RUNTIME_DIR": str(home), "HOME": str(home)})
    equal((done.status, said(done)),
          (125, f"--rootfs {closed}/root: EACCES: Permission denied; name a directory of this host "
                "that can be read"))


def test_links_do_not_lead_out():
    """A link where a mount belongs: an error for procfs, inside the root for the rest."""
    root = work() / "root"
    run("cp", "-a", image(), root).ok()
    (root / "esc").symlink_to("/etc")
    with box() as b:
        before = sorted(os.listdir("/etc"))
        (work() / "data").mkdir()
        (work() / "data/seen").write_text("x")
        done = b.run("-v", f"{work()}/data:/esc", "--rootfs", root, "ls", "/etc").ok()
        equal(done.out, "seen\n")
        equal(sorted(os.listdir("/etc")), before)
        os.rmdir(root / "proc")
        (root / "proc").symlink_to("/etc")
        done = b.run("--rootfs", root, "true")
        equal(done.status, 125)
        matches(said(done), r"^step \d+ \(mount, config\.json /mounts/0\): mount proc on /proc: open "
                            r"/proc inside the root: ELOOP: Too many levels of symbolic links; a "
                            r"symbolic link there could lead the mount elsewhere: make it a "
                            r"directory in the image$")


@private("mnt")
def test_a_full_disk():
    with box() as b:
        b.store.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=64k", "none", b.store).ok()
        with open(b.store / "fill", "wb") as out:
            try:
                out.write(b"x" * 131072)
            except OSError:
                pass
        done = b.run("--name", "full", "busybox", "true")
        equal(done.status, 125)
        matches(said(done), rf"^(make {b.store}/full|write .*): ENOSPC: No space left on device; "
                            "the file system is full: make room there, then try again$")
        (b.store / "fill").unlink()
        b.run("--name", "full", "busybox", "true").ok()
        run("umount", b.store).ok()


@private("mnt")
def test_control_groups_that_cannot_be_written():
    with box() as b:
        run("mount", "--bind", CGROUPS / "pids", CGROUPS / "pids").ok()
        run("mount", "-o", "remount,bind,ro", CGROUPS / "pids").ok()
        with no_leaks(b.scope):
            b.run("--name", "n", "busybox", "true").ok()
            done = b.run("--name", "n", "--pids-limit", "5", "busybox", "true")
            equal((done.status, said(done)),
                  (125, f"/linux/resources/pids/limit: {CGROUPS}/pids may not be written by this "
                        "user; start it by `systemd-run --user --scope -p Delegate=yes …`, or run "
                        "it as root"))
