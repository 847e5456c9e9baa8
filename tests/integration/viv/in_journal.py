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
    }
    said() { viv logs "$@" 2>&1 >/dev/null | sed 's/.* logs into the journal: //'; }"""


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


def test_the_named_command_reads_them():
    """`viv logs` names the command that reads the lines, with what was asked for; and so it does."""
    name = unique("j")
    done = there(f"""{begun(name)}
        eval "$(said {name})"; echo =
        eval "$(said -t --tail 1 --since 1h {name})" | sed 's/^20[0-9-]*T[0-9:.+]* .*: //'; echo =
        eval "$(said --until 2001-01-31T10:00:00.5Z {name})" 2>&1; echo =
        timeout 100 head -n 3 < <(eval "$(said -f {name})") & reader=$!
        viv exec {name} touch /dev/shm/go
        wait $reader""").ok()
    parts = done.out.replace("-- No entries --\n", "").split("=\n")
    equal(parts, ["out\nerr\n", "err\n", "", "out\nerr\nlate\n"])


def test_an_ordinary_user_reads_ones_own():
    name = unique("j")
    done = there(f"""{begun(name)}
        eval "$(said {name})" """, user="rig").ok()
    equal(done.out, "out\nerr\n")
