"""Output that goes into the journal of a real journald: inside the rig that systemd has booted."""
import json

from by_systemd import there
from lib import *

RIG = "systemd"
BUILDS = ["plain"]
TIMEOUT = 400

# It prints two lines, and a third one when it is told to.
SCRIPT = "echo out; echo err >&2; until [ -e /dev/shm/go ]; do sleep 0.1; done; echo late; sleep 1000"
# What is there when the journal has so many lines of the sandbox.
UNTIL = """lines() {
        for i in $(seq 600); do
            journalctl --sync 2>/dev/null || true  # root may
            [ $(journalctl -q -o cat CONTAINER_NAME=$1 | wc -l) -ge $2 ] && return
            sleep 0.1
        done
        echo "the journal has no $2 lines of $1" >&2; return 1
    }"""


def begun(name, flags=""):
    return f"""set -e
        {UNTIL}
        trap 'viv rm -f {name} >/dev/null' EXIT
        viv run -d --name {name} --log-driver journald {flags} busybox -- sh -c '{SCRIPT}' >/dev/null
        lines {name} 2"""


def test_the_lines_have_their_fields():
    name = unique("j")
    done = there(f"""{begun(name, "--log-opt tag=mine")}
        viv inspect {name} | jq -r '.[0].Id'
        journalctl -q -o json CONTAINER_NAME={name}""").ok()
    own, *lines = done.lines()
    found = [json.loads(line) for line in lines]
    equal([(entry["MESSAGE"], entry["PRIORITY"]) for entry in found], [("out", "6"), ("err", "3")])
    for entry in found:
        for key, value in (("CONTAINER_ID", own[:12]), ("CONTAINER_ID_FULL", own),
                           ("CONTAINER_NAME", name), ("CONTAINER_TAG", "mine"),
                           ("SYSLOG_IDENTIFIER", "mine"), ("IMAGE_NAME", "busybox")):
            equal((key, entry[key]), (key, value))


def test_they_are_read_back():
    name = unique("j")
    done = there(f"""{begun(name)}
        viv logs {name} 2>/dev/null; echo =
        viv logs {name} 2>&1 >/dev/null; echo =
        viv logs --tail 1 --since 1h {name} 2>&1; echo =
        viv logs --until 2001-01-31T10:00:00.5Z {name} 2>&1; echo =
        viv logs --tail 0 {name} 2>&1; echo =
        viv logs -t {name} 2>/dev/null | sed 's/^20[0-9-]*T[0-9:.]*Z //'; echo =
        viv logs --names {name} {name} 2>/dev/null | sed s/^{name}/X/""").ok()
    equal(done.out.split("=\n"), ["out\n", "err\n", "err\n", "", "", "out\n", "X out\nX out\n"])


def test_they_are_followed_until_it_ends():
    """What comes is told, the last lines too, and the command ends with the sandbox."""
    name = unique("j")
    done = there(f"""{begun(name)}
        viv logs -f {name} >/tmp/{name} 2>&1 & all=$!
        viv logs -f --tail 1 {name} >/tmp/{name}-new 2>&1 & new=$!
        for i in $(seq 600); do cat /tmp/{name} /tmp/{name}-new | tr '\\n' ' ' | grep -q "out err err" && break; sleep 0.1; done
        viv exec {name} touch /dev/shm/go
        lines {name} 3
        viv kill {name} >/dev/null
        wait $all; wait $new; cat /tmp/{name}; echo =; cat /tmp/{name}-new; rm /tmp/{name}*""").ok()
    equal(done.out, "out\nerr\nlate\n=\nerr\nlate\n")


def test_all_is_there_when_the_command_has_ended():
    name = unique("j")
    done = there(f"""set -e
        trap 'viv rm -f {name} >/dev/null' EXIT
        viv run --name {name} --log-driver journald busybox -- sh -c 'seq 300; printf end' >/dev/null
        viv logs {name} | tail -n 3; echo =; viv logs -f --tail 2 {name}; echo =
        journalctl -q -o cat CONTAINER_NAME={name} | wc -l""").ok()
    equal(done.out, "299\n300\nend=\n300\nend=\n301\n")


def test_an_ordinary_user_reads_ones_own():
    name = unique("j")
    done = there(f"""{begun(name)}
        viv logs {name} 2>&1""", user="rig").ok()
    equal(done.out, "out\nerr\n")
