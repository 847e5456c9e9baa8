"""Where benchmarks of runtimes measure: a mount namespace of its own with a tmpfs at `top`, and on a
hybrid host cgroup v1 alone, because crun refuses the mixture. Then once more in the rig that has cgroup
v2 alone, unless VIV_BENCH_RIG is 0."""
import ctypes
import os
import pathlib
import shutil
import subprocess
import sys

BUILD = pathlib.Path(os.environ.get("VIV_BUILD", "build")).resolve()
PR_SET_CHILD_SUBREAPER = 36
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def enter(script, top):
    """Runs the script anew in the namespace, or, there already, makes it what it is."""
    if os.environ.get("VIV_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, str(script)],
                   {**os.environ, "VIV_BENCH_INSIDE": "1", "VIV_BUILD": str(BUILD)})
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)
    top.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(top)], check=True)
    # in the rig the project's folder is shared from outside: a first start would read the program there
    shutil.copy(BUILD / "viv-oci", top / "viv-oci.program")


def in_the_rig(script, settings):
    rig = script.parents[1] / "rigs/rig.py"
    if os.environ.get("VIV_BENCH_RIG") == "0" or not shutil.which("qemu-system-x86_64"):
        return
    if subprocess.run([rig, "start", "v2"], **QUIET, check=False).returncode != 0:
        print("  the rig with cgroup v2 does not start")
        return
    subprocess.run([rig, "run", "v2", "env", "VIV_BENCH_RIG=0", f"VIV_BUILD={BUILD}", *settings,
                    str(script)], check=False)
    subprocess.run([rig, "stop", "v2"], **QUIET, check=False)


def measured(script, top, measure, *settings):
    """Calls measure() here, then in the rig with these settings (NAME=text)."""
    if os.geteuid() != 0:
        print("only root can measure this")
        return
    if os.environ.get("VIV_BENCH_INSIDE") != "1":
        outside = os.fork()
        if outside:
            _, status = os.waitpid(outside, 0)
            in_the_rig(script, settings)
            sys.exit(os.waitstatus_to_exitcode(status))
    enter(script, top)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    print(f" cgroup {'v2' if unified else 'v1'}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    measure()
