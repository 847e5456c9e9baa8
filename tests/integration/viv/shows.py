"""What lists and shows sandboxes, and the flags and members by which Docker and Podman do."""
import contextlib
import json
import os
import pty
import re
import subprocess

from lib import *
from box import box

TIMEOUT = 150


def test_sizes_are_told():
    with box() as b:
        b.viv("run", "--name", "big", *b.flags(), "busybox", "--", "dd", "if=/dev/zero", "of=/big",
              "bs=1M", "count=3").ok()
        b.viv("create", "--name", "none", *b.flags(), "busybox", "true").ok()
        sizes = json.loads(b.viv("ps", "-a", "-s", "--format", "json").ok().out)
        found = {row["Name"]: row for row in sizes}
        check(3 << 20 <= found["big"]["SizeRw"] < 4 << 20, found["big"])
        equal(found["none"]["SizeRw"], 0)
        check("SizeRw" not in b.viv("ps", "-a", "--format", "json").ok().out, "sizes without -s")
        matches(b.viv("ps", "-a", "--size", "--filter", "name=big").ok().lines()[0], r"SIZE$")
        matches(b.viv("ps", "-a", "--format", "{{.Size}}", "--filter", "name=big").ok().out,
                r"^3\.\d+ MiB \(virtual \d")
        equal(b.viv("ps", "-a", "--sort", "size", "--format", "{{.Names}}").ok().lines(),
              ["none", "big"])
        equal(b.viv("inspect", "-s", "-f", "{{.SizeRw}}", "none").ok().out, "0\n")
        check("SizeRw" not in b.inspect("big"), "sizes without -s")


def test_a_list_is_sorted_and_has_places():
    with box() as b:
        for name, image_flags in (("c", ["-v", "data:/d"]), ("a", ["-v", "/x", "-v", "/y"]),
                                  ("b", [])):
            b.viv("create", "--name", name, "-l", f"own={name}", *image_flags, *b.flags(),
                  "busybox", "true").ok()
        names = lambda *flags: b.viv("ps", "-a", "--format", "{{.Names}}", *flags).ok().lines()
        equal(names(), ["b", "a", "c"])
        equal(names("--sort", "names"), ["a", "b", "c"])
        equal(names("--sort", "created"), ["b", "a", "c"])
        fails(b.viv("ps", "--sort", "colour"), 125, "runningfor")
        equal(b.viv("ps", "-a", "--format", "{{.Mounts}} {{.LocalVolumes}}", "--filter",
                    "name=c").ok().out, "data 1\n")
        rows = json.loads(b.viv("ps", "-a", "--format", "json").ok().out)
        equal([(row["Name"], row["LocalVolumes"]) for row in rows], [("b", 0), ("a", 2), ("c", 1)])
        equal(rows[2]["Mounts"], ["data"])
        equal(len(b.viv("ps", "-a", "--noheading").ok().lines()), 3)
        b.viv("create", "--name", "p", "-p", "8000-8002:80-82/udp", "--expose", "90", *b.flags(),
              "busybox", "true").ok()
        for filters, found in ((["until=1h"], []), (["until=1s", "until=2099-01-01"], "pbac"),
                               (["publish=81/udp"], "p"), (["publish=70-80/udp"], "p"),
                               (["publish=81"], ""), (["publish=8001/udp"], ""),
                               (["publish=90"], ""), (["expose=90/tcp"], "p"),
                               (["expose=82/udp"], "p"), (["label!=own=c", "label!=own=b"], "pa"),
                               (["label!=own"], "p"), (["label!=other"], "pbac")):
            equal((filters, names(*(word for one in filters for word in ("--filter", one)))),
                  (filters, list(found)))
        with Background(program("viv"), "--root", b.store, "ps", "-aq", "--watch", "1") as watching:
            eventually(lambda: watching.out().count("\n") >= 8, 60)
        fails(b.viv("ps", "--filter", "publish=x"), 125, "--filter publish=x: ")
        fails(b.viv("ps", "--filter", "until=soon"), 125, '"soon" is no moment')


def test_inspect_finds_other_kinds():
    with box() as b:
        own, volume, network = unique("own"), unique("vol"), unique("net")
        b.viv("create", "--name", own, *b.flags(), "busybox", "true").ok()
        b.viv("volume", "create", volume).ok()
        b.viv("network", "create", "--subnet", "10.123.0.0/24", "--label", "a=1", network).ok()
        for kind, name in (("container", own), ("volume", volume), ("network", network)):
            for flags in ([], ["--type", kind]):
                equal(b.viv("inspect", *flags, "-f", "{{.Name}}", name).ok().out, name + "\n")
        fails(b.viv("inspect", "--type", "network", own), 125, "there is no network")
        fails(b.viv("inspect", "--type", "container", volume), 125, "no such sandbox")
        fails(b.viv("inspect", "--type", "image", volume), 125, volume)
        fails(b.viv("inspect", "nosuch"), 125, "no such sandbox")
        fails(b.viv("inspect", "--type", "colour", own), 125, "network")
        # by Docker's names and by Podman's
        show = lambda text: b.viv("network", "inspect", "-f", text, network).ok().out.strip()
        equal(show("{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.EnableIPv6}}"),
              f"{network} bridge local false false")
        equal(show("{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}"),
              "10.123.0.0/24 10.123.0.1")
        equal(show("{{range .Subnets}}{{.Subnet}} {{.Gateway}}{{end}}"), "10.123.0.0/24 10.123.0.1")
        equal(show("{{.NetworkInterface}}"), show("{{.network_interface}}"))
        equal(show("{{.Labels.a}} {{len .Containers}}"), "1 0")
        # what is no network of ours is told too, with those that are on it
        for kind, driver in (("none", "null"), ("host", "host")):
            there = b.start("--network", kind, name=f"on-{kind}")
            show = lambda text, k=kind: b.viv("network", "inspect", "-f", text, k).ok().out.strip()
            equal(show("{{.Name}} {{.Driver}} {{.Scope}} {{len .IPAM.Config}}"), f"{kind} {driver} local 0")
            equal(show("{{range .Containers}}{{.Name}} {{end}}"), there)
            fails(b.viv("network", "rm", kind), 1, "there is no network")
        fails(b.viv("network", "inspect", "-f", "{{.Nome}}", network), 125, "there is no .Nome")
        b.viv("network", "rm", network).ok()
        b.viv("volume", "rm", volume).ok()


def test_members_are_found_by_other_names():
    with box() as b:
        b.viv("create", "--name", "c", *b.flags("-m", "64m", "--cpus", "1.5", "-v", f"{work()}:/d:ro",
              "-v", "data:/v", "-e", "A=1", "-w", "/tmp", "-l", "k=v", "--network", "none",
              "--entrypoint", "sh"), "busybox", "-c", "true").ok()
        for template, wanted in (
                ("{{.Config.Image}} {{.Config.WorkingDir}} {{.Config.Labels.k}}", "busybox /tmp v"),
                ("{{.Config.Entrypoint}} {{.Config.Cmd}} {{.Path}} {{.Args}}", "[sh] [-c true] sh [-c true]"),
                ("{{index .Config.Env 1}} {{.Config.Tty}}", "A=1 false"),
                ("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", f"{64 << 20} 1500000000"),
                ("{{.HostConfig.NetworkMode}} {{.HostConfig.Privileged}}", "none false"),
                ("{{.HostConfig.Binds}}", f"[data:/v {work()}:/d:ro]"),
                ("{{(index .Mounts 1).RW}}", "false"),
                ("{{.HostConfig.PidsLimit}}", "0")):
            equal(b.viv("inspect", "-f", template, "c").ok().out.strip(), wanted)


def test_use_is_formatted():
    with box() as b:
        b.start("--memory", "64m", name="used")
        b.viv("create", "--name", "idle", *b.flags(), "busybox", "true").ok()
        show = lambda *words: b.viv("stats", "--no-stream", "--interval", "1ms", *words).ok().out
        name, own, use, pids = show("--format", "{{.Name}}|{{.ID}}|{{.MemUsage}}|{{.PIDs}}").split("|")
        equal((name, own, int(pids)), ("used", b.inspect("used")["Id"][:12], 1))
        matches(use, r"^\d+(\.\d+)? [KM]iB / 64\.0 MiB$")
        matches(show("--format", "{{.CPUPerc}} {{.MemPerc}}"), r"^\d+\.\d% \d+\.\d+%\n$")
        equal(show("--no-trunc", "--format", "{{.ID}}").strip(), b.inspect("used")["Id"])
        equal(show("-a", "--format", "{{.Container}}").split(), ["idle", "used"])
        heading = show("--format", r"table {{.Name}}\t{{.NetIO}}\t{{.BlockIO}}").splitlines()[0]
        equal(heading.split("   "), ["NAME", "RECEIVED / SENT", "READ / WRITTEN"])
        fails(b.viv("stats", "--no-stream", "--format", "{{.Nome}}"), 125, "did you mean .Name")
        fails(b.viv("stats", "--no-stream", "nosuch"), 125, "no such sandbox")


def test_processes_in_chosen_columns():
    with box() as b:
        b.start("--user", "1000:1001", name="t", script="sleep 999 & sleep 998; true")
        # the shell's own line has these words too, and goes on
        eventually(lambda: re.search(r"(?m) sleep 998$", b.viv("top", "t").ok().out), 60)
        rows = [line.split(None, 3) for line in
                b.viv("top", "t", "pid,ppid", "-o", "nice,comm").ok().lines()]
        equal(rows[0], ["PID", "PPID", "NI", "COMMAND"])
        equal({(row[2], row[3]) for row in rows[1:]}, {("0", "sh"), ("0", "sleep")})
        first = next(row for row in rows if row[3] == "sh")
        equal(int(first[0]), b.pid("t"))
        equal(b.viv("top", "t", "-ef").ok().lines()[0].split(),
              ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        heading, *lines = [line.split(None, 9) for line in b.viv("top", "t", "aux").ok().lines()]
        equal(heading[:4] + heading[-1:], ["USER", "PID", "%CPU", "VSZ", "COMMAND"])
        status = open(f"/proc/{b.pid('t')}/status", encoding="utf-8").read()
        field = lambda key: next(line.split()[1] for line in status.splitlines()
                                 if line.startswith(key))
        row = next(row for row in lines if int(row[1]) == b.pid("t"))
        equal(row[0], field("Uid:"))
        equal(row[3], field("VmSize:"))
        group = [line.split() for line in b.viv("top", "t", "pid", "gid").ok().lines()]
        equal(dict(group[1:])[str(b.pid("t"))], field("Gid:"))
        fails(b.viv("top", "t", "colour"), 125, '"colour" is no column')
        fails(b.viv("top", "t", "-o", ","), 125, "name columns")


def test_groups_of_commands():
    with box() as b:
        viv_container = lambda *words: b.viv("container", *words)
        viv_container("create", "--name", "g", *b.flags(), "busybox", "sleep", "1000").ok()
        equal((viv_container("exists", "g").status, viv_container("exists", "h").status), (0, 1))
        viv_container("start", "g").ok()
        equal(viv_container("ls", "-q").ok().out, viv_container("ps", "-q").ok().out)
        equal(viv_container("exec", "g", "echo", "in").ok().out, "in\n")
        equal(viv_container("inspect", "-f", "{{.Name}}", "g").ok().out, "g\n")
        fails(viv_container("inspect", "busybox"), 125, "no such sandbox")
        equal(viv_container("prune", "-f").ok().out, "")
        viv_container("stop", "-t", "0", "g").ok()
        b.viv("create", "--name", "k", *b.flags(), "busybox", "true").ok()
        equal(viv_container("prune", "-f", "--filter", "name=k").ok().out, "k\n")
        equal(viv_container("prune").ok().out, "g\n")
        equal(b.names(), [])
        contains(b.viv("system", "events", "--no-stream", "--format", "{{.Action}}").ok().out,
                 "destroy")
        fails(viv_container("strat", "g"), 125, 'did you mean "start"')


def test_a_label_is_asked_for_by_name():
    with box() as b:
        volume, network = unique("vol"), unique("net")
        b.viv("create", "--name", "own", "--label", "com.x.a-b=1", *b.flags(), "busybox", "true").ok()
        b.viv("volume", "create", "--label", "com.x.a-b=2", volume).ok()
        b.viv("network", "create", "--label", "com.x.a-b=3", network).ok()
        b.viv("commit", "-c", "LABEL com.x.a-b=4", "own", "labelled:1").ok()
        text = '{{.Label "com.x.a-b"}}<{{.Label "none"}}>'
        for command, wanted in ((("ps", "-a"), "1"), (("volume", "ls", "-f", f"name={volume}"), "2"),
                                (("network", "ls", "-f", f"name={network}"), "3"),
                                (("images", "labelled:1"), "4")):
            equal(b.viv(*command, "--format", text).ok().out, wanted + "<>\n")
            rows = json.loads(b.viv(*command, "--format", "json").ok().out)
            equal({key.lower(): value for key, value in rows[0].items()}["labels"],
                  {"com.x.a-b": wanted})
        equal([line.split() for line in b.viv(
            "ps", "-a", "--format", r'table {{.Names}}\t{{.Label "com.x.a-b"}}').ok().lines()],
              [["NAMES", "a", "b"], ["own", "1"]])
        b.viv("network", "rm", network).ok()
        b.viv("volume", "rm", volume).ok()


def on_a_terminal(b, *args):
    """What a command writes when it sits at a terminal, whose driver ends lines by CR LF."""
    master, slave = pty.openpty()
    found = b""
    with os.fdopen(master, "rb", buffering=0) as reader:
        with subprocess.Popen([program("viv"), "--root", b.store, *args], stdout=slave,
                              env={**os.environ, "NO_COLOR": "1"}):
            os.close(slave)
            with contextlib.suppress(OSError):  # EIO: nobody writes any more
                while part := reader.read(4096):
                    found += part
    return found.decode().replace("\r\n", "\n")


def test_what_others_write_does_not_talk_to_the_terminal():
    """Commands, labels, comments and names of files hold escapes, C1 controls and overrides."""
    wild = "\033]0;title\007\033[2J\u009b31m\u202egpj\nrow"
    with box() as b:
        name = b.start("--label", f"l={wild}", script=f": '{wild}'; touch '/{wild}' /ready; sleep 1000")
        eventually(lambda: b.viv("exec", name, "test", "-e", "/ready").status == 0)
        b.viv("commit", "-m", wild, "-c", f"LABEL l='{wild[:-4]}'", name, "localhost/wild:1").ok()
        for args in (["ps", "-a", "--no-trunc"], ["history", "--no-trunc", "wild:1"], ["top", name],
                     ["ps", "--format", "table {{.Labels}}"], ["run", "--rm", "busybox", wild],
                     ["pull", wild], ["inspect", wild], ["explain", "wild:1"]):
            done = b.viv(*args)
            equal([c for c in done.out + done.err if c in "\033\007\u009b\u202e"], [], str(args))
        equal(len(b.viv("ps", "-a", "--no-trunc").ok().lines()), 2)
        for args in (["diff", name], ["inspect", "-f", "{{.Config.Labels}}", "wild:1"],
                     ["ps", "--format", "{{.Labels}}"], ["inspect", "wild:1"]):
            check(set("\u009b\u202e") <= set(b.viv(*args).ok().out), f"{args} is changed in a pipe")
            shown = on_a_terminal(b, *args)
            contains(shown, "?31m?gpj")
            equal([c for c in shown if c in "\033\007\u009b\u202e\r"], [], str(args))


def test_check_tells_what_runs_machines_and_networks():
    def rows(**more):
        found = json.loads(viv("check", "--format", "json", **more).ok().out)
        return {row["what"]: row for row in found}

    found = rows()
    told = run(program("viv-vmm"), "--accelerator").ok().out
    machines = found["machines run on"]
    if told.startswith("kvm: "):
        equal((machines["state"], machines["found"]), ("ok", "KVM"))
    else:
        equal((machines["state"], machines["found"]), ("limited", "viv's own CPU"))
        equal("emu: %s\n" % machines["remedy"], told)
    for what in ("networks, by bridges", "a kernel for machines", "disks of images"):
        equal((found[what]["state"], found[what]["found"]), ("ok", "yes"), what)
    bare = rows(env={**os.environ, "PATH": "/nowhere"})["disks of images"]
    equal((bare["state"], bare["found"]), ("limited", "mkfs.erofs is not installed"))
    contains(bare["remedy"], "erofs-utils")
