#!/usr/bin/python3
"""Many sandboxes, interleaved with podman and Docker (rivals.py):

    ps -a             with 1,000 records, which `create` has made
    100 at once       run --rm of /bin/true, all started together; bare crun beside them

and of viv alone what finds one of the thousand. Medians in milliseconds, and ratios. Networks are left
out (--network none). VIV_BENCH_RECORDS and VIV_BENCH_CROWD change the numbers."""
import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import time

from rivals import (QUIET, all_of, archives, enter, folder, load, run, say, small_image, timed)

RECORDS = int(os.environ.get("VIV_BENCH_RECORDS", "1000"))
CROWD = int(os.environ.get("VIV_BENCH_CROWD", "100"))
ROUNDS, CROWDS = 15, 3
IMAGE = "localhost/small:1"


def medians(lines, rounds=ROUNDS):
    """{who: command line} -> {who: median}, in turn."""
    found = {who: [] for who in lines}
    for _ in range(rounds):
        for who, argv in lines.items():
            found[who].append(timed(argv))
    return {who: statistics.median(times) for who, times in found.items()}


def crowd(line_of):
    """So many at once, on as many processors as there are: the time for all."""
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(lambda i: run(line_of(i)), range(CROWD)))
    return 1000 * (time.monotonic() - begin)


def create(who):
    """The records. Each for the time that it takes."""
    found = {}
    for name, argv in who.items():
        begin = time.monotonic()
        for number in range(RECORDS):
            run([*argv, "create", "--name", f"s{number}", "--network", "none", IMAGE, "/bin/true"])
        found[name] = 1000 * (time.monotonic() - begin) / RECORDS
    say("crowd", "create, each", found)


def bundle(top, root):
    """For bare crun: what podman and viv have around a workload with --network none."""
    folder = top / "bundle"
    folder.mkdir()
    subprocess.run(["crun", "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"].update(terminal=False, args=["/bin/true"], rlimits=[])
    config["root"] = {"path": root, "readonly": True}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def measure(top, who, root):
    create(who)
    say("crowd", f"ps -a with {RECORDS}", medians({name: [*argv, "ps", "-a"] for name, argv in who.items()}, 5))
    viv = who["viv"]
    middle = f"s{RECORDS // 2}"
    own = subprocess.run([*map(str, viv), "inspect", "-f", "{{.Id}}", middle], check=True,
                         capture_output=True, text=True).stdout.strip()
    for what, words in ((f"ps with {RECORDS}, none of which runs", ["ps"]),
                        ("inspect by name", ["inspect", middle]), ("inspect by id", ["inspect", own]),
                        ("inspect by the start of an id", ["inspect", own[:12]])):
        say("crowd", what, medians({"viv": [*viv, *words]}))
    crun = bundle(top, root)
    lines = {name: lambda _, argv=argv: [*argv, "run", "--rm", "--network", "none", IMAGE, "/bin/true"]
             for name, argv in who.items()}
    lines["crun alone"] = lambda number: ["crun", "--root", top / "crun", "run", "--bundle", crun,
                                          f"bench{os.getpid()}-{number}"]
    times = {name: [] for name in lines}
    for _ in range(CROWDS):
        for name, line_of in lines.items():
            times[name].append(crowd(line_of))
    say("crowd", f"{CROWD} at once", {name: statistics.median(found) for name, found in times.items()})


def main():
    enter()
    with folder("crowd") as top, all_of(top) as who:
        archive = archives(top, {"small": small_image()}, who)["small"]
        try:
            for name, argv in who.items():
                load(argv, archive[name])
            from lib.process import image  # pylint: disable=import-outside-toplevel
            measure(top, who, image())
        finally:
            for argv in [who["viv"], who.get("podman")]:
                subprocess.run([*map(str, argv or ["true"]), "rm", "-a"], check=False, **QUIET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
