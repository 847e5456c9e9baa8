#!/usr/bin/python3
"""Runs the tests of one file, each in a process of its own: main.py FILE [PART OF A NAME].

Prints one line for each, as the unit tests do: "ok NAME", "FAILED NAME: …" or "skipped NAME: …".
What a test printed is shown only if it failed.
"""
import contextlib
import ctypes
import importlib.util
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from lib import asserts, leaks, marks, process  # noqa: E402 pylint: disable=wrong-import-position

PR_SET_CHILD_SUBREAPER = 36
OK, FAILED, SKIPPED = 0, 1, 77
GRACE = float(os.environ.get("VIV_TEST_GRACE", 20))  # seconds for processes on their way out


def load(path):
    spec = importlib.util.spec_from_file_location("tests_" + pathlib.Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(pathlib.Path(path).parent))
    spec.loader.exec_module(module)
    return module


def body(function, note):
    """In the test's own process: its status; the reason goes to `note`."""
    def say(text):
        pathlib.Path(note).write_text(text, encoding="utf-8")
    try:
        for reason in getattr(function, "reasons", []):
            if reason():
                raise asserts.Skipped(reason())
        marks.enter(getattr(function, "private", ()))
        function()
        return OK
    except asserts.Skipped as skipped:
        say(str(skipped))
        return SKIPPED
    except asserts.Failed as failed:
        frames = [frame for frame in traceback.extract_tb(failed.__traceback__)
                  if "/tests/lib/" not in frame.filename]
        where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}: " if frames else ""
        before = failed.__context__ if not failed.__suppress_context__ else None
        # what failed first, where tidying up failed as well
        say(where + str(failed) + (f"\nafter {type(before).__name__}: {before}" if before else ""))
    except BaseException:  # pylint: disable=broad-except
        say(traceback.format_exc())
    return FAILED


def kill_all(found, kept=()):
    """Kills the test's descendants until none is left; each is our child in the end."""
    end = time.monotonic() + 60
    while found and time.monotonic() < end:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap(kept)
        time.sleep(0.01)
        found = leaks.descendants(without=kept)
    return found


def reap(kept=()):
    """Waits for children that have ended, but for those that someone else waits for."""
    for pid in set(leaks.descendants()) - set(kept):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


def left_over(kept, seconds):
    """{pid: name} of the processes that a test has left, and that do not end by themselves."""
    end = time.monotonic() + seconds
    while True:
        reap(kept)
        found = leaks.descendants(without=kept)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.01)


def wait(pid, seconds):
    """The exit status of the test's process, or None when its time is over."""
    if not process.ends_within(pid, seconds):
        return None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def unmount(top):
    """A test without a mount namespace of its own may have died with mounts in its directory."""
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        if line.split()[4].startswith(top + "/"):
            ctypes.CDLL(None).umount2(line.split()[4].encode(), 2)


def make_work():
    """A directory of its own for a test, or for what a file's tests share."""
    top = tempfile.mkdtemp(prefix="viv-test-")
    os.chmod(top, 0o755)
    os.mkdir(os.path.join(top, "work"))
    os.environ["VIV_TEST_WORK"] = os.path.join(top, "work")
    os.environ["VIV_DATA_ROOT"] = os.path.join(top, "data")
    os.environ["VIV_NETWORK"] = "none"  # no test changes this machine's network unless it says so
    return top


@contextlib.contextmanager
def shared(module):
    """What the tests of a file share: its context manager `shared`, entered before the first of
    them. Processes that it starts stay until its end."""
    if not hasattr(module, "shared"):
        yield
        return
    top = make_work()
    try:
        with module.shared():
            yield
    finally:
        kill_all(leaks.descendants())
        unmount(top)
        shutil.rmtree(top, ignore_errors=True)


def run_one(name, function, seconds):
    top = make_work()
    kept = set(leaks.descendants())
    note, log = os.path.join(top, "note"), os.path.join(top, "log")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        output = os.open(log, os.O_CREAT | os.O_WRONLY, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        os.chdir(os.environ["VIV_TEST_WORK"])
        status = body(function, note)
        sys.stdout.flush()
        os._exit(status)
    status = wait(pid, seconds)
    text = pathlib.Path(note).read_text(encoding="utf-8") if os.path.exists(note) else ""
    if status is None:
        status, text = FAILED, f"not ended after {seconds} s"
    elif status not in (OK, FAILED, SKIPPED):
        status, text = FAILED, f"its process ended with {status}"
    allowed = getattr(function, "leaves_processes", False)
    left = left_over(kept, GRACE if status == OK and not allowed else 0)
    stuck = kill_all(left, kept)
    if status == OK and left and not allowed:
        status, text = FAILED, "processes left: " + ", ".join(sorted(left.values()))
    if stuck:
        status, text = FAILED, f"processes that cannot be killed: {stuck}"
    unmount(top)
    report(name, status, text, log)
    shutil.rmtree(top, ignore_errors=True)
    return status == FAILED


def report(name, status, text, log):
    if status == OK:
        print(f"ok {name}", flush=True)
        return
    if status == SKIPPED:
        print(f"skipped {name}: {text}", flush=True)
        return
    output = pathlib.Path(log).read_text(errors="replace") if os.path.exists(log) else ""
    for line in (output[-8000:] + "\n" + text).strip().splitlines():
        print("  " + line)
    print(f"FAILED {name}", flush=True)


def main():
    path, part = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    module = load(path)
    factor = asserts.PATIENCE * (3 if process.SANITIZED else 1)
    failed = 0
    tests = [(name[len("test_"):], function) for name, function in list(vars(module).items())
             if name.startswith("test_") and callable(function) and part in name]
    try:
        with shared(module):
            for name, function in tests:
                seconds = getattr(function, "timeout", getattr(module, "TIMEOUT", 60))
                failed += run_one(name, function, seconds * factor)
    except asserts.Skipped as skipped:
        for name, _ in tests:
            print(f"skipped {name}: {skipped}")
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        print("FAILED shared")
        failed += 1
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
