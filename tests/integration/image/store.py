"""The store: archives of every kind, several processes at once, damage, roots, and what is told."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from lib import *
from lib.registry import *

TIMEOUT = 180


def loaded(*layers, name="localhost/img:1"):
    """A store with one image of these tar files (busybox if none are given)."""
    store = Store()
    layout = Layout(unique("l"))
    item = layout.image(*([path.read_bytes() for path in layers] or [busybox_tar().read_bytes()]))
    layout.index({**item, "annotations": {"org.opencontainers.image.ref.name": name}})
    store("pull", f"oci:{layout.path}").ok()
    return store


def usage(store):
    words = store("usage").ok().out.split()
    return dict(zip(words[::2], map(int, words[1::2])))


def on_disk(path):
    return int(run("du", "-s", "--block-size=1", path).ok().out.split()[0])


def test_save_and_load_every_kind():
    store = loaded()
    image = store("list").ok().out.split()[0]
    for form in ("docker-archive", "oci-archive", "oci-dir", "docker-dir"):
        path = work() / f"saved-{form}"
        store("save", form, path, "localhost/img:1").ok()
        transport = {"oci-dir": "oci", "docker-dir": "dir"}.get(form, form)
        copy = work() / f"copied-{form}"
        skopeo("copy", "-q", f"{transport}:{path}", f"dir:{copy}")
        other = Store()
        found = other("load", path).ok().lines()
        equal(other("list").ok().out.split()[0], image, form)
        if form != "docker-dir":
            equal(found, ["localhost/img:1"], form)
        equal(same_tree(store.layer_folders()[0], other.layer_folders()[0]), [], form)
        equal(other.leftovers(), [])
        equal(other("pull", f"{transport}:{path}").ok().out.strip(), image, form)


def test_names_that_others_give():
    """A bare word is a tag, as skopeo has it; Buildah and Podman write a name with its tag."""
    for inside, wanted in (("mine:1", r"localhost/mine:1"), ("team/app", r"localhost/team/app:latest"),
                           ("quay.example/a:3", r"quay\.example/a:3"), ("1.2", r"localhost/l-?\S*:1\.2")):
        matches(loaded(name=inside)("list").ok().out, rf"\s{wanted}\s")


def test_archives_that_skopeo_wrote():
    store = loaded()
    image = store("list").ok().out.split()[0]
    store("save", "oci-dir", work() / "out", "localhost/img:1").ok()
    for number, target in enumerate(["docker-archive:{}:a/b:1", "oci-archive:{}:tag", "oci:{}:tag",
                                     "dir:{}"]):
        path = work() / f"skopeo-{number}"
        skopeo("copy", "-q", f"oci:{work()}/out", target.format(path))
        other = Store()
        other("load", path).ok()
        equal(other("list").ok().out.split()[0], image, target)
        equal(same_tree(store.layer_folders()[0], other.layer_folders()[0]), [], target)
    named = Store()
    equal(named("pull", f"docker-archive:{work()}/skopeo-0:a/b:1").ok().out.strip(), image)
    fails(named("pull", f"docker-archive:{work()}/skopeo-0:c/d:1"), 1, 'there is no image "c/d:1"')
    fails(named("pull", f"oci:{work()}/skopeo-2:other"), 1,
          'there is no image "other" in it; there are: tag')


def test_through_pipes():
    store = loaded()
    other = Store()
    saved = subprocess.run([str(part) for part in store.argv("save", "docker-archive", "-",
                            "localhost/img:1")], stdout=subprocess.PIPE, check=True).stdout
    loaded_names = other("load", "-", stdin=saved).ok().lines()
    equal(loaded_names, ["localhost/img:1"])
    equal(same_tree(store.layer_folders()[0], other.layer_folders()[0]), [])


def test_import_and_export():
    store = Store()
    image = store("--change", "CMD /bin/sh", "--change", "ENV A=1", "--message", "hello", "import",
                  "mine:1", stdin=busybox_tar().read_bytes()).ok().out.strip()
    found = json.loads(store("inspect", "mine:1").ok().out)
    equal(found["Id"], image)
    equal(found["RepoTags"], ["localhost/mine:1"])
    equal(found["Config"], {"Cmd": ["/bin/sh", "-c", "/bin/sh"], "Env": ["A=1"]})
    equal(found["History"][0]["comment"], "hello")
    exported = subprocess.run([str(part) for part in store.argv("export", store.layer_folders()[0])],
                              stdout=subprocess.PIPE, check=True).stdout
    (work() / "again").mkdir()
    run("tar", "-C", work() / "again", "-xpf", "-", stdin=exported).ok()
    equal(same_tree(work() / "bb", work() / "again"), [])
    fails(store("--change", "FROM x", "import", stdin=busybox_tar().read_bytes()), 1, "is no change")
    equal(store.leftovers(), [])


@needs(root=True)
@private("mnt")
def test_roots_are_overlays():
    store = loaded()
    target = work() / "merged"
    target.mkdir()
    shown = store("--mount", target, "root", "localhost/img:1", "c1").ok().out
    contains(shown, "lower ")
    equal((target / "etc/größe").read_text(), "1\n")
    (target / "etc/new").write_text("new")
    (target / "etc/größe").unlink()
    (target / "bin/suid").write_text("changed")
    shutil.rmtree(target / "etc/..data", ignore_errors=True)
    (target / "dir").mkdir()
    equal(sorted(store("diff", "c1").ok().lines()),
          ["A /dir", "A /etc/new", "C /bin", "C /bin/suid", "C /etc", "D /etc/größe"])
    equal((store.layer_folders()[0] / "etc/größe").read_text(), "1\n", "the shared layer")
    fails(store("remove", "localhost/img:1"), 1, "is in use by container c1; remove that first")
    fails(store("root", "localhost/img:1", "c1"), 1, "there is a root roots/c1 already")
    image = store("--change", "CMD [\"/bin/sh\"]", "commit", "c1", "done:1").ok().out.strip()
    found = json.loads(store("inspect", "done:1").ok().out)
    equal(found["Id"], image)
    equal(len(found["RootFS"]["Layers"]), 2)
    again = work() / "again"
    again.mkdir()
    store("--mount", again, "root", "done:1", "c2").ok()
    equal(same_tree(target, again), [])
    run("umount", again).ok()
    run("umount", target).ok()
    store("root-remove", "c1").ok()
    store("root-remove", "c2").ok()
    fails(store("root-find", "c1"), 1, 'there is no root "c1"')
    check("deleted " in store("remove", "localhost/img:1").ok().out)


def roots_of_a_user_namespace(*way):
    """The layers on the disk keep their owners, and so does what is changed; in the mount they are
    the user namespace's."""
    store = loaded()
    target = work() / "merged"
    target.mkdir()
    sleeper = Background("unshare", "--user", "sleep", "100")
    with sleeper:
        eventually(lambda: os.readlink(f"/proc/{sleeper.pid}/ns/user") !=
                   os.readlink("/proc/self/ns/user"))
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{sleeper.pid}/{name}", "w", encoding="ascii") as file:
                file.write("0 300000 65536")
        store("--mount", target, "--author", f"/proc/{sleeper.pid}/ns/user", *way, "root",
              "localhost/img:1", "c1").ok()
        equal((target / "bin/busybox").stat().st_uid, 300000)
        equal((store.layer_folders()[0] / "bin/busybox").stat().st_uid, 0)
        run("nsenter", "--user", "--target", sleeper.pid, "sh", "-c",
            f"cd {target} && echo x >made && chown 33:44 made bin/busybox").ok()
        equal(((target / "made").stat().st_uid, (target / "bin/busybox").stat().st_gid),
              (300033, 300044))
        upper = store.root / "roots/c1/upper"
        if "--in-memory" in way:
            equal((list(upper.iterdir()), target.stat().st_uid, target.stat().st_mode & 0o7777),
                  ([], 300000, upper.stat().st_mode & 0o7777))
            run("umount", target).ok()
            return
        equal((upper.joinpath("made").stat().st_uid, upper.joinpath("bin/busybox").stat().st_gid),
              (33, 44))
        run("umount", target).ok()


@needs(root=True)
@private("mnt")
def test_roots_of_a_user_namespace():
    roots_of_a_user_namespace()


@needs(root=True)
@private("mnt")
def test_roots_of_a_user_namespace_on_an_older_kernel():
    """Where layers cannot be given by descriptor (before Linux 6.13)."""
    roots_of_a_user_namespace("--by-path")


@needs(root=True)
@private("mnt")
def test_changes_in_memory():
    roots_of_a_user_namespace("--in-memory")


@needs(root=True)
@private("mnt")
def test_changes_in_memory_on_an_older_kernel():
    roots_of_a_user_namespace("--in-memory", "--by-path")


@needs(root=True)
@private("mnt")
def test_many_layers():
    """More than a page of options could name."""
    layers = []
    for number in range(120):
        folder = work() / f"layer-{number}"
        folder.mkdir()
        (folder / f"file{number}").write_text(str(number))
        layers.append(work() / f"layer-{number}.tar")
        run("tar", "-C", folder, "-cf", layers[-1], ".").ok()
    store = loaded(*layers)
    target = work() / "merged"
    target.mkdir()
    store("--mount", target, "root", "localhost/img:1", "c1").ok()
    equal(len(list(target.glob("file*"))), 120)
    run("umount", target).ok()


def test_several_processes_at_once():
    with Registry() as registry:
        names = [pushed(registry.host, f"lib/n{number}:1") for number in range(3)]
        store = Store(registry.host)
        pulls = [background(store.argv("pull", names[number % 3])) for number in range(9)]
        others = [background(store.argv(command)) for command in ("list", "usage", "prune") * 3]
        for process in pulls + others:
            out, err = process.communicate()
            equal(process.returncode, 0, f"{out} {err}")
        lines = store("list").ok().lines()
        equal(len(lines), 1)
        for name in names:
            contains(lines[0], name)
        equal(len(store.layer_folders()), 1)
        equal(store("check").ok().out, "")
        equal(store.leftovers(), [])


def alive(pids):
    """Those of them that have not ended (an orphan of a test waits for it to be reaped)."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            found += [pid] if state != "Z" else []
    return found


def test_killed_at_any_moment():
    """A pull is killed ten times at moments of its life; the store is sound each time, and its
    helpers (viv-fetch, those that unpack) end with it."""
    with Registry() as registry:
        name = pushed(registry.host)
        whole = Store(registry.host)
        others = descendants()
        seconds = whole("pull", name).ok().seconds
        for step in range(10):
            store = Store(registry.host)
            pull = background(store.argv("pull", name))
            time.sleep(seconds * step / 10)
            pull.send_signal(signal.SIGKILL)
            pull.communicate()
            eventually(lambda: not alive(descendants(without=others)))
            equal(store("check").ok().out, "", f"step {step}")
            store("pull", name).ok()
            equal(store("check").ok().out, "", f"step {step}, afterwards")
            equal(store.leftovers(), [], f"step {step}")


def test_a_killed_download_is_taken_up_whatever_it_was_of():
    """The configuration too: what was left of it is gone on with, and is not left over."""
    with Registry() as registry, Proxy(registry.host, cut=[100] + [0] * 5) as proxy:
        pushed(registry.host)
        name = f"{proxy.host}/lib/bb:1"
        store = Store(proxy.host)
        pull = background(store.argv("pull", name))
        eventually(lambda: any(path.stat().st_size == 100
                               for path in (store.root / "fetch").glob("*/" + "?" * 64)))
        pull.kill()
        pull.communicate()
        eventually(lambda: not alive(descendants(without=[registry.pid])))
        proxy.spoil["cut"] = []
        proxy.log.clear()
        store("pull", name).ok()
        ranges = [headers["Range"] for _, _, headers in proxy.log if "Range" in headers]
        equal(ranges, ["bytes=100-"])
        equal(store.leftovers(), [])


def test_leftovers_of_what_came_meanwhile():
    """Leftovers of dead downloads, kept while another pull brings the same blobs, and while they
    are there already: nothing stays of them."""
    go = threading.Event()
    with Registry() as registry, Proxy(registry.host, stall=go) as proxy:
        pushed(registry.host)
        name = f"{proxy.host}/lib/bb:1"
        store = Store(proxy.host)
        pull = background(store.argv("pull", name))
        eventually(lambda: any("/blobs/" in path for _, path, _ in proxy.log))
        digests = [path.name for path in (registry.folder / "data").glob("**/sha256/??/*")]
        check(len(digests) == 3, f"blobs of the registry: {digests}")
        for digest in digests:
            (store.root / "partial" / digest).write_bytes(b"x")
        go.set()
        out, err = pull.communicate()
        equal(pull.returncode, 0, f"{out} {err}")
        equal(store.leftovers(), [])
        for digest in digests:
            (store.root / "partial" / digest).write_bytes(b"x")
        store("pull", name).ok()
        equal(store.leftovers(), [])


def spoil(path):
    with open(path, "r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))


def test_check_finds_and_repairs():
    with Registry() as registry:
        name = pushed(registry.host)
        store = Store(registry.host)
        store("pull", name).ok()
        folder = store.layer_folders()[0]
        stamp = (folder / "bin/busybox").stat()
        spoil(folder / "bin/busybox")
        os.utime(folder / "bin/busybox", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        contains(store("check").ok().out, '"bin/busybox": its content differs from the layer')
        contains(store("--flag", "check").ok().out, "unpacked again")
        equal(store("check").ok().out, "")
        (folder / "added").write_text("x")
        os.utime(folder, ns=(stamp.st_mtime_ns, (work() / "bb").stat().st_mtime_ns))
        contains(store("check").ok().out, "files and folders, not")
        store("--flag", "check").ok()
        check(not (folder / "added").exists())
        blob = max((store.root / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        spoil(blob)
        contains(store("check").ok().out, f"blob sha256:{blob.name}: wrong digest")
        contains(store("--flag", "check").ok().out, f"taken out of the list; pull it again")
        equal(store("list").ok().out, "")
        store("pull", name).ok()
        equal(store("check").ok().out, "")


def test_after_a_power_cut():
    """A layer that the disk did not keep is found and unpacked again before it is used."""
    store = loaded()
    info = next((store.root / "layers").glob("*/info"))
    folder = info.parent / "diff"
    known = json.loads(info.read_text())
    known["boot"] = "of another life"
    info.write_text(json.dumps(known))
    (folder / "bin/busybox").write_bytes(b"")
    store("root", "localhost/img:1", "c1").ok()
    equal(same_tree(work() / "bb", folder), [])
    check(json.loads(info.read_text())["boot"] != "of another life")


def test_usage_and_prune_tell_the_truth():
    store = loaded()
    store("tag", "localhost/img:1", "second:1").ok()
    total = on_disk(store.root / "blobs/sha256") + on_disk(store.root / "layers")
    found = usage(store)
    equal(found["images"], 1)
    between(found["bytes"], total * 0.97, total * 1.03, "bytes")
    equal(found["free"], found["bytes"])
    store("root", "second:1", "c1").ok()
    equal((usage(store)["free"], usage(store)["used"], usage(store)["roots"]), (0, 1, 1))
    (store.root / "partial" / ("a" * 64)).write_bytes(bytes(100000))
    check(usage(store)["partial"] >= 100000)
    freed = int(store("--flag", "prune").ok().lines()[-1].split()[1])
    check(freed >= 100000)
    equal(usage(store)["images"], 1)
    store("root-remove", "c1").ok()
    freed = int(store("--flag", "prune").ok().lines()[-1].split()[1])
    between(freed, found["bytes"] * 0.97, found["bytes"] * 1.03, "freed")
    equal(usage(store)["bytes"], 0)


def test_names():
    store = loaded()
    image = store("list").ok().out.split()[0]
    store("tag", "localhost/img:1", "quay.example/a/b:2").ok()
    store("tag", image[7:19], "c").ok()
    fails(store("remove", image), 1, "has several names")
    fails(store("tag", "nothing", "x"), 1, "no such image: nothing")
    fails(store("tag", "c", "Bad Name"), 1, "invalid image name")
    equal(store("remove", "quay.example/a/b:2").ok().lines(), ["untagged quay.example/a/b:2"])
    found = store("--flag", "remove", image[:20]).ok().lines()
    equal(found, ["untagged localhost/img:1", "untagged localhost/c:latest", f"deleted {image}"])
    equal(store.layer_folders(), [])
    equal(list((store.root / "blobs/sha256").iterdir()), [])


def test_history():
    folder = work() / "second"
    folder.mkdir()
    (folder / "x").write_bytes(bytes(5000))
    run("tar", "-C", folder, "-cf", work() / "second.tar", ".").ok()
    store = loaded(busybox_tar(), work() / "second.tar")
    lines = store("history", "localhost/img:1").ok().lines()
    equal(len(lines), 2)
    equal(lines[0].split()[1:], ["5000", "layer", "1"])
    equal(lines[1].split()[2:], ["layer", "0"])


def test_memory_is_constant():
    """A layer of 1 GB of random-looking data needs no more memory than a small one."""
    layer = work() / "big.tar"
    block = os.urandom(1 << 20)
    with open(work() / "big", "wb") as file:
        for _ in range(1024):
            file.write(block)
    run("tar", "-C", work(), "-cf", layer, "big").ok()
    (work() / "big").unlink()
    store = Store()
    result = run("/usr/bin/env", "python3", "-c",
                 "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
                 "stdin=open(%r), stdout=2); print(resource.getrusage(resource.RUSAGE_CHILDREN)"
                 ".ru_maxrss)" % str(layer), *store.argv("import", "big:1"), timeout=120).ok()
    between(int(result.out), 100, 24000, "resident KiB")
