#!/usr/bin/python3
"""Pulling one image of several layers from a registry on loopback: ours, which verifies and unpacks,
beside skopeo into containers-storage, which does the same, and into an OCI layout, which only
copies. Interleaved; processor time is told too, since others may use the machine."""
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("VIV_BUILD", str(TESTS.parent / "build"))
sys.path[:0] = [str(TESTS)]
ROUNDS = 5


def timed(argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    subprocess.run([str(part) for part in argv], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def layers(top):
    """The machine's own programs and libraries, in four tars of some 40 MB each."""
    for number, (folder, limit) in enumerate([("/usr/bin", 40), ("/usr/sbin", 40),
                                              ("/usr/lib/x86_64-linux-gnu", 40),
                                              ("/usr/share/doc", 10)]):
        names, size = [], 0
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                size += path.stat().st_size
                if size > limit << 20:
                    break
                names.append(str(path).lstrip("/"))
        tar = top / f"layer-{number}.tar"
        subprocess.run(["tar", "-C", "/", "-cf", tar, "-T", "-"], input="\n".join(names).encode(),
                       check=True)
        yield tar.read_bytes()


def main():
    top = pathlib.Path(tempfile.mkdtemp(prefix="viv-bench-pull-"))
    (top / "work").mkdir()
    os.environ["VIV_TEST_WORK"] = str(top / "work")
    from lib import registry as r  # pylint: disable=import-outside-toplevel
    layout = r.Layout()
    layout.index({**layout.image(*layers(top)), "annotations":
                  {"org.opencontainers.image.ref.name": "1"}})
    results = {}
    with r.Registry() as registry:
        name = r.pushed(registry.host, "bench:1", f"oci:{layout.path}:1")
        for number in range(ROUNDS):
            store = r.Store(registry.host)
            skopeo = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                      f"docker://{name}"]
            vfs = f"containers-storage:[vfs@{top}/cs{number}+{top}/run{number}]localhost/x:1"
            for what, argv in [("viv-fetch and store", store.argv("pull", name)),
                               ("skopeo containers-storage", skopeo + [vfs]),
                               ("skopeo oci:", skopeo + [f"oci:{top}/oci{number}:1"])]:
                results.setdefault(what, []).append(timed(argv))
            for path in (store.root, top / f"cs{number}", top / f"oci{number}"):
                shutil.rmtree(path, ignore_errors=True)
    for what, found in results.items():
        wall, cpu = (sorted(values)[len(values) // 2] for values in zip(*found))
        print(f"pull: {what}: {wall:.2f} s, processor {cpu:.2f} s")
    ours, theirs = (sorted(x[0] for x in results[w])[ROUNDS // 2] for w in list(results)[:2])
    print(f"pull: ratio to skopeo containers-storage: {ours / theirs:.2f}")
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
