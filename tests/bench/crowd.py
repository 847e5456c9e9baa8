#!/usr/bin/python3
"""Many sandboxes: `ps` with 1,000 records, by name and by id, and 100 runs at once; beside podman
where it can run. The records are made by `viv create`. Medians in milliseconds, and ratios."""
import concurrent.futures
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("VIV_BUILD", "build")).resolve()
RECORDS, ROUNDS, CROWD = 1000, 15, 100


def timed(argv, rounds=ROUNDS):
    found = []
    for _ in range(rounds):
        begin = time.monotonic()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        found.append((time.monotonic() - begin) * 1000)
    return statistics.median(found)


def crowd(argv):
    """So many at once, on as many processors as there are: the time for all."""
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(lambda i: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL),
                      range(CROWD)))
    return time.monotonic() - begin


def say(what, value, unit="ms"):
    print(f"{what:40} {value:9.1f} {unit}", flush=True)


def main():
    with tempfile.TemporaryDirectory(prefix="viv-crowd-") as top:
        viv = [str(BUILD / "viv"), "--root", f"{top}/run", "--data-root", f"{top}/data"]
        begin = time.monotonic()
        for i in range(RECORDS):
            subprocess.run([*viv, "create", "--name", f"s{i}", "--network", "none", "busybox", "true"],
                           check=True, stdout=subprocess.DEVNULL)
        say("create, each", (time.monotonic() - begin) / RECORDS * 1000)
        some = subprocess.run([*viv, "ps", "-aq", "--no-trunc", "--filter", "name=s500"], check=True,
                              capture_output=True, text=True).stdout.split()[0]
        own = timed([*viv, "ps", "-a"])
        say(f"ps -a with {RECORDS}", own)
        say(f"ps with {RECORDS}, none of which runs", timed([*viv, "ps"]))
        say("inspect by name", timed([*viv, "inspect", "s500"]))
        say("inspect by id", timed([*viv, "inspect", some]))
        say("inspect by the start of an id", timed([*viv, "inspect", some[:12]]))
        run = [*viv, "run", "--rm", "--network", "none", "busybox", "true"]
        say("run --rm", timed(run))
        all_viv = crowd(run)
        say(f"{CROWD} at once", all_viv, "s")
        if not shutil.which("podman"):
            print("podman is not installed: nothing to compare with")
            return 0
        begin = timed(["podman", "ps", "-a"], 5)
        count = len(subprocess.run(["podman", "ps", "-aq"], check=True, capture_output=True,
                                   text=True).stdout.split())
        say(f"podman ps -a with {count}", begin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
