"""Labels of SELinux where the kernel has it: inside the rig, under a policy of the tests' own, enforced.
Run by v1.py, which moves controllers about and bears no sandboxes beside it."""
import contextlib
import functools
import json
import os
import pathlib

from lib import *
from lib import sepolicy
from box import box

ONLY_IN = []
OPTIONS = ["--security-opt", "label=type:box_t", "--security-opt", "label=filetype:box_file_t"]
CURRENT = "cat /proc/self/attr/current"
OWN = r"system_u:system_r:box_t:s0:c\d+,c\d+"


def enforced(function):
    @functools.wraps(function)
    def wrapped():
        sepolicy.load(work())
        with sepolicy.enforcing():
            function()
    return wrapped


def label(path):
    return os.getxattr(path, "security.selinux", follow_symlinks=False).decode().rstrip("\0")


def folder():
    """One that everybody may write, but for the policy; with a link out of it."""
    top = work() / unique("folder")
    (top / "deep/er").mkdir(parents=True)
    for path in (top, top / "deep", top / "deep/er"):
        path.chmod(0o777)
    (top / "deep/er/file").write_text("here\n")
    (top / "deep/er/file").chmod(0o666)
    (work() / "outside").write_text("")
    (top / "out").symlink_to(work() / "outside")
    return top


@enforced
def test_a_type_confines_the_workload_and_what_joins_it():
    top = folder()
    write = f"{CURRENT} | tr -d '\\0'; echo; cat /top/deep/er/file; echo more >>/top/deep/er/file || echo refused"
    with box() as b:
        share = ["-v", f"{top}:/top"]
        equal(b.out(write, *share, "--security-opt", "label=type:box_t", "--security-opt", "label=disable"),
              "system_u:system_r:base_t:s0-s0:c0.c1023\nhere")
        matches(b.out(write, *share, *OPTIONS), rf"^{OWN}\nhere\nmore\nrefused$")
        equal(b.out(CURRENT, *OPTIONS, "--security-opt", "label=level:s0:c1,c9", "--security-opt",
                    "no-new-privileges").rstrip("\0"), "system_u:system_r:box_t:s0:c1,c9")
        name = b.start(*OPTIONS, "--tmpfs", "/tmp")
        found = b.viv("exec", name, "sh", "-c", CURRENT).ok().out.rstrip("\0\n")
        matches(found, f"^{OWN}$")
        equal(pathlib.Path(f"/proc/{b.pid(name)}/attr/current").read_text().rstrip("\0\n"), found)
        mounted = found.replace("system_r:box_t", "object_r:box_file_t")
        root = f"/proc/{b.pid(name)}/root"
        equal([label(root + place) for place in ("/tmp", "/dev", "/dev/pts", "/bin/busybox")], [mounted] * 4)
        before = b.inspect(name)
        b.viv("restart", "-t", "0", name).ok()
        check(before["Pid"] != b.pid(name))
        equal(pathlib.Path(f"/proc/{b.pid(name)}/attr/current").read_text().rstrip("\0\n"), found)


@enforced
def test_own_and_shared_folders():
    own, common = folder(), folder()
    before = label(work() / "outside")
    with box() as b:
        level = lambda text: OPTIONS + ["--security-opt", f"label=level:s0:{text}"]  # noqa: E731
        read = "cat /own/deep/er/file && cat /common/deep/er/file"
        equal(b.out(f"{read}; echo x >/own/deep/new", *level("c1,c2"), "-v", f"{own}:/own:Z", "-v",
                    f"{common}:/common:z"), "here\nhere")
        files = [own, own / "deep/er/file", own / "out", common / "deep/er"]
        equal([label(path) for path in files],
              ["system_u:object_r:box_file_t:s0:c1,c2"] * 3 + ["system_u:object_r:box_file_t:s0"])
        equal(label(own / "deep/new"), label(own))
        equal(label(work() / "outside"), before)
        shares = ["-v", f"{own}:/own", "-v", f"{common}:/common"]
        equal(b.out(read, *level("c1,c2"), *shares), "here\nhere")
        done = b.sh(read, *level("c1,c3"), *shares)
        contains(done.err, "'/own/deep/er/file': Permission denied")
        equal(b.out("cat /common/deep/er/file", *level("c1,c3"), *shares), "here")
        # named volumes, read-only sources, the words of --mount; what is mounted below is another's
        b.out("echo x >/v/x", *level("c7"), "-v", f"{b.scope}:/v:Z", "--userns", "host")
        equal(b.out("cat /v/x", *level("c7"), "-v", f"{b.scope}:/v", "--userns", "host"), "x")
        b.viv("volume", "rm", b.scope).ok()
        with mounted_in(common / "deep") as other:
            b.out("true", *OPTIONS, "--mount", f"type=bind,source={common},target=/c,readonly,relabel=private")
            check(label(common).count(",c") == 1 and label(common) != label(other), label(common))


@contextlib.contextmanager
def mounted_in(top):
    (top / "mount").mkdir()
    run("mount", "-t", "tmpfs", "none", top / "mount").ok()
    try:
        yield top / "mount"
    finally:
        run("umount", top / "mount").ok()


@enforced
def test_what_cannot_be_labelled_is_an_error():
    top = folder()
    with box() as b:
        fails(b.sh("true", *OPTIONS, "-v", "/etc:/x:z"), 125, "/etc keeps its labels")
        (work() / "link").symlink_to("/usr")
        fails(b.sh("true", *OPTIONS, "-v", f"{work()}/link:/x:Z"), 125,
              "link is /usr, which keeps its labels")
        fails(b.sh("true", "-v", f"{top}:/x:z"), 125, "add --security-opt label=filetype:TYPE")
        fails(b.sh("true", "--security-opt", "label=type:none_t"), 125, "EINVAL")
        fails(b.sh("true", *OPTIONS, "-v", f"{top}:/x:z,Z"), 125, "z and Z contradict each other")
        fails(b.sh("true", *OPTIONS, "-v", "/proc/sys:/x:z"), 125, "its file system keeps no labels")
        fails(b.sh("true", *OPTIONS, "--isolation", "vm"), 125, "a machine's workload is under its own kernel")
        fails(b.sh("true", "--volumes-from", "x:z"), 125, "write z there")
        fails(b.sh("true", "--security-opt", "label=nested"), 125, "does not let a sandbox set labels")
    plan = json.loads(viv("explain", "--format", "json", *OPTIONS, "-v", f"{top}:/x:z", "busybox",
                          "true").ok().out)
    equal([step["op"] for step in plan].count("relabel"), 1)
    check(label(top).startswith("system_u:object_r:base_t:"), "explain touches nothing")


@private("mnt")
@enforced
def test_the_policy_says_what_containers_get():
    top = folder()
    pathlib.Path("/etc/selinux").mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "none", "/etc/selinux").ok()
    pathlib.Path("/etc/selinux/config").write_text("# x\nSELINUX=enforcing\nSELINUXTYPE=own\n")
    contexts = pathlib.Path("/etc/selinux/own/contexts/lxc_contexts")
    contexts.parent.mkdir(parents=True)
    contexts.write_text('process = "system_u:system_r:box_t:s0"\nfile = "system_u:object_r:box_file_t:s0"\n')
    with box() as b:
        # by itself z labels, and confines nothing
        equal(b.out(f"{CURRENT} | tr -d '\\0'; cat /top/deep/er/file", "-v", f"{top}:/top:z"),
              "system_u:system_r:base_t:s0-s0:c0.c1023here")
        equal(label(top), "system_u:object_r:box_file_t:s0")
        matches(b.out(f"{CURRENT} | tr -d '\\0'", "--security-opt", "label=role:system_r"), f"^{OWN}$")


@enforced
def test_an_engine_says_the_labels():
    process, mount = "system_u:system_r:box_t:s0:c5,c6", "system_u:object_r:box_file_t:s0:c5,c6"
    oci = [program("viv-oci"), "--root", work() / "state"]
    piped = ["bash", "-c", "\"$@\" 2>&1 | cat", "bash", *oci]  # as engines do: the label may write no file of ours
    bundle = work() / "bundle"
    bundle.mkdir()
    run(*oci, "spec", "--bundle", bundle).ok()
    config = json.loads((bundle / "config.json").read_text())
    config["root"] = {"path": str(image()), "readonly": True}
    config["process"] |= {"terminal": False, "selinuxLabel": process, "args": [
        "sh", "-c", f"{CURRENT}; echo x >/dev/shm/x && cat /dev/shm/x; echo x 2>/dev/null >/proc/self/attr/current || echo kept"]}
    config["linux"]["mountLabel"] = mount
    (bundle / "config.json").write_text(json.dumps(config))
    equal(run(*piped, "run", "--bundle", bundle, unique("oci")).out, f"{process}\0x\nkept\n")
    config["process"]["args"] = ["sh", "-c", "echo x >/etc/x"]
    config["root"]["readonly"] = False
    (bundle / "config.json").write_text(json.dumps(config))
    contains(run(*piped, "run", "--bundle", bundle, unique("oci")).out, "Permission denied")
