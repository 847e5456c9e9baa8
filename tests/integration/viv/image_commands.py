"""The commands on images: what they print, what they change, and what others can read of it."""
import json
import os
import pathlib
import subprocess

from lib import *
from lib.registry import *
from box import box

TIMEOUT = 120


def two_images():
    """localhost/first:1, and localhost/second:2 which has one layer more."""
    extra = work() / "extra"
    (extra / "srv").mkdir(parents=True)
    (extra / "srv/page").write_text("page")
    first = load_image("localhost/first:1", image(), config={"Cmd": ["sh"], "Labels": {"a": "1"}})
    second = load_image("localhost/second:2", image(), extra)
    return first, second


def rows(b, *args):
    return json.loads(b.viv("images", "--format", "json", *args).ok().out)


def test_lists_and_filters():
    first, second = two_images()
    with box() as b:
        table = b.viv("images").ok().lines()
        matches(table[0], r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE")
        equal(len(table), 3)
        equal(sorted(b.viv("images", "-q", "--no-trunc").ok().lines()), sorted([first, second]))
        contains(b.viv("images", "--digests").ok().out, "DIGEST")
        equal(b.viv("images", "-f", "label=a=1", "--format", "{{.Repository}}:{{.Tag}}").ok().out,
              "localhost/first:1\n")
        equal(b.viv("images", "-f", "label=b", "-q").ok().out, "")
        equal([row["Id"] for row in rows(b, "-f", "reference=*second*")], [second])
        equal([row["Id"] for row in rows(b, "first")], [first])
        equal([row["Id"] for row in rows(b, "--sort", "repository")], [first, second])
        equal([row["Id"] for row in rows(b, "--sort", "size")], [first, second])
        equal([row["Id"] for row in rows(b, "--filter", "label!=a")], [second])
        equal(len(rows(b, "--filter", "until=1000000000")), 2)  # nobody knows when they were made
        b.viv("tag", "first:1", "quay.example/a/b:3", "docker.io/library/x:y").ok()
        equal(b.viv("images", "-q").ok().lines().count(first[7:19]), 1)
        equal(b.viv("images", "quay.example/a/b").ok().lines()[1].split()[:2],
              ["quay.example/a/b", "3"])
        equal([row["Id"] for row in rows(b, "x")], [first])
        equal(rows(b, "-f", "dangling=true"), [])
        fails(b.viv("images", "-f", "nonsense=1"), 125, "--filter nonsense=1: write dangling=true")
        fails(b.viv("images", "--format", "{{.Nothing}}"), 125, "Nothing")
        shown = json.loads(b.viv("inspect", "first:1").ok().out)[0]
        equal((shown["Id"], shown["Config"]["Labels"]), (first, {"a": "1"}))
        equal(shown, json.loads(b.viv("image", "inspect", first[:20]).ok().out)[0])
        equal(b.viv("inspect", "-f", "{{.Architecture}}", "second:2").ok().out, "amd64\n")
        fails(b.viv("inspect", "none:1"), 125)
        equal(b.viv("image", "exists", "first:1").status, 0)
        equal(b.viv("image", "exists", "none:1").status, 1)
        contains(b.viv("history", "second:2").ok().lines()[0], "CREATED BY")
        equal(len(json.loads(b.viv("history", "--format", "json", "second:2").ok().out)), 2)
        matches(b.viv("history", "--human=false", "--format", "{{.Size}}", "second:2").ok().out,
                r"^\d+\n\d+\n$")
        equal(b.viv("image", "ls", "-q").ok().out, b.viv("images", "-q").ok().out)


def test_rmi():
    first, second = two_images()
    with box() as b:
        b.viv("tag", "first:1", "other:1").ok()
        equal(b.viv("rmi", "other:1").ok().out, "Untagged: localhost/other:1\n")
        b.viv("tag", "first:1", "other:1").ok()
        fails(b.viv("rmi", first), 1, "has several names (localhost/first:1, localhost/other:1)")
        done = b.viv("rmi", "none:1", "second:2")
        fails(done, 1, "no such image: none:1")
        contains(done.out, f"Deleted: {second}")
        b.viv("rmi", "-i", "--no-prune", "none:1").ok()
        found = b.viv("rmi", "-f", first).ok().out
        equal(found, f"Untagged: localhost/first:1\nUntagged: localhost/other:1\nDeleted: {first}\n")
        equal(list((pathlib.Path(os.environ["VIV_DATA_ROOT"]) / "images/blobs/sha256").iterdir()), [])
        fails(b.viv("rmi"), 125, "name images, or use --all")


def test_archives():
    first, second = two_images()
    with box() as b:
        whole = work() / "both.tar"
        b.viv("save", "-m", "-o", whole, "first:1", "second:2").ok()
        piped = subprocess.run([program("viv"), "save", "second:2"], stdout=subprocess.PIPE,
                               check=True).stdout
        b.viv("save", "--format", "oci-dir", "-o", work() / "layout", "first:1").ok()
        skopeo("copy", "-q", f"oci:{work()}/layout", f"docker-archive:{work()}/by-skopeo.tar:s:1")
        run("gzip", "-k", work() / "by-skopeo.tar").ok()
        b.viv("rmi", "-a").ok()
        equal(b.viv("load", "-q", "-i", whole).ok().lines(),
              ["Loaded image: localhost/first:1", "Loaded image: localhost/second:2"])
        b.viv("rmi", "-a").ok()
        done = b.viv("load", stdin=piped)
        equal(done.ok().out, "Loaded image: localhost/second:2\n")
        matches(done.err, r"^[0-9a-f]{12}: done")
        equal(b.viv("images", "-q", "--no-trunc").ok().out.strip(), second)
        b.viv("load", "-q", "-i", work() / "by-skopeo.tar.gz").ok()
        equal(b.viv("image", "inspect", "-f", "{{.Id}}", "docker.io/library/s:1").ok().out.strip(),
              first)
        imported = b.viv("import", "-c", "CMD [\"cat\", \"/srv/page\"]", "-m", "note", "-q",
                         "--os", "linux", "--arch", "arm64", "--variant", "v8", "-", "page:1", stdin=tar_of(work() / "extra")).ok().out.strip()
        shown = json.loads(b.viv("inspect", imported).ok().out)[0]
        equal((shown["Config"]["Cmd"], shown["History"][0]["comment"], shown["RepoTags"]),
              (["cat", "/srv/page"], "note", ["localhost/page:1"]))
        equal((shown["Os"], shown["Architecture"], shown["Variant"]), ("linux", "arm64", "v8"))
        fails(b.viv("load", "-i", work() / "none"), 125, "none")
        fails(b.viv("load", stdin=b"no archive"), 125)
        fails(b.viv("import", work() / "none"), 125, "open")


def test_commit_diff_and_export():
    two_images()
    with box() as b:
        name = b.start(image=("second:2",), script="echo own >/etc/own; chown 5:6 /etc/own; "
                       "rm /srv/page; echo ready >/ready; sleep 1000")
        eventually(lambda: b.viv("exec", name, "cat", "/ready").out == "ready\n")
        equal(b.viv("diff", name).ok().lines(),
              ["C /etc", "A /etc/own", "A /ready", "C /srv", "D /srv/page"])
        equal(json.loads(b.viv("diff", "--format", "json", name).ok().out)["deleted"], ["/srv/page"])
        equal(b.viv("diff", "--format", "{{.Type}}={{.Path}}", name).ok().lines()[1], "A=/etc/own")
        matches(b.viv("diff", "--format", "table {{.Path}}", name).ok().out, r"^PATH\n/etc\n")
        fails(b.viv("diff", "--format", "{{.Nome}}", name), 125, "there is no .Nome")
        done = b.viv("commit", "-a", "me", "-m", "why", "-c", "ENV MADE=yes", name, "made:1")
        made = done.ok().out.strip()
        equal(b.inspect(name)["State"]["Status"], "running")
        shown = json.loads(b.viv("inspect", "made:1").ok().out)[0]
        equal((shown["Id"], shown["Author"], shown["History"][-1]["comment"],
               len(shown["RootFS"]["Layers"])), (made, "me", "why", 3))
        equal(b.run("made:1", "sh", "-c", "stat -c %u:%g /etc/own; ls /srv; echo $MADE").ok().lines(),
              ["5:6", "yes"])
        run("mkdir", work() / "out").ok()
        b.viv("export", "-o", work() / "out.tar", name).ok()
        run("tar", "-C", work() / "out", "-xpf", work() / "out.tar").ok()
        equal(sorted(os.listdir(work() / "out/srv")), [])
        equal(os.stat(work() / "out/etc/own").st_uid, 5)
        check(not (work() / "out.tar.part").exists())
        skopeo("copy", "-q", f"docker-archive:{saved(b, 'made:1')}", f"dir:{work()}/checked")
        built = b.start(script="echo x >/x; sleep 1000")
        eventually(lambda: b.viv("exec", built, "cat", "/x").out == "x\n")
        equal(b.viv("diff", built).ok().out, "A /x\n")
        b.viv("commit", built, "from-built-in:1").ok()
        equal(b.run("from-built-in:1", "cat", "/x").ok().out, "x\n")
        fails(b.viv("commit", "none"), 125, "no such sandbox")
        fails(b.viv("diff", "none"), 125, "no such sandbox")


def config_of(b, name):
    return json.loads(b.viv("inspect", name).ok().out)[0]["Config"]


def test_commit_records_what_ran():
    """As docker and podman have it: the command, its variables, folder and user become the image's,
    so that it does the same again; --change comes on top."""
    load_image("localhost/base:1", image(), config={
        "Entrypoint": ["/bin/echo", "in front"], "Cmd": ["image"], "WorkingDir": "/etc",
        "Env": ["PATH=/bin", "A=image"], "Labels": {"a": "image"}, "StopSignal": "SIGINT",
        "ExposedPorts": {"80/tcp": {}}})
    with box() as b:
        b.viv("run", "--name", "same", *b.flags("base:1")).ok()
        told = b.viv("commit", "-q", "--iidfile", work() / "id", "same", "same:1").ok().out.strip()
        equal((work() / "id").read_text(), told)
        equal(len(b.viv("images", "--noheading", "same").ok().lines()), 1)
        was, found = config_of(b, "base:1"), config_of(b, "same:1")
        equal(sorted(found.pop("Env")), sorted(was.pop("Env")))
        equal({**was, "StopSignal": None}, {**found, "StopSignal": None})

        b.viv("run", "-t", "--name", "other", *b.flags(
            "-e", "B=two words", "-e", "A=own", "-w", "/tmp", "-u", "7:8", "-l", "b=own",
            "--stop-signal", "KILL", "base:1", "--", "own", "words")).ok()
        b.viv("commit", "other", "other:1").ok()
        found = config_of(b, "other:1")
        equal(found.pop("Env"), ["PATH=/bin", "A=own", "B=two words"])
        equal(found, {"Entrypoint": ["/bin/echo", "in front"], "Cmd": ["own", "words"],
                      "WorkingDir": "/tmp", "User": "7:8", "Labels": {"a": "image", "b": "own"},
                      "StopSignal": "SIGKILL", "ExposedPorts": {"80/tcp": {}}})
        equal(b.run("other:1").ok().out, "in front own words\n")

        b.viv("run", "--name", "replaced", *b.flags("--entrypoint", "sh", "base:1", "--", "-c",
                                                       "echo $A; pwd")).ok()
        b.viv("commit", "-c", "ENV A=changed", "-c", "WORKDIR /bin", "-c", "LABEL x=y", "replaced",
              "replaced:1").ok()
        found = config_of(b, "replaced:1")
        equal((found["Entrypoint"], found["Cmd"], found["Labels"]),
              (["sh"], ["-c", "echo $A; pwd"], {"a": "image", "x": "y"}))
        equal(b.run("replaced:1").ok().out, "changed\n/bin\n")

        b.viv("run", "--name", "plain", *b.flags("busybox", "--", "echo", "built in")).ok()
        b.viv("commit", "plain", "plain:1").ok()
        equal(config_of(b, "plain:1")["Cmd"], ["echo", "built in"])
        equal(b.run("plain:1").ok().out, "built in\n")


def test_one_that_never_ran_is_looked_into():
    two_images()
    with box() as b:
        for name, image in ("layered", "second:2"), ("built-in", "busybox"):
            b.viv("create", "--name", name, *b.flags(image, "--", "true")).ok()
            b.viv("cp", f"{name}:/etc/passwd", "-").ok()
            equal(b.viv("diff", name).ok().out, "")
            equal(b.viv("export", "-o", work() / f"{name}.tar", name).ok().out, "")
            b.viv("commit", name, f"{name}:1").ok()
            b.viv("start", "-a", name).ok()
            b.viv("rm", name).ok()
        equal(b.run("layered:1", "cat", "/srv/page").ok().out, "page")
        equal(os.listdir(pathlib.Path(os.environ["VIV_DATA_ROOT"], "images/roots")), [])


def saved(b, name):
    path = work() / "saved.tar"
    b.viv("save", "-o", path, name).ok()
    return path


def test_store_as_a_whole():
    first, second = two_images()
    with box() as b:
        usage = {row["Type"]: row for row in json.loads(b.viv("system", "df", "--format",
                                                              "json").ok().out)}
        equal((usage["Images"]["Total"], usage["Images"]["Active"]), (2, 0))
        equal(usage["Images"]["Bytes"], usage["Images"]["ReclaimableBytes"])
        equal((usage["Sandboxes"]["Total"], usage["Downloads"]["Bytes"]), (0, 0))
        b.viv("run", "--name", "ended", "-v", "data:/d", *b.flags(), "first:1", "--", "sh", "-c",
              "head -c 1000000 /dev/zero | tee /d/f > /f").ok()
        b.viv("volume", "create", "free").ok()
        b.start("-l", "keep=1", image=("first:1",), name="alive", script="sleep 1000")
        usage = {row["Type"]: row for row in json.loads(b.viv("system", "df", "--format",
                                                              "json").ok().out)}
        own = usage["Sandboxes"]
        equal((own["Total"], own["Active"]), (2, 1))
        check(1000000 <= own["ReclaimableBytes"] < own["Bytes"], own)
        volumes = usage["Local Volumes"]
        equal((volumes["Total"], volumes["Active"]), (2, 1))
        check(volumes["Bytes"] > 1000000 > volumes["ReclaimableBytes"] > 0, volumes)
        contains(b.viv("system", "df").ok().out, "RECLAIMABLE")
        each = b.viv("system", "df", "-v").ok().out
        for line in (r"REPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED SIZE +UNIQUE SIZE +SANDBOXES",
                     r"localhost/first +1 +[0-9a-f]{12} .* 0 B +2\n", r"localhost/second .* 0\n",
                     r"alive\n", r"data +1 +[\d.]+ KiB", r"free +0 +"):
            matches(each, line)
        fails(b.viv("system", "df", "-v", "--format", "json"), 125, "leave --format out")
        b.viv("network", "create", "--subnet", "10.123.1.0/24", "--label", "keep=0", "idle").ok()
        fails(b.viv("system", "prune", "-f", "--filter", "name=x"), 125, "write label=KEY")
        equal(b.viv("system", "prune", "-f", "--filter", "label=keep=1").ok().lines(),
              ["Total reclaimed space: 0 B"])
        equal(b.viv("system", "prune", "-f", "--filter", "label=keep=0", "--volumes").ok().lines(),
              ["idle", "Total reclaimed space: 0 B"])
        b.viv("volume", "rm", "free").ok()
        b.viv("rm", "-f", "alive").ok()
        snapshot = pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes/ended/snapshot")
        snapshot.write_bytes(bytes(range(256)) * 4096)
        row = next(row for row in json.loads(b.viv("system", "df", "--format", "json").ok().out)
                   if row["Type"] == "Snapshots")
        equal((row["Total"], row["Active"]), (1, 0))
        equal((row["Bytes"] >= 1 << 20, row["ReclaimableBytes"]), (True, row["Bytes"]))
        snapshot.unlink()
        equal(b.viv("system", "check").ok().out, "")
        spoilt = next(pathlib.Path(os.environ["VIV_DATA_ROOT"]).glob("images/layers/*/diff/srv/page"))
        stamp = spoilt.stat()
        spoilt.write_text("spoi")
        os.utime(spoilt, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        fails(b.viv("system", "check"), 1)
        contains(b.viv("system", "check", "--repair").ok().out, "unpacked again")
        equal(b.viv("system", "check").ok().out, "")
        contains(b.viv("image", "prune", "-f").ok().out, "Total reclaimed space: 0 B")
        b.viv("load", "-q", "-i", relabelled()).ok()
        equal(len(rows(b, "-f", "dangling=true")), 1)
        for word in ("label=a=2", "reference=*third*"):
            check(second not in b.viv("image", "prune", "-f", "--filter", word).ok().out, word)
        equal(b.viv("images", "-q", "--no-trunc", "--filter", f"id={second[7:20]}").ok().lines(), [second])
        contains(b.viv("image", "prune", "-f", "--filter", "label!=a").ok().out, f"Deleted: {second}")
        found = b.viv("image", "prune", "-a", "-f").ok().out
        contains(found, "Deleted: sha256:")
        check(first not in found, "it is in use")
        contains(b.viv("system", "prune", "-a", "-f").ok().out, "Deleted: ended")
        equal(b.viv("images", "-q").ok().out, "")


def relabelled():
    """Another image of the name localhost/first:1, so that the one before has none."""
    layout = Layout("again")
    item = layout.image(tar_of(work() / "extra"), config={"Cmd": ["other"]})
    layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": "localhost/second:2"}})
    return layout.path


def test_subcommands():
    with box() as b:
        for group, part in (("image", "inspect"), ("system", "check")):
            contains(b.viv(group).ok().out, part)
            contains(b.viv(group, "--help").ok().out, part)
            fails(b.viv(group, "prun"), 125, f'did you mean "prune"?; `viv {group} --help`')
