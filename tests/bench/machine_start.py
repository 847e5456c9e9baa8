#!/usr/bin/python3
"""From the command to the end of /bin/true, in a machine on the software CPU that goes on from its
template, beside the same in a container: medians of the time on the clock, and of the processor seconds
of all processes, interleaved. The goal is 150 ms for the machine, on a host that has nothing else to do."""
import ctypes
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VIV_BUILD", ROOT / "build"))
ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "20"))
PR_SET_CHILD_SUBREAPER = 36


def processor():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_all():
    """viv-vmm's time is known once it has ended, a little after the command."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


def run(folder, *isolation):
    before, start = processor(), time.monotonic()
    subprocess.run([BUILD / "viv", "--root", folder / "run", "--data-root", folder / "data", "run",
                    "--rm", *isolation, "busybox", "true"], check=True)
    took = time.monotonic() - start
    wait_for_all()
    return took, processor() - before


def main():
    kinds = {"machine": ("--isolation", "vm", "--accel", "emu"), "container": ()}
    found = {kind: [] for kind in kinds}
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        first = run(folder, *kinds["machine"])
        for _ in range(ROUNDS):
            for kind, flags in kinds.items():
                found[kind].append(run(folder, *flags))
    print(f"  the first machine, which boots: {first[0] * 1e3:.0f} ms, {first[1] * 1e3:.0f} ms of processor")
    for kind, results in found.items():
        wall, used = (statistics.median(column) * 1e3 for column in zip(*results))
        fastest = min(result[0] for result in results) * 1e3
        print(f"  {kind:<10} {wall:7.1f} ms, at best {fastest:.1f} ms; {used:.1f} ms of processor")


if __name__ == "__main__":
    main()
