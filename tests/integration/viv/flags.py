"""Each flag of viv run has an effect that can be seen, and the commands do what they say."""
import json
import os
import pathlib
import re

from lib import *
from box import box

TIMEOUT = 60

# Flags, a shell script, and what it prints. {work} is the test's directory.
EFFECTS = {
    "--name": (["--name", "n1"], "hostname", "n1"),
    "--env": (["-e", "A=1", "--env", "B=x y"], "echo $A $B", "1 x y"),
    "--env-file": (["--env-file", "{work}/env"], "echo $C-$D", "see-dee"),
    "--workdir": (["-w", "/tmp"], "pwd", "/tmp"),
    "--user": (["-u", "12:34"], "id -u; id -g", "12\n34"),
    "--group-add": (["--group-add", "55"], "id -G", "0 55"),
    "--umask": (["--umask", "0027"], "umask", "0027"),
    "--ulimit": (["--ulimit", "nofile=77:88"], "ulimit -n; ulimit -Hn", "77\n88"),
    "--oom-score-adj": (["--oom-score-adj", "321"], "cat /proc/self/oom_score_adj", "321"),
    "--volume": (["-v", "{work}/data:/mnt"], "cat /mnt/file", "content"),
    "--mount": (["--mount", "type=bind,source={work}/data,target=/mnt,readonly"],
                "cat /mnt/file; touch /mnt/x 2>/dev/null || echo refused", "contentrefused"),
    "--tmpfs": (["--tmpfs", "/mnt:size=1m"], "df -k /mnt | awk 'END{{print $2}}'", "1024"),
    "--device": (["--device", "/dev/full:/dev/fuller:r"], "test -c /dev/fuller && echo yes", "yes"),
    "--shm-size": (["--shm-size", "3m"], "df -k /dev/shm | awk 'END{{print $2}}'", "3072"),
    "--read-only": (["--read-only"], "touch /x 2>/dev/null || echo refused", "refused"),
    "--read-only-tmpfs": (["--read-only", "--read-only-tmpfs", "--tmpfs", "/run:ro"],
                          "touch /tmp/x /var/tmp/x; for d in / /run; do touch $d/x 2>/dev/null || echo "
                          "no; done", "no\nno"),
    "--tz": (["--tz", "Etc/UTC"], "tail -c 5 /etc/localtime", "UTC0"),
    "--env-host": (["--env-host", "-e", "VIV_MINE=2"], "echo $VIV_OWN $VIV_MINE", "1 2"),
    "--network": (["--network", "none"], "ls /sys/class/net", "lo"),
    "--pid": (["--pid", "private"], "echo $$", "1"),
    "--ipc": (["--ipc", "none"], "test -e /dev/shm/. || echo none", "none"),
    "--uts": (["--uts", "private", "--name", "u1"], "hostname", "u1"),
    "--cgroupns": (["--cgroupns", "private"], "cut -d: -f3 /proc/self/cgroup | sort -u", "/"),
    "--userns": (["--userns", "host"], "awk '{{print $2, $3}}' /proc/self/uid_map", "0 4294967295"),
    "--uidmap": (["--uidmap", "0:300000:9"], "awk '{{print $2, $3}}' /proc/self/uid_map",
                 "300000 9"),
    "--gidmap": (["--uidmap", "0:300000:9", "--gidmap", "0:400000:8"],
                 "awk '{{print $2, $3}}' /proc/self/gid_map", "400000 8"),
    "--hostname": (["-h", "h1"], "hostname", "h1"),
    "--domainname": (["--domainname", "d1"], "cat /proc/sys/kernel/domainname", "d1"),
    "--time-offset": (["--time-offset", "boottime=1000h"],
                      "awk '{{print ($1 > 3600000)}}' /proc/uptime", "1"),
    "--sysctl": (["--sysctl", "net.ipv4.ip_default_ttl=77"],
                 "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
    "--cap-add": (["--cap-drop", "ALL", "--cap-add", "NET_RAW"],
                  "awk '/CapEff/{{print $2}}' /proc/self/status", "0000000000002000"),
    "--cap-drop": (["--cap-drop", "ALL"], "awk '/CapBnd/{{print $2}}' /proc/self/status",
                   "0000000000000000"),
    "--security-opt": (["--security-opt", "no-new-privileges"],
                       "awk '/NoNewPrivs/{{print $2}}' /proc/self/status", "1"),
    "--privileged": (["--privileged"], "awk '/Seccomp:/{{print $2}}' /proc/self/status", "0"),
    "--init": (["--init"], "cat /proc/1/comm", "init"),
}
# Flags that other tests show by their short form or another word of theirs.
SHORT = {"--detach": "-d", "--interactive": "-it", "--tty": "-t", "--memory": "-m", "--publish": "-p"}


def shown_elsewhere():
    """The flags that the other tests use, and those below."""
    texts = [path.read_text(encoding="utf-8").split("def test_every_flag_is_tested")[-1]
             for path in (ROOT / "tests").rglob("*.py")]
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(texts)))
    return words | {flag for flag, short in SHORT.items() if short in words}


def test_every_flag_is_tested():
    help_text = viv("run", "--help").ok().out
    flags = set(re.findall(r"^  (?:-\w,|   ) (--[a-z-]+)", help_text, re.MULTILINE))
    check(len(flags) > 60, str(flags))
    equal(sorted(flags - set(EFFECTS) - shown_elsewhere()), [])


def effects():
    """(flag, flags, script, what it prints), and what they need is there."""
    (work() / "env").write_text("# a comment\nC=see\nD=dee\n")
    (work() / "data").mkdir()
    (work() / "data/file").write_text("content")
    os.environ["VIV_OWN"] = "1"
    for flag, (flags, script, wanted) in EFFECTS.items():
        yield (flag, [part.format(work=work()) for part in flags],
               script.replace("{{", "{").replace("}}", "}"), wanted)


def test_effects():
    with box() as b:
        for flag, flags, script, wanted in effects():
            equal(b.out(script, *flags), wanted, flag)


def test_the_same_effects_in_the_background():
    with box() as b:
        started = {}
        for flag, flags, script, wanted in effects():
            name = flags[flags.index("--name") + 1] if "--name" in flags else unique("e")
            b.viv("run", "-d", "--name", name, *b.flags(*flags), "busybox", "--", "sh", "-c", script).ok()
            started[flag] = name, wanted
        b.viv("wait", *(name for name, _ in started.values())).ok()
        for flag, (name, wanted) in started.items():
            equal(b.viv("logs", name).ok().out.strip(), wanted, flag)


def test_statuses():
    with box() as b:
        for script, status in (("exit 0", 0), ("exit 3", 3), ("exit 255", 255),
                               ("kill -TERM $$", 143), ("kill -9 $$", 137)):
            equal(b.sh(script, "--init").status, status, script)
        equal(b.run("busybox", "/etc/passwd").status, 126)
        equal(b.run("busybox", "nosuch").status, 127)
        equal(b.run("--nosuch").status, 125)


def test_entrypoint_and_pidfile():
    with box() as b:
        done = b.run("--entrypoint", "echo", "busybox", "--", "a", "b").ok()
        equal(done.out, "a b\n")
        name = b.start("--pidfile", work() / "pid")
        equal((work() / "pid").read_text().strip(), str(b.pid(name)))


def test_labels_and_annotations():
    with box() as b:
        name = b.start("-l", "a=1", "--label", "b", "--annotation", "c=3")
        found = b.inspect(name)
        equal(found["Labels"], {"a": "1", "b": ""})
        equal(found["Config"]["annotations"], {"c": "3"})


def test_a_life_in_the_background():
    with box() as b:
        done = b.viv("run", "-d", "--name", "bg", *b.flags(
            "busybox", "--", "sh", "-c", "echo out; echo err >&2; trap 'exit 7' TERM; "
                                         "while :; do sleep 0.05; done"))
        printed = done.ok().out.strip()
        equal(b.inspect("bg")["Id"], printed)
        eventually(lambda: "err" in b.viv("logs", "bg").err)
        equal(b.viv("logs", "bg").ok().out, "out\n")
        equal([entry["Name"] for entry in json.loads(b.viv("ps", "--format", "json").out)], ["bg"])
        equal(b.viv("exec", "bg", "sh", "-c", "exit 9").status, 9)
        equal(b.viv("exec", "bg", "nosuch").status, 127)
        b.viv("stop", "bg").ok()
        equal(b.viv("wait", "bg").ok().out.strip(), "7")
        equal(json.loads(b.viv("ps", "--format", "json").out), [])
        equal(json.loads(b.viv("ps", "-a", "--format", "json").out)[0]["ExitCode"], 7)
        equal(b.viv("exec", "bg", "true").status, 125)
        b.viv("rm", "bg").ok()
        equal(b.names(), [])


def test_nobody_waits_for_a_detached_run():
    """Who reads the command's output to its end is not kept by the sandbox."""
    with box() as b:
        done = run("sh", "-c", f"echo got $({program('viv')} --root {b.store} run -d --name bg "
                               f"--cgroup-parent /{b.scope} busybox sleep 1000 2>&1)")
        matches(done.ok().out, "^got [0-9a-f]{64}\n$")
        equal(b.inspect("bg")["State"]["Status"], "running")


def test_stop_kills_in_the_end():
    with box() as b:
        name = b.start("--stop-timeout", "1s", script="trap '' TERM; while :; do sleep 0.05; done")
        b.viv("stop", name).ok()
        equal(b.viv("wait", name).ok().out.strip(), "137")


def test_summary():
    with box() as b:
        said = b.run("--summary", "-m", "64m", "--pids-limit", "32", "busybox", "true").ok().out
        contains(said, "What isolated it")
        contains(said, "limits      memory 64.0 MiB, 32 processes\n")


def test_stop_signal():
    with box() as b:
        name = b.start("--stop-signal", "USR1",
                       script="trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done")
        eventually(lambda: b.viv("logs", name).out)
        b.viv("stop", name).ok()
        equal(b.viv("wait", name).ok().out.strip(), "5")


def test_rm_leaves_nothing():
    with box() as b:
        with no_leaks(b.scope + "/"):
            b.run("busybox", "true").ok()
            b.viv("run", "--name", "kept", *b.flags("busybox", "true")).ok()
            equal(b.names(), ["kept"])
            b.viv("rm", "kept").ok()
        equal(b.names(), [])


def test_two_of_a_name_at_once():
    with box() as b:
        name = unique("same")
        with Background(program("viv"), "--root", b.store, "run", "--rm", "--name", name,
                        *b.flags("busybox", "sleep", "1000")) as one, \
                Background(program("viv"), "--root", b.store, "run", "--rm", "--name", name,
                           *b.flags("busybox", "sleep", "1000")) as two:
            eventually(lambda: not (one.running() and two.running()))
            eventually(lambda: b.viv("kill", name).status == 0)
            equal(sorted([one.wait(), two.wait()]), [125, 137])


def test_input():
    with box() as b:
        equal(b.run("-i", "busybox", "cat", stdin="given").ok().out, "given")
        equal(b.run("busybox", "cat", stdin="given").ok().out, "")


def test_trace():
    with box() as b:
        done = b.run("--trace", "busybox", "echo", "hello").ok()
        equal(done.out, "hello\n")
        steps = json.loads(b.viv("explain", "--format", "json", "busybox", "echo", "hello").out)
        check(len(re.findall(r"= ok, [0-9.]+ ms", done.err)) >= len(steps) - 3, done.err[-300:])
        lacks(done.err, "\x1b[")


def test_explain_touches_nothing():
    with box() as b:
        b.run("busybox", "true").ok()
        with no_leaks(b.scope, [b.store]):
            for step in json.loads(b.viv("explain", "--format", "json", *b.flags("busybox")).out):
                check({"step", "place", "op", "args", "because", "why"} <= set(step), str(step))
                check(step["why"], str(step))


def test_colour_is_for_terminals():
    with box() as b:
        plain = b.viv("explain", "busybox").ok().out
        lacks(plain, "\x1b[")
        command = f"{program('viv')} --root {b.store} explain busybox"
        coloured = run("script", "-qec", command, "/dev/null", env={"TERM": "xterm"}).out
        contains(coloured, "\x1b[")
        lacks(run("script", "-qec", command, "/dev/null",
                  env={"TERM": "xterm", "NO_COLOR": "1"}).out, "\x1b[")


def test_json_everywhere():
    with box() as b:
        name = b.start()
        for words in ("ps", "stats --no-stream", "check", "images", "volume ls", "network ls", "system df",
                      "container ls"):
            check(isinstance(json.loads(b.viv(*words.split(), "--format", "json").ok().out), list), words)
        for line in b.viv("events", "--since", "1h", "--until", "0s", "--format", "json").ok().lines():
            json.loads(line)
        top = json.loads(b.viv("top", "--format", "json", name, "pid", "args").ok().out)
        equal(top, [{"PID": str(b.pid(name)), "COMMAND": top[0]["COMMAND"]}])
        contains(top[0]["COMMAND"], "sleep 1000")
        equal(b.viv("top", "--format", "{{.PID}}", name).ok().out, f"{b.pid(name)}\n")
        equal(json.loads(b.viv("port", "--format", "json", name).ok().out), [])
        json.loads(b.viv("inspect", name).ok().out)


def test_our_own_program_cannot_be_reached():
    """The runtime's binary is neither among the workload's descriptors nor behind /proc."""
    with box() as b:
        for flags in ([], ["--userns", "host"], ["--privileged"]):
            equal(b.out("ls /proc/self/fd | wc -l", *flags), "4")
        before = pathlib.Path(program("viv")).stat()
        done = b.run("--userns", "host", "--pid", "host", "busybox", "sh", "-c",
                     "for p in /proc/[0-9]*; do echo x 2>/dev/null >> $p/exe; done; true")
        after = os.stat(program("viv"))
        equal((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns), str(done))
