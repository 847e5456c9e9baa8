"""AppArmor profiles where the kernel has that module: inside the rig."""
import contextlib

from lib import *
from box import box

ONLY_IN = ["v2 plain"]
PROFILE = """profile {name} flags=(attach_disconnected,mediate_deleted) {{
  capability, network, mount, umount, pivot_root, signal, ptrace, unix, file,
  deny /etc/passwd r,
}}
"""
ASK = "cat /proc/self/attr/current; cat /etc/passwd >/dev/null || echo refused"


@contextlib.contextmanager
def profile():
    """One that is loaded; its name."""
    name = unique("viv-test-")
    path = work() / "profile"
    path.write_text(PROFILE.format(name=name))
    run("apparmor_parser", "--replace", "--skip-cache", path).ok()
    try:
        yield name
    finally:
        run("apparmor_parser", "--remove", path).ok()


def test_a_profile_confines_the_workload_and_what_joins_it():
    with profile() as name, box() as b:
        flag = ["--security-opt", f"apparmor={name}"]
        equal(b.out(ASK, *flag), f"{name} (enforce)\nrefused")
        running = b.start(*flag)
        equal(b.viv("exec", running, "sh", "-c", ASK).ok().out, f"{name} (enforce)\nrefused\n")
        equal(b.out(ASK, "--security-opt", "apparmor=unconfined"), "unconfined")


def test_a_profile_that_is_not_loaded_is_an_error():
    with box() as b:
        done = b.run("--security-opt", "apparmor=viv-test-nobody-loaded", "busybox", "true")
        fails(done, 125, "the profile is not loaded: apparmor_parser loads it")
