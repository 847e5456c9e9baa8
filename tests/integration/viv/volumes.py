"""Volumes: made, filled, shared, listed, in use, taken away."""
import json
import os
import pathlib

from lib import *
from box import box

TIMEOUT = 60


def folder(name):
    return pathlib.Path(os.environ["VIV_DATA_ROOT"], "volumes", name, "_data")


def names(b, *flags):
    return b.viv("volume", "ls", "-q", *flags).ok().lines()


def test_a_volume_is_shared_and_outlives_its_users():
    with box() as b:
        b.start("-v", "data:/d", name="one", script="echo one > /d/f; chown 7:8 /d/f; sleep 1000")
        eventually(lambda: (folder("data") / "f").exists() and (folder("data") / "f").stat().st_uid)
        st = (folder("data") / "f").stat()
        equal((st.st_uid, st.st_gid), (7, 8))  # as inside, whatever ids the sandbox has
        equal(b.out("stat -c %u:%g /d/f; cat /d/f", "-v", "data:/d"), "7:8\none")
        fails(b.sh("echo x > /d/f", "-v", "data:/d:ro"), 1, "Read-only")
        fails(b.sh("/d/x", "-v", "data:/d:noexec"), 127)
        equal(b.out("cat /e/f", "--mount", "type=volume,source=data,target=/e,readonly"), "one")
        equal(b.out("grep -c ' /d .* shared:' /proc/self/mountinfo", "-v", "data:/d:rshared"), "1")
        equal([mount["Name"] for mount in b.inspect("one")["Mounts"]], ["data"])
        equal(b.viv("ps", "--format", "{{.Names}}", "--filter", "volume=data").out, "one\n")
        users = b.viv("volume", "rm", "data")
        fails(users, 1, 'volume "data" is in use by one')
        b.viv("rm", "-f", "-v", "one").ok()
        equal((folder("data") / "f").read_text(), "one\n")
        equal(b.viv("volume", "rm", "data").ok().out, "data\n")
        check(not folder("data").exists())
        fails(b.viv("volume", "rm", "data"), 1, 'no such volume: "data"')
        b.viv("volume", "rm", "-f", "data").ok()


def test_a_new_volume_is_filled_once():
    with box() as b:
        equal(b.out("ls /v | head -1; stat -c %a:%u /v", "-v", "full:/v", "-v", "copy:/etc"),
              "755:0")
        equal(sorted(os.listdir(folder("copy")))[0], "group")
        (folder("copy") / "group").unlink()
        equal(b.out("ls /etc/group || echo none", "-v", "copy:/etc"), "none")
        equal(b.out("ls /etc | grep -c group || true", "-v", "plain:/etc:nocopy"), "0")


def test_volumes_without_a_name_go_with_their_sandbox():
    with box() as b:
        b.run("-v", "/anon", "busybox", "true").ok()
        equal(names(b), [])
        b.start("--rm", "-v", "/anon", name="away")
        equal(len(names(b)), 1)
        b.viv("stop", "-t", "0", "away").ok()
        equal(names(b), [])
        b.start("-v", "/anon", "-v", "named:/n", name="kept", script="echo x > /anon/f; sleep 1000")
        anon, = [name for name in names(b) if name != "named"]
        matches(anon, "^[0-9a-f]{64}$")
        eventually(lambda: (folder(anon) / "f").exists())
        b.viv("restart", "-t", "0", "kept").ok()
        equal([name for name in names(b) if name != "named"], [anon])
        equal(b.viv("volume", "prune", "-f").ok().out, "")
        b.viv("rm", "-f", "kept").ok()
        equal(names(b, "--filter", "dangling=true"), sorted([anon, "named"]))
        equal(names(b, "--filter", "until=1h"), [])
        equal(names(b, "--filter", "label!=x", "--filter", "until=0s"), sorted([anon, "named"]))
        equal(b.viv("volume", "prune").ok().lines(), [anon])
        equal(b.viv("volume", "rm", "-a").ok().lines(), ["named"])
        fails(b.viv("volume", "rm"), 125, "name a volume")
        b.start("-v", "/anon", name="kept")
        b.viv("rm", "-f", "-v", "kept").ok()
        equal(names(b), [])
        fails(b.viv("run", "-v", "/anon", *b.flags(), "busybox", "nosuch"), 127)
        equal(names(b), [])


def test_volumes_from_another():
    with box() as b:
        host = work() / "host"
        host.mkdir()
        b.viv("create", "--name", "src", "-v", "data:/d", "-v", f"{host}:/h", "-v", "/own", *b.flags(),
              "busybox", "true").ok()
        equal(len(names(b)), 2)
        b.out("echo 1 > /d/f; echo 2 > /h/f; echo 3 > /own/f", "--volumes-from", "src")
        equal((host / "f").read_text(), "2\n")
        equal(b.out("cat /d/f /own/f", "--volumes-from", "src:ro"), "1\n3")
        fails(b.sh("echo x > /d/f", "--volumes-from", "src:ro"), 1, "Read-only")
        fails(b.run("--volumes-from", "nosuch", "busybox", "true"), 125, "--volumes-from")
        b.viv("rm", "-v", "src").ok()
        equal(names(b), ["data"])


def test_options_labels_and_lists():
    with box() as b:
        host = work() / "elsewhere"
        host.mkdir()
        b.viv("volume", "create", "-l", "a=1", "-o", "type=tmpfs", "-o", "o=size=1m,mode=0700",
              "mem").ok()
        b.viv("volume", "create", "-o", "type=none", "-o", f"device={host}", "-o", "o=bind",
              "bound").ok()
        equal(b.out("mount | grep ' /m ' | grep -o 'size=[0-9]*k'; echo in > /b/f", "-v", "mem:/m",
                    "-v", "bound:/b"), "size=1024k")
        equal((host / "f").read_text(), "in\n")
        made = b.viv("volume", "create").ok().out.strip()
        equal(names(b), sorted([made, "bound", "mem"]))
        equal(names(b, "--filter", "label=a=1"), ["mem"])
        equal(names(b, "--filter", "name=bou"), ["bound"])
        table = [line.split() for line in b.viv("volume", "ls").ok().lines()]
        equal(table[0], ["DRIVER", "VOLUME", "NAME"])
        equal(table[1], ["local", sorted([made, "bound", "mem"])[0]])
        found = json.loads(b.viv("volume", "inspect", "mem").ok().out)[0]
        equal((found["Labels"], found["Options"]["type"]), ({"a": "1"}, "tmpfs"))
        equal(b.viv("volume", "inspect", "-f", "{{.Mountpoint}}", "bound").out.strip(),
              str(folder("bound")))
        equal((b.viv("volume", "exists", "mem").status, b.viv("volume", "exists", "no").status), (0, 1))
        fails(b.viv("volume", "create", "mem"), 125, "already")
        b.viv("volume", "create", "--ignore", "mem").ok()
        for words, part in ((["create", "../x"], "a name has"), (["create", "-o", "colour=red", "x"],
                                                                  "only type"),
                            (["ls", "--filter", "x=y"], "dangling=true"), (["nosuch"], 'unknown command "nosuch"; `viv volume --help` lists'),
                            (["inspect", "none"], "no such volume")):
            fails(b.viv("volume", *words), 125, part)
        equal(names(b, "--filter", "name=x"), [])


def part(path, key="volume-subpath", volume="parts"):
    return ["--mount", f"type=volume,src={volume},dst=/d,{key}={path}"]


def test_a_part_of_a_volume():
    with box() as b:
        b.viv("volume", "create", "parts").ok()
        top = folder("parts")
        (top / "a/b").mkdir(parents=True)
        (top / "a/b/f").write_text("inside\n")
        (top / "file").write_text("a file\n")
        secret = work() / "secret"
        secret.mkdir()
        (secret / "f").write_text("secret\n")
        (top / "in").symlink_to("a/b")
        (top / "abs").symlink_to("/a/b")
        (top / "out").symlink_to(secret)
        (top / "up").symlink_to("../../../../../../../../../../" + str(secret))
        for path in ("a/b", "in", "abs", "a/../a/./b"):
            equal((path, b.out("cat /d/f; ls /d", *part(path))), (path, "inside\nf"))
        equal(b.out("cat /d", *part("file", "subpath")), "a file")
        # links and dots stay inside the volume, where there is no such thing
        for path in ("out", "up", "../../../../../.." + str(secret), "nosuch"):
            fails(b.sh("cat /d/f", *part(path)), 125, "it has to be there")
        equal(b.names(), [])
        equal(b.out("echo new > /d/g; ls /d", "--userns", "auto", *part("a/b")), "f\ng")
        equal(((top / "a/b/g").read_text(), (top / "a/b/g").stat().st_uid), ("new\n", 0))
        fails(b.sh("echo x > /d/h", "--mount", "type=volume,src=parts,dst=/d,subpath=a,ro"), 1,
              "Read-only")
        contains(b.viv("explain", *part("a/b"), "busybox", "true").ok().out, '"a/b"')
        for words, why in ((part("/a"), "below the volume"), (part("a", volume=""), "subpath"),
                           (["--mount", "type=bind,src=/,dst=/d,subpath=a"], "a volume's")):
            fails(b.run(*words, "busybox", "true"), 125, why)


def test_a_volume_that_is_used_goes_with_force():
    with box() as b:
        b.viv("create", "--name", "idle", "-v", "v:/v", *b.flags(), "busybox", "true").ok()
        fails(b.viv("volume", "rm", "v"), 1, "in use by idle")
        b.viv("volume", "rm", "-f", "v").ok()
        fails(b.viv("inspect", "idle"), 125, "no such sandbox")
        b.start("-v", "v:/v", name="busy")
        fails(b.viv("volume", "rm", "-f", "v"), 1, "stop it first")
        equal(names(b), ["v"])
