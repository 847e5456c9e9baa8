"""Where output goes: files that rotate, the journal, nowhere."""
import contextlib
import json
import os
import pathlib
import socket
import struct

from lib import *
from box import box

TIMEOUT = 60


def record(name):
    return pathlib.Path(os.environ["VIV_DATA_ROOT"], "sandboxes", name)


def test_files_rotate_and_are_read_as_one():
    with box() as b:
        b.viv("run", "--name", "l", "--log-opt", "max-size=2k", "--log-opt", "max-file=4", *b.flags(),
              "busybox", "--", "sh", "-c", "seq 1 200 | sed 's/^/line /'").ok()
        files = sorted(path.name for path in record("l").glob("log.json*"))
        equal(files, ["log.json", "log.json.1", "log.json.2", "log.json.3"])
        check(all((record("l") / name).stat().st_size <= 2048 for name in files))
        lines = b.viv("logs", "l").ok().lines()
        check(60 < len(lines) < 150, f"{len(lines)} lines")
        equal(lines, [f"line {i}" for i in range(201 - len(lines), 201)])
        for count in (0, 1, 25, 40, 1000):
            equal(b.viv("logs", "--tail", count, "l").ok().lines(), lines[len(lines) - count:]
                  if count and count < len(lines) else lines if count else [])
        b.viv("run", "--name", "one", "--log-opt", "max-size=1k", *b.flags(), "busybox", "seq",
              "500").ok()
        equal([path.name for path in record("one").glob("log.json*")], ["log.json"])
        equal(b.viv("logs", "--tail", "1", "one").out, "500\n")


def test_following_goes_on_across_files_and_ends():
    with box() as b:
        b.start("--log-opt", "max-size=1k", "--log-opt", "max-file=1000", "--restart", "on-failure:1",
                name="f", script="for i in $(seq 100); do echo $i; sleep 0.005; done; exit 1")
        done = b.viv("logs", "-f", "f").ok()
        equal(done.lines(), [str(i) for i in range(1, 101)] * 2)
        equal(b.inspect("f")["RestartCount"], 1)


def test_several_logs_are_told_apart():
    with box() as b:
        for name in ("one", "two"):
            b.viv("run", "--name", name, *b.flags(), "busybox", "--", "sh", "-c",
                  f"echo {name} 1; echo {name} 2; echo {name} wrong >&2").ok()
        done = b.viv("logs", "--names", "one", "two").ok()
        equal(done.lines(), ["one one 1", "one one 2", "two two 1", "two two 2"])
        equal(done.err.splitlines(), ["one one wrong", "two two wrong"])
        ids = {name: b.inspect(name)["Id"][:12] for name in ("one", "two")}
        equal(b.viv("logs", "-n", "2", "two", "one").ok().lines(),
              [f"{ids['two']} two 2", f"{ids['one']} one 2"])
        stamped = b.viv("logs", "-t", "two", "one").ok().lines()[0].split()
        equal((stamped[0], stamped[2:]), (ids["two"], ["two", "1"]))
        equal(b.viv("logs", "--names", "one").ok().out, "one 1\none 2\n")
        equal(b.viv("logs", "--latest").ok().out, "two 1\ntwo 2\n")
        fails(b.viv("logs", "one", "nosuch"), 125, "no such sandbox")
        fails(b.viv("logs"), 125, "name a sandbox")


def test_several_logs_are_followed_until_all_are_over():
    with box() as b:
        for name in ("a", "b"):
            b.start(name=name, script="echo begin; until [ -e /dev/shm/go ]; do sleep 0.1; done; "
                    "echo end")
        with Background(program("viv"), "--root", b.store, "logs", "-f", "--names", "a", "b") as reader:
            reader.wait_for("a begin\n")
            reader.wait_for("b begin\n")
            b.viv("exec", "b", "touch", "/dev/shm/go").ok()
            reader.wait_for("b end\n")
            check(reader.running(), "it left before the last had ended")
            b.viv("exec", "a", "touch", "/dev/shm/go").ok()
            equal(reader.wait(), 0)
            lines = reader.out().splitlines()
            equal((sorted(lines[:2]), lines[2:]), (["a begin", "b begin"], ["b end", "a end"]))


def test_times_choose_lines():
    with box() as b:
        b.viv("run", "--name", "t", *b.flags(), "busybox", "--", "sh", "-c",
              "echo one; sleep 0.1; echo two >&2").ok()
        stamped = b.viv("logs", "-t", "t").ok()
        first, second = stamped.out.split()[0], stamped.err.split()[0]
        check(first < second)
        equal(b.viv("logs", "--since", second, "t").err, "two\n")
        equal(b.viv("logs", "--since", second, "t").out, "")
        equal(b.viv("logs", "--until", second, "t").out, "one\n")


def entries(sock):
    """The fields of the journal's entries, as the native protocol has them."""
    found = []
    sock.settimeout(20)
    while len(found) < 3:
        data, fields = sock.recv(1 << 17), {}
        while data:
            line, data = data.split(b"\n", 1)
            if b"=" in line:
                key, value = line.split(b"=", 1)
            else:
                size = struct.unpack("<Q", data[:8])[0]
                key, value, data = line, data[8:8 + size], data[9 + size:]
            fields[key.decode()] = value.decode()
        found.append(fields)
    return found


@private("mnt")
def test_the_journal_gets_the_lines():
    for place in ("/run", "/var/log"):
        run("mount", "-t", "tmpfs", "tmpfs", place).ok()
    with box() as b:
        words = ["--name", "j", "--log-driver", "journald", "--log-opt", "tag=mine", *b.flags(),
                 "busybox", "--", "sh", "-c", "echo out; echo err >&2; printf part"]
        fails(b.viv("run", *words), 125, "no journald runs")
        equal(b.names(), [])
        os.makedirs("/run/systemd/journal")
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            sock.bind("/run/systemd/journal/socket")
            b.viv("run", *words).ok()
            found = {entry["MESSAGE"]: entry for entry in entries(sock)}
        equal(sorted(found), ["err", "out", "part"])
        equal((found["out"]["PRIORITY"], found["err"]["PRIORITY"]), ("6", "3"))
        equal(found["part"]["CONTAINER_PARTIAL_MESSAGE"], "true")
        own = b.inspect("j")["Id"]
        for key, value in (("CONTAINER_ID", own[:12]), ("CONTAINER_ID_FULL", own),
                           ("CONTAINER_NAME", "j"), ("CONTAINER_TAG", "mine"),
                           ("SYSLOG_IDENTIFIER", "mine"), ("IMAGE_NAME", "busybox")):
            equal(found["out"][key], value)
        # this host has no journal to read them from; see in_journal
        for flags in ([], ["-f"]):
            fails(b.viv("logs", *flags, "j"), 125, "there is no journal here")


def test_no_log_and_wrong_options():
    with box() as b:
        b.viv("run", "--name", "n", "--log-driver", "none", *b.flags(), "busybox", "echo", "x").ok()
        fails(b.viv("logs", "n"), 125, "--log-driver none")
        check(not (record("n") / "log.json").exists())
        for words, part in ((["--log-opt", "max-size=huge"], "max-size"),
                            (["--log-opt", "max-file=0"], "from 1 to 1000"),
                            (["--log-opt", "colour=red"], "there are max-size"),
                            (["--log-driver", "syslog"], "json-file")):
            fails(b.viv("run", *words, "busybox", "true"), 125, part)
