#!/usr/bin/python3
"""Images as people use them, by viv, podman and Docker, interleaved, from the same image:

    run --rm of /bin/true     in an image of busybox, and of Debian's bash in one of five layers
    rmi                       of the Debian image

Networks are left out on all sides (--network none). To reach: at most a tenth of podman's time for
run. VIV_BENCH_ROUNDS changes the number of rounds."""
import os
import statistics
import sys

from rivals import all_of, archives, enter, folder, load, run, say, small_image, timed

ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "20"))
BUDGET = 0.1
DEBIAN = "localhost/debian:1"
RUNS = {"run --rm /bin/true": ["localhost/small:1", "/bin/true"],
        "run --rm bash of Debian": [DEBIAN, "bash", "-c", "exit 0"]}


def measure(who, found):
    """{(what, who): milliseconds}"""
    times = {}
    for argv in who.values():
        for words in RUNS.values():  # what is made once is not what is compared
            run([*argv, "run", "--rm", "--network", "none", *words])
    for _ in range(ROUNDS):
        for what, words in RUNS.items():
            for name, argv in who.items():
                times.setdefault((what, name), []).append(
                    timed([*argv, "run", "--rm", "--network", "none", *words]))
    for _ in range(3):
        for name, argv in who.items():
            os.sync()  # what another has just written is not waited for here
            times.setdefault(("rmi", name), []).append(timed([*argv, "rmi", DEBIAN]))
            load(argv, found["debian"][name])
    return times


def main():
    enter()
    with folder("images") as top, all_of(top) as who:
        from lib import registry as r  # pylint: disable=import-outside-toplevel
        found = archives(top, {"small": small_image(), "debian": f"{r.debian_layout()}:12"}, who)
        for name, argv in who.items():
            for archive in found.values():
                load(argv, archive[name])
        times = measure(who, found)
    late = False
    for what in [*RUNS, "rmi"]:
        medians = {name: statistics.median(times[what, name]) for name in who}
        say("images", what, medians)
        late |= what in RUNS and medians["viv"] > BUDGET * medians.get("podman", float("inf"))
    if late:
        print(f"images: above {BUDGET} of podman")
    return late


if __name__ == "__main__":
    sys.exit(main())
