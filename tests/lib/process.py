"""Where things are, and running them."""
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import threading
import time

from .asserts import PATIENCE, Failed, check, eventually

__all__ = ["ROOT", "BUILD", "SANITIZED", "program", "image", "run", "viv", "work", "Background",
           "Result", "unique", "rig", "as_user", "cpus_busy", "catches",
           "ends_within", "landlock_version"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VIV_BUILD", ROOT / "build"))
SANITIZED = BUILD.name.endswith("asan")
PIPE = 4096  # bytes that every pipe holds


@dataclasses.dataclass
class Result:
    """A command that has ended. status is the exit status, or 128 + the signal."""
    argv: list
    status: int
    out: str
    err: str
    seconds: float

    def ok(self):
        """Returns itself, or fails the test with all that the command printed."""
        check(self.status == 0, lambda: str(self))
        return self

    def lines(self):
        return self.out.splitlines()

    def __str__(self):
        return (f"{' '.join(map(str, self.argv))} ended with {self.status}\n"
                f"    stdout: {self.out[-4000:]!r}\n    stderr: {self.err[-4000:]!r}")


def _status(code):
    return code if code >= 0 else 128 - code


def ends_within(pid, seconds):
    """Whether a child ends in that time; it is not reaped. Nothing is polled, as Popen.wait() does where
    there is a limit, which sees the end of a short command when half as much again has gone by."""
    over = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(over, select.POLLIN)
        return bool(poll.poll(max(seconds, 0) * 1000))
    finally:
        os.close(over)


def _feed(pipe, data):
    """Writes what a command may not want to read."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(data)


def run(*argv, stdin="", timeout=50, env=None, cwd=None, **more):
    """Runs a command to its end. env is added to the environment. Fails the test after PATIENCE times
    the timeout, after killing the command."""
    timeout *= PATIENCE
    argv = [str(part) for part in argv]
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Files, not pipes: a daemon that the command leaves behind may keep them open.
        try:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=cwd,
                                       env={**os.environ, **(env or {})}, **more)
        except FileNotFoundError as error:
            raise Failed(f"{argv[0]} does not exist: {error}") from None
        data = stdin.encode() if isinstance(stdin, str) else stdin
        # More than a pipe holds may wait for the command, or for its end.
        feeder = threading.Thread(target=_feed, args=(process.stdin, data), daemon=True)
        feeder.start() if len(data) > PIPE else _feed(process.stdin, data)
        late = not ends_within(process.pid, timeout)
        if late:
            process.kill()
        process.wait()
        out.seek(0)
        err.seek(0)
        result = Result(argv, _status(process.returncode), out.read().decode(errors="replace"),
                        err.read().decode(errors="replace"), time.monotonic() - begin)
    check(not late, lambda: f"not ended after {timeout} s: {result}")
    return result


def program(name):
    """The path of a program of the build under test."""
    path = BUILD / name
    check(path.exists(), f"{path} has not been built")
    return str(path)


def image():
    """The built-in image's root directory."""
    return str(BUILD / "share/viv/busybox")


def viv(*args, **more):
    """Runs viv of the build under test to its end."""
    return run(program("viv"), *args, **more)


def work():
    """This test's own directory, removed after it."""
    return pathlib.Path(os.environ["VIV_TEST_WORK"])


def unique(prefix="t"):
    """A name that no other test uses, now or beside this one."""
    unique.count += 1
    return f"{prefix}{os.getpid()}-{unique.count}"


unique.count = 0


class Background:
    """A command that runs beside the test: `with Background("sleep", "9") as b: … b.pid`.
    At the end of the block it is killed and waited for. out() and err() give what it printed."""

    def __init__(self, *argv, env=None, **more):
        self.argv = [str(part) for part in argv]
        # Beside work(), so that no test sees them as its own files.
        name = unique("background-")
        self._out, self._err = (work().parent / f"{name}.{end}" for end in ("out", "err"))
        more.setdefault("stdin", subprocess.DEVNULL)
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self.process = subprocess.Popen(self.argv, stdout=out, stderr=err,
                                            env={**os.environ, **(env or {})}, **more)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def out(self):
        return self._out.read_text(errors="replace")

    def err(self):
        return self._err.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def wait_for(self, text, seconds=10):
        """Waits until text has been printed on stdout or stderr."""
        eventually(lambda: text in self.out() or text in self.err(), seconds,
                   lambda: f"{self.argv[0]} did not print {text!r} "
                           f"(stdout {self.out()!r}, stderr {self.err()!r})")

    def wait(self, seconds=30):
        """Waits for its end; returns the status as Result has it."""
        check(self.process.returncode is not None or ends_within(self.pid, seconds * PATIENCE),
              lambda: f"{self.argv} has not ended after {seconds * PATIENCE} s")
        return _status(self.process.wait())

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.running():
            self.process.kill()
        self.process.wait()


def as_user(*argv, uid=1000, **more):
    """Runs a command as an ordinary user; with uid 0 left out of its ids and groups."""
    return run(*argv, user=uid, group=uid, extra_groups=[], **more)


def catches(pid, number):
    """Whether a process has a handler for a signal; before that it would be lost, or end it."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt:"))
    return int(mask, 16) >> (number - 1) & 1 == 1


def cpus_busy(pids, seconds=1.0):
    """How many CPUs these processes use together, over some time: 0.5 is half a CPU."""
    ticks = os.sysconf("SC_CLK_TCK")

    def used():
        total = 0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / ticks

    before, begin = used(), time.monotonic()
    time.sleep(seconds)
    return (used() - before) / (time.monotonic() - begin)


def rig(kind):
    """The running rig of that kind ("v2", "systemd"), started on first use and shared by all tests
    of the run. See tests/rigs/rig.py."""
    sys.path.insert(0, str(ROOT / "tests/rigs"))
    import rig as rigs  # pylint: disable=import-outside-toplevel
    return rigs.get(kind)


def landlock_version():
    """Of this kernel; -1 where it has none. landlock_create_ruleset(2)"""
    return ctypes.CDLL(None).syscall(444, None, 0, 1)
