#!/usr/bin/python3
"""The life of /bin/true on one configuration, all interleaved in one run:

    create, start, delete   three commands, as engines start them: viv-oci, crun, runc
    run                     one command: the same three, and bubblewrap on the same root (which makes
                            no control groups)

Medians, from the fastest to the 99th percentile, and ratios; system calls by strace; peak memory by a launcher that starts
small; a hundred started at once; a thousand in a row, with what is left compared; and where the time
of one life goes, step by step.

In a mount namespace of its own, state and bundle on a tmpfs; on a hybrid host cgroup v1 alone,
because crun refuses the mixture. Then the same inside the rig that has cgroup v2 alone, unless
VIV_BENCH_RIG is 0: under an emulated CPU, so that only the ratios say something."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))
from lib.leaks import leaked, snapshot  # noqa: E402
from room import BUILD, QUIET, measured  # noqa: E402

ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "60"))
ROW = int(os.environ.get("VIV_BENCH_ROW", "1000"))
TOP = pathlib.Path("/run/viv-bench")
SCOPE = f"bench{os.getpid()}-"


def bundle():
    """The configuration that `runc spec` writes, without a terminal, on the built-in image."""
    folder = TOP / "bundle"
    (folder / "rootfs").mkdir(parents=True)
    subprocess.run(["cp", "-a", f"{BUILD}/share/viv/busybox/.", folder / "rootfs"], check=True)
    for name in ("proc", "dev", "sys", "tmp"):
        (folder / "rootfs" / name).mkdir(exist_ok=True)
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"], rlimits=[])
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def runtimes(folder):
    """(kind of life, {name: its command lines}) for both kinds."""
    three, one = {}, {}
    for name, program in (("viv-oci", TOP / "viv-oci.program"), ("crun", "crun"), ("runc", "runc")):
        if shutil.which(str(program)):
            argv = [str(program), "--root", str(TOP / name)]
            three[name] = [argv + ["create", "--bundle", str(folder), "ID"], argv + ["start", "ID"],
                           argv + ["delete", "--force", "ID"]]
            one[name] = [argv + ["run", "--bundle", str(folder), "ID"]]
    if shutil.which("bwrap"):
        one["bwrap"] = [["bwrap", "--unshare-all", "--bind", str(folder / "rootfs"), "/", "--proc",
                         "/proc", "--dev", "/dev", "/bin/true"]]
    return [("create, start, delete", three), ("run", one)]


def words(line, name):
    return [name if word == "ID" else word for word in line]


def live(lines, name, before=()):
    for line in lines:
        subprocess.run([*before, *words(line, name)], check=True, **QUIET)


def reap():
    """Containers whose runtime has ended are ours."""
    try:
        while os.waitpid(-1, 0)[0]:
            pass
    except ChildProcessError:
        pass


def timed(lines, name):
    """Milliseconds of one life, measured around bare spawns."""
    null = os.open("/dev/null", os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
    begin = time.monotonic()
    for line in lines:
        pid = os.posix_spawnp(line[0], words(line, name), os.environ, file_actions=streams)
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(f"{' '.join(words(line, name))} failed")
    taken = time.monotonic() - begin
    os.close(null)
    reap()
    return taken * 1000


def percentile(numbers, part):
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * part))]


def show(title, values, unit):
    """values: name -> (figure, more text); how the first compares with each."""
    first = next(iter(values.values()))[0]
    for name, (figure, more) in values.items():
        ratio = f"viv-oci / {name} = {first / figure:.2f}" if figure and name != "viv-oci" else ""
        print(f"    {title:20} {name:8} {figure:9.1f} {unit:4} {more:12} {ratio}", flush=True)


def calls(lines, name):
    """System calls of one life, by strace -c with all children: one shell for all commands, since
    strace waits for what a runtime leaves running."""
    table = TOP / "calls"
    script = " && ".join(" ".join(words(line, name)) for line in lines)
    live([["sh", "-c", script]], name, ["strace", "-f", "-c", "-o", str(table)])
    match = re.search(r"(\d+)(?: +\d+)? total", table.read_text())
    return int(match.group(1)) if match else 0


def peak(lines, name):
    """Largest peak of memory of a life's commands, in KiB: busybox forks with its own small size, and
    `time` tells what its child reached."""
    largest = 0
    for line in lines:
        table = TOP / "peak"
        live([["busybox", "time", "-v", "-o", str(table), *words(line, name)]], name)
        match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", table.read_text())
        largest = max(largest, int(match.group(1)) if match else 0)
    return largest * 1024 // os.sysconf("SC_PAGESIZE")  # busybox takes kilobytes for pages


def compare(found):
    times = {name: [] for name in found}
    for number in range(ROUNDS):
        for name, lines in found.items():
            times[name].append(timed(lines, f"{SCOPE}{number}"))
    show("time", {name: (statistics.median(taken), f"{min(taken):.1f}–{percentile(taken, 0.99):.1f}")
                  for name, taken in times.items()}, "ms")
    if shutil.which("strace"):
        show("system calls", {name: (calls(lines, f"{SCOPE}calls"), "")
                              for name, lines in found.items()}, "")
    show("peak memory", {name: (peak(lines, f"{SCOPE}peak"), "")
                         for name, lines in found.items()}, "KiB")


def at_once(line, turn):
    """Milliseconds until the last of a hundred has ended. Spawned bare: threads and pipes of the one who
    measures would be a good part of the time of the fast ones."""
    null = os.open("/dev/null", os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
    begin = time.monotonic()
    pids = [os.posix_spawnp(line[0], words(line, f"{SCOPE}crowd{turn}-{number}"), os.environ,
                            file_actions=streams) for number in range(100)]
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)
    taken = time.monotonic() - begin
    os.close(null)
    reap()
    if failed:
        raise SystemExit(f"{line[0]}: {failed} of 100 at once failed")
    return taken * 1000


def crowd(found):
    """A hundred lives that begin at the same moment, five times: medians."""
    taken = {name: [] for name in found}
    for turn in range(5):
        for name, (line,) in found.items():
            taken[name].append(at_once(line, turn))
    show("100 at once", {name: (statistics.median(times), f"{min(times):.0f}–{max(times):.0f}")
                         for name, times in taken.items()}, "ms")


def row(lines):
    """Many lives one after the other, and what they leave."""
    live(lines, f"{SCOPE}first")
    reap()
    before = snapshot(SCOPE, [TOP / "viv-oci"])
    begin = time.monotonic()
    for number in range(ROW):
        timed(lines, f"{SCOPE}row{number}")
    taken = time.monotonic() - begin
    left = leaked(before, SCOPE, [TOP / "viv-oci"])
    print(f"    {ROW} in a row: {ROW / taken:.0f} a second, "
          f"left behind: {', '.join(left) or 'nothing'}", flush=True)


def steps_of(folder):
    """{(place, kind of step): (how many, milliseconds of all of them)}, medians, by viv run --trace."""
    argv = [str(BUILD / "viv"), "--root", str(TOP / "viv"), "run", "--rm", "--trace", "--userns", "host",
            "--bundle", str(folder)]
    taken = {}
    for _ in range(min(ROUNDS, 20)):
        told = subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True).stderr
        step = None
        for line in told.splitlines():
            head = re.match(r" *(\d+) (host|child) +(\S+)", line)
            took = re.search(r"= ok, ([\d.]+) ms", line)
            if head:
                step = int(head[1]), head[2], head[3]
            elif took and step:
                taken.setdefault(step, []).append(float(took[1]))
    kinds = {}
    for (_, place, kind), times in taken.items():
        count, total = kinds.get((place, kind), (0, 0))
        kinds[place, kind] = count + 1, total + statistics.median(times)
    return kinds


def breakdown(folder):
    """Where the time of one `run` goes. The steps are traced one by one; a program's start and the
    workload's are measured alone. The rest is what nobody's step is: reading the configuration and
    the state, the hand-overs, the kernel's end of the namespaces, removing the control groups."""
    def middle(*argv):
        return statistics.median(timed([list(map(str, argv))], f"{SCOPE}part") for _ in range(ROUNDS))

    program = TOP / "viv-oci.program"
    whole = middle(program, "--root", TOP / "viv-oci", "run", "--bundle", folder, "ID")
    first, start = middle(program, "--version"), middle(program, "help")
    workload = middle(folder / "rootfs/bin/true")
    kinds = steps_of(folder)
    steps = sum(total for _, total in kinds.values())
    print(f"  where {whole:.2f} ms of one run go")
    print(f"    {first + start:6.2f} ms  two starts of viv-oci: before libc, and from its protected copy")
    print(f"    {steps:6.2f} ms  {sum(count for count, _ in kinds.values())} steps of the plan")
    for (place, kind), (count, total) in sorted(kinds.items(), key=lambda entry: -entry[1][1])[:10]:
        print(f"    {'':8} {total:6.3f} ms  {count:3} {place:5} {kind}")
    print(f"    {workload:6.2f} ms  the workload, as long as it takes outside")
    print(f"    {whole - first - start - steps - workload:6.2f} ms  the rest: configuration, state, "
          "the end of namespaces and control groups", flush=True)


def measure():
    folder = bundle()
    for kind, found in runtimes(folder):
        print(f"  {kind}")
        compare(found)
        if kind == "run":
            crowd(found)
        row(found["viv-oci"])
    breakdown(folder)


measured(HERE, TOP, measure, "VIV_BENCH_ROUNDS=20", "VIV_BENCH_ROW=100")
