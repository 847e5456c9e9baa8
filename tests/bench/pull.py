#!/usr/bin/python3
"""Pulling one image of four layers from a registry on loopback, interleaved. Ours verifies, unpacks and
flushes to the disk. Beside it are

    podman, docker              which do so too
    skopeo containers-storage:  which does so without a command of its own around it
    skopeo oci:                 which only copies the compressed layers
    gunzip | tar                the bare decompressor: all layers at once, from files, nothing verified

Each time into a store that is new, and none is removed in between: a file system that has just removed
many files makes new ones more slowly. Processor time is told too, since others may use the machine; the
daemon's is not in docker's. To reach: not slower than skopeo into containers-storage:."""
import pathlib
import statistics
import subprocess
import sys

import rivals
from rivals import enter, folder, measured, run, say

ROUNDS = 5
BARE = 'for blob; do (gunzip -c <"$blob" | tar -C "$1" -xf -) & done; wait'


def layers(top):
    """The machine's own programs and libraries, in tars of up to some 40 MB each."""
    for number, (source, limit) in enumerate([("/usr/bin", 40), ("/usr/sbin", 40),
                                              ("/usr/lib/x86_64-linux-gnu", 40),
                                              ("/usr/share/doc", 10)]):
        names, size = [], 0
        for path in sorted(pathlib.Path(source).rglob("*")):
            if path.is_file() and not path.is_symlink():
                size += path.stat().st_size
                if size > limit << 20:
                    break
                names.append(str(path).lstrip("/"))
        tar = top / f"layer-{number}.tar"
        subprocess.run(["tar", "-C", "/", "-cf", tar, "-T", "-"], input="\n".join(names).encode(),
                       check=True)
        yield tar.read_bytes()


def bare(top, blobs):
    top.mkdir()
    return ["sh", "-c", 'top=$1; shift; ' + BARE.replace("$1", "$top"), "sh", top, *blobs]


def lines(top, client, name, blobs):
    """{who: command line} of one round, whose stores are below `top`."""
    top.mkdir()
    storage = f"containers-storage:[overlay@{top}/cs+{top}/cs-run]localhost/x:1"
    skopeo = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}"]
    found = {"viv": [*rivals.viv(top), "pull", "-q", name],
             "skopeo containers-storage:": [*skopeo, storage],
             "skopeo oci:": [*skopeo, f"oci:{top}/oci:1"],
             "gunzip | tar": bare(top / "bare", blobs),
             "podman": [*rivals.podman(top), "pull", "-q", "--tls-verify=false", name]}
    return {**found, "docker": [*client, "pull", "-q", name]} if client else found


def unmount(top):
    """What podman and skopeo keep mounted below their stores."""
    for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
        path = line.split()[1]
        if path.startswith(f"{top}/round"):
            subprocess.run(["umount", "-l", path], check=False)


def main():
    enter()
    from lib import registry as r  # pylint: disable=import-outside-toplevel
    times = {}
    with folder("pull") as top, rivals.docker(top) as client:
        layout = r.Layout()
        layout.index({**layout.image(*layers(top)), "annotations":
                      {"org.opencontainers.image.ref.name": "1"}})
        with r.Registry() as registry:
            r.registries_conf(registry.host)
            name = r.pushed(registry.host, "bench:1", f"oci:{layout.path}:1")
            blobs = [path for path in registry.folder.rglob("data")
                     if path.is_file() and path.read_bytes()[:2] == b"\x1f\x8b"]
            for number in range(ROUNDS):
                for who, argv in lines(top / f"round{number}", client, name, blobs).items():
                    times.setdefault(who, []).append(measured(argv))
                if client:
                    run([*client, "rmi", name])
        unmount(top)
    walls, cpus = ({who: statistics.median(pair[i] for pair in found) for who, found in times.items()}
                   for i in (0, 1))
    say("pull", "wall", walls, "s")
    say("pull", "processor", {who: cpu for who, cpu in cpus.items() if who != "docker"}, "s")
    late = walls["viv"] > walls["skopeo containers-storage:"]
    if late:
        print("pull: slower than skopeo")
    return late


if __name__ == "__main__":
    sys.exit(main())
