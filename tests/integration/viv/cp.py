"""viv cp: files, links and folders into and out of sandboxes, and sandboxes that would rather have
the host's."""
import contextlib
import ctypes
import io
import os
import pathlib
import stat
import tarfile
import threading

from lib import *
from box import box

TIMEOUT = 90


def tree(path):
    """A folder with one of everything that is copied."""
    path.mkdir()
    (path / "file").write_text("content")
    (path / "file").chmod(0o751)
    os.utime(path / "file", (1000000000, 1000000000))
    (path / "sub").mkdir(mode=0o700)
    (path / "sub/deep").write_text("deep")
    (path / "link").symlink_to("sub/deep")
    os.link(path / "file", path / "hard")
    os.mkfifo(path / "fifo")
    return path


def kind(path):
    """What ls would show of one file, owners left out."""
    st = path.lstat()
    what = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
    mode = 0 if path.is_symlink() else stat.S_IMODE(st.st_mode)
    return stat.S_IFMT(st.st_mode), mode, what


def listing(path):
    return {str(found.relative_to(path)): kind(found) for found in path.rglob("*")}


def read(b, name, path):
    """A file of a sandbox, through a stream."""
    into = work() / "read.tar"
    run("sh", "-c", f"{program('viv')} --root {b.store} cp {name}:{path} - > {into}").ok()
    with tarfile.open(into) as archive:
        text = archive.extractfile(archive.getmembers()[0]).read().decode()
    into.unlink()
    return text.strip()


def both(b):
    """A sandbox that runs and one that was never started."""
    b.viv("create", "--name", "made", *b.flags("busybox", "--", "sleep", "1000")).ok()
    return [b.start(name="runs"), "made"]


def test_a_tree_goes_in_and_comes_out_the_same():
    source = tree(work() / "source")
    with box() as b:
        for name in both(b):
            b.viv("cp", source, f"{name}:/opt-new").ok()      # is not there: it is the copy
            b.viv("cp", source, f"{name}:/").ok()             # is there: it goes inside
            b.viv("cp", f"{source}/.", f"{name}:/var").ok()   # its content alone
            for at in ("opt-new", "/source/"):
                b.viv("cp", f"{name}:{at}", work() / f"back-{name}").ok()
                back = work() / f"back-{name}"
                equal(listing(back), listing(source), at)
                equal((back / "file").stat().st_mtime, 1000000000)
                equal((back / "file").stat().st_ino, (back / "hard").stat().st_ino)
                equal((back / "file").stat().st_uid, os.getuid())
                run("rm", "-r", back).ok()
            b.viv("cp", f"{name}:/var/file", work() / "one").ok()
            equal((work() / "one").read_text(), "content")
            b.viv("cp", "-L", f"{name}:/var/link", work() / "followed").ok()
            b.viv("cp", f"{name}:/var/link", work() / "kept").ok()
            equal((work() / "followed").read_text(), "deep")
            equal(os.readlink(work() / "kept"), "sub/deep")
            (work() / "kept").unlink()
        b.viv("start", "made").ok()
        equal(b.viv("exec", "made", "cat", "/source/sub/deep").ok().out, "deep")
        equal(b.viv("exec", "made", "stat", "-c", "%u:%g %a", "/source/file").ok().out, "0:0 751\n")


def test_what_the_target_means():
    (work() / "f").write_text("new")
    tree(work() / "d")
    with box() as b:
        name = b.start(script="mkdir /t; echo old > /t/old; ln -s /t/old /to-old; ln -s /t /to-t; "
                              "ln -s nowhere /dangling; touch /ready; sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
        b.viv("cp", work() / "f", f"{name}:/t").ok()
        equal(read(b, name, "/t/f"), "new")
        b.viv("cp", work() / "f", f"{name}:/to-old").ok()     # what it leads to is replaced
        equal(read(b, name, "/t/old"), "new")
        b.viv("cp", work() / "f", f"{name}:/to-t/").ok()
        b.viv("cp", work() / "f", f"{name}:/dangling").ok()
        equal(read(b, name, "/nowhere"), "new")
        cases = [
            ((work() / "f", f"{name}:/nosuch/"), f'/nosuch/ in sandbox "{name}": there is no such'),
            ((work() / "f", f"{name}:/nosuch/f"), "ENOENT"),
            ((work() / "f", f"{name}:/t/old/"), "ENOTDIR"),
            ((work() / "d", f"{name}:/t/old"), "is no folder, and a folder cannot replace it"),
            ((f"{work()}/f/", f"{name}:/t"), "ENOTDIR"),
            ((work() / "none", f"{name}:/t"), f"find {work()}/none: ENOENT"),
            ((f"{name}:/none", work()), f'find /none in sandbox "{name}": ENOENT'),
            ((work() / "f", "nobody:/t"), 'no such sandbox: "nobody"'),
            ((work() / "f", work() / "g"), "neither is in a sandbox"),
            ((f"{name}:/t", work() / "f"), "is no folder, and a folder cannot replace it"),
            ((f"{name}:/proc/version", work() / "v"), "file system of the kernel's"),
            ((f"{name}:/dev/null", work() / "v"), "is a device, which cannot be copied"),
        ]
        for words, text in cases:
            fails(b.viv("cp", *words), 125, text)
        # a link of the host may have come out of the sandbox
        (work() / "aside").mkdir()
        (work() / "l").symlink_to("aside")
        (work() / "m").symlink_to("nowhere")
        for link in ("l", "m"):
            fails(b.viv("cp", f"{name}:/t/f", work() / link), 125, "is a symbolic link")
        b.viv("cp", f"{name}:/t/f", f"{work()}/l/").ok()
        equal(os.listdir(work() / "aside"), ["f"])
        (work() / "to").mkdir()
        (work() / "to/t").write_text("a file")
        fails(b.viv("cp", f"{name}:/t", work() / "to"), 125, "what is there is no folder")
        (work() / "over").mkdir()
        (work() / "over/f").mkdir()
        fails(b.viv("cp", f"{name}:/t/f", work() / "over"), 125, "only a folder can replace")
        overwriting(b, name)


def overwriting(b, name):
    """--overwrite: what is in the way goes, at the target's own name and below; links stay links."""
    (work() / "over/f/deep").mkdir()
    b.viv("cp", "--overwrite", f"{name}:/t/f", work() / "over").ok()
    equal((work() / "over/f").read_text(), "new")
    b.viv("cp", "--overwrite", f"{name}:/t", work() / "to").ok()
    equal((work() / "to/t/f").read_text(), "new")
    b.viv("cp", "--overwrite", work() / "to/t", f"{name}:/t/old").ok()
    equal(read(b, name, "/t/old/f"), "new")
    b.viv("cp", "--overwrite", work() / "d", f"{name}:/to-old").ok()  # what it leads to is a folder now
    equal(b.viv("exec", name, "ls", "/t/old/d").status, 0)
    b.viv("cp", "--overwrite", work() / "to/.", f"{name}:/").ok()
    equal(read(b, name, "/t/f"), "new")
    fails(b.viv("cp", "--overwrite", f"{name}:/t", work() / "m"), 125, "is a symbolic link")
    fails(b.viv("cp", "--overwrite", f"{name}:/t", f"{work()}/f/"), 125, "ENOTDIR")


def test_streams():
    tree(work() / "d")
    with box() as b:
        for name in both(b):
            for pack in ("cf", "czf"):
                run("sh", "-c", f"tar {pack} - -C {work()} d | {program('viv')} --root {b.store} "
                                f"cp - {name}:/var").ok()
            equal(read(b, name, "/var/d/sub/deep"), "deep")
            (work() / "out").mkdir()
            run("sh", "-c", f"{program('viv')} --root {b.store} cp {name}:/var/d - | "
                            f"tar xf - -C {work()}/out").ok()
            equal(listing(work() / "out/d"), listing(work() / "d"))
            run("rm", "-r", work() / "out").ok()
            fails(run("sh", "-c", f"tar cf - -C {work()} d | {program('viv')} --root {b.store} cp "
                                  f"- {name}:/etc/passwd"), 125, "has to be a folder")
            fails(run("sh", "-c", f"echo no tar | {program('viv')} --root {b.store} cp - {name}:/"),
                  125, "copy to / in sandbox")


def test_owners():
    (work() / "f").write_text("x")
    os.chown(work() / "f", 12, 34)
    (work() / "f").chmod(0o4755)
    with box() as b:
        for users in ("auto", "host"):
            name = b.start("--userns", users, script="echo > /own; chown 5:6 /own; chmod 4711 /own; "
                                                     "touch /ready; sleep 1000")
            eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
            for life in ("runs", "ended"):
                b.viv("cp", work() / "f", f"{name}:/plain-{life}").ok()
                b.viv("cp", "--archive", work() / "f", f"{name}:/kept-{life}").ok()
                b.viv("cp", "--quiet", f"{name}:/own", work() / "plain").ok()
                b.viv("cp", "-a", f"{name}:/own", work() / "kept").ok()
                plain, kept = (work() / "plain").stat(), (work() / "kept").stat()
                equal((plain.st_uid, plain.st_gid, oct(plain.st_mode)), (0, 0, "0o100711"))
                equal((kept.st_uid, kept.st_gid, oct(kept.st_mode)), (5, 6, "0o104711"))
                b.viv("stop", "-t", "0", name).ok()
            b.viv("start", name).ok()
            shown = b.viv("exec", name, "stat", "-c", "%n %u:%g %a", "/plain-runs", "/plain-ended",
                          "/kept-runs", "/kept-ended").ok().lines()
            equal(shown, ["/plain-runs 0:0 755", "/plain-ended 0:0 755", "/kept-runs 12:34 4755",
                          "/kept-ended 12:34 4755"], users)
            b.viv("rm", "-f", name).ok()
        # ids that its user namespace has not
        os.chown(work() / "f", 70000, 70000)
        name = b.start("--userns", "auto")
        fails(b.viv("cp", "-a", work() / "f", f"{name}:/f"), 125, "leave --archive out")


def test_a_large_file_with_holes_stays_so():
    with open(work() / "big", "wb") as file:
        file.truncate(3 << 30)
        file.seek(2 << 30)
        file.write(b"middle")
    with box() as b:
        name = b.start()
        b.viv("cp", work() / "big", f"{name}:/big").ok()
        b.viv("cp", f"{name}:/big", work() / "back").ok()
        st = (work() / "back").stat()
        equal(st.st_size, 3 << 30)
        check(st.st_blocks * 512 < 1 << 20, f"{st.st_blocks} blocks")
        with open(work() / "back", "rb") as file:
            file.seek(2 << 30)
            equal(file.read(8), b"middle\0\0")


def test_mounts_and_read_only_roots():
    (work() / "f").write_text("x")
    with box() as b:
        name = b.start("-v", "vol:/vol", "--read-only")
        b.viv("cp", work() / "f", f"{name}:/vol/f").ok()
        folder = pathlib.Path(os.environ["VIV_DATA_ROOT"], "volumes/vol/_data")
        equal((folder / "f").read_text(), "x")
        equal(b.viv("exec", name, "stat", "-c", "%u", "/vol/f").ok().out, "0\n")
        fails(b.viv("cp", work() / "f", f"{name}:/f"), 125, "EROFS")
        b.viv("cp", f"{name}:/", work() / "whole").ok()
        equal((work() / "whole/vol/f").read_text(), "x")
        equal(os.listdir(work() / "whole/proc"), [])
        b.viv("stop", "-t", "0", name).ok()
        fails(b.viv("cp", work() / "f", f"{name}:/f"), 125, "is read-only (--read-only)")


def test_binds_of_one_that_does_not_run():
    """A path is in the host's folder that is mounted there, by what the configuration says of it."""
    host, one = work() / "host", work() / "one"
    (host / "sub").mkdir(parents=True)
    host.chmod(0o777)
    (host / "up").symlink_to("/etc")
    one.write_text("one")
    (work() / "f").write_text("x")
    with box() as b:
        for users in ("auto", "host"):
            name = b.start("--userns", users, "-v", f"{host}:/data", "-v", f"{host}/sub:/ro:ro", "-v",
                           f"{one}:/one", "-v", "vol:/data/sub", script="ln -s data /link; sleep 1000")
            eventually(lambda: b.viv("exec", name, "test", "-L", "/link").status == 0)
            b.viv("stop", "-t", "0", name).ok()
            volume = pathlib.Path(os.environ["VIV_DATA_ROOT"], "volumes/vol/_data")
            for target, path in (("/data/g", host / "g"), ("/link/", host / "f"), ("/link", host / "f"),
                                 ("/ro/../data/g", host / "g"), ("/data/sub/g", volume / "g")):
                b.viv("cp", work() / "f", f"{name}:{target}").ok()
                equal((path.read_text(), path.stat().st_uid), ("x", 0), f"{users} {target}")
                path.unlink()
            b.viv("cp", f"{name}:/data/up/passwd", work() / "p").ok()  # a link out of it
            contains((work() / "p").read_text(), "root:x:0:0:root:/root")
            b.viv("cp", f"{name}:/one", work() / "two").ok()
            equal((work() / "two").read_text(), "one")
            fails(b.viv("cp", work() / "f", f"{name}:/one"), 125, "is a file that is mounted")
            fails(b.viv("cp", work() / "f", f"{name}:/ro/f"), 125, "is read-only in the sandbox")
            equal((one.read_text(), os.listdir(host / "sub")), ("one", []))
        mapped = b.start("--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536", "-v", f"{host}:/mnt")
        b.viv("stop", "-t", "0", mapped).ok()
        b.viv("cp", work() / "f", f"{mapped}:/mnt/g").ok()
        equal((host / "g").stat().st_uid, 200000)
        fails(b.viv("cp", work() / "f", f"{mapped}:/mnt/sub/g"), 125, "EACCES")
        (host / "sub").rmdir()
        fails(b.viv("cp", f"{name}:/ro", work() / "three"), 125, "which is mounted at /ro: ENOENT")


def test_volumes_of_one_that_does_not_run():
    (work() / "f").write_text("x")
    (work() / "d").mkdir()
    (work() / "d/in").write_text("in")
    with box() as b:
        b.viv("volume", "create", "parts").ok()
        folder = pathlib.Path(os.environ["VIV_DATA_ROOT"], "volumes/parts/_data")
        (folder / "part").mkdir()
        (folder / "up").symlink_to("/etc")
        (folder / "loop").symlink_to("loop")
        name = b.start("--userns", "auto", "-v", "vol:/vol", "-v", "inner:/vol/inner", "-v",
                       "vol:/again:ro", "--mount", "type=volume,src=parts,dst=/part,subpath=part",
                       "-v", "parts:/parts",
                       script="ln -s vol /data; ln -s /data/../data /more; ln -s /vol/deep /new; sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-L", "/new").status == 0)
        b.viv("stop", "-t", "0", name).ok()
        inside = folder.parents[1]
        for target, path in (("/vol/g", "vol/_data/g"), ("/vol/", "vol/_data/f"), ("vol", "vol/_data/f"),
                             ("/vol/inner", "inner/_data/f"), ("/part/f", "parts/_data/part/f"),
                             # a link of the root leads into a volume
                             ("/data/g", "vol/_data/g"), ("/more/", "vol/_data/f"), ("/data", "vol/_data/f"),
                             ("/more/inner/a..b", "inner/_data/a..b"), ("/new", "vol/_data/deep")):
            b.viv("cp", work() / "f", f"{name}:{target}").ok()
            equal(((inside / path).read_text(), (inside / path).stat().st_uid), ("x", 0), target)
            (inside / path).unlink()
        b.viv("cp", work() / "d", f"{name}:/vol").ok()
        b.viv("cp", f"{name}:/vol/d", work() / "out").ok()
        equal((work() / "out/in").read_text(), "in")
        b.viv("cp", f"{name}:/vol", work() / "whole").ok()
        equal((work() / "whole/d/in").read_text(), "in")
        (work() / "there").mkdir()
        b.viv("cp", f"{name}:/again", work() / "there").ok()  # under its name inside
        equal((work() / "there/again/d/in").read_text(), "in")
        b.viv("cp", f"{name}:/again/.", work() / "there").ok()
        equal((work() / "there/d/in").read_text(), "in")
        fails(b.viv("cp", work() / "f", f"{name}:/again/f"), 125, "is read-only in the sandbox")
        b.viv("cp", f"{name}:/parts/up/passwd", work() / "p").ok()  # and one of a volume out of it
        contains((work() / "p").read_text(), "root:x:0:0:root:/root")
        b.viv("cp", f"{name}:/data", work() / "link").ok()
        equal(os.readlink(work() / "link"), "vol")
        b.viv("cp", "-L", f"{name}:/data", work() / "followed").ok()
        equal((work() / "followed/d/in").read_text(), "in")
        fails(b.viv("cp", work() / "f", f"{name}:/parts/loop/f"), 125, "too many links")
        fails(b.viv("cp", work() / "f", f"{name}:/vol/no/f"), 125, "/vol/no")
        b.viv("start", name).ok()
        equal(b.viv("exec", name, "stat", "-c", "%u", "/vol/d/in").ok().out, "0\n")


def test_roots_that_are_folders():
    """Seen as its own by a sandbox, and one whose files belong to the ids that it is given."""
    (work() / "f").write_text("x")
    for flags, owner in ((["--userns", "auto"], 0), (["--uidmap", "0:300000:9"], 300000)):
        root = work() / f"root-{owner}"
        run("cp", "-a", image(), root).ok()
        run("chown", "-R", f"{owner}:{owner}", root).ok()
        with box() as b:
            name = b.start(*flags, "--rootfs", root, image=(), script=(
                "echo > /own; chown 3 /own; touch /ready; sleep 1000"))
            eventually((root / "ready").exists)
            for life in ("runs", "ended"):
                b.viv("cp", work() / "f", f"{name}:/tmp/{life}").ok()
                equal((root / "tmp" / life).stat().st_uid, owner)
                b.viv("cp", "-a", f"{name}:/own", work() / "own").ok()
                equal((work() / "own").stat().st_uid, 3)
                b.viv("stop", "-t", "0", name).ok()
            b.viv("start", name).ok()
            equal(b.viv("exec", name, "stat", "-c", "%u", "/tmp/runs", "/tmp/ended").ok().out,
                  "0\n0\n")


def test_machines_that_keep_nothing_are_refused():
    with box() as b:
        b.viv("create", "--rm", "--isolation", "vm", "--name", "m", "busybox", "true").ok()
        for words in (("m:/etc", work()), (work(), "m:/tmp")):
            fails(b.viv("cp", *words), 125, "copy files out with `viv exec m tar")


def test_one_that_goes_with_its_end():
    (work() / "f").write_text("x")
    with box() as b:
        b.viv("create", "--rm", "--name", "c", *b.flags("busybox", "--", "cat", "/f")).ok()
        b.viv("cp", work() / "f", "c:/f").ok()
        equal(b.viv("start", "-a", "c").ok().out, "x")


def test_from_sandbox_to_sandbox():
    tree(work() / "d")
    with box() as b:
        first, second = both(b)
        b.viv("cp", work() / "d", f"{first}:/d").ok()
        b.viv("cp", f"{first}:/d", f"{second}:/e").ok()
        b.viv("cp", f"{second}:/e", work() / "back").ok()
        equal(listing(work() / "back"), listing(work() / "d"))


# ---- hostile ones --------------------------------------------------------------------------------


def test_links_lead_nowhere_but_inside():
    secret = work() / "secret"
    secret.write_text("host")
    (work() / "f").write_text("from cp")
    (work() / "box").mkdir()
    up = "../" * 30
    with box() as b:
        for users in ("auto", "host"):
            name = b.start("--userns", users, script=(
                f"ln -s {secret} /abs; ln -s {up}{secret} /up; ln -s {work()} /dir; "
                f"ln -s /proc/1/root /magic; ln -s /proc/self/fd/0 /fd; touch /ready; sleep 1000"))
            eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
            for path in ("/abs", "/up", f"/{up}{secret}", "/dir/secret", f"/magic{secret}",
                         f"/proc/1/root{secret}", f"/proc/self/root{secret}", "/fd"):
                done = b.viv("cp", "-L", f"{name}:{path}", work() / "box")
                check(done.status == 125, f"{path}: {done}")
                done = b.viv("cp", work() / "f", f"{name}:{path}")
                equal(secret.read_text(), "host", path)
            for path in ("/dir/", "/magic/"):
                b.viv("cp", work() / "f", f"{name}:{path}")
            equal(sorted(os.listdir(work())), ["box", "f", "secret"])
            equal(os.listdir(work() / "box"), [])
            b.viv("rm", "-f", name).ok()


@contextlib.contextmanager
def exchanging(*pairs):
    """Exchanges two names for each other, as fast as this machine can, while the body runs."""
    rename = ctypes.CDLL(None).renameat2
    over = threading.Event()

    def loop():
        while not over.is_set():
            for one, other in pairs:
                rename(-100, one, -100, other, 2)  # AT_FDCWD, RENAME_EXCHANGE

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_names_that_are_exchanged_while_we_copy():
    """A folder and a file take turns with links to the host's: whatever the moment, none is used."""
    outside = work() / "outside"
    outside.mkdir()
    for name in ("deep", "target"):
        (outside / name).write_text("host")
        (outside / name).chmod(0o600)
    before = listing(outside)
    source = tree(work() / "d")
    (source / "hard").unlink()
    with box() as b:
        for users in ("auto", "host"):
            name = b.start("--userns", users, script=(
                f"mkdir -p /t/d/sub /o; echo inside > /t/d/sub/deep; echo inside > /t/d/file; "
                f"ln -s {outside} /o/folder; ln -s {outside}/target /o/file; touch /ready; "
                "sleep 1000"))
            eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
            root = f"/proc/{b.pid(name)}/root"
            pairs = [(f"{root}/t/d/{one}".encode(), f"{root}/o/{other}".encode())
                     for one, other in (("sub", "folder"), ("file", "file"))]
            with exchanging(*pairs):
                for _ in range(15):
                    b.viv("cp", source, f"{name}:/t")  # may fail, when it meets the link
                    b.viv("cp", source / "file", f"{name}:/t/d/file")
                    done = b.viv("cp", f"{name}:/t/d", work() / "back")
                    for found in (work() / "back").rglob("*") if done.status == 0 else ():
                        check(found.is_symlink() or not found.is_file() or
                              found.read_text() != "host", str(found))
                    done = b.viv("cp", "-L", f"{name}:/t/d/file", work() / "one")
                    check(done.status != 0 or (work() / "one").read_text() != "host")
                    run("rm", "-rf", work() / "back", work() / "one").ok()
                    equal(listing(outside), before)
            b.viv("rm", "-f", name).ok()


def test_nothing_hangs_and_no_device_is_made():
    (work() / "f").write_text("x")
    with box() as b:
        name = b.start("--userns", "host", script=(
            "mkdir /t; mkfifo /t/fifo; mknod /t/null c 1 3; mknod /t/disk b 7 0; touch /ready; "
            "sleep 1000"))
        eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
        done = b.viv("cp", f"{name}:/t", work() / "t").ok()
        equal(os.listdir(work() / "t"), ["fifo"])
        contains(done.err, "left out: 2 devices")
        equal(b.viv("cp", "-q", f"{name}:/t", work() / "t").ok().err, "")
        for path in ("/t/fifo", "/t/null"):  # in the way: replaced, not opened
            b.viv("cp", work() / "f", f"{name}:{path}").ok()
            equal(read(b, name, path), "x")


def test_names_do_not_talk_to_the_terminal():
    with box() as b:
        name = b.start(script="mkdir /t; touch \"/t/$(printf '\\033[2J')\"; touch /ready; sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
        (work() / "t/\033[2J").mkdir(parents=True)
        fails(b.viv("cp", f"{name}:/t", work()), 125, 'entry "t/?[2J"')


def test_streams_of_strangers():
    def archive(*entries):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as out:
            for path, type_, link in entries:
                info = tarfile.TarInfo(path)
                info.type, info.linkname = type_, link
                out.addfile(info)
        (work() / "a.tar").write_bytes(packed.getvalue())

    outside = work() / "outside"
    outside.mkdir()
    (outside / "f").write_text("host")
    with box() as b:
        name = b.start("--userns", "host")
        into = f"{program('viv')} --root {b.store} cp - {name}:/tmp < {work()}/a.tar"
        for entries in ([("../../x", tarfile.REGTYPE, "")],
                        [("l", tarfile.SYMTYPE, str(outside)), ("l/x", tarfile.REGTYPE, "")],
                        [("l", tarfile.SYMTYPE, str(outside)), ("h", tarfile.LNKTYPE, "l/f")],
                        [("h", tarfile.LNKTYPE, "../../etc/passwd")]):
            archive(*entries)
            check(run("sh", "-c", into).status == 125, str(entries))
            equal(os.listdir(outside), ["f"])
        archive(("n", tarfile.CHRTYPE, ""), ("ok", tarfile.REGTYPE, ""))
        contains(run("sh", "-c", into).ok().err, "left out: 1 device")
        equal(b.viv("exec", name, "ls", "/tmp").ok().out, "l\nok\n")
