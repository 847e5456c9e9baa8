"""viv as an ordinary user, with a home and a store of that user's."""
import os

from lib import *

__all__ = ["UID", "as_them", "own_files", "open_tun", "cable"]

UID = 54321


def as_them(*args, **more):
    """viv as the user, with a home and a store of that user's."""
    home = work() / "home"
    if not home.is_dir():
        home.mkdir()
        os.chown(home, UID, UID)
    return as_user(program("viv"), "--root", home / "run", *args, uid=UID,
                   env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                        "VIV_DATA_ROOT": str(home / "data")}, **more)


def own_files(subids):
    """A passwd, subuid and subgid of this test's mount namespace alone."""
    for name, line in (("passwd", f"vivtest:x:{UID}:{UID}::/:/bin/sh\n"),
                       ("subuid", subids), ("subgid", subids)):
        text = open(f"/etc/{name}", encoding="utf-8").read() if os.path.exists(f"/etc/{name}") \
            else ""
        kept = [entry for entry in text.splitlines(True) if not entry.startswith("vivtest:")]
        made = work() / name
        made.write_text("".join(kept) + line)
        os.chmod(made, 0o644)
        run("mount", "--bind", made, f"/etc/{name}").ok()


def open_tun():
    """The device of taps for all users, as it is elsewhere, in this test's mount namespace."""
    if os.path.exists("/dev/net/tun") and not os.stat("/dev/net/tun").st_mode & 0o006:
        run("mknod", "-m", "666", work() / "tun", "c", "10", "200").ok()
        os.chmod(work() / "tun", 0o666)
        run("mount", "--bind", work() / "tun", "/dev/net/tun").ok()


def cable(stack):
    """From the test's network namespace, 192.0.2.1, to one outside, 192.0.2.2: what a command there
    begins with."""
    peer = stack.enter_context(Background("unshare", "--net", "sleep", "1000"))
    eventually(lambda: os.readlink(f"/proc/{peer.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", peer.pid).ok()
    outside = ["nsenter", f"--net=/proc/{peer.pid}/ns/net"]
    for where, name, address in (([], "up0", "192.0.2.1/24"), (outside, "up1", "192.0.2.2/24")):
        run(*where, "ip", "addr", "add", address, "dev", name).ok()
        run(*where, "ip", "link", "set", name, "up").ok()
    run("ip", "route", "add", "default", "via", "192.0.2.2").ok()
    return outside
