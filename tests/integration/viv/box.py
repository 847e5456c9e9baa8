"""What the tests of viv share: a store and control groups of each test's own, so that they can run
beside each other, and all of them taken away at the end."""
import contextlib
import json
import os
import pathlib

from lib import *

__all__ = ["Box", "box", "overlaid", "CGROUPS"]

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class Box:
    """One store of sandboxes with everything that is made in it."""

    def __init__(self):
        self.store = work().parent / unique("store-")
        self.scope = unique("viv-test-")

    def viv(self, *args, **more):
        return viv("--root", self.store, *args, **more)

    def flags(self, *flags):
        """The flags that keep a run of ours apart from others."""
        return ["--cgroup-parent", "/" + self.scope, *flags]

    def run(self, *args, **more):
        """viv run --rm with these flags, image and command."""
        return self.viv("run", "--rm", *self.flags(), *args, **more)

    def sh(self, script, *flags, **more):
        """Runs a shell script in a sandbox of the built-in image; its result."""
        return self.run(*flags, "busybox", "--", "sh", "-c", script, **more)

    def out(self, script, *flags, **more):
        """As sh(), which has to end well; what it printed."""
        return self.sh(script, *flags, **more).ok().out.strip()

    def start(self, *args, name=None, script="sleep 1000", image=("busybox",)):
        """A sandbox in the background; its name."""
        name = name or unique("s")
        self.viv("run", "-d", "--name", name, *self.flags(), *args, *image, "--", "sh", "-c",
                 script).ok()
        return name

    def inspect(self, name):
        return json.loads(self.viv("inspect", name).ok().out)[0]

    def pid(self, name):
        """The workload's process id on the host."""
        return self.inspect(name)["Pid"]

    def names(self):
        """Those that run, and those that have a record."""
        folders = [self.store, pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes")]
        return sorted({entry.name for folder in folders if folder.is_dir()
                       for entry in folder.iterdir() if entry.name[0] != "."})

    def nothing_kept(self):
        """The store of images has no image, no layer, no rest of a download, and is sound."""
        store = pathlib.Path(os.environ["VIV_DATA_ROOT"], "images")
        equal(self.viv("images", "-q").ok().out, "")
        for folder in ("blobs/sha256", "layers", "tmp", "fetch", "partial", "roots"):
            found = os.listdir(store / folder) if (store / folder).exists() else []
            equal(found, [], folder)
        equal(self.viv("system", "check").ok().out, "")

    def cgroup_dirs(self):
        """Every directory of ours in any hierarchy, the deepest first."""
        found = []
        for top in [*CGROUPS.iterdir(), CGROUPS]:
            if (top / self.scope).is_dir():
                found += [pathlib.Path(entry[0]) for entry in os.walk(top / self.scope,
                                                                      topdown=False)]
        return found

    def close(self):
        for name in self.names():
            self.viv("rm", "-f", name)
        for folder in self.cgroup_dirs():
            with contextlib.suppress(OSError):
                folder.rmdir()


def overlaid():
    """A folder on an overlayfs, whose own folders are in memory: not upon that of a container."""
    top = work() / "overlaid"
    top.mkdir()
    run("mount", "-t", "tmpfs", "none", top).ok()
    for part in ("lower", "upper", "work", "merged"):
        (top / part).mkdir()
    run("mount", "-t", "overlay", "-o",
        f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work", "none", top / "merged").ok()
    return top / "merged/data"


@contextlib.contextmanager
def box():
    """with box() as b: b.run("busybox", "true").ok()"""
    made = Box()
    try:
        yield made
    finally:
        made.close()
