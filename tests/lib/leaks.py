"""What a test may leave behind, as sets of text that can be compared.

What other tests of the same moment do must not show: cgroups are those whose path holds the scope's
text, processes are the descendants of the test, namespaces those that these hold or that are mounted
here, and mounts are those of the test's own mount namespace without Podman's, which others may use.
"""
import contextlib
import os
import pathlib
import subprocess
import time

from .asserts import Failed, check

__all__ = ["no_leaks", "snapshot", "descendants", "leaked", "ended"]

KINDS = ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"]


def _text(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def descendants(pid=None, without=()):
    """{pid: name} of all processes below one; a test is the reaper of its orphans. Those of
    `without` are left out with all below them."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _text(f"/proc/{entry}/stat").rsplit(")", 1)
            if len(fields) == 2:
                children.setdefault(int(fields[1].split()[1]), []).append(int(entry))
    found, todo = {}, [pid or os.getpid()]
    while todo:
        for child in set(children.get(todo.pop(), [])) - set(without):
            found[child] = _text(f"/proc/{child}/comm").strip()
            todo.append(child)
    return found


def _mounts():
    lines = set()
    for line in _text("/proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[4].startswith("/var/lib/containers/"):
            continue
        lines.add(f"mount {fields[3]} on {fields[4]} ({fields[fields.index('-') + 1]})")
    return lines


def _cgroups(scope):
    if not scope:
        return set()
    found = set()
    for line in _text("/proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] in ("cgroup", "cgroup2"):
            for folder, _, _ in os.walk(fields[4]):
                if scope in folder:
                    found.add(f"cgroup {folder}")
    return found


def _namespaces(pids):
    found = set()
    for pid in pids:
        for kind in KINDS:
            with contextlib.suppress(OSError):
                found.add("namespace " + os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found


def _descriptors():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"descriptor {name} to {os.readlink(f'/proc/self/fd/{name}')}")
    # what the reaper of a test reads is open for moments
    return {line for line in found if "/fd" not in line and "/task" not in line}


def _links():
    # Not /sys/class/net, which shows the network namespace that /sys was mounted in.
    lines = _text("/proc/self/net/dev").splitlines()[2:]
    return {f"interface {line.split(':')[0].strip()}" for line in lines}


def _rules():
    try:
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return set()
    return {f"firewall {line}" for line in done.stdout.splitlines()}


def _files(folders):
    found = set()
    for top in folders:
        for folder, names, files in os.walk(top):
            found |= {f"file {os.path.join(folder, name)}" for name in names + files}
    return found


def ended(pid):
    """Whether a process has ended, even if nobody has taken its status yet."""
    fields = _text(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()
    return len(fields) < 2 or fields[0] in "ZX"


def _ended(pid):
    """Whether it is a zombie that only this process can take away, as an engine's shim would."""
    fields = _text(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()
    return len(fields) < 2 or fields[0] in "ZX" and int(fields[1]) == os.getpid()


def snapshot(scope="", folders=()):
    """All that could be left behind now."""
    below = {pid: name for pid, name in descendants().items() if not _ended(pid)}
    processes = {f"process {pid} ({name})" for pid, name in below.items()}
    return (processes | _mounts() | _cgroups(scope) | _namespaces([*below, os.getpid()]) | _links()
            | _rules() | _descriptors() | _files(folders))


def leaked(before, scope="", folders=()):
    """What is there now and was not before, as sorted lines."""
    return sorted(snapshot(scope, folders) - before)


def _settled(before, scope, folders):
    """What is left behind. Processes that are on their way out, and interfaces, which the kernel takes
    down with a network namespace some time after its last process, get the time of a busy machine."""
    end, pause = time.monotonic() + 60, 0.001
    while True:
        left = leaked(before, scope, folders)
        if not any(line.startswith(("process ", "interface ")) for line in left) or time.monotonic() > end:
            return left
        time.sleep(pause)
        pause = min(2 * pause, 0.2)


@contextlib.contextmanager
def no_leaks(scope="", folders=()):
    """Fails if the block leaves anything behind. scope: text that is in the path of each cgroup that
    belongs to the block; folders: where no file may stay."""
    before = snapshot(scope, folders)
    yield
    left = _settled(before, scope, folders)
    if left:
        raise Failed("left behind:\n    " + "\n    ".join(left))
    gone = sorted(line for line in before - snapshot(scope, folders) if line.startswith("mount "))
    check(not gone, "taken away: " + ", ".join(gone))
