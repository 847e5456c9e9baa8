"""What is said above a test function: what it needs, and the namespaces that it runs in."""
import ctypes
import os
import shutil

__all__ = ["needs", "private", "timeout", "leaves_processes"]

CLONE = {"mnt": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
         "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
MS_REC, MS_PRIVATE = 0x4000, 1 << 18


def needs(root=False, programs=(), kernel=()):
    """Skips the test where it cannot run: without root, a program on PATH, or a path of the
    kernel's that must exist ("/dev/kvm")."""
    def mark(function):
        def reason():
            if root and os.geteuid() != 0:
                return "needs root"
            for name in programs:
                if not shutil.which(name):
                    return f"needs the program {name}"
            for path in kernel:
                if not os.path.exists(path):
                    return f"this kernel has no {path}"
            return None
        function.reasons = getattr(function, "reasons", []) + [reason]
        return function
    return mark


def private(*names):
    """Runs the test in new namespaces: private("mnt", "net"). A new mount namespace gets private
    propagation, a new network namespace its loopback up."""
    def mark(function):
        function.private = names
        return function
    return mark


def timeout(seconds):
    """This test's own limit, in place of the file's TIMEOUT."""
    def mark(function):
        function.timeout = seconds
        return function
    return mark


def leaves_processes(function):
    """Processes that the test leaves are killed without a word."""
    function.leaves_processes = True
    return function


def enter(names):
    """Makes the calling process enter new namespaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = 0
    for name in names:
        flags |= CLONE[name]
    if flags and libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), f"unshare of {', '.join(names)}")
    if "mnt" in names and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "making the mounts private")
    if "net" in names:
        os.system("ip link set lo up")
