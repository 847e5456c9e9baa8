"""Sandboxes from create to rm: what is told of them is true, also after a reboot or a SIGKILL."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from lib import *
from box import box

TIMEOUT = 60


def status(b, name):
    return b.inspect(name)["State"]["Status"]


def read(path):
    return json.loads(path.read_text())


def records():
    return pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes")


def reboot(b):
    """What a reboot does: the processes end at once, and the state of runs is gone."""
    pids = []
    for entry in b.store.iterdir():
        record = records() / entry.name
        life = (record if record.is_dir() else entry) / "life.json"
        if life.exists():
            pids += [read(life)["monitor"], read(entry / "state.json")["pid"]]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all(map(ended, pids)))
    shutil.rmtree(b.store)


def test_created_started_ended_and_started_again():
    with box() as b:
        made = b.viv("create", "--name", "c", *b.flags(), "busybox", "--", "sh", "-c",
                     "echo here; sleep 1000").ok().out.strip()
        matches(made, "^[0-9a-f]{64}$")
        equal(status(b, "c"), "created")
        fails(b.viv("exec", "c", "true"), 125, "not running")
        for word in (made, made[:12], "c"):
            equal(b.inspect(word)["Name"], "c")
        equal(b.viv("start", "c").ok().out, "c\n")
        equal(status(b, "c"), "running")
        b.viv("start", made[:8]).ok()
        eventually(lambda: b.viv("logs", "c").out == "here\n")
        first = b.pid("c")
        b.viv("restart", "-t", "0", "c").ok()
        check(b.pid("c") not in (0, first))
        eventually(lambda: b.viv("logs", "c").out == "here\nhere\n")
        b.viv("stop", "-t", "0", "c").ok()
        equal((status(b, "c"), b.inspect("c")["State"]["ExitCode"]), ("exited", 137))
        equal([name for name in os.listdir(b.store) if name[0] != "."], [])
        equal(b.viv("rm", "-f", "c", "nothere").ok().out, "c\n")
        equal(b.names(), [])
        fails(b.viv("rm", "c"), 1, "no such sandbox")
        fails(b.viv("inspect", made), 125, "no such sandbox")


def test_attached_start_has_the_status_of_the_workload():
    with box() as b:
        b.viv("create", "-i", "--name", "c", *b.flags(), "busybox", "--", "sh", "-c",
              "read x; echo got $x; echo bad >&2; exit 3").ok()
        for word in ("one", "two"):
            done = b.viv("start", "-a", "-i", "c", stdin=word + "\n")
            equal((done.status, done.out, done.err), (3, f"got {word}\n", "bad\n"))


def test_after_a_reboot_all_have_ended_and_can_start():
    with box() as b:
        name = b.start(name="r")
        b.viv("create", "--name", "never", *b.flags(), "busybox", "true").ok()
        b.viv("run", "--name", "seven", *b.flags(), "busybox", "--", "sh", "-c", "exit 7")
        b.start("--rm", name="away")
        reboot(b)
        equal([status(b, each) for each in (name, "never", "seven")],
              ["exited", "created", "exited"])
        equal(b.inspect("seven")["State"]["ExitCode"], 7)
        fails(b.viv("inspect", "away"), 125, "no such sandbox")
        fails(b.viv("wait", name), 125, "nobody was left to see how")
        b.viv("start", name).ok()
        equal(status(b, name), "running")


def test_a_name_is_taken_once():
    with box() as b:
        b.viv("create", "--name", "n", *b.flags(), "busybox", "true").ok()
        for words in (["create"], ["run"], ["run", "--rm"], ["run", "-d", "--rm"]):
            fails(b.viv(*words, "--name", "n", *b.flags(), "busybox", "true"), 125, "already")
        b.start("--rm", name="m")
        fails(b.viv("create", "--name", "m", *b.flags(), "busybox", "true"), 125, "already")
        equal(b.names(), ["m", "n"])


def test_a_shared_network_is_found_again():
    with box() as b:
        b.start("--userns", "host", name="one")
        net = lambda name: os.readlink(f"/proc/{b.pid(name)}/ns/net")
        b.start("--userns", "host", "--network", "container:one", name="two")
        equal(net("one"), net("two"))
        b.viv("restart", "-t", "0", "one", "two").ok()
        equal(net("one"), net("two"))
        b.viv("stop", "-t", "0", "one", "two").ok()
        fails(b.viv("start", "two"), 1, "it is not running")
        equal(status(b, "two"), "exited")


def test_what_cannot_start_leaves_nothing():
    with box() as b:
        fails(b.viv("run", "-d", "--name", "no", *b.flags(), "busybox", "nosuch"), 127)
        equal(b.names(), [])
        b.viv("create", "--name", "no", *b.flags(), "busybox", "nosuch").ok()
        fails(b.viv("start", "no"), 1, "nosuch")
        equal((status(b, "no"), os.listdir(b.store / ".ids")), ("created", []))


def test_a_list_is_filtered_and_formatted():
    with box() as b:
        b.start("-l", "tier=web", "-l", "blue", name="web1")
        b.start("-l", "tier=db", name="db1")
        b.viv("create", "--name", "later", *b.flags(), "busybox", "true").ok()
        b.viv("run", "--name", "seven", *b.flags(), "busybox", "--", "sh", "-c", "exit 7")

        def names(*flags):
            return b.viv("ps", "--format", "{{.Names}}", *flags).ok().lines()

        equal(names(), ["db1", "web1"])
        equal(names("-a"), ["seven", "later", "db1", "web1"])
        equal(names("-l"), ["seven"])
        equal(names("-n", "2"), ["seven", "later"])
        for wanted, words in ((["web1"], ["label=tier=web"]), (["db1", "web1"], ["label=tier"]),
                              ([], ["label=tier=web", "label=tier=db"]), (["web1"], ["label=blue"]),
                              (["db1", "web1"], ["name=web", "name=db"]), (["seven"], ["exited=7"]),
                              (["seven"], ["status=exited"]), (["later"], ["status=created"]),
                              (["later", "db1"], ["since=web1", "before=seven", "ancestor=busybox"]),
                              (["web1"], ["id=" + b.inspect("web1")["Id"][:16]])):
            flags = [part for word in words for part in ("--filter", word)]
            more = ["-a"] if "since" in words[0] else []
            equal(names(*flags, *more), wanted, f"--filter {words}")
        fails(b.viv("ps", "--filter", "nam=x"), 125, "did you mean name?")
        ids = b.viv("ps", "-q").ok().lines()
        equal([len(word) for word in ids], [12, 12])
        equal([b.inspect(word)["Name"] for word in ids], ["db1", "web1"])
        table = b.viv("ps", "--format", r"table {{.Names}}\t{{.State}}").ok().lines()
        equal([line.split() for line in table],
              [["NAMES", "STATE"], ["db1", "running"], ["web1", "running"]])
        matches(b.viv("ps", "-a").ok().lines()[1], r"^[0-9a-f]{12} +busybox +.*Exited \(7\) .* seven$")
        equal(b.viv("inspect", "-f", "{{.State.ExitCode}} {{.Name}}", "seven", "web1").ok().out,
              "7 seven\n0 web1\n")
        fails(b.viv("ps", "--format", "{{.Nome}}"), 125, "did you mean .Name")


def test_renamed_while_it_runs():
    with box() as b:
        for name, flags in (("old", []), ("gone", ["--rm"])):
            b.start(*flags, name=name)
            own = b.inspect(name)["Id"]
            b.viv("rename", name, "new").ok()
            fails(b.viv("inspect", name), 125, "no such sandbox")
            equal((b.inspect(own)["Name"], b.inspect("new")["State"]["Status"]), ("new", "running"))
            equal(b.viv("exec", "new", "echo", "in").ok().out, "in\n")
            # the old name is free, its control group is not
            b.start(name=name)
            check(b.pid(name) != b.pid("new"))
            b.viv("rm", "-f", name).ok()
            equal(b.viv("exec", "new", "echo", "in").ok().out, "in\n")
            b.viv("stop", "-t", "0", "new").ok()
            equal(sorted(os.listdir(b.store / ".ids")), [])
            if flags:
                equal(b.names(), [])
            else:
                equal(status(b, "new"), "exited")
                b.viv("start", own[:12]).ok()
                b.viv("create", "--name", "other", *b.flags(), "busybox", "true").ok()
                fails(b.viv("rename", "other", "new"), 125, "already")
                fails(b.viv("rename", "other", "a/b"), 125, "only letters")
                b.viv("rm", "-f", "new", "other").ok()


def test_its_processes_are_listed():
    with box() as b:
        name = b.start(script="sleep 999 & sleep 998; true")
        rows = lambda: [line.split(None, 5) for line in b.viv("top", name).ok().lines()]
        equal(rows()[0], ["UID", "PID", "PPID", "STIME", "TIME", "CMD"])
        found = {}

        def all_run():
            found.clear()
            found.update({row[5]: row for row in rows()[1:]})
            return set(found) == {"sh -c sleep 999 & sleep 998; true", "sleep 999", "sleep 998"}
        eventually(all_run, text=lambda: found)
        first = found["sh -c sleep 999 & sleep 998; true"]
        equal((int(first[1]), found["sleep 999"][2]), (b.pid(name), first[1]))
        b.viv("stop", "-t", "0", name).ok()
        fails(b.viv("top", name), 125, "not running")


def test_hooks_of_a_bundle():
    log = work() / "log"
    hook = lambda text: [{"path": "/bin/sh", "args": ["sh", "-c", text]}]
    hooks = {name: hook(f"jq -r .status >> {log}; echo {name} >> {log}")
             for name in ("createRuntime", "poststart", "poststop")}
    config = {"ociVersion": "1.0.2", "root": {"path": str(image()), "readonly": True}, "hooks": hooks,
              "process": {"cwd": "/", "args": ["sleep", "1000"], "user": {"uid": 0, "gid": 0},
                          "env": ["PATH=/bin"]},
              # without it the devices would be made in the built-in image itself
              "mounts": [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
              "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}
    (work() / "config.json").write_text(json.dumps(config))
    with box() as b:
        b.viv("run", "-d", "--name", "h", *b.flags("--bundle", work())).ok()
        equal(log.read_text().split(), ["creating", "createRuntime", "running", "poststart"])
        b.viv("rm", "-f", "h").ok()
        equal(log.read_text().split()[4:], ["stopped", "poststop"])
        hooks["poststart"] = hook("echo no >&2; exit 3")
        hooks["poststop"] = hook("exit 4")
        (work() / "config.json").write_text(json.dumps(config))
        fails(b.viv("run", "--rm", *b.flags("--bundle", work())), 125, "poststart: ")
        del hooks["poststart"]
        config["process"]["args"] = ["true"]
        (work() / "config.json").write_text(json.dumps(config))
        contains(b.viv("run", "--rm", *b.flags("--bundle", work())).ok().err, "poststop: ")


NO_REAPER = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
client = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
client.stdout.readline()
client.send_signal(signal.SIGKILL)
client.wait()
print("orphaned", flush=True)
sys.stdin.read()
os.waitpid(-1, os.WNOHANG)
"""


def test_a_process_that_nobody_reaps_is_told():
    with box() as b:
        name = b.start()
        argv = [program("viv"), "--root", b.store, "exec", name, "sh", "-c", "echo on; sleep 1000"]
        with subprocess.Popen([sys.executable, "-c", NO_REAPER, *argv], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as reaper:
            try:
                equal(reaper.stdout.readline(), b"orphaned\n")
                fails(b.viv("rm", "-f", name), 1,
                      f"and its parent {reaper.pid} (python3) does not wait for it")
            finally:
                reaper.stdin.close()
                reaper.wait()
        b.viv("rm", "-f", name).ok()
        equal(b.names(), [])
