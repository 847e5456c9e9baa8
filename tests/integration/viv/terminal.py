"""A terminal behaves as a person expects: raw, sized, Ctrl-C to the workload, detach keys, and put
back whatever happens."""
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import termios
import time

from lib import *
from box import box

TIMEOUT = 60


class Screen:
    """A command at a terminal of its own, of 30 lines and 100 columns."""

    def __init__(self, *argv):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(argv[0], [str(word) for word in argv])
        self.text = ""
        self.size(30, 100)

    def size(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            if not got:
                return
            self.text += got.decode(errors="replace")

    def wait_for(self, text, seconds=15):
        def found():
            self.read()
            return text in self.text
        eventually(found, seconds, lambda: f"{text!r} is not in {self.text!r}")

    def settings(self):
        return termios.tcgetattr(self.master)

    def end(self, seconds=15):
        """Waits for the command; its status as a shell has it."""
        until = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < until:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.master)
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise Failed(f"not ended: {self.text!r}")


def gone():
    """Whether nothing of ours is left; who watched a sandbox whose command has ended is the test's own
    child by then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return not descendants()


def shell(b, *flags, command=("sh",)):
    return Screen(program("viv"), "--root", b.store, "run", *b.flags("-it", *flags), "busybox",
                  *command)


def test_raw_while_it_runs_and_put_back_after():
    with box() as b:
        screen = Screen("/bin/sh")
        screen.wait_for("#")
        before = screen.settings()
        screen.type(f"{program('viv')} --root {b.store} run --rm -it "
                    f"--cgroup-parent /{b.scope} busybox\n")
        screen.wait_for("/ #")
        check(not screen.settings()[3] & termios.ICANON, "the terminal is not raw")
        screen.type("tty; exit 3\n")
        screen.wait_for("/dev/pts/0")
        eventually(lambda: screen.settings() == before)
        screen.type("echo status=$?\n")
        screen.wait_for("status=3")
        screen.type("exit\n")
        screen.end()


def test_window_size():
    with box() as b:
        screen = shell(b, "--rm")
        screen.wait_for("/ #")
        screen.type("stty size\n")
        screen.wait_for("30 100")
        screen.size(41, 77)
        os.kill(screen.pid, signal.SIGWINCH)
        screen.type("until [ \"$(stty size)\" = '41 ''77' ]; do sleep 0.1; done; stty size\n")
        screen.wait_for("41 77")
        screen.type("exit 0\n")
        equal(screen.end(), 0)


def test_ctrl_c_goes_to_the_workload():
    with box() as b:
        screen = shell(b, "--rm")
        screen.wait_for("/ #")
        screen.type("sleep 1000; echo after=$?\n")
        eventually(lambda: "sleep" in descendants().values())
        screen.type("\x03")
        screen.type("echo still=$((40+2))\n")
        screen.wait_for("still=42")
        screen.type("exit 4\n")
        equal(screen.end(), 4)


def test_detach_keys_leave_it_running():
    with box() as b:
        screen = shell(b, "--name", "kept", "--detach-keys", "ctrl-a,d")
        screen.wait_for("/ #")
        screen.type("\x01d")
        equal(screen.end(), 0)
        contains(b.viv("ps").ok().out, "kept")
        again = Screen(program("viv"), "--root", b.store, "attach", "kept")
        # what is typed before viv has the terminal to itself is thrown away
        eventually(lambda: not again.settings()[3] & termios.ICANON)
        again.type("echo back=$((40+3))\n")
        again.wait_for("back=43")
        again.type("exit 6\n")
        equal(again.end(), 6)
        eventually(gone)


def test_put_back_when_the_workload_is_killed():
    with box() as b:
        screen = Screen("/bin/sh")
        screen.wait_for("#")
        before = screen.settings()
        screen.type(f"{program('viv')} --root {b.store} run -it --name gone "
                    f"--cgroup-parent /{b.scope} busybox\n")
        screen.wait_for("/ #")
        os.kill(b.pid("gone"), signal.SIGKILL)
        eventually(lambda: screen.settings() == before)
        screen.type("echo status=$?\n")
        screen.wait_for("status=137")
        screen.type("exit\n")
        screen.end()


def test_no_terminal_to_give():
    with box() as b:
        fails(b.run("-it", "busybox"), 125, "-t: the input is not a terminal")


def test_step():
    """--step asks before each step: lists what is there, undoes and leaves."""
    with box() as b:
        with no_leaks(b.scope + "/"):
            screen = Screen(program("viv"), "--root", b.store, "run", "--rm",
                            *b.flags("--step", "busybox", "echo", "done-it"))
            screen.wait_for("[q] undo and leave")
            screen.type("\nl\n")
            screen.wait_for("there is no process yet")
            screen.type("q\n")
            equal(screen.end(), 125)
            contains(screen.text, "left at step 2, as you asked; all was undone")
        screen = Screen(program("viv"), "--root", b.store, "run", "--rm",
                        *b.flags("--step", "busybox", "echo", "done-it"))
        screen.wait_for("[q] undo and leave")
        screen.type("c\n")
        screen.wait_for("done-it")
        equal(screen.end(), 0)


def test_step_shows_what_is_there():
    """In the middle of it: the namespaces as they are, the control group, and a shell beside it; the
    step after the one that makes the process is the first with something to show."""
    with box() as b:
        flags = b.flags("--userns", "host")
        steps = json.loads(b.viv("explain", "--format", "json", *flags, "busybox", "true").ok().out)
        born = next(step["step"] for step in steps if step["op"] == "clone3")
        with no_leaks(b.scope + "/"):
            screen = Screen(program("viv"), "--root", b.store, "run", "--rm", "--step", *flags,
                            "busybox", "true")
            for _ in range(born):
                screen.wait_for("[q] undo and leave")
                screen.text = ""
                screen.type("n\n")
            screen.wait_for("[q] undo and leave")
            screen.type("l\n")
            screen.wait_for("control groups:")
            matches(screen.text, r"net:\[\d+\]\s+its own")
            matches(screen.text, r"user:\[\d+\]\s+the host's")
            contains(screen.text, b.scope)
            screen.type("s\n")
            screen.wait_for("a shell in the sandbox's namespaces")
            screen.type("readlink /proc/self/ns/uts; echo beside=$((40+4)); exit\n")
            screen.wait_for("beside=44")
            check(os.readlink("/proc/self/ns/uts") not in screen.text, "the shell is in the host's")
            screen.wait_for("[q] undo and leave")
            screen.type("q\n")
            equal(screen.end(), 125)
            contains(screen.text, "all was undone")


def test_put_back_when_viv_is_told_to_end():
    """The workload gets the signal, and the terminal is as it was."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        with box() as b:
            screen = Screen("/bin/sh")
            screen.wait_for("#")
            before = screen.settings()
            screen.type(f"{program('viv')} --root {b.store} run --init -it --name told "
                        f"--cgroup-parent /{b.scope} busybox sh -c 'echo read''y; sleep 1000'\n")
            screen.wait_for("ready")
            check(screen.settings() != before, "the terminal is not raw")
            viv_pid = next(pid for pid, name in descendants(screen.pid).items() if name == "viv")
            os.kill(viv_pid, number)
            eventually(lambda: screen.settings() == before)
            screen.type("echo status=$?\n")
            screen.wait_for("status=")
            screen.type("exit\n")
            screen.end()
            b.viv("rm", "-f", "told")
            eventually(gone)


def test_bash_completes():
    with box() as b:
        b.viv("create", "--name", "web", *b.flags(), "busybox", "true").ok()
        b.viv("commit", "web", "localhost/base:1").ok()
        bash = Screen("/bin/bash", "--noprofile", "--norc", "-i")
        bash.size(30, 400)
        bash.type(f"viv() {{ {program('viv')} --root {b.store} \"$@\"; }}; "
                  "source <(viv completion bash); bind 'set bell-style none'; PS1=; echo re''ady\n")
        bash.wait_for("ready\r\n")
        for line, until in (("viv run --isolation=v", "viv run --isolation=vm "),
                            ("viv run localhost/ba", "viv run localhost/base:1 "),
                            ("viv run base:", "viv run base:1 "),
                            ("viv run -e 'A=b c' --rest", "viv run -e 'A=b c' --restart "),
                            ("viv cp w", "viv cp web:"),
                            ("viv run --env-file /etc/hostna", "viv run --env-file /etc/hostname ")):
            bash.text = ""
            bash.type(line + "\t")
            bash.wait_for(until)
            bash.type("\x15")
        bash.type("exit\n")
        equal(bash.end(), 0)
