"""The flags of runc 1.5.1 and crun 1.29.1, command by command, as their sources declare them: viv-oci
takes each of them, before the container's name and behind it, helps with it and explains it."""
import re

from lib import *

TIMEOUT = 120
PAGE = ROOT / "docs/man/viv-oci.1"
NOBODY = "nobody"

# What a value is where one is taken; a flag without a value ends in nothing.
GLOBAL = ["--debug", "--log {work}/log", "--log file:{work}/log", "--log-format text", "--log-format json", "--root {work}/root",
          "--systemd-cgroup", "--rootless auto", "--rootless true", "--rootless false",
          "--cgroup-manager cgroupfs", "--cgroup-manager systemd", "--cgroup-manager disabled",
          "--log-level error", "--log-level warning", "--log-level debug"]
CREATE = ["-b {work}", "--bundle {work}", "-f none", "--config none", "--console-socket s",
          "--pidfd-socket s", "--pid-file p", "--no-pivot", "--no-new-keyring", "--no-subreaper",
          "--preserve-fds 2"]
CRIU = ["--image-path i", "--work-path w", "--tcp-established", "--ext-unix-sk", "--shell-job",
        "--lazy-pages", "--file-locks", "--manage-cgroups-mode soft", "--manage-cgroups-mode full",
        "--manage-cgroups-mode strict", "--manage-cgroups-mode ignore", "--empty-ns network",
        "--auto-dedup", "--network-lock iptables", "--network-lock nftables", "--network-lock skip"]
COMMANDS = {
    "create": CREATE,
    "run": CREATE + ["-d", "--detach", "--keep"],
    "exec": ["--console-socket s", "--pidfd-socket s", "--cwd /", "-e A=b", "--env A=b", "-t", "--tty",
             "--tty=true", "-u 1:2", "--user 1:2", "-g 7", "--additional-gids 7", "-p f",
             "--process f", "-d", "--detach", "--pid-file p", "--process-label l", "--apparmor a",
             "--no-new-privs", "--no-new-privs=false", "-c CAP_KILL", "--cap CAP_KILL",
             "--preserve-fds 2", "--cgroup below", "--cgroup cpu,memory:below", "--ignore-paused"],
    "update": ["-r -", "--resources -", "--blkio-weight 10", "--cpu-period 1000", "--cpu-quota 1000",
               "--cpu-burst 0", "--cpu-share 2", "--cpu-rt-period 1000", "--cpu-rt-runtime 0",
               "--cpuset-cpus 0", "--cpuset-mems 0", "--kernel-memory 1M", "--kernel-memory-tcp 1M",
               "--memory 1M", "--cpu-idle 0", "--memory-reservation 1M", "--memory-swap -1",
               "--pids-limit 1", "--l3-cache-schema L3:0=f", "--mem-bw-schema MB:0=20"],
    "kill": ["-a", "--all", "-r", "--regex"],
    "list": ["-f table", "--format table", "--format json", "-q", "--quiet"],
    "ps": ["-f table", "--format table", "--format json"],
    "events": ["--interval 1s", "--interval 1h2m3.5s", "--stats"],
    "delete": ["-f", "--force", "-r", "--regex"],
    "checkpoint": CRIU + ["--parent-path p", "--leave-running", "--tcp-skip-in-flight", "--link-remap",
                          "--status-fd 1", "--page-server 1.2.3.4:5", "--pre-dump"],
    "restore": CRIU + ["--console-socket s", "-b {work}", "--bundle {work}", "-d", "--detach",
                       "--pid-file p", "--no-subreaper", "--no-pivot", "--lsm-profile t:n",
                       "--lsm-mount-context c", "--tcp-close"],
    "spec": ["-b {work}", "--bundle {work}", "-f other", "--file other", "--rootless"],
    "start": [], "state": [], "pause": [], "resume": [], "features": [], "mounts": [],
}
# Options end at the name where what follows is another program's.
NAME_ENDS = ["exec", "ps"]
NAMELESS = ["list", "spec", "features"]
# What a command says that has read its words and then finds nothing.
BEHIND = {"create": "no such file", "run": "no such file", "restore": "no checkpoint is in"}


def words_of(flag):
    return [word.format(work=work()) for word in flag.split()]


def answer(*words):
    return run(program("viv-oci"), "--root", work() / "state", *words, cwd=work(), stdin="")


def is_taken(command, flag):
    """In each place where it may stand; what is wrong with it otherwise."""
    more = ["true"] if command == "exec" else []
    places = [[*words_of(flag), NOBODY, *more]]
    if flag.startswith("--"):
        places.append([flag[1:].split()[0], *words_of(flag)[1:], NOBODY, *more])  # as Go has it
    if command not in NAME_ENDS:
        places.append([NOBODY, *words_of(flag)])
    for words in places:
        found = answer(command, *words)
        if flag in ("-f", "--force", "-r", "--regex") and command in ("delete", "kill"):
            if found.status != 0:  # nothing that matches is nothing to do
                yield f"{command} {words}: {found.err}"
        elif BEHIND.get(command, "container does not exist") not in found.err or "flag" in found.err:
            yield f"{command} {words}: {found.err}"


def test_each_command_takes_each_flag():
    faults = []
    for command, flags in COMMANDS.items():
        if command in NAMELESS:
            continue
        for flag in flags:
            faults += is_taken(command, flag)
    check(not faults, lambda: "\n".join(faults))


def test_what_needs_no_container():
    for flag in GLOBAL:
        run(program("viv-oci"), *words_of(flag), "features").ok()
        run(program("viv-oci"), flag[1:].split()[0], *words_of(flag)[1:], "features").ok()
    for flag in COMMANDS["list"]:
        answer("list", *words_of(flag)).ok()
    run(program("viv-oci"), "--root", work() / "never-made", "list").ok()
    for flag in COMMANDS["spec"]:
        (work() / "config.json").unlink(missing_ok=True)
        answer("spec", *words_of(flag)).ok()
    check((work() / "other").exists(), "spec --file")
    for flag in ["-v", "-V", "--version", "-version"]:
        contains(run(program("viv-oci"), flag).ok().out, "viv-oci version ")


def test_help_tells_of_each():
    for command, flags in COMMANDS.items():
        text = answer(command, "--help").ok().out
        equal(answer("help", command).ok().out, text)
        equal(answer(command, "-h").ok().out, text)
        for name in {flag.split()[0].split("=")[0] for flag in flags}:
            matches(text, rf"(?m)^  .*{re.escape(name)}\b")
    equal(answer("help").ok().out, answer("--help").ok().out)
    fails(answer("help", "nosuch"), 3, "No help topic for 'nosuch'")


def test_the_manual_page_names_each():
    text = PAGE.read_text(encoding="utf-8").replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
    for command, flags in [*COMMANDS.items(), ("", GLOBAL)]:
        contains(text, command)
        for name in {flag.split()[0].split("=")[0] for flag in flags}:
            if name.startswith("--"):
                matches(text, rf"{re.escape(name)}\b")
