#!/usr/bin/python3
"""create + start + delete of /bin/true on one configuration: viv-oci beside crun and runc, and
bubblewrap on the same root; interleaved. Medians, 99th percentiles and ratios; system calls by
strace; peak memory of each by a launcher that starts small. Then many containers in a row.

In a mount namespace of its own, state and bundle on a tmpfs; on a hybrid host cgroup v1 alone,
because runc and crun refuse the mixture."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

BUILD = pathlib.Path(os.environ.get("VIV_BUILD", "build")).resolve()
TOP = pathlib.Path("/run")
ROUNDS, ROW = 40, 200
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18


def enter():
    if os.environ.get("VIV_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "--mount", sys.executable, __file__],
                   {**os.environ, "VIV_BENCH_INSIDE": "1", "VIV_BUILD": str(BUILD)})
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(TOP)], check=True)


def bundle():
    folder = TOP / "bundle"
    (folder / "rootfs").mkdir(parents=True)
    subprocess.run(["cp", "-a", f"{BUILD}/share/viv/busybox/.", folder / "rootfs"], check=True)
    for name in ("proc", "dev", "sys", "tmp"):
        (folder / "rootfs" / name).mkdir(exist_ok=True)
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    config["process"]["rlimits"] = []
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def runtimes(folder):
    """name -> the command lines of one life"""
    found = {}
    for name, program in (("viv-oci", BUILD / "viv-oci"), ("crun", "crun"), ("runc", "runc")):
        if shutil.which(str(program)):
            argv = [str(program), "--root", str(TOP / name)]
            found[name] = [argv + ["create", "--bundle", str(folder), "ID"],
                           argv + ["start", "ID"], argv + ["delete", "--force", "ID"]]
    if shutil.which("bwrap"):
        found["bwrap"] = [["bwrap", "--unshare-all", "--bind", str(folder / "rootfs"), "/", "--proc",
                           "/proc", "--dev", "/dev", "/bin/true"]]
    return found


def live(lines, name, before=()):
    for line in lines:
        subprocess.run([*before, *(name if word == "ID" else word for word in line)], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def percentile(numbers, part):
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * part))]


def show(title, values, unit):
    """values: name -> (figure, more text); ratios to the first."""
    first = next(iter(values.values()))[0]
    for name, (figure, more) in values.items():
        ratio = first / figure if figure else 0
        print(f"  {title:24} {name:8} {figure:10.1f} {unit:4} {more:18} viv-oci/{name} {ratio:.2f}")


def calls(lines, name):
    """System calls of one life, by strace -c with all children: one shell for all commands, since
    strace waits for what a runtime leaves running."""
    table = TOP / "calls"
    script = " && ".join(" ".join(name if word == "ID" else word for word in line) for line in lines)
    live([["sh", "-c", script]], name, ["strace", "-f", "-c", "-o", str(table)])
    match = re.search(r"(\d+)(?: +\d+)? total", table.read_text())
    return int(match.group(1)) if match else 0


def peak(lines, name):
    """Largest peak of memory of a life's commands, in KiB: busybox forks with its own small size, and
    `time` tells what its child reached."""
    largest = 0
    for line in lines:
        argv = [name if word == "ID" else word for word in line]
        table = TOP / "peak"
        live([["busybox", "time", "-v", "-o", str(table), *argv]], name)
        match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", table.read_text())
        largest = max(largest, int(match.group(1)) if match else 0)
    return largest * 1024 // os.sysconf("SC_PAGESIZE")  # busybox takes kilobytes for pages


def main():
    if os.geteuid() != 0:
        print("only root can measure this")
        return
    enter()
    ctypes.CDLL(None).prctl(36, 1)  # containers whose runtime has ended are reaped here
    found = runtimes(bundle())
    times = {name: [] for name in found}
    for number in range(ROUNDS):
        for name, lines in found.items():
            begin = time.monotonic()
            live(lines, f"bench{os.getpid()}-{number}")
            times[name].append((time.monotonic() - begin) * 1000)
    show("a life", {name: (statistics.median(taken), f"p99 {percentile(taken, 0.99):.1f}")
                    for name, taken in times.items()}, "ms")
    if shutil.which("strace"):
        show("system calls", {name: (calls(lines, f"calls{os.getpid()}"), "")
                              for name, lines in found.items()}, "")
    show("peak memory", {name: (peak(lines, f"peak{os.getpid()}"), "")
                         for name, lines in found.items()}, "KiB")
    lines, begin = found["viv-oci"], time.monotonic()
    for number in range(ROW):
        live(lines, f"row{os.getpid()}-{number}")
    left = list((TOP / "viv-oci").iterdir()) if (TOP / "viv-oci").exists() else []
    print(f"  {ROW} in a row: {ROW / (time.monotonic() - begin):.0f} a second, "
          f"left behind: {', '.join(path.name for path in left) or 'nothing'}")


main()
