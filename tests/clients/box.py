"""A closed room for an engine: namespaces, cgroups and writable folders of its own.

`with Box("docker") as box:` gives new mount, pid, network, uts, ipc and cgroup namespaces whose first
process is tini. In it, as far as its mounts reach:

    /etc             an overlay: files of docs/clients are put where docs/CLIENTS.md says
    /run /var/lib/…  empty, in memory; /data is for what is larger, in memory as well
    /usr/local/bin   nothing but viv-oci of the build under test, where `make install` puts it
    /sys/fs/cgroup   the machine's hierarchies, each from one group of the box's own downwards

All of it ends with the block: the first process takes all others with it, the memory goes with the
mount namespace, and the groups are removed. A box whose run was killed is swept by the next.
"""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import tarfile
import time

from lib import *
from lib.asserts import Failed

CGROUPS = pathlib.Path("/sys/fs/cgroup")
DOCS = ROOT / "docs/clients"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the box's shell does before it becomes its first process. $1: an empty folder on the disk.
SETUP = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 box "$1"
cd "$1"
mkdir etc etc-work data cg
mount -t overlay -o lowerdir=/etc,upperdir="$1/etc",workdir="$1/etc-work" etc /etc
for name in $(ls /sys/fs/cgroup); do
    kind=$(stat -f -c %T "/sys/fs/cgroup/$name")
    mkdir "cg/$name"
    case $kind in
    cgroup2fs) mount -t cgroup2 cgroup2 "cg/$name" ;;
    cgroupfs) mount -t cgroup -o "$(case $name in systemd) echo none,name=systemd ;; *) echo "$name" ;; esac)" cgroup "cg/$name" ;;
    *) rmdir "cg/$name" ;;
    esac
done
umount -R -l /sys/fs/cgroup
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
for name in $(ls cg); do
    mkdir "/sys/fs/cgroup/$name"
    mount --move "cg/$name" "/sys/fs/cgroup/$name"
done
for folder in /run /var/lib/containers /var/lib/containerd /var/lib/docker /var/lib/cni /var/lib/viv /var/tmp /usr/local/bin /home /opt; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 box "$folder"
done
chmod 1777 /var/tmp
mkdir -p /run/lock /run/netns
mkdir /opt/data
touch /usr/local/bin/viv-oci
mount --bind "$2" /usr/local/bin/viv-oci
ip link set lo up
hostname "$3"
exec tini -s -- sleep infinity
"""


def guide():
    return (DOCS.parent / "CLIENTS.md").read_text(encoding="utf-8")


def place_of(source):
    """Where docs/CLIENTS.md says that a file of docs/clients goes."""
    return re.search(rf"\(clients/{re.escape(source)}\)[^`]*`([^`]+)`", guide()).group(1)


def documented(program_name):
    """The words of the command line that docs/CLIENTS.md gives for one container, up to what is the
    user's: its first name is a program's."""
    line = re.search(rf"(?m)^    ({program_name} .*)$", guide()).group(1)
    return re.match(r"[^…A-Z(]*", line).group(0).split()


def hierarchies():
    """The mounted hierarchies of the machine: folders in which a group can be made."""
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()] or [CGROUPS]


def remove_group(folder):
    """Removes one group without groups below, or kills what is in it. Another run may be at it too."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        with contextlib.suppress(OSError):
            for pid in pathlib.Path(folder, "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)


def remove_groups(name):
    """Removes the groups below name in every hierarchy; what lives in them is killed."""
    end = time.monotonic() + 10
    for top in [path / name for path in hierarchies()]:
        while top.exists():
            for folder, _, _ in os.walk(top, topdown=False):
                remove_group(folder)
            check(time.monotonic() < end, f"the cgroup {top} cannot be removed")
            time.sleep(0.01)


def sweep():
    """Takes away what boxes of killed runs have left."""
    for path in hierarchies()[0].glob("viv-box-*"):
        pid = int(path.name.split("-")[2])
        if not os.path.exists(f"/proc/{pid}"):
            remove_groups(path.name)


class Box:
    """See above. name: for messages and the host name. root: a folder of its own on the disk."""

    def __init__(self, name):
        self.name = name
        self.group = f"viv-box-{os.getpid()}-{name}"
        self.folder = work() / f"box-{name}"
        self.outer = None
        self.init = None

    def __enter__(self):
        sweep()
        self.folder.mkdir()
        for top in hierarchies():
            make_group(top / self.group)
        log = open(self.folder.parent / f"box-{self.name}.log", "wb")
        self.outer = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork",
             "--kill-child", "--mount-proc", "sh", "-c", SETUP, "sh", str(self.folder),
             program("viv-oci"), self.name],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.enter_group)
        log.close()
        try:
            self.init = eventually(self.find_init, 20, self.why_not)
        except Failed:
            self.__exit__()
            raise
        return self

    def enter_group(self):
        for top in hierarchies():
            (top / self.group / "cgroup.procs").write_text("0")

    def find_init(self):
        check(self.outer.poll() is None, self.why_not)
        for pid in pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split():
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "tini":
                return int(pid)
        return None

    def why_not(self):
        return f"the box did not start: {(self.folder.parent / f'box-{self.name}.log').read_text()}"

    def __exit__(self, *_):
        self.outer.kill()
        self.outer.wait()
        remove_groups(self.group)

    def argv(self, *argv, user=None):
        """The command that runs argv in the box."""
        who = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
        return ["nsenter", "-t", self.init, "-m", "-p", "-n", "-u", "-i", "-C", "--", *who, *argv]

    def run(self, *argv, user=None, env=None, cwd=None, **more):
        """Runs a command in the box to its end, in its groups."""
        env = {"PATH": PATH, "HOME": "/root", **(env or {})}
        return run(*self.argv(*argv, user=user), preexec_fn=self.enter_group, env=env,
                   cwd=cwd or "/", **more)

    def start(self, *argv, env=None, **more):
        """Starts a command that stays, in the box: a Background."""
        env = {"PATH": PATH, "HOME": "/root", **(env or {})}
        return Background(*self.argv(*argv), preexec_fn=self.enter_group, env=env, **more)

    def put(self, path, text, mode=0o644):
        """Writes a file of the box."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"', "sh", path,
                 f"{mode:o}", stdin=text).ok()

    def install(self, source, more=""):
        """Puts a file of docs/clients where docs/CLIENTS.md says that it goes."""
        self.put(place_of(source), (DOCS / source).read_text() + more)

    def doing(self):
        """What the box's processes are and what each waits for, where something has stopped."""
        lines = []
        for pid in descendants(self.outer.pid):
            with contextlib.suppress(OSError):
                of = pathlib.Path(f"/proc/{pid}")
                words = (of / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
                tasks = [(task / "wchan").read_text() + " " + (task / "syscall").read_text().split(" ")[0].strip()
                         for task in sorted((of / "task").iterdir())]
                lines.append(f"{pid} {words}: {'; '.join(sorted(set(tasks)))}")
        return "\n".join(lines)

    def read(self, path):
        return self.run("cat", path).ok().out

    def exists(self, path):
        return self.run("test", "-e", path).status == 0


def make_group(path):
    path.mkdir()
    # A cpuset without CPUs and memory nodes takes no process.
    for name in ("cpuset.cpus", "cpuset.mems"):
        above = path.parent / name
        if above.exists() and "cpuset" in path.parent.name:
            (path / name).write_text(above.read_text())
    if (path / "cgroup.clone_children").exists() and path.parent.name == "cpuset":
        (path / "cgroup.clone_children").write_text("1")


def image_tar(path):
    """The built-in image's root directory as a tar."""
    run("tar", "-C", image(), "-cf", path, ".").ok()
    return path


@contextlib.contextmanager
def podman_of(guest, image):
    """A rig's Podman with viv-oci, by docs/clients/podman.conf; an archive to import is put at `image`."""
    conf, program_place = place_of("podman.conf"), "/usr/local/bin/viv-oci"
    guest.push(image, image_tar(work() / "bb.tar").read_bytes())
    guest.push(conf, (DOCS / "podman.conf").read_bytes())
    # A script, because Podman does not hand down what the sanitizers are told by the environment.
    told = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in os.environ.items()
                   if name.endswith("SAN_OPTIONS"))
    guest.push(program_place, f'#!/bin/sh\n{told}exec {program("viv-oci")} "$@"\n', 0o755)
    try:
        yield guest
    finally:
        guest.sh(f"rm -f {image} {conf} {program_place}").ok()


def image_archive(path, name, command):
    """The built-in image as `docker save` writes images, with a command."""
    layer = image_tar(pathlib.Path(f"{path}.layer"))
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {"architecture": "amd64", "os": "linux", 
              "config": {"Cmd": command, "Env": [f"PATH={PATH}"]},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        archive.add(layer, "layer.tar")
        for file, value in {"config.json": config, "manifest.json": manifest}.items():
            text = json.dumps(value).encode()
            member = tarfile.TarInfo(file)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    layer.unlink()
    return path
