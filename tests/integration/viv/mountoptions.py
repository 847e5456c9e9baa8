"""Each option of -v and --mount, by what it does inside."""
import os

from lib import *
from box import box

TIMEOUT = 150


def options(b, flags, path="/m"):
    """The mount options of a place, as the sandbox sees them."""
    line, = [line for line in b.out("cat /proc/self/mountinfo", *flags).splitlines()
             if line.split()[4] == path]
    return line.split()[5].split(",")


def test_options_of_the_mount():
    with box() as b:
        (work() / "d").mkdir()
        source = work() / "d"
        for word in ("nosuid", "nodev", "noexec", "noatime", "ro"):
            found = options(b, ["-v", f"{source}:/m:{word}"])
            check(word in found, f"{word}: {found}")
            found = options(b, ["-v", f"vol:/m:{word}"])
            check(word in found, f"{word}: {found}")
        for words in ("cached", "delegated", "consistent", "rw", "copy"):
            check("rw" in options(b, ["-v", f"{source}:/m:{words}"]), words)
        check("rw" in options(b, ["--mount", f"type=bind,src={source},dst=/m,consistency=cached"]))
        (source / "link").symlink_to("file")
        (source / "file").write_text("there\n")
        equal(b.out("cat /m/link", "-v", f"{source}:/m"), "there")
        check(b.sh("cat /m/link", "-v", f"{source}:/m:nosymfollow").status != 0, "it was followed")
        (source / "tool").write_text("#!/bin/sh\necho ran\n")
        (source / "tool").chmod(0o755)
        equal(b.out("/m/tool", "-v", f"{source}:/m:exec"), "ran")
        fails(b.sh("/m/tool", "-v", f"{source}:/m:noexec"), 126, "Permission denied")
        for flags, text in (("nosiud", "did you mean nosuid"), ("ro,rw", "read-only and writable"),
                            ("shared,slave", "contradict")):
            fails(b.run("-v", f"{source}:/m:{flags}", "busybox", "true"), 125, text)


def test_labels_of_files():
    """z and Z mean nothing without SELinux; selinux.py has the rest."""
    with box() as b:
        (work() / "d").mkdir()
        check("rw" in options(b, ["-v", f"{work()}/d:/m:z"]))
        check("rw" in options(b, ["--mount", f"type=bind,source={work()}/d,target=/m,relabel=private"]))
        fails(b.run("-v", f"{work()}/d:/m:z,Z", "busybox", "true"), 125, "z and Z contradict each other")


def owners(folder):
    return {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in folder.rglob("*")}


@private("mnt")
def test_the_source_is_given_to_the_user():
    """U: what is below belongs to the sandbox's user, by the ids that it has on the host; links and
    other mounts are left alone, and so is what a system is made of."""
    with box() as b:
        source, beside = work() / "d", work() / "beside"
        (source / "sub/mounted").mkdir(parents=True)
        for path in (source / "sub/f", beside):
            path.write_text("x")
            os.chmod(path, 0o4755)
        (source / "link").symlink_to(beside)
        run("mount", "-t", "tmpfs", "tmpfs", source / "sub/mounted").ok()
        script = "stat -c %u:%g /mnt /mnt/sub/f; echo more >> /mnt/sub/f"
        for flags, wanted in ((["--userns", "host", "-u", "12:34", "-v", f"{source}:/mnt:U"], (12, 34)),
                              (["--uidmap", "0:300000:99", "-u", "12:34", "-v", f"{source}:/mnt:U"],
                               (300012, 300034)),
                              (["--uidmap", "0:300000:99", "-u", "12:34", "--mount",
                                f"type=bind,src={source},dst=/mnt,U=true,idmap"], (12, 34)),
                              (["--userns", "auto", "-u", "12:34", "-v", "vol:/mnt:U"], (12, 34))):
            script = script if "vol:/mnt:U" not in flags else "stat -c %u:%g /mnt"
            equal(set(b.out(script, *flags).split()), {"12:34"}, str(flags))
            found = owners(source)
            if "vol:/mnt:U" not in flags:
                equal((found["sub"], found["f"], found["link"]), (wanted,) * 3, str(flags))
                equal(found["mounted"], (0, 0))
        volume = os.stat(os.path.join(os.environ["VIV_DATA_ROOT"], "volumes/vol/_data"))
        equal((volume.st_uid, volume.st_gid), (12, 34))
        equal(os.stat(beside).st_uid, 0)
        equal((source / "sub/f").stat().st_mode & 0o7777, 0o755)
        (work() / "etc").symlink_to("/etc")
        for place in ("/etc", work() / "etc"):
            fails(b.run("-v", f"{place}:/mnt:U", "busybox", "true"), 125, "keeps its owners")
        (work() / "bound").mkdir()
        for place in ("/sbin", "/srv"):  # what is hidden cannot be changed, should it not be refused
            run("mount", "-t", "tmpfs", "tmpfs", place).ok()
        run("mount", "--bind", "/srv", work() / "bound").ok()
        for place, name in ((os.path.realpath("/sbin"), "/sbin"), (work() / "bound", "/srv")):
            fails(b.run("-v", f"{place}:/mnt:U", "busybox", "true"), 125, f"{place} is {name}, which keeps")
        run("umount", "/sbin").ok()
        fails(b.run("-v", f"{source}:/mnt:U", "busybox", "true", env={"HOME": str(source)}), 125,
              f"{source} keeps its owners")
        lenient = work() / "lenient"
        lenient.write_text("0\n")
        run("mount", "--bind", lenient, "/proc/sys/fs/protected_hardlinks").ok()
        fails(b.run("-v", f"{source}:/mnt:U", "busybox", "true"), 125, "fs.protected_hardlinks=0")
        run("umount", "/proc/sys/fs/protected_hardlinks").ok()
        fails(b.run("--uidmap", "0:300000:9", "-u", "12", "-v", f"{source}:/mnt:U", "busybox", "true"), 125)
        contains(b.viv("explain", *b.flags(), "-u", "12", "--userns", "host", "-v", f"{source}:/mnt:U",
                       "busybox", "true").ok().out, "belong to the sandbox's user")


def test_no_link_of_another_sandbox_leads_to_what_is_given_away():
    """Its source is in a root that somebody else writes to: a link there is that one's, and would lead
    through the host's root."""
    with box() as b:
        victim = work() / "victim"
        victim.mkdir()
        name = b.start("--userns", "host", script=f"mkdir /good; ln -s {victim} /bad; echo made; sleep 1000")
        eventually(lambda: "made" in b.viv("logs", name).out, 60)
        root = f"/proc/{b.pid(name)}/root"
        flags = ["--userns", "host", "-u", "12:34"]
        equal(b.out("stat -c %u:%g /m", *flags, "-v", f"{root}/good:/m:U"), "12:34")
        fails(b.run(*flags, "-v", f"{root}/bad:/m:U", "busybox", "true"), 125, "ELOOP")
        equal(victim.stat().st_uid, 0)
        b.viv("rm", "-f", name).ok()


def test_what_others_mount_stays_theirs():
    """Of --volumes-from; and U is for what is there already."""
    with box() as b:
        (work() / "d").mkdir()
        b.viv("create", "--name", "first", *b.flags("-u", "12:34", "--userns", "host"),
              "-v", f"{work()}/d:/m:U", "busybox", "true").ok()
        b.viv("start", "-a", "first").ok()
        equal(b.out("stat -c %u:%g /m", "-u", "56", "--userns", "host", "--volumes-from", "first"), "12:34")
        for flags in (["--tmpfs", "/m:U"], ["--mount", "type=tmpfs,target=/m,U=true"]):
            fails(b.run(*flags, "busybox", "true"), 125, "U gives away what a bind mount shows")


@private("mnt")
def test_what_is_mounted_below():
    """A bind takes what is below with it, read-only too, unless it is said otherwise."""
    with box() as b:
        source = work() / "d"
        (source / "sub").mkdir(parents=True)
        run("mount", "-t", "tmpfs", "tmpfs", source / "sub").ok()
        (source / "sub/f").write_text("below\n")
        mount = f"type=bind,source={source},target=/m"
        equal(b.out("cat /m/sub/f", "-v", f"{source}:/m"), "below")
        write = "(echo x >/m/sub/new && rm /m/sub/new) 2>/dev/null && echo written || echo refused"
        for flags, wanted in ((["-v", f"{source}:/m"], "written"), (["-v", f"{source}:/m:ro"], "refused"),
                              (["-v", f"{source}:/m:ro-non-recursive"], "written"),
                              (["--mount", mount + ",readonly"], "refused"),
                              (["--mount", mount + ",readonly,bind-recursive=writable"], "written")):
            equal((flags, b.out(write, *flags)), (flags, wanted))
        for flags in (["--mount", mount + ",bind-nonrecursive"],
                      ["--mount", mount + ",bind-recursive=disabled"]):
            equal(b.out("ls /m/sub", *flags), "")


@private("mnt")
def test_propagation():
    """What is mounted later passes in and out as the word says."""
    with box() as b:
        top = work() / "top"
        top.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", top).ok()
        run("mount", "--make-shared", top).ok()
        for word, flags in (("rprivate", ["-v", f"{top}:/m"]), ("rslave", ["-v", f"{top}:/m:rslave"]),
                            ("rshared", ["--mount", f"type=bind,source={top},target=/m,"
                                         "bind-propagation=rshared"])):
            for end in ("in", "out"):
                (top / word / end).mkdir(parents=True)
            script = (f"while [ ! -e /m/{word}/go ]; do sleep 0.02; done; "
                      f"ls /m/{word}/in; mount -t tmpfs tmpfs /m/{word}/out && touch /m/{word}/out/f; "
                      "echo done; sleep 1000")
            name = b.start("--userns", "host", "--cap-add", "SYS_ADMIN", *flags, script=script)
            run("mount", "-t", "tmpfs", "tmpfs", top / word / "in").ok()
            (top / word / "in/late").write_text("")
            (top / word / "go").write_text("")
            eventually(lambda n=name: "done" in b.viv("logs", n).out, 60)
            lines = b.viv("logs", name).out.split()
            equal((word, "late" in lines), (word, word != "rprivate"))
            equal((word, os.path.exists(top / word / "out/f")), (word, word == "rshared"))
            b.viv("rm", "-f", name).ok()


def test_file_systems_in_memory():
    with box() as b:
        mount = "type=tmpfs,target=/m"
        equal(b.out("stat -c %a /m; df -k /m | tail -1 | awk '{print $2}'",
                    "--mount", mount + ",tmpfs-size=2m,tmpfs-mode=0711"), "711\n2048")
        equal(b.out("stat -c %a /m; df -k /m | tail -1 | awk '{print $2}'",
                    "--tmpfs", "/m:size=3m,mode=700"), "700\n3072")
        check("ro" in options(b, ["--mount", mount + ",readonly"]))
        check("noexec" in options(b, ["--tmpfs", "/m:noexec"]))
        equal(b.out("ls /etc/passwd", "--mount", "type=tmpfs,target=/etc,tmpcopyup"), "/etc/passwd")
        fails(b.run("--mount", mount + ",source=/x", "busybox", "true"), 125, "has no source")


def test_owners_are_right_whatever_the_ids():
    """A volume's files have the owners that are seen inside; a directory's are mapped on demand."""
    with box() as b:
        source = work() / "d"
        source.mkdir()
        (source / "f").write_text("")
        os.chown(source / "f", 7, 8)
        os.chmod(source, 0o777)
        for users in ("auto", "host"):
            mount = f"{source}:/m:idmap" if users == "auto" else f"{source}:/m"
            equal((users, b.out("stat -c %u:%g /m/f", "--userns", users, "-v", mount)),
                  (users, "7:8"))
            equal(b.out("touch /v/f; chown 7:8 /v/f; stat -c %u:%g /v/f", "--userns", users,
                        "-v", "own:/v"), "7:8")
            equal(b.out("touch /m/new; chown 5:6 /m/new; stat -c %u:%g /m/new", "--userns", users,
                        "-v", mount), "5:6")
            found = os.stat(source / "new")
            equal((found.st_uid, found.st_gid), (5, 6))
        fails(b.run("--userns", "host", "-v", f"{source}:/m:idmap", "busybox", "true"), 125,
              "idmap without uidMappings")
        equal(b.out("ls /etc | head -1", "--mount", "type=volume,source=c1,target=/etc,volume-nocopy"), "")
        check(b.out("ls /etc | head -1", "--mount", "type=volume,source=c2,target=/etc"), "not filled")
