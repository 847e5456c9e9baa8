#!/usr/bin/python3
"""Images as people use them, by viv and by podman, interleaved, from the same archive:

    run --rm of /bin/true     in an image of busybox, and of Debian's bash in one of five layers
    rmi                       of the Debian image

Networks are left out on both sides (--network none). Podman has crun beneath and overlay storage. To
reach: at most a tenth of podman's time for run."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("VIV_BUILD", str(TESTS.parent / "build"))
sys.path[:0] = [str(TESTS)]
ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "20"))
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
BUDGET = 0.1


def enter():
    """A mount namespace of its own, with cgroup v1 alone on a hybrid host: crun refuses the mixture."""
    if os.environ.get("VIV_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv],
                   {**os.environ, "VIV_BENCH_INSIDE": "1"})
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def timed(argv):
    begin = time.monotonic()
    subprocess.run([str(part) for part in argv], check=True, **QUIET)
    return 1000 * (time.monotonic() - begin)


def commands(top):
    """{who: the start of its commands}"""
    viv = [os.environ["VIV_BUILD"] + "/viv", "--root", top / "viv-run", "--data-root", top / "viv"]
    podman = ["podman", "--root", top / "podman", "--runroot", top / "podman-run",
              "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend",
              "file", "--runtime", "crun"]
    return {"viv": viv, "podman": podman}


def podman_settings(top):
    """Limits that one who may not raise them can have."""
    os.environ["CONTAINERS_CONF"] = str(top / "containers.conf")
    (top / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]\n')


def load(top, images):
    """The images as archives that both read; {name: archive}."""
    found = {}
    for name, layout in images.items():
        found[name] = top / f"{name}.tar"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}",
                        f"oci-archive:{found[name]}:localhost/{name}:1"], check=True)
    return found


def main():
    enter()
    top = pathlib.Path(tempfile.mkdtemp(prefix="viv-bench-images-", dir="/var/tmp"))
    (top / "work").mkdir()
    os.environ["VIV_TEST_WORK"] = str(top / "work")
    podman_settings(top)
    from lib import registry as r  # pylint: disable=import-outside-toplevel
    from lib.process import image  # pylint: disable=import-outside-toplevel
    layout = r.Layout()
    layout.index({**layout.image(r.tar_of(image())),
                  "annotations": {"org.opencontainers.image.ref.name": "1"}})
    archives = load(top, {"small": f"{layout.path}:1", "debian": f"{r.debian_layout()}:12"})
    who = commands(top)
    for argv in who.values():
        for archive in archives.values():
            subprocess.run([*map(str, argv), "load", "-q", "-i", archive], check=True, **QUIET)
    runs = {"run --rm /bin/true": ["localhost/small:1", "/bin/true"],
            "run --rm bash of Debian": ["localhost/debian:1", "bash", "-c", "exit 0"]}
    times = {}
    for _ in range(ROUNDS):
        for what, words in runs.items():
            for name, argv in who.items():
                times.setdefault((what, name), []).append(
                    timed([*argv, "run", "--rm", "--network", "none", *words]))
    for _ in range(3):
        for name, argv in who.items():
            times.setdefault(("rmi", name), []).append(timed([*argv, "rmi", "localhost/debian:1"]))
            subprocess.run([*map(str, argv), "load", "-q", "-i", archives["debian"]], check=True,
                           **QUIET)
    late = False
    for what in [*runs, "rmi"]:
        ours, theirs = (statistics.median(times[what, name]) for name in who)
        print(f"images: {what}: viv {ours:.1f} ms, podman {theirs:.1f} ms, ratio "
              f"{ours / theirs:.3f}")
        late |= what in runs and ours > BUDGET * theirs
    shutil.rmtree(top, ignore_errors=True)
    if late:
        print(f"images: above {BUDGET} of podman")
    return late


if __name__ == "__main__":
    sys.exit(main())
