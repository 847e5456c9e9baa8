"""Bad configurations, replays of what went wrong in other runtimes, and paused containers."""
import ctypes
import json
import os
import threading

from lib import *
from bundle import IMAGE, bundle, bundle_of, container, gone, oci, own_root, sh, spec, state, state_dir, status

ROOT_ONLY = needs(root=True)

# what is changed in a good configuration, and what the error names
BAD = [
    ({"ociVersion": None}, "/ociVersion"),
    ({"ociVersion": "9.0.0"}, "/ociVersion"),
    ({"root": None}, "/root"),
    ({"root": {"path": "/no/such/root"}}, "/no/such/root"),
    ({"root": {"path": 5}}, "/root/path"),
    ({"process": None}, "/process"),
    ({"process": {"args": []}}, "/process/args"),
    ({"process": {"args": "sh"}}, "/process/args"),
    ({"process": {"cwd": "relative"}}, "/process/cwd"),
    ({"process": {"cwd": None}}, "/process/cwd"),
    ({"process": {"user": {"uid": -1}}}, "/process/user/uid"),
    ({"process": {"env": ["A=1", 5]}}, "/process/env/1"),
    ({"process": {"rlimits": [{"type": "RLIMIT_X", "hard": 1, "soft": 1}]}}, "RLIMIT_X"),
    ({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 2}]}}, "/process/rlimits/0"),
    ({"process": {"capabilities": {"bounding": "CAP_KILL"}}}, "/process/capabilities/bounding"),
    ({"process": {"oomScoreAdj": 5000}}, "/process/oomScoreAdj"),
    ({"process": {"ioPriority": {"class": "FAST", "priority": 1}}}, "/process/ioPriority"),
    ({"process": {"scheduler": {"policy": "SCHED_X"}}}, "/process/scheduler"),
    ({"mounts": [{"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}]},
     "/no/such"),
    ({"mounts": [{"destination": "/proc", "type": "nosuchfs", "source": "x"}]}, "nosuchfs"),
    ({"mounts": [{"type": "tmpfs"}]}, "/mounts/0/destination"),
    ({"mounts": {}}, "/mounts"),
    ({"hooks": {"prestart": [{"path": "relative"}]}}, "/hooks/prestart/0"),
    ({"hooks": {"prestart": [{"path": "/no/such/hook"}]}}, "/no/such/hook"),
    ({"hooks": {"poststop": [{"path": "/bin/true", "timeout": -1}]}}, "timeout"),
    ({"linux": {"namespaces": [{"type": "bogus"}]}}, "bogus"),
    ({"linux": {"namespaces": [{"type": "pid"}, {"type": "pid"}]}}, "/linux/namespaces"),
    ({"hostname": None, "linux": {"namespaces": [{"type": "mount"},
                                               {"type": "pid", "path": "/no/such"}]}}, "/no/such"),
    ({"linux": {"namespaces": [{"type": "mount"}, {"type": "uts"},
                               {"type": "network", "path": "/proc/self/ns/uts"}]}}, "ns/uts"),
    ({"linux": {"uidMappings": [{"containerID": 0, "hostID": 0, "size": 0}]}}, "/linux/uidMappings"),
    ({"linux": {"resources": {"memory": {"limit": "big"}}}}, "/linux/resources/memory/limit"),
    ({"linux": {"resources": {"cpu": {"cpus": "9999"}}}}, "cpuset"),
    ({"linux": {"resources": {"devices": [{"allow": True, "type": "z"}]}}}, "/linux/resources/devices/0"),
    ({"linux": {"resources": {"unified": {"../x": "1"}}}}, "../x"),
    ({"linux": {"cgroupsPath": "/../../x"}}, ".."),
    ({"linux": {"sysctl": {"kernel.panic": "1"}}}, "kernel.panic"),
    ({"linux": {"sysctl": {"net/../../x": "1"}}}, "/linux/sysctl"),
    ({"linux": {"rootfsPropagation": "sideways"}}, "sideways"),
    ({"linux": {"devices": [{"path": "/dev/x", "type": "q"}]}}, "/linux/devices/0"),
    ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_MAYBE"}}}, "SCMP_ACT_MAYBE"),
    ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}}},
     "/linux/seccomp/architectures/0"),
    ({"linux": {"personality": {"domain": "BSD"}}}, "BSD"),
    ({"linux": {"memoryPolicy": {"mode": "MPOL_X"}}}, "MPOL_X"),
    ({"linux": {"maskedPaths": "x"}}, "/linux/maskedPaths"),
]


def refused(folder, part):
    """create ends with 1, tells it in runc's JSON log, and changes nothing."""
    name = unique("oci")
    log = work() / unique("log")
    before = sorted(os.listdir(state_dir())) if state_dir().exists() else []
    found = oci("--log", log, "--log-format", "json", "create", "--bundle", folder, name)
    fails(found, 1, part)
    last = json.loads(log.read_text().splitlines()[-1])
    equal(last["level"], "error")
    contains(last["msg"], part)
    check(gone(name), "the container is there")
    if before:
        equal(sorted(os.listdir(state_dir())), before)


@ROOT_ONLY
def test_bad_configurations():
    oci("list").ok()
    faults = []
    with no_leaks(str(os.getpid())):
        for changes, part in BAD:
            try:
                refused(bundle(**changes), part)
            except Failed as failed:
                faults.append(f"{changes}: {failed}")
    check(not faults, lambda: "\n".join(faults))


@ROOT_ONLY
def test_bundles_that_are_no_json():
    for text, part in [("", "config.json"), ("{", "config.json"), ("[]", "config.json"),
                       ("null", "config.json"), ("{\"a\":}", "1:"), ("\0", "config.json"),
                       ("[" * 200, "config.json"), (json.dumps(spec()) + "x", "config.json"),
                       ("{\"process\":" * 100, "config.json")]:
        refused(bundle_of(text), part)
    fails(oci("create", "--bundle", work() / "none", unique("oci")), 1, "none")
    empty = work() / "empty"
    empty.mkdir()
    fails(oci("create", "--bundle", empty, unique("oci")), 1, "config.json")


@ROOT_ONLY
def test_all_faults_are_told_at_once():
    found = oci("create", "--bundle", bundle(process={"cwd": "x", "args": []}, ociVersion="z"),
                unique("oci"))
    for part in ["/process/cwd", "/process/args", "/ociVersion"]:
        contains(found.err, part)


# ---- paused ---------------------------------------------------------------------------------


@ROOT_ONLY
def test_a_paused_container_never_hangs():
    with container() as name:
        oci("pause", name).ok()
        fails(oci("exec", name, "true"), 255, "paused")
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
    for start in ["running", "exec"]:
        with container() as name:
            if start == "exec":
                oci("exec", "-d", name, "sleep", "1000").ok()
            oci("pause", name).ok()
            oci("delete", "--force", name).ok()
            check(gone(name))
    with container() as name:
        oci("pause", name).ok()
        oci("kill", name, "TERM").ok()
        equal(status(name), "paused")
        with Background(program("viv-oci"), "--root", state_dir(), "exec", "--ignore-paused", name,
                        "true") as behind:
            oci("resume", name).ok()
            equal(behind.wait(), 0)


# ---- replays --------------------------------------------------------------------------------


@ROOT_ONLY
def test_cve_2019_5736_our_program_cannot_be_reached():
    script = ("for p in /proc/[0-9]*; do (exec 3>>$p/exe) 2>/dev/null && echo WRITTEN $p; "
              "readlink $p/exe; done; echo done")
    before = open(program("viv-oci"), "rb").read()
    root = own_root()
    (root / "evil").write_text("#!/proc/self/exe\n")
    os.chmod(root / "evil", 0o755)
    with container(sh("while :; do " + script + "; done > /out 2>&1"),
                   root={"path": str(root), "readonly": False}) as name:
        for _ in range(5):
            oci("exec", name, "true").ok()
        oci("exec", name, "/evil")
        oci("exec", name, "/proc/self/exe", "--version")
        oci("exec", name, "/bin/sh", "-c", script).ok()
    check(open(program("viv-oci"), "rb").read() == before, "our own program was changed")
    text = (root / "out").read_text()
    lacks(text, "viv-oci")
    contains(text, "done")


class Swapper:
    """Exchanges a directory for a link and back again, as fast as it can."""
    def __init__(self, a, b):
        self.a, self.b, self.go = str(a).encode(), str(b).encode(), True
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        libc = ctypes.CDLL(None)
        while self.go:
            libc.renameat2(-100, self.a, -100, self.b, 2)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.go = False
        self.thread.join()


@ROOT_ONLY
def test_cve_2021_30465_a_target_that_is_exchanged():
    root = own_root()
    outside = work() / "outside"
    outside.mkdir()
    (root / "mnt/a").mkdir()
    os.symlink("/" * 30 + "../" * 20 + str(outside).lstrip("/"), root / "mnt/b")
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/mnt/a/x", "type": "tmpfs", "source": "tmpfs"},
              {"destination": "/mnt/a/y", "type": "tmpfs", "source": "tmpfs"}]
    with Swapper(root / "mnt/a", root / "mnt/b"):
        for _ in range(15):
            oci("run", "--bundle", bundle(["true"], mounts=mounts,
                root={"path": str(root), "readonly": False}), unique("oci"))
    equal(os.listdir(outside), [])


@ROOT_ONLY
def test_cve_2024_21626_the_working_directory_stays_inside():
    for number in range(3, 12):
        for path in [f"/proc/self/fd/{number}", f"/proc/self/fd/{number}/../../.."]:
            found = oci("run", "--bundle", bundle(["cat", "/etc/os-release"], process={"cwd": path}),
                        unique("oci"))
            check(found.status != 0, f"{path}: {found}")
    with container() as name:
        for number in range(3, 12):
            check(oci("exec", "--cwd", f"/proc/self/fd/{number}", name, "pwd").status != 0)
        listing = oci("exec", name, "ls", "-l", "/proc/self/fd").ok().out
        lacks(listing, "/sys/fs/cgroup")
        lacks(listing, str(state_dir()))


@ROOT_ONLY
def test_cve_2025_31133_dev_null_is_what_masks():
    root = own_root()
    (root / "dev/null").unlink(missing_ok=True)
    os.symlink("/proc/sys/kernel/core_pattern", root / "dev/null")
    (root / "secret").write_text("secret\n")
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    found = oci("run", "--bundle", bundle(["cat", "/secret"], mounts=mounts,
                linux={"maskedPaths": ["/secret"]},
                root={"path": str(root), "readonly": False}), unique("oci"))
    lacks(found.out, "secret")
    lacks(found.out, "core")


@ROOT_ONLY
def test_cve_2025_52565_the_console_is_no_path_of_the_image():
    root = own_root()
    (root / "dev/console").unlink(missing_ok=True)
    os.symlink("/proc/sys/kernel/core_pattern", root / "dev/console")
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
               "options": ["newinstance", "ptmxmode=0666"]}]
    found = run("script", "-qec", " ".join(
        [program("viv-oci"), "--root", str(state_dir()), "run", "--bundle", str(bundle(
            sh("cat /proc/self/mountinfo"), mounts=mounts, process={"terminal": True},
            root={"path": str(root), "readonly": False})), unique("oci")]), "/dev/null")
    lacks(found.out, "core_pattern")


@ROOT_ONLY
def test_cve_2025_52881_writes_go_to_the_real_procfs():
    root = own_root()
    fake = work() / "fake"
    (fake / "sys/net/ipv4").mkdir(parents=True)
    (fake / "sys/net/ipv4/ip_forward").write_text("")
    (fake / "self/attr").mkdir(parents=True)
    (fake / "self/attr/exec").write_text("")
    found = oci("run", "--bundle", bundle(["true"], mounts=[
        {"destination": "/proc", "type": "bind", "source": str(fake), "options": ["rbind"]}],
        linux={"sysctl": {"net.ipv4.ip_forward": "1"}},
        root={"path": str(root), "readonly": False}), unique("oci"))
    equal((fake / "sys/net/ipv4/ip_forward").read_text(), "", str(found))
    equal((fake / "self/attr/exec").read_text(), "")


@ROOT_ONLY
def test_a_root_whose_dev_is_a_link():
    for target in ["/etc", "../../../../../../etc", str(work())]:
        root = own_root()
        before = sorted(os.listdir("/etc"))
        for path in sorted((root / "dev").rglob("*"), reverse=True):
            path.unlink()
        (root / "dev").rmdir()
        os.symlink(target, root / "dev")
        found = oci("run", "--bundle", bundle(["true"], root={"path": str(root), "readonly": False}),
                    unique("oci"))
        fails(found, 1, "/dev")
        equal(sorted(os.listdir("/etc")), before)
        equal(os.listdir(work()), [])


@ROOT_ONLY
def test_odd_users():
    with container() as name:
        for user in ["", ":", "::", "-1", "0:-1", "4294967295", "4294967296", "99999999999999999999",
                     "0x0", " 0", "0 ", "root:nosuch", "nosuch", "../root", "root\nx", "0:0:0",
                     "user:", "a" * 5000]:
            found = oci("exec", "--user", user, name, "id", "-u")
            if found.status == 0:
                check(user in ["", ":", "user:"], f"{user!r} was taken: {found}")
            else:
                equal(found.status, 255, repr(user))


@ROOT_ONLY
def test_cgroup_paths_that_lead_away():
    for path in ["/..", "..", "/a/../../..", "../../x"]:
        fails(oci("create", "--bundle", bundle(linux={"cgroupsPath": path}), unique("oci")), 1, "..")
