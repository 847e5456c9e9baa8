"""Guests for the machine tests: Debian's cloud kernel, unpacked, and an initramfs that is made here
from busybox, the virtio modules and a script. Nothing is installed; all is kept in tests/.cache."""
import ctypes
import errno
import io
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys

from .asserts import eventually
from .process import Background, program, run

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "rigs"))
import rig as rigs  # noqa: E402  (its kernel is ours too)

__all__ = ["APPEND", "BOOT", "boot", "describe", "initramfs", "kernel", "Machine", "MODULES",
           "offers_io_uring", "until_told", "without_io_uring"]

BOOT = 100  # seconds of a quiet machine: a limit for what hangs. A boot takes two

MODULES = ["virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "virtio-rng", "virtio_balloon",
           "virtio_console", "failover", "net_failover", "virtio_net", "vsock",
           "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport", "pvpanic",
           "pvpanic-mmio", "fuse", "virtiofs"]

# For a console that holds no more than what is looked for. The kernel's tests of its own ciphers are
# 40 of 100 instructions of its boot.
APPEND = "console=ttyS0 panic=-1 quiet pci=off cryptomgr.notests"

INIT = """#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t sysfs sys /sys
[ -n "$TELL" ] && echo user space
for m in %(modules)s; do insmod /m/$m.ko || echo "no module $m"; done
%(script)s
poweroff -f
"""


def kernel():
    """The folder with vmlinuz and files/lib/modules."""
    rigs.kernel()
    return rigs.KERNEL


def entry(archive, name, mode, data=b""):
    """One member of a cpio archive (the kernel's "newc" format)."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = "070701" + "".join(f"{field:08x}" for field in fields) + name + "\0"
    archive.write(head.encode())
    archive.write(b"\0" * (-archive.tell() % 4))
    archive.write(data)
    archive.write(b"\0" * (-archive.tell() % 4))


def initramfs(script, modules=MODULES, programs=()):
    """Writes ./initramfs with this shell script as what the guest does, and programs (paths) in its
    /bin; returns its path."""
    archive = io.BytesIO()
    for folder in ["bin", "dev", "proc", "sys", "tmp", "m"]:
        entry(archive, folder, 0o040755)
    entry(archive, "bin/busybox", 0o100755, pathlib.Path("/bin/busybox").read_bytes())
    entry(archive, "bin/sh", 0o120777, b"busybox")
    for path in map(pathlib.Path, programs):
        entry(archive, f"bin/{path.name}", 0o100755, path.read_bytes())
    for path in (kernel() / "files/lib/modules").rglob("*.ko"):
        if path.stem in modules:
            entry(archive, f"m/{path.name}", 0o100644, path.read_bytes())
    text = INIT % {"modules": " ".join(modules), "script": script}
    entry(archive, "init", 0o100755, text.encode())
    entry(archive, "TRAILER!!!", 0)
    path = pathlib.Path("initramfs").resolve()
    path.write_bytes(archive.getvalue())
    return path


def describe(script, accel="emu", memory=256 << 20, append="", programs=(), **more):
    """The description of a machine that runs this script; ./machine.json."""
    description = {
        "accel": accel, "memory": memory, "kernel": {"path": str(kernel() / "vmlinuz")},
        "initrd": {"path": str(initramfs(script, programs=programs))},
        "append": f"{APPEND} {append}",
        "console": {"output": 1}, **more}
    path = pathlib.Path("machine.json").resolve()
    path.write_text(json.dumps(description), encoding="utf-8")
    return path


def until_told(script):
    """What a guest does again and again until Machine.tell(): the host looks at it in the middle of it,
    however slow either is."""
    return (f"(read x < /dev/console; : > /told) & while [ ! -e /told ]; do\n{script}\ndone\n")


def boot(script, timeout=BOOT, vmm=None, **more):
    """Boots a machine that runs this script and powers off; the result of viv-vmm. Lines of the
    console end without carriage returns."""
    done = run(vmm or program("viv-vmm"), describe(script, **more), timeout=timeout)
    done.out = done.out.replace("\r", "")
    return done


def offers_io_uring():
    """Whether this host's kernel and administrator do."""
    fd = ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120))  # io_uring_setup
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def without_io_uring():
    """Makes the kernel refuse io_uring_setup to this process and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    load, equal_to, give = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    refused, allowed = 0x50000 | errno.EPERM, 0x7fff0000
    lines = [(load, 0, 0, 0), (equal_to, 0, 1, 425), (give, 0, 0, refused), (give, 0, 0, allowed)]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    kept = ctypes.create_string_buffer(code)
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(kept)))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, head):  # NO_NEW_PRIVS, SECCOMP
        raise OSError(ctypes.get_errno(), "prctl")


class Machine(Background):
    """viv-vmm beside the test, with a control socket: `with Machine(describe("…")) as m: …`. What is
    given by name is changed in the description, fds are what it names, `before` is called before the
    program begins. The console's text is out(), and what is typed there goes in by tell()."""

    def __init__(self, description, fds=(), before=None, **changes):
        changes.setdefault("console", {"input": 0, "output": 1})
        wanted = {**json.loads(pathlib.Path(description).read_text(encoding="utf-8")), **changes}
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(600)
        wanted["controlFd"] = theirs.fileno()
        path = pathlib.Path(f"machine-{theirs.fileno()}.json").resolve()
        path.write_text(json.dumps(wanted), encoding="utf-8")
        with theirs:
            super().__init__(program("viv-vmm"), path, pass_fds=[theirs.fileno(), *fds],
                             preexec_fn=before, stdin=subprocess.PIPE)

    def out(self):
        return super().out().replace("\r", "")

    def tell(self, text=""):
        """Types a line."""
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def wait(self, seconds=BOOT):
        return super().wait(seconds)

    def wait_for(self, text, seconds=BOOT):
        def printed():
            over = not self.running()  # before looking: what it printed last counts
            return text in self.out() or text in self.err() or over
        eventually(printed, seconds, lambda: f"{text!r} did not come: {self.out()[-3000:]!r}")
        super().wait_for(text, 1)

    def stop(self):
        super().stop()
        self.process.stdin.close()
        self.control.close()

    def ask(self, command, file=None, **more):
        """Sends a request, with a file's descriptor if one is given; the reply."""
        text = json.dumps({"command": command, **more}).encode()
        return self.ask_text(text, [file.fileno()] if file else [])

    def ask_text(self, text, fds=()):
        socket.send_fds(self.control, [text], fds)
        return json.loads(self.control.recv(1 << 16))
