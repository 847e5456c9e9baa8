"""Flags of the commands of a sandbox's life: which ones they are for, how they end, what is passed on."""
import contextlib
import os
import signal

from lib import *
from box import box

TIMEOUT = 150

# Tells when it listens, and which signal it got.
HEARS = "trap 'echo got USR1' USR1; trap 'echo got USR2; exit 8' USR2; " \
        "trap 'echo got TERM; exit 7' TERM; echo ready; " \
        "while :; do sleep 0.05; done"


def status(b, name):
    return b.inspect(name)["State"]["Status"]


def test_sandboxes_are_chosen():
    with box() as b:
        for name in ("c1", "c2", "c3"):
            b.start("-l", f"own={name}", name=name)
        b.viv("create", "--name", "idle", *b.flags(), "busybox", "true").ok()
        equal(sorted(b.viv("pause", "--all").ok().lines()), ["c1", "c2", "c3"])
        equal(b.viv("pause", "--all").ok().out, "")
        equal(b.viv("unpause", "--filter", "label=own=c2").ok().lines(), ["c2"])
        equal(sorted(b.viv("unpause", "-a").ok().lines()), ["c1", "c3"])
        equal(b.viv("kill", "--filter", "name=c3").ok().lines(), ["c3"])
        eventually(lambda: status(b, "c3") == "exited", 60)
        equal(sorted(b.viv("kill", "-a", "-s", "CONT").ok().lines()), ["c1", "c2"])
        equal(b.viv("start", "-l").ok().lines(), ["idle"])
        equal(b.viv("wait", "-l").ok().out, "0\n")
        equal(b.viv("wait", "-i", "nosuch").ok().out, "")
        equal(b.viv("inspect", "-l", "-f", "{{.Name}}").ok().out, "idle\n")
        equal(b.viv("diff", "-l").ok().out, "")
        fails(b.viv("exec", "-l", "true"), 125, "idle")
        fails(b.viv("exec", "-l"), 125, "and a command")
        fails(b.viv("attach"), 125, "name a sandbox, or say --latest")
        eventually(lambda: status(b, "idle") == "exited", 60)
        first = b.pid("c1")
        equal(sorted(b.viv("restart", "-t", "0", "--running").ok().lines()), ["c1", "c2"])
        check(b.pid("c1") != first, "c1 was not started again")
        ids = work() / "id"
        ids.write_text(b.inspect("c2")["Id"] + "\n")
        own = b.inspect("c2")["Id"]
        b.viv("rename", "idle", "was").ok()
        b.viv("rm", "was").ok()
        b.start(name="idle")
        equal(b.viv("exec", "-l", "echo", "-n", "in").ok().out, "in")
        contains(b.viv("top", "-l").ok().out, "sleep")
        contains(b.viv("stats", "-l", "--no-stream").ok().out, "idle")
        b.viv("stop", "-t", "0", "idle").ok()
        equal(b.viv("stop", "-t", "0", "--cidfile", ids).ok().lines(), [own])
        equal(status(b, "c2"), "exited")
        equal(b.viv("stop", "-t", "0", "-i", "nosuch", "c1").ok().lines(), ["c1"])
        fails(b.viv("stop", "nosuch"), 1, "no such sandbox")
        equal(b.viv("rm", "-i", "nosuch").ok().out, "")
        equal(b.viv("rm", "--cidfile", ids, "idle").ok().lines(), ["idle", own])
        equal(b.names(), ["c1", "c3"])
        for words, part in ((["rm", "-l", "c1"], "name none"), (["rm"], "name a sandbox"),
                            (["rm", "-l", "-a"], "one sandbox"), (["stop", "--cidfile", "no"], "no"),
                            (["pause", "-a", "c1"], "name none")):
            fails(b.viv(*words), 125, part)
        b.viv("rm", "-a").ok()
        fails(b.viv("start", "--latest"), 125, "there is no sandbox")


def test_how_they_are_stopped():
    with box() as b:
        for name in ("s", "r", "gone"):
            b.start(name=name, script=HEARS)
            eventually(lambda n=name: b.viv("logs", n).out == "ready\n", 60)
        b.viv("stop", "-s", "USR2", "-t", "60", "s").ok()
        equal(b.viv("logs", "s").out, "ready\ngot USR2\n")
        equal(b.inspect("s")["State"]["ExitCode"], 8)
        b.viv("restart", "-s", "15", "-t", "60", "r").ok()
        eventually(lambda: b.viv("logs", "r").out == "ready\ngot TERM\nready\n", 60)
        b.viv("rm", "-f", "-t", "60", "gone").ok()
        codes = b.viv("events", "--no-stream", "--filter", "event=die", "--filter", "container=gone",
                      "--format", "{{.Actor.Attributes.exitCode}}").ok().out
        equal(codes, "7\n")
        fails(b.viv("rm", "-t", "1", "r"), 125, "without --force")
        fails(b.viv("stop", "-t", "-1", "r"), 125, "from 0")
        fails(b.viv("stop", "-s", "TREM", "r"), 125, "TREM")
        b.viv("rm", "-f", "r").ok()
        check(b.names() == ["s"], b.names())


def test_signals_are_passed_on_or_not():
    with box() as b:
        def command(*words):
            return Background(program("viv"), "--root", b.store, *words)

        def to_workload(words, name):
            with command(*words) as running:
                running.wait_for("ready", 60)
                os.kill(running.pid, signal.SIGUSR1)
                running.wait_for("got USR1", 60)
                os.kill(running.pid, signal.SIGTERM)
                equal(running.wait(60), 7)
            eventually(lambda: name not in b.names() or status(b, name) == "exited", 60)

        workload = ["busybox", "--", "sh", "-c", HEARS]
        to_workload(["run", "--name", "fg", *b.flags(), *workload], "fg")
        to_workload(["run", "--name", "on", "--restart", "on-failure:1", *b.flags(), *workload], "on")
        b.viv("rm", "-f", "on").ok()
        b.viv("create", "--name", "st", *b.flags(), *workload).ok()
        to_workload(["start", "-a", "st"], "st")
        b.start(name="at", script="sleep 0.1; while :; do echo ready; sleep 0.1; done & " + HEARS)
        to_workload(["attach", "at"], "at")
        # and not: the command ends by its signal, the workload goes on
        for number, words in enumerate((["run", "--sig-proxy=false", "--name", "own0", *b.flags(),
                                         *workload], ["attach", "--sig-proxy=false", "own0"],
                                        ["start", "-a", "--sig-proxy=false", "st"])):
            with command(*words) as running:
                if "attach" in words:
                    eventually(lambda: any("socket" in link for link in fds(running.pid)), 60)
                else:
                    running.wait_for("ready", 60)
                os.kill(running.pid, signal.SIGTERM)
                equal((words[0], running.wait(60)), (words[0], 128 + signal.SIGTERM))
            equal(status(b, "st" if number == 2 else "own0"), "running")
        check("got" not in b.viv("logs", "own0").out)


def fds(pid):
    """What the descriptors of a process lead to."""
    folder, found = f"/proc/{pid}/fd", []
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(os.readlink(f"{folder}/{name}"))
    return found


def test_the_chosen_streams_are_sat_at():
    with box() as b:
        def attached(*words, **more):
            return b.run(*words, "busybox", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 3",
                         **more)

        for words, out, err in ((["-a", "stdout"], "out\n", ""), (["-a", "STDERR"], "", "err\n"),
                                (["-a", "stdout", "--attach", "stderr"], "out\n", "err\n"),
                                (["-i", "-a", "stdin,stdout"], "in\nout\n", "")):
            done = attached(*words, stdin="in\n")
            equal((words, done.out, done.err, done.status), (words, out, err, 3))
        # the input alone: it goes on in the background, and its id is told
        done = b.viv("run", "--name", "deep", "-i", "-a", "stdin", *b.flags(), "busybox", "--", "sh",
                     "-c", "cat; sleep 0.1; echo end", stdin="in\n").ok()
        equal(done.out.strip(), b.inspect("deep")["Id"])
        equal(b.viv("wait", "deep").ok().out, "0\n")
        equal(b.viv("logs", "deep").ok().out, "in\nend\n")
        fails(attached("-a", "stdio"), 125, "stdin, stdout or stderr")
        fails(attached("-d", "-a", "stdout"), 125, "contradict")


def test_descriptors_are_passed_on():
    read = ["busybox", "--", "sh", "-c", "cat <&3; echo to4 >&4; ls /proc/self/fd"]
    with box() as b:
        def passing(flags, words, name="run"):
            (work() / "three").write_text("from3\n")
            with open(work() / "three", "rb") as three, open(work() / "four", "wb") as four:
                script = f'exec 3<&{three.fileno()} 4>&{four.fileno()}; exec "$@"'
                return run("bash", "-c", script, "bash", program("viv"), "--root", b.store, name,
                           *flags, *words, pass_fds=(three.fileno(), four.fileno()))

        fails(b.run("--preserve-fds", "1", "busybox", "true"), 125, "descriptor 3 is not open")
        fails(b.run("--preserve-fds", "9999", "busybox", "true"), 125, "at most 1024")
        fails(b.run("--preserve-fds", "1", "--isolation", "vm", "busybox", "true"), 125)
        b.start(name="s")
        for done in (passing(["--rm", "--preserve-fds", "2", *b.flags()], read),
                     passing(["--preserve-fds", "2"], ["s", *read[2:]], "exec")):
            equal(done.ok().out.splitlines()[0], "from3")
            equal((work() / "four").read_text(), "to4\n")
            found = {int(line) for line in done.out.splitlines()[1:]}
            check({0, 1, 2, 3, 4} <= found and len(found) <= 6, found)  # and what ls itself opens
        # nobody but the workload keeps them: when it has closed its own, they are closed
        name = unique("fd")
        reader, writer = os.pipe()
        passed = run("bash", "-c", f'exec 3>&{writer} {writer}>&-; exec "$@"', "bash", program("viv"),
                     "--root", b.store, "run", "-d", "--name", name, "--preserve-fds", "1", *b.flags(),
                     "busybox", "--", "sh", "-c", "echo begun >&3; exec 3>&-; sleep 1000", pass_fds=(writer,))
        os.close(writer)
        passed.ok()
        with open(reader, encoding="utf-8") as end:
            equal(end.read(), "begun\n")
        equal(status(b, name), "running")


def test_a_file_gets_the_id():
    with box() as b:
        path = work() / "cid"
        made = b.viv("create", "--cidfile", path, "--name", "c", *b.flags(), "busybox", "true").ok()
        equal(path.read_text(), made.out.strip())
        fails(b.viv("run", "--cidfile", path, *b.flags(), "busybox", "true"), 125, "there already")
        equal(b.names(), ["c"])
        path.unlink()
        b.sh("exit 3", "--cidfile", path)
        matches(path.read_text(), "^[0-9a-f]{64}$")
        path.unlink()
        for words in (["run"], ["run", "-d"], ["create"]):
            fails(b.viv(*words, "--name", "c", "--cidfile", path, *b.flags(), "busybox", "true"), 125,
                  "already")
            check(not path.exists(), words)
        fails(b.viv("run", "--cidfile", path, *b.flags(), "busybox", "nosuch"), 127)
        check(not path.exists())


def test_a_name_is_taken_over():
    with box() as b:
        b.start(name="n")
        first = b.inspect("n")["Id"]
        b.viv("run", "-d", "--replace", "--name", "n", *b.flags(), "busybox", "sleep", "1000").ok()
        second = b.inspect("n")["Id"]
        b.viv("create", "--replace", "--name", "n", *b.flags(), "busybox", "true").ok()
        equal(len({first, second, b.inspect("n")["Id"]}), 3)
        equal((b.names(), status(b, "n")), (["n"], "created"))
        b.viv("create", "--replace", "--name", "new", *b.flags(), "busybox", "true").ok()
        fails(b.viv("run", "--replace", "busybox", "true"), 125, "--name")


def test_labels_and_variables_come_from_files():
    with box() as b:
        labels, variables = work() / "labels", work() / "env"
        labels.write_text("# none\n\ntier=web\n  blue\nown=file\r\n")
        b.viv("create", "--name", "l", "--label-file", labels, "-l", "own=flag", *b.flags(), "busybox",
              "true").ok()
        equal(b.inspect("l")["Labels"], {"tier": "web", "blue": "", "own": "flag"})
        labels.write_text("a=b\n=x\n")
        fails(b.viv("create", "--label-file", labels, "busybox", "true"), 125, f"{labels}:2")
        fails(b.viv("create", "--label-file", "no", "busybox", "true"), 125, "--label-file no")
        variables.write_text("# none\nA=file\nB=file\nVIV_OWN\n")
        b.start("-e", "C=kept", name="e")
        found = b.viv("exec", "--env-file", variables, "-e", "B=flag", "-e", "VIV_OTHER", "e", "env",
                      env={**os.environ, "VIV_OWN": "mine"}).ok().lines()
        check({"A=file", "B=flag", "C=kept", "VIV_OWN=mine"} <= set(found), found)
        check(not any(line.startswith("VIV_OTHER") for line in found), found)
        fails(b.viv("exec", "--env-file", "no", "e", "env"), 125, "--env-file no")
        term = lambda *flags: b.viv("exec", "-t", *flags, "e", "sh", "-c", "echo $TERM").ok().out.strip()
        equal((term(), term("-e", "TERM=vt100")), ("xterm", "vt100"))
        equal(b.viv("run", "--rm", "--unsetenv", "PATH", "-e", "X=1", *b.flags(), "busybox",
                    "/bin/busybox", "env").ok().out.count("PATH="), 0)
        equal(sorted(line.split("=")[0] for line in b.viv(
            "run", "--rm", "--unsetenv-all", "-e", "X=1", *b.flags(), "busybox",
            "/bin/busybox", "env").ok().lines()), ["HOME", "HOSTNAME", "X"])
        equal(b.out("echo $HOSTNAME", "--name", "told"), "told")
        equal(b.out("echo $HOSTNAME", "-h", "other"), "other")
        equal(b.out("echo $HOSTNAME", "-e", "HOSTNAME=own"), "own")


def test_hosts_can_be_left_alone():
    with box() as b:
        root = work() / "root"
        run("mkdir", "-p", root / "etc", root / "bin").ok()
        (root / "etc/hosts").write_text("192.0.2.7 own\n")
        run("cp", program("share/viv/busybox/bin/busybox"), root / "bin/busybox").ok()
        flags = ["--rootfs", root, "--network", "host", "--userns", "host"]
        show = ["--", "/bin/busybox", "cat", "/etc/hosts"]
        equal(b.run("--no-hosts", *flags, *show).ok().out, "192.0.2.7 own\n")
        contains(b.run(*flags, *show).ok().out, "localhost")
        fails(b.run("--no-hosts", "--add-host", "a:192.0.2.1", *flags, *show), 125, "one of them")
