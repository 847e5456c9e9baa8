"""A Debian for machines, made by mmdebstrap: a disk with systemd as init and the root user's password
"glass". Made once, kept in tests/.cache; nobody may change it."""
import contextlib
import fcntl
import shlex

from .process import ROOT, run

__all__ = ["debian_disk"]

CACHE = ROOT / "tests/.cache"
INCLUDE = "perl,gcc,libc6-dev,python3-minimal,systemd-sysv,udev,login"
PASSWORD = "echo root:glass | chroot \"$1\" chpasswd"
SIZE = "1200M"


@contextlib.contextmanager
def locked():
    """One of several tests makes it, the others wait."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "machine-root.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made(what, make):
    """Makes it when it is not there, or was made with other packages."""
    path, stamp = CACHE / what, CACHE / f"{what}.stamp"
    if path.exists() and stamp.exists() and stamp.read_text() == INCLUDE + PASSWORD:
        return path
    new = CACHE / f"{what}.new"
    run("rm", "-rf", new, path).ok()
    make(new)
    new.rename(path)
    stamp.write_text(INCLUDE + PASSWORD)
    return path


def make_disk(path):
    """The root is made in memory, where nothing waits for a disk, as dpkg does after each package; what is
    mounted for it is not seen by the tests that look for mounts left behind."""
    root = CACHE / "machine-root"
    run("mkdir", "-p", root).ok()
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={INCLUDE}",
            "--aptopt=Acquire::Retries \"5\"",
            f"--customize-hook={PASSWORD}", "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            "bookworm", str(root)]
    script = (f"mount -t tmpfs -o mode=755 root {root} && {shlex.join(argv)} && truncate -s {SIZE} {path} && "
              f"mke2fs -q -t ext4 -L debian -d {root} {path}")
    run("unshare", "--mount", "sh", "-c", script, timeout=600).ok()


def debian_disk():
    """A raw image; to be used read-only, or as a backing file."""
    with locked():
        return made("machine-disk", make_disk)
