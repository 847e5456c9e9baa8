"""Folders shared with a guest over virtio-fs: the same content, names and attributes on both sides,
for ordinary and for random use."""
import hashlib
import os
import pathlib
import re
import stat

from lib import *
from lib.guest import *

TIMEOUT = 180
BUILDS = ["plain"]
SEED = int(os.environ.get("VIV_TEST_SEED", 1))  # make soak takes another each time
PROGRAMS = [program("tests/machine/guest-share")]


def share(folder, tag="data", **more):
    path = pathlib.Path(folder).resolve()
    path.mkdir(exist_ok=True)
    return {"tag": tag, "folder": {"path": str(path)}, **more}


def boot_with(script, *shares, **more):
    mount = "".join(f"mkdir /{s['tag']}; mount -t virtiofs {s['tag']} /{s['tag']};" for s in shares)
    return boot(mount + script, shares=list(shares), programs=PROGRAMS, **more)


def described(folder):
    """What `find | stat` prints in the guest, for the whole folder, as the host sees it."""
    lines = []
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = pathlib.Path(at) / name
            st = path.lstat()
            size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
            links = 0 if stat.S_ISDIR(st.st_mode) else st.st_nlink
            lines.append(f"{path.relative_to(folder)} {st.st_mode:x} {links} {st.st_uid} {size}")
    return sorted(lines)


DESCRIBE = ("(cd /data; find . -mindepth 1 | while read f; do "
            "set -- $(stat -c '%f %h %u %s' \"$f\"); [ -d \"$f\" -a ! -L \"$f\" ] && set -- $1 0 $3 0;"
            "echo \"entry ${f#./} $*\"; done);")


def seen(out):
    return sorted(re.findall(r"^entry (.*)$", out, re.M))


@needs(root=True)
def test_random_use_leaves_the_same_on_both_sides():
    done = boot_with(f"guest-share content /data/file {SEED} 1500; md5sum /data/file; mkdir /data/n;"
                     f"guest-share names /data/n {SEED} 2000; {DESCRIBE}"
                     "echo 3 > /proc/sys/vm/drop_caches; (cd /data; find n -type f | sort | "
                     "xargs cat) | md5sum", share("d")).ok()
    contains(done.out, "content ok")
    contains(done.out, "names ok")
    sums = re.findall(r"^([0-9a-f]{32}) ", done.out, re.M)
    equal(sums[0], hashlib.md5(pathlib.Path("d/file").read_bytes()).hexdigest())
    equal(seen(done.out), described("d"))
    files = sorted(path for path in pathlib.Path("d/n").rglob("*")
                   if path.is_file() and not path.is_symlink())
    equal(sums[1], hashlib.md5(b"".join(path.read_bytes() for path in files)).hexdigest())


@needs(root=True)
def test_each_call_with_each_kind_of_cache():
    shares = [share(kind, kind, cache=kind) for kind in ("auto", "always", "never")]
    done = boot_with("for i in auto always never; do mkdir /$i/c; guest-share calls /$i/c; done;"
                     f"guest-share content /always/file {SEED} 800; md5sum /always/file", *shares).ok()
    check(done.out.count("calls ok") == 3, lambda: str(done))
    equal(re.search(r"([0-9a-f]{32})", done.out)[1],
          hashlib.md5(pathlib.Path("always/file").read_bytes()).hexdigest())
    for kind in ("auto", "always", "never"):
        mine, link = os.stat(f"{kind}/c/open/mine"), os.lstat(f"{kind}/c/link")
        equal((mine.st_uid, mine.st_gid, link.st_uid, link.st_gid), (100, 101, 3, 4))
        equal(os.getxattr(f"{kind}/c/x", "user.two"), b"22")
        equal(os.readlink(f"{kind}/c/link"), "/etc/passwd")


def test_a_read_only_folder_stays_as_it_is():
    folder = pathlib.Path("d")
    folder.mkdir()
    (folder / "file").write_text("content\n")
    (folder / "sub").mkdir()
    before = described(folder)
    done = boot_with("cd /data; cat file; for c in 'touch new' 'rm file' 'mv file f' 'chmod 0 file'"
                     " 'ln file f' 'ln -s file f' 'mkdir f' 'rmdir sub' 'truncate -s 0 file'"
                     " 'touch file' 'chown 1 file' 'sh -c :>file' 'mkfifo f'; do "
                     "$c 2>&1 | grep -q 'Read-only file system' || echo not refused: $c; done;"
                     "echo x >> file; cat file", share("d", readOnly=True)).ok()
    equal(done.out.count("content\n"), 2)
    lacks(done.out, "not refused")
    equal(described(folder), before)


def test_links_mean_what_they_mean_in_the_guest():
    """A guest follows links in its own tree: none leads to the host's files."""
    pathlib.Path("secret").write_text("of the host\n")
    folder = pathlib.Path("d")
    folder.mkdir()
    (folder / "abs").symlink_to(pathlib.Path("secret").resolve())
    (folder / "up").symlink_to("../secret")
    (folder / "sub").symlink_to("..")
    (folder / "proc").symlink_to("/proc/self/root")
    done = boot_with("cd /data; cat abs up sub/secret ../secret proc/etc/hostname 2>&1; ls sub/..;"
                     "cat /data/../../secret 2>&1; ln -s /proc/self/cwd here; ls here; echo done",
                     share("d")).ok()
    lacks(done.out, "of the host")
    equal(done.out.count("No such file"), 6)
    contains(done.out, "done")


def test_many_files_need_few_descriptors():
    """More files than the process may have open: each is found again by its name."""
    folder = pathlib.Path("d")
    for i in range(30):
        (folder / f"{i}").mkdir(parents=True)
        for j in range(100):
            (folder / f"{i}/{j}").write_text(f"{i} {j}\n")
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = ("find /data -type f | wc -l; cat /data/*/* | md5sum; cat /data/*/* | md5sum;"
              "for i in 1 7 29; do mv /data/$i /data/m$i; cat /data/m$i/50; done;"
              "rm -r /data/0; ls /data | wc -l")
    check(min(soft, hard) > 200, "the limit was low before")
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))  # of this test's own process
    done = boot_with(script, share("d")).ok()
    contains(done.out, "\n3000\n")
    text = b"".join(f"{i} {j}\n".encode() for i in sorted(map(str, range(30)))
                    for j in sorted(map(str, range(100))))
    equal(re.findall(r"^([0-9a-f]{32}) ", done.out, re.M), [hashlib.md5(text).hexdigest()] * 2)
    contains(done.out, "1 50\n7 50\n29 50\n29\n")


def test_the_hosts_changes_are_seen():
    folder = pathlib.Path("d")
    folder.mkdir()
    (folder / "log").write_text("one\n")
    description = describe("mkdir /data; mount -t virtiofs data /data; cat /data/log; read x;"
                           "cat /data/log; ls /data; cat /data/log", shares=[share("d")],
                           console={"input": 0, "output": 1})
    import subprocess
    with Background(program("viv-vmm"), description, stdin=subprocess.PIPE) as machine:
        machine.wait_for("one", 100)
        (folder / "log").write_text("another one\n")
        (folder / "replaced").write_text("new\n")
        os.rename(folder / "replaced", folder / "log")
        machine.process.stdin.write(b"\n")
        machine.process.stdin.flush()
        machine.wait_for("new", 30)
        equal(machine.wait(60), 0)


def test_bad_shares_say_what_to_do():
    for wrong, text in [({"tag": "x" * 37}, "1 to 35 bytes"),
                        ({"folder": {"path": "/nonexistent"}}, "open the shared folder /nonexistent"),
                        ({"folder": {"path": "/etc/passwd"}}, "ENOTDIR"),
                        ({"cache": "some"}, "auto, fresh, always or never")]:
        fails(run(program("viv-vmm"), describe("true", shares=[{**share("d"), **wrong}])), 1, text)


def test_viv_boot_shares_a_folder():
    folder = pathlib.Path("a:b")
    folder.mkdir()
    (folder / "file").write_text("from the host\n")
    done = run(program("viv"), "boot", "--kernel", kernel() / "vmlinuz", "--initrd",
               initramfs("mkdir /m; mount -t virtiofs tag /m; cat /m/file; touch /m/x"),
               "--append", APPEND, "--accel", "emu", "-m", "200m",
               "--share", "tag=a:b:ro:cache=never", timeout=100).ok()
    contains(done.out, "from the host")
    contains(done.out, "Read-only file system")
    fails(viv("boot", "--kernel", "x", "--share", "nothing"), 125, "expected TAG=FOLDER")
