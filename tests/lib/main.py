#!/usr/bin/python3
"""Runs the tests of one file, each in a process of its own: main.py FILE [PART OF A NAME].

Prints one line for each, as the unit tests do: "ok NAME", "FAILED NAME: …" or "skipped NAME: …".
What a test printed is shown only if it failed.
"""
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
        say(where + str(failed))
    except BaseException:  # pylint: disable=broad-except
        say(traceback.format_exc())
    return FAILED


def kill_all(found):
    """Kills the test's descendants until none is left; each is our child in the end."""
    end = time.monotonic() + 10
    while found and time.monotonic() < end:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        time.sleep(0.01)
        found = leaks.descendants()
    return found


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def wait(pid, seconds):
    """The exit status of the test's process, or None when its time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def unmount(top):
    """A test without a mount namespace of its own may have died with mounts in its directory."""
    for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
        if line.split()[4].startswith(top + "/"):
            ctypes.CDLL(None).umount2(line.split()[4].encode(), 2)


def run_one(name, function, seconds):
    top = tempfile.mkdtemp(prefix="viv-test-")
    os.chmod(top, 0o755)
    os.mkdir(os.path.join(top, "work"))
    os.environ["VIV_TEST_WORK"] = os.path.join(top, "work")
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
    reap()
    left = leaks.descendants()
    stuck = kill_all(left)
    if status == OK and left and not getattr(function, "leaves_processes", False):
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
    factor = 3 if process.SANITIZED else 1
    failed = 0
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and callable(function) and part in name:
            seconds = getattr(function, "timeout", getattr(module, "TIMEOUT", 60)) * factor
            failed += run_one(name[len("test_"):], function, seconds)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
