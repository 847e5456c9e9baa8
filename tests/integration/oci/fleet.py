"""Two engines with one state directory, each with many containers that are all there at once."""
import concurrent.futures
import json
import threading

from lib import *
from bundle import oci, reaper, state_dir

WORKERS = 4  # commands of one engine that run side by side


class Engine:
    """Drives its containers in step: all are created, all are started, and so on."""

    def __init__(self, folder, names):
        self.folder, self.names, self.faults, self.lives = folder, names, [], 0

    def one(self, *words, expect=0):
        found = run(program("viv-oci"), "--root", state_dir(), *words)
        if found.status != expect:
            self.faults.append(str(found))
        return found

    def created(self, name):
        self.one("create", "--bundle", self.folder, name)

    def started(self, name):
        self.one("start", name)

    def entered(self, name):
        if self.one("exec", name, "/bin/echo", name).out != f"{name}\n":
            self.faults.append(f"exec into {name} did not answer")

    def frozen(self, name):
        self.one("pause", name)
        self.one("exec", name, "true", expect=255)
        if name[-1] in "02468":  # the others are killed as they are
            self.one("resume", name)

    def killed(self, name):
        self.one("kill", name, "KILL")

    def deleted(self, name):
        self.one("delete", "--force", name)
        self.lives += 1

    def round(self):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for step in [self.created, self.started, self.entered, self.frozen, self.listed,
                         self.killed, self.deleted]:
                list(pool.map(step, [None] if step == self.listed else self.names))

    def listed(self, _):
        """All of its own are there, whatever the other engine does meanwhile."""
        there = {item["id"]: item["status"]
                 for item in json.loads(self.one("list", "--format", "json").out)}
        lost = [name for name in self.names if there.get(name) not in ("running", "paused")]
        if lost:
            self.faults.append(f"not listed as running or paused: {lost}")

    def rounds(self, count):
        for _ in range(count):
            if not self.faults:
                self.round()


def two_engines(folder, each, rounds):
    """The number of lives that were lived; fails the test on the first faults."""
    reaper()
    engines = [Engine(folder, [unique("oci") for _ in range(each)]) for _ in range(2)]
    threads = [threading.Thread(target=engine.rounds, args=[rounds]) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faults = [fault for engine in engines for fault in engine.faults]
    for name in [name for engine in engines for name in engine.names if faults]:
        oci("delete", "--force", name)
    check(not faults, lambda: f"{len(faults)}: " + "\n".join(faults[:5]))
    return sum(engine.lives for engine in engines)
