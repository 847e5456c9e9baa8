#!/usr/bin/python3
"""What engines call again and again, by viv-oci, crun and runc, interleaved in one run:

    exec       /bin/true in a running container, to its end
    state      of one container
    list       of a thousand: the records of one, copied under other names
    --version  the program's own start

Medians, from the fastest to the 99th percentile, peak memory, and ratios. In a mount namespace of its
own, on a tmpfs; on a hybrid host cgroup v1 alone, because crun refuses the mixture. Then the same
inside the rig that has cgroup v2 alone, unless VIV_BENCH_RIG is 0."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

from room import BUILD, QUIET, measured

HERE = pathlib.Path(__file__).resolve()
ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "60"))
MANY = 1000
TOP = pathlib.Path("/run/viv-bench-commands")
NAME = f"bench{os.getpid()}"
BUDGET = {"exec": 0.5, "state": 0.5, f"list of {MANY}": 0.5}


def bundle():
    """The configuration that `runc spec` writes, without a terminal, on the built-in image."""
    folder = TOP / "bundle"
    folder.mkdir(parents=True)
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/sleep", "100000"], rlimits=[])
    config["root"] = {"path": str(TOP / "image"), "readonly": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def multiply(root):
    """A folder of states with the one container's records under a thousand names."""
    many = root.with_name(root.name + "-many")
    many.mkdir()
    for number in range(MANY):
        name = f"{NAME}-{number}"
        (many / name).mkdir()
        for file in (root / NAME).iterdir():
            if file.is_symlink():
                (many / name / file.name).symlink_to(os.readlink(file).replace(NAME, name))
            elif file.is_file():
                (many / name / file.name).write_bytes(
                    file.read_bytes().replace(NAME.encode(), name.encode()))
    return many


def runtimes(folder):
    """name -> {what: command line}, each with a running container."""
    found = {}
    for name, path in (("viv-oci", str(TOP / "viv-oci.program")), ("crun", "crun"), ("runc", "runc")):
        if not shutil.which(path):
            continue
        argv = [path, "--root", str(TOP / name)]
        subprocess.run([*argv, "create", "--bundle", str(folder), NAME], check=True, **QUIET)
        subprocess.run([*argv, "start", NAME], check=True, **QUIET)
        found[name] = {
            "exec": [*argv, "exec", NAME, "/bin/true"],
            "state": [*argv, "state", NAME],
            f"list of {MANY}": [path, "--root", str(multiply(TOP / name)), "list", "--format", "json"],
            "--version": [path, "--version"],
        }
        told = subprocess.run(found[name][f"list of {MANY}"], capture_output=True, check=True)
        if len(json.loads(told.stdout)) != MANY:
            raise SystemExit(f"{name} does not list {MANY}")
        subprocess.run([*argv, "delete", "--force", NAME + "none"], check=False, **QUIET)
    return found


def timed(argv):
    """Milliseconds of one command, measured around a bare spawn."""
    null = os.open("/dev/null", os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
    begin = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=streams)
    _, status = os.waitpid(pid, 0)
    taken = time.monotonic() - begin
    os.close(null)
    if status:
        raise SystemExit(f"{' '.join(argv)} failed")
    return taken * 1000


def peak(argv):
    """Largest resident size in KiB: busybox forks with its own small size, and `time` tells what its
    child reached."""
    table = TOP / "peak"
    subprocess.run(["busybox", "time", "-v", "-o", str(table), *argv], check=True, **QUIET)
    match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", table.read_text())
    return int(match.group(1)) * 1024 // os.sysconf("SC_PAGESIZE")  # kilobytes are taken for pages


def compare(what, found):
    rounds = ROUNDS if not what.startswith("list") else max(5, ROUNDS // 6)
    times = {name: [] for name in found}
    for _ in range(rounds):
        for name, lines in found.items():
            times[name].append(timed(lines[what]))
    first = statistics.median(times["viv-oci"])
    for name, taken in times.items():
        taken.sort()
        middle = statistics.median(taken)
        late = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
        ratio = "" if name == "viv-oci" else f"viv-oci / {name} = {first / middle:.2f}"
        if name == "crun" and what in BUDGET:
            ratio += f" (at most {BUDGET[what]})"
        print(f"    {what:14} {name:8} {middle:8.2f} ms  {taken[0]:.2f}–{late:.2f}  "
              f"{peak(found[name][what]):6} KiB  {ratio}", flush=True)


def measure():
    subprocess.run(["cp", "-a", f"{BUILD}/share/viv/busybox", TOP / "image"], check=True)
    found = runtimes(bundle())
    try:
        for what in next(iter(found.values())):
            compare(what, found)
    finally:
        for lines in found.values():
            subprocess.run([*lines["state"][:3], "delete", "--force", NAME], check=False, **QUIET)


measured(HERE, TOP, measure, "VIV_BENCH_ROUNDS=20")
