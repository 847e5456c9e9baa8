"""Who is compared in the benchmarks of images: viv, podman (crun beneath, overlay storage), and Docker
(runc beneath, overlay2), where its daemon can run. Each has stores of its own in one folder.

The daemon is started beside the measurement, in its mount namespace, without a bridge and without a
rule of the firewall, and ends with it."""
import contextlib
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
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
DAEMON_SECONDS = 30


def enter():
    """A mount namespace of its own, with cgroup v1 alone on a hybrid host: crun refuses the mixture."""
    if os.environ.get("VIV_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv],
                   {**os.environ, "VIV_BENCH_INSIDE": "1"})
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


@contextlib.contextmanager
def folder(what):
    """A folder on the disk, with one for what the tests' library makes."""
    top = pathlib.Path(tempfile.mkdtemp(prefix=f"viv-bench-{what}-", dir="/var/tmp"))
    (top / "work").mkdir()
    os.environ["VIV_TEST_WORK"] = str(top / "work")
    try:
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


def run(argv, **more):
    return subprocess.run([str(part) for part in argv], check=True, **{**QUIET, **more})


def measured(argv):
    """Seconds that a command takes, and those of processors that it and its children use."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    run(argv, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def timed(argv):
    """Milliseconds."""
    return 1000 * measured(argv)[0]


def viv(top):
    return [os.environ["VIV_BUILD"] + "/viv", "--root", top / "viv-run", "--data-root", top / "viv"]


def podman(top):
    """With limits that one who may not raise them can have."""
    os.environ["CONTAINERS_CONF"] = str(top / "containers.conf")
    (top / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]\n')
    return ["podman", "--root", top / "podman", "--runroot", top / "podman-run", "--storage-driver",
            "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "crun"]


def remove_groups(name):
    for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}"):
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)


@contextlib.contextmanager
def docker(top):
    """The daemon, with a client's command line; None where it cannot run."""
    group, socket = f"viv-bench-{os.getpid()}", top / "docker.sock"
    client = ["/usr/bin/docker", "-H", f"unix://{socket}"]
    if not shutil.which("dockerd") or not os.path.exists(client[0]):
        yield None
        return
    with open(top / "dockerd.log", "wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", top / "docker", "--exec-root", top / "docker-run", "--pidfile",
             top / "dockerd.pid", "-H", f"unix://{socket}", "--bridge=none", "--iptables=false",
             "--ip-forward=false", "--ip-masq=false", "--storage-driver=overlay2", "--cgroup-parent",
             f"/{group}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        end = time.monotonic() + DAEMON_SECONDS
        while not (answers := subprocess.run([*client, "info"], check=False, stderr=subprocess.DEVNULL,
                                             **QUIET).returncode == 0):
            if daemon.poll() is not None or time.monotonic() > end:
                break
            time.sleep(0.2)
        if not answers:
            lines = (top / "dockerd.log").read_text(errors="replace").splitlines()
            print(f"no Docker: {lines[-1] if lines else 'dockerd says nothing'}")
        yield client if answers else None
    finally:
        daemon.terminate()
        daemon.wait()
        remove_groups(group)


@contextlib.contextmanager
def all_of(top):
    """{who: the start of its commands}, viv first."""
    with docker(top) as client:
        found = {"viv": viv(top), "podman": podman(top) if shutil.which("podman") else None,
                 "docker": client}
        yield {who: argv for who, argv in found.items() if argv}


def archives(top, images, who):
    """{name: OCI layout and tag} as archives; {name: {who: the one that it reads}}."""
    def copy(*argv):
        run(["skopeo", "--insecure-policy", "copy", "-q", *argv])

    found = {}
    for name, layout in images.items():
        oci, old = top / f"{name}-oci.tar", top / f"{name}-docker.tar"
        copy(f"oci:{layout}", f"oci-archive:{oci}:localhost/{name}:1")
        if "docker" in who:  # it knows no zstd
            copy("--dest-decompress", f"oci:{layout}", f"dir:{top}/{name}")
            copy(f"dir:{top}/{name}", f"docker-archive:{old}:localhost/{name}:1")
        found[name] = {"viv": oci, "podman": oci, "docker": old}
    return found


def load(argv, archive):
    run([*argv, "load", "-q", "-i", archive])


def small_image():
    """The built-in image as an OCI layout."""
    from lib import registry as r  # pylint: disable=import-outside-toplevel
    from lib.process import image  # pylint: disable=import-outside-toplevel
    layout = r.Layout()
    layout.index({**layout.image(r.tar_of(image())),
                  "annotations": {"org.opencontainers.image.ref.name": "1"}})
    return f"{layout.path}:1"


def say(bench, what, found, unit="ms"):
    """Prints each one's figure, and ours as a part of each other's."""
    parts = [f"{who} {value:.{1 if unit == 'ms' else 2}f} {unit}" for who, value in found.items()]
    parts += [f"viv / {who} = {found['viv'] / value:.3f}" for who, value in found.items() if who != "viv"]
    print(f"{bench}: {what}: {', '.join(parts)}", flush=True)
