"""Bundles, and viv-oci with a state directory of the test's own."""
import contextlib
import copy
import json
import os
import pathlib
import shutil
import threading
import time

from lib import *

IMAGE = BUILD / "share/viv/busybox"
_spec = {}


def _reap():
    """The processes of containers that become ours when viv-oci has ended: as an engine's shim, a
    test has to wait for them, or their PID namespace cannot end. They lead sessions of their own;
    what the test itself has started does not, and is waited for where it was started."""
    own = os.getsid(0)
    while True:
        time.sleep(0.005)
        with contextlib.suppress(OSError):
            if not os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                continue
        for path in pathlib.Path("/proc/self/task").glob("*/children"):
            for pid in map(int, path.read_text().split()):
                with contextlib.suppress(OSError):
                    if os.getsid(pid) != own:
                        os.waitpid(pid, os.WNOHANG)


def reaper():
    """Once in each test's process."""
    if _reaper.get("pid") != os.getpid():
        _reaper["pid"] = os.getpid()
        threading.Thread(target=_reap, daemon=True).start()


_reaper = {}


def state_dir():
    return work().parent / "state"


def oci(*args, **more):
    """viv-oci of the build under test, to its end."""
    reaper()
    return run(program("viv-oci"), "--root", state_dir(), *args, **more)


def spec():
    """What `viv-oci spec` writes, with the built-in image as the root and no terminal."""
    if not _spec:
        folder = work().parent / "spec"
        folder.mkdir()
        run(program("viv-oci"), "spec", "--bundle", folder).ok()
        _spec.update(json.loads((folder / "config.json").read_text()))
        _spec["root"] = {"path": str(IMAGE), "readonly": True}
        _spec["process"]["terminal"] = False
        _spec["process"]["args"] = ["/bin/sleep", "1000"]
    return copy.deepcopy(_spec)


def merge(into, changes):
    """Members of `changes` replace those of `into`, object by object; None takes one away."""
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
    return into


def bundle(args=None, **changes):
    """A directory with a config.json: bundle(["/bin/true"], linux={"resources": {…}})."""
    config = merge(spec(), changes)
    if args:
        config["process"]["args"] = list(args)
    return bundle_of(json.dumps(config))


def bundle_of(text):
    """A bundle with that very text as its config.json."""
    folder = work().parent / unique("bundle")
    folder.mkdir()
    (folder / "config.json").write_text(text)
    return folder


def own_root(folder=None):
    """A copy of the built-in image that a test may change."""
    root = (folder or work().parent) / unique("root")
    shutil.copytree(IMAGE, root, symlinks=True)
    os.chmod(root, 0o755)
    return root


def state(name):
    return json.loads(oci("state", name).ok().out)


def status(name):
    return state(name)["status"]


def gone(name):
    """Whether the runtime knows nothing of it any more."""
    return oci("state", name).status == 1


@contextlib.contextmanager
def container(args=None, start=True, options=(), **changes):
    """A container that is created, and started unless start=False; taken away at the end."""
    name = unique("oci")
    try:
        oci("create", "--bundle", bundle(args, **changes), *options, name).ok()
        if start:
            oci("start", name).ok()
        yield name
    finally:
        oci("delete", "--force", name)


def sh(text):
    return ["/bin/sh", "-c", text]


def output(args, **changes):
    """What a container prints that runs to its end; it must end well."""
    return oci("run", "--bundle", bundle(args, **changes), unique("oci")).ok().out
