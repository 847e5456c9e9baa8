"""viv as an ordinary user: with a range of ids from /etc/subuid, and with one id where there is
none; it says once which limits it cannot set."""
import contextlib
import os
import shutil

from lib import *
from lib.registry import Layout, tar_of
from box import CGROUPS  # pylint: disable=unused-import
from ordinary import UID, as_them, cable, open_tun, own_files

TIMEOUT = 60


@private("mnt")
@needs(root=True)
def test_one_id():
    own_files("")
    done = as_them("run", "--rm", "busybox", "--", "sh", "-c", "id -u; cat /proc/self/uid_map")
    equal(done.ok().out.split(), ["0", "0", str(UID), "1"])


@private("mnt")
@needs(root=True, programs=["newuidmap"])
def test_a_range_of_ids():
    own_files("vivtest:700000:65536\n")
    done = as_them("run", "--rm", "busybox", "--", "sh", "-c", "id -u; cat /proc/self/uid_map")
    equal(done.ok().out.split(), ["0", "0", str(UID), "1", "1", "700000", "65536"])
    matches(as_them("check").out, r"(?m)^ok +ranges in /etc/subuid +yes$")


@private("mnt")
@needs(root=True)
def test_limits_that_it_cannot_set_are_told_once():
    own_files("")
    done = as_them("run", "--rm", "-m", "64m", "--pids-limit", "9", "busybox", "true").ok()
    told = [line for line in done.err.splitlines() if "limit" in line]
    equal(len(told), 1, done.err)


@private("mnt")
@needs(root=True)
def test_commands():
    own_files("")
    as_them("run", "-d", "--name", "r1", "busybox", "--", "sleep", "1000").ok()
    contains(as_them("ps").ok().out, "r1")
    equal(as_them("exec", "r1", "id", "-u").ok().out, "0\n")
    as_them("rm", "-f", "r1").ok()
    lacks(as_them("ps", "-a").ok().out, "r1")
    fails(as_them("run", "--userns", "keep-id", "busybox", "true"), 125, "root inside is you")


@private("mnt", "net")
@needs(root=True, programs=["pasta", "ip"])
def test_a_network_without_its_device():
    own_files("")
    (work() / "tun").touch(0o600)
    run("mount", "--bind", work() / "tun", "/dev/net/tun").ok()
    fails(as_them("run", "--rm", "--network", "pasta", "busybox", "true"), 125, "chmod 666 /dev/net/tun")
    matches(as_them("check").out, r"(?m)^limited +networks, by pasta +/dev/net/tun is not open to you$")


@private("mnt", "net")
@needs(root=True, programs=["pasta", "ip"])
def test_a_network_by_pasta():
    """An ordinary user's sandbox has the host's way out, and publishes ports, without root."""
    own_files("vivtest:700000:65536\n")
    open_tun()
    with contextlib.ExitStack() as stack:
        outside = cable(stack)
        server = ("echo inside >/www/index.html; httpd -p 80 -h /www; sleep 1000")
        as_them("run", "-d", "--name", "r1", "-p", "8080-8081:80-81", "--network", "pasta", "--tmpfs", "/www",
                "busybox",
                "--", "sh", "-c", server).ok()
        with Background(*outside, "busybox", "httpd", "-f", "-p", "80", "-h", ROOT / "src/nft"):
            eventually(lambda: run(*outside, "busybox", "wget", "-qO-", "http://192.0.2.1:8080/").out ==
                       "inside\n")
            eventually(lambda: "viv-nft" in as_them("exec", "r1", "wget", "-qO-",
                                                    "http://192.0.2.2/main.c").out)
        use = as_them("stats", "--no-stream", "--format", "{{.NetIO}}", "r1").ok().out
        matches(use, r"^\d+(\.\d+)? KiB / \d")  # the file, and what it was asked for by
        as_them("rm", "-f", "r1").ok()
        # ports that are chosen are told, and one that somebody has is refused
        as_them("run", "-d", "--name", "r2", "-p", "80", "-p", "8080-8089:81/udp", "-P", "--expose",
                "82", "--network", "pasta", "--tmpfs", "/www", "busybox", "--", "sh", "-c", server).ok()
        told = dict(line.split(" -> ") for line in as_them("port", "r2").ok().lines())
        equal((sorted(told), told["81/udp"]), (["80/tcp", "81/udp", "82/tcp"], "0.0.0.0:8080"))
        contains(as_them("ps").ok().out, told["80/tcp"] + "->80/tcp")
        port = told["80/tcp"].rsplit(":", 1)[1]
        eventually(lambda: run(*outside, "busybox", "wget", "-qO-", f"http://192.0.2.1:{port}/").out ==
                   "inside\n")
        fails(as_them("run", "--rm", "-p", f"{port}:80", "--network", "pasta", "busybox", "true"), 125,
              f"publish port {port}/tcp: EADDRINUSE")
        as_them("rm", "-f", "r2").ok()
        eventually(lambda: not [pid for pid, name in descendants().items()
                                if name.startswith("pas") and not os.waitpid(pid, os.WNOHANG)[0]])
    fails(as_them("run", "--rm", "--network", "web", "busybox", "true"), 125,
          "an ordinary user has --network pasta")


@private("mnt")
@needs(root=True)
def test_images_and_what_sandboxes_leave():
    """An ordinary user's store: an image is loaded, run, committed and exported, with files of ids
    that only the sandbox has a right over; all of it goes with the sandbox."""
    own_files("vivtest:700000:65536\n")
    layout = Layout("layout")
    item = layout.image(tar_of(image()), config={"Cmd": ["sh"]})
    layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": "localhost/bb:1"}})
    run("chmod", "-R", "a+rX", layout.path).ok()
    os.chmod(work(), 0o755)
    as_them("load", "-q", "-i", layout.path).ok()
    script = ("mkdir -m 700 /priv && echo secret >/priv/file && chown -R 33:44 /priv && "
              "rm /etc/hostname 2>/dev/null; echo done")
    equal(as_them("run", "--name", "r1", "bb:1", "--", "sh", "-c", script).ok().out, "done\n")
    home = work() / "home/data/images"
    equal((next(home.glob("roots/*/upper")) / "priv").stat().st_uid, 700032)
    contains(as_them("diff", "r1").ok().out, "A /priv\n")
    as_them("commit", "r1", "made:1").ok()
    equal(as_them("run", "--rm", "made:1", "--", "sh", "-c", "cat /priv/file; ls -ld /priv | wc -l")
          .ok().out, "secret\n1\n")
    as_them("export", "-o", work() / "home/out.tar", "r1").ok()
    contains(run("tar", "-tvf", work() / "home/out.tar").ok().out, "33/44")
    as_them("rm", "r1").ok()
    equal([os.listdir(home / folder) for folder in ("roots", "tmp")], [[], []])
    as_them("run", "--rm", "busybox", "--", "sh", "-c", script).ok()
    equal([os.listdir(home / folder) for folder in ("roots", "tmp")], [[], []])
    as_them("rmi", "-a").ok()


@private("mnt")
@needs(root=True, programs=["newuidmap"])
def test_cp():
    own_files("vivtest:700000:65536\n")
    as_them("create", "--name", "c", "busybox", "--", "sleep", "1000").ok()
    source = work() / "home/source"
    source.mkdir()
    (source / "f").write_text("x")
    for path in (source, source / "f"):
        os.chown(path, UID, UID)
    for life in ("made", "runs"):
        as_them("cp", source, f"c:/{life}").ok()
        as_them("cp", f"c:/{life}", work() / f"home/{life}").ok()
        st = (work() / f"home/{life}/f").stat()
        equal((st.st_uid, st.st_gid), (UID, UID))
        as_them("start", "c").ok()
    equal(as_them("exec", "c", "stat", "-c", "%u", "/made/f", "/runs/f").ok().out, "0\n0\n")
    as_them("rm", "-f", "c").ok()
