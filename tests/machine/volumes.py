"""Volumes in a machine, over virtio-fs: made, filled, shared with a container at the same time, with
the owners that a container with ids of its own sees; and what a machine cannot have is refused.
One machine has them all: a boot takes long."""
import contextlib
import json
import os
import pathlib
import sys

from lib import *

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import workload  # noqa: E402

TIMEOUT = 200
BUILDS = ["plain"]
BOX = {}
IMAGE = "image-with-owners"


def make_image(box):
    """The built-in one, with a directory that others than root own."""
    box.start("container", "maker", script="mkdir -p /srv/d/sub; echo kept > /srv/d/f;"
              "chown 7:8 /srv/d/f; chmod 4750 /srv/d/f; ln -s f /srv/d/link; chown 9 /srv/d/sub;"
              "chown 1000:100 /srv/d; chmod 2751 /srv/d; echo ready; exec sleep 100000")
    eventually(lambda: box.viv("logs", "maker").ok().out == "ready\n", 60)
    box.viv("commit", "maker", IMAGE).ok()
    box.viv("rm", "-f", "maker").ok()


def start_both(box):
    host = box.place / "host"
    host.mkdir()
    (host / "file").write_text("of the host\n")
    given = box.place / "given"
    given.mkdir()
    for path in (given / "file", given):
        path.touch()
        os.chown(path, 7, 8)
    for name, *options in (("memory", "-o", "type=tmpfs", "-o", "o=size=2m,mode=0711"),
                           ("elsewhere", "-o", "type=none", "-o", "o=bind", "-o", f"device={host}")):
        box.viv("volume", "create", *options, name).ok()
    for kind, *more in (("vm", "--rm", "-v", "/nameless", "-v", f"{given}:/given:ro,U"), ("container", "--userns", "auto")):
        box.run(kind, "-d", "--name", kind, *more, "-v", "both:/both",
                "-v", f"filled-{kind}:/srv/d", "-v", f"bare-{kind}:/srv/d/sub:nocopy",
                "-v", "both:/both-ro:ro", "-v", "both:/both-ids:idmap",
                "--mount", "type=volume,source=both,target=/both-words,readonly",
                "--mount", f"type=volume,src=empty-{kind},dst=/etc,volume-nocopy",
                "--mount", f"type=bind,source={host},target=/host,readonly",
                "--mount", "type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=2750",
                "-v", "memory:/memory", "-v", "elsewhere:/elsewhere:noexec,rprivate",
                IMAGE, "--", "sleep", "100000").ok()


@contextlib.contextmanager
def shared():
    """A machine and a container of the same flags but where they have their volumes. The container has
    ids of its own, as it has when nothing is said."""
    box = BOX["box"] = workload.Sandboxes()
    try:
        make_image(box)
        start_both(box)
        yield
    finally:
        box.remove()
    box.look()


def inside(kind, script, *flags):
    return BOX["box"].viv("exec", *flags, kind, "sh", "-c", script).ok().out


def folder(name):
    return BOX["box"].place / "data/volumes" / name / "_data"


def names():
    return BOX["box"].viv("volume", "ls", "-q").ok().lines()


# What both print, and what it has to be.
CASES = [
    ("cd /srv/d; stat -c '%n %a %u:%g' . f sub; cat f; readlink link",
     ". 2751 1000:100\nf 4750 7:8\nsub 755 0:0\nkept\nf\n"),
    ("ls /srv/d/sub /etc", "/etc:\n\n/srv/d/sub:\n"),
    ("for i in both-ro both-words host; do touch /$i/x 2>&1 || true; done",
     "".join(f"touch: /{i}/x: Read-only file system\n" for i in ("both-ro", "both-words", "host"))),
    ("cat /host/file /elsewhere/file", "of the host\nof the host\n"),
    ("stat -c '%a %u' /scratch /memory; df -k /scratch /memory | awk 'NR > 1 {print $2}'",
     "2750 0\n711 0\n1024\n2048\n"),
    ("echo 'echo run' > /elsewhere/x; chmod 755 /elsewhere/x; /elsewhere/x 2>&1 || echo $?;"
     "rm /elsewhere/x", "sh: /elsewhere/x: Permission denied\n126\n"),
]


def test_each_kind_is_what_it_is_in_a_container():
    for kind in workload.KINDS:
        for script, wanted in CASES:
            equal(inside(kind, script), wanted, f"{kind}: {script}")


def test_owners_are_the_same_on_both_sides():
    """Who makes a file in one is its owner in the other and in the volume, also through a mount that
    asks for the sandbox's ids; and only the owner may read what is only for the owner."""
    inside("vm", "mkdir -m 1777 /both/in")
    for maker, reader in (("vm", "container"), ("container", "vm")):
        inside(maker, f"umask 077; cd /both/in; echo {maker} > {maker}; ln {maker} {maker}-link",
               "-u", "1000:100")
        path = folder("both") / "in" / maker
        equal((path.stat().st_uid, path.stat().st_gid), (1000, 100))
        equal(inside(reader, f"cd /both/in; stat -c '%u:%g %a %h' {maker}; cat {maker};"
                     f"stat -c %u:%g /both-ids/in/{maker} /both-ro/in/{maker}"),
              f"1000:100 600 2\n{maker}\n" + 2 * "1000:100\n")
        equal(inside(reader, f"cat /both/in/{maker}", "-u", "1000:100"), f"{maker}\n")
        fails(BOX["box"].viv("exec", "-u", "1001:100", reader, "cat", f"/both/in/{maker}"), 1,
              "Permission denied")
        inside(reader, f"chown 5:6 /both/in/{maker}")
        equal((path.stat().st_uid, path.stat().st_gid), (5, 6))


def test_what_is_given_to_the_user():
    """By the host, which knows what is to be left alone, and although the guest may not write there."""
    equal(inside("vm", "stat -c %u:%g /given /given/file"), "0:0\n0:0\n")
    equal((BOX["box"].place / "given/file").stat().st_uid, 0)


def test_what_is_written_in_one_is_seen_in_the_other():
    inside("vm", "echo 1 > /both/line")
    inside("container", "echo 2 >> /both/line; mv /both/line /both/moved")
    eventually(lambda: inside("vm", "cat /both/moved; ls /both/line 2>/dev/null || true") == "1\n2\n",
               60)
    equal((folder("both") / "moved").read_text(), "1\n2\n")


def test_what_a_machine_cannot_have():
    """Nothing is started for it."""
    box = BOX["box"]
    before = names()
    for flags, text in [
            (["-v", "both:/x:rshared"], "rshared: mounts do not pass between the host and a machine"),
            (["-v", f"{box.place}/host:/x:slave"], "slave: mounts do not pass between the host"),
            (["--mount", f"type=bind,source={box.place}/host,target=/x,bind-propagation=rslave"],
             "or use --isolation container"),
            (["-v", "/srv:/x:U"], "/srv keeps its owners"),
            (["-v", "/dev/null:/x"], "neither a folder nor a file")]:
        fails(box.run("vm", "--rm", *flags, "busybox", "true"), 125, text)
    equal(names(), before)


def test_maps_of_ids_are_refused():
    bundle = work() / "bundle"
    bundle.mkdir()
    (bundle / "rootfs").symlink_to(image())
    oci = [program("viv-oci-vm"), "--root", work() / "oci"]
    run(*oci, "spec", cwd=bundle).ok()
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    maps = {key: [{"containerID": 0, "hostID": 1000, "size": 10}]
            for key in ("uidMappings", "gidMappings")}
    plain = {"destination": "/x", "source": str(work()), "type": "bind"}
    for mount in ({**plain, "options": ["rbind"], **maps},
                  {**plain, "options": ["rbind", "idmap=uids=0-1000-10;gids=0-1000-10"]}):
        changed = {**config, "mounts": [*config["mounts"], mount]}
        (bundle / "config.json").write_text(json.dumps(changed))
        fails(run(*oci, "create", "--bundle", bundle, "c1"), 1, "cannot have id mappings of its own")


def test_the_end_takes_what_has_no_name():
    """Last in the file, as it ends the machine."""
    box = BOX["box"]
    fails(box.viv("volume", "rm", "filled-vm"), 1, 'volume "filled-vm" is in use by vm')
    fails(box.viv("volume", "rm", "-f", "filled-vm"), 1, "stop it first")
    inside("vm", "echo gone > /nameless/f; echo stays > /srv/d/new; rm /srv/d/link")
    [nameless] = [name for name in names() if len(name) == 64]
    equal((folder(nameless) / "f").read_text(), "gone\n")
    box.viv("stop", "-t", "0", "vm").ok()
    eventually(lambda: nameless not in names() and box.viv("inspect", "vm").status == 125, 60)
    check(not folder(nameless).exists(), "its files are there")
    done = box.run("container", "--rm", "-v", "filled-vm:/srv/d", IMAGE, "--", "sh", "-c",
                   "cd /srv/d; stat -c '%a %u:%g' . f; ls; cat f new").ok()
    equal(done.out, "2751 1000:100\n4750 7:8\nf\nnew\nsub\nkept\nstays\n")  # not filled a second time
    equal(box.viv("volume", "rm", "filled-vm", "bare-vm", "empty-vm").ok().lines(),
          ["filled-vm", "bare-vm", "empty-vm"])
