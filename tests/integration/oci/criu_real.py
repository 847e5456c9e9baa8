"""A container written to disk by the real CRIU and made again from that: in the rig, on whose kernel
CRIU can work."""
import json

from lib import *

RIG = "v2"
BUILDS = ["plain"]
TIMEOUT = 240
TOP = "/tmp/viv-criu"
# its own streams: what an engine has connected outside is no part of the images
COUNTS = ("exec </dev/null >/dev/null 2>&1; i=0; "
          "while :; do i=$((i + 1)); echo $i > /next; mv /next /count; sleep 0.05; done")  # never an empty file


def prepare(guest):
    """A bundle with a root of its own; the start of each command line."""
    oci = f"{program('viv-oci')} --root /run/viv-criu"
    guest.sh(f"rm -rf {TOP}; mkdir -p {TOP}/root; cp -a {image()}/. {TOP}/root/; "
             f"cd {TOP}; {oci} spec").ok()
    config = json.loads(guest.run("cat", f"{TOP}/config.json").ok().out)
    config["root"] = {"path": "root", "readonly": False}
    config["process"].update(terminal=False, args=["/bin/sh", "-c", COUNTS])
    config["annotations"] = {"kept": "yes"}
    for kind in ("bounding", "effective", "permitted"):
        config["process"]["capabilities"][kind].append("CAP_MKNOD")
    guest.push(f"{TOP}/config.json", json.dumps(config))
    return oci


def test_a_container_goes_on_where_it_was():
    guest = rig("v2")
    oci = prepare(guest)
    counted = "i=0; while [ $i -lt 1200 ] && [ \"$(cat root/count)\" -le ${1:-0} ]; do " \
              "sleep 0.1; i=$((i + 1)); done"
    found = guest.sh(f"""
        set -e
        cd {TOP}
        trap '{oci} delete --force again >/dev/null 2>&1; {oci} delete --force first >/dev/null 2>&1' EXIT
        {oci} run --detach first </dev/null >/dev/null 2>&1
        for i in $(seq 600); do [ "$(cat root/count 2>/dev/null)" ] && break; sleep 0.1; done
        {oci} checkpoint --image-path img --work-path work --leave-running first
        {oci} state first | grep -q running && echo goes on
        {oci} checkpoint --image-path img2 --work-path work first
        {oci} state first 2>&1 | grep -q 'does not exist' && echo gone
        before=$(cat root/count); sleep 1
        [ $before = $(cat root/count) ] && echo stands still
        {oci} restore --detach --pid-file pid --bundle {TOP} --image-path img2 --work-path work again \
            </dev/null >/dev/null
        set -- $before; {counted}
        [ $(cat root/count) -gt $before ] && echo counts on
        [ $(cat pid) = $({oci} state again | jq .pid) ] && echo pid
        {oci} state again | jq -r '.status, .annotations.kept'
        {oci} exec again cat /proc/1/cmdline | tr '\\0' ' ' | cut -c 1-7
        {oci} exec again cat /proc/timer_list | wc -c
        {oci} exec again sh -c 'mknod /dev/k c 1 11; head -c 1 /dev/k 2>&1 >/dev/null' | grep -o "not permitted"
        {oci} pause again; {oci} resume again; {oci} kill again KILL
        {oci} delete --force again
        {oci} list -q""", timeout=200)
    equal(found.ok().lines(), ["goes on", "gone", "stands still", "counts on", "pid", "running", "yes",
                               "/bin/sh", "0", "not permitted"])


def test_streams_that_an_engine_gave_are_connected_again():
    """Pipes as conmon and containerd's shim make them; input that is the host's /dev/null."""
    guest = rig("v2")
    oci = prepare(guest)
    config = json.loads(guest.run("cat", f"{TOP}/config.json").ok().out)
    config["process"]["args"] = ["/bin/sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"]
    guest.push(f"{TOP}/config.json", json.dumps(config))
    found = guest.sh(f"""
        set -e
        cd {TOP}
        trap '{oci} delete --force piped >/dev/null 2>&1' EXIT
        some() {{ for i in $(seq 1200); do [ -s $1 ] && break; sleep 0.1; done; tail -n 1 $1; }}
        {oci} run --detach piped </dev/null 2>&1 | cat >first &
        some first >/dev/null
        {oci} checkpoint --image-path img3 --work-path work piped
        wait
        jq -c 'map(.[:5])' img3/descriptors.json
        {oci} restore --detach --bundle {TOP} --image-path img3 --work-path work piped \
            </dev/null 2>&1 | cat >second &
        some second >/dev/null
        {oci} delete --force piped
        wait
        [ $(head -n 1 second) -ge $(tail -n 1 first) ] && echo goes on
        {oci} list -q""", timeout=200)
    equal(found.ok().lines(), ['["","pipe:","pipe:"]', "goes on"])


TERMINAL = r"""
import json, os, socket, subprocess, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind("console")
sock.listen()

def oci(*words):
    subprocess.run([*sys.argv[1:], *words], check=True, stdin=subprocess.DEVNULL)

def terminal(word):  # as an engine has it: typed, and answered
    fd = socket.recv_fds(sock.accept()[0], 64, 1)[1][0]
    os.write(fd, word.encode() + b"\n")
    text = b""
    while b"got " + word.encode() not in text:
        text += os.read(fd, 100)
    return fd

try:
    oci("run", "--detach", "--console-socket", "console", "typed")
    fd = terminal("before")
    oci("checkpoint", "--image-path", "img4", "--work-path", "work", "typed")
    os.close(fd)
    if os.path.exists("root/opened"): print("too early")
    open("hooks", "w")  # what ran until now is not asked for
    oci("restore", "--detach", "--console-socket", "console", "--image-path", "img4", "--work-path", "work",
        "other")
    terminal("after")
    print(os.listdir("/sys/fs/cgroup/other") != [] and not os.path.exists("/sys/fs/cgroup/typed"))
    for line in open("hooks"):
        kind, text = line.split(" ", 1)
        told = json.loads(text)
        print(kind, told["id"], told["status"], os.path.exists(f"/proc/{told['pid']}/ns/mnt"))
    print(os.path.exists("root/opened"))
finally:
    for name in ("typed", "other"):
        subprocess.run([*sys.argv[1:], "delete", "--force", name], stderr=subprocess.DEVNULL, check=False)
"""


def test_a_terminal_hooks_and_devices_are_there_from_the_first_moment():
    """The workload tries a device all the time, which its rules forbid: in no moment it may have it."""
    guest = rig("v2")
    oci = prepare(guest)
    config = json.loads(guest.run("cat", f"{TOP}/config.json").ok().out)
    tries = ("mknod /dev/k c 1 11; (while :; do head -c 1 /dev/k >/dev/null 2>&1 && echo > /opened; "
             "done) & while read x; do echo got $x; done")
    config["process"].update(terminal=True, args=["/bin/sh", "-c", tries])
    config["hooks"] = {kind: [{"path": "/bin/sh", "args": [
        "sh", "-c", f"echo {kind} $(cat) >> {TOP}/hooks"]}] for kind in ("prestart", "createRuntime", "poststop")}
    guest.push(f"{TOP}/config.json", json.dumps(config))
    guest.push(f"{TOP}/terminal.py", TERMINAL)
    found = guest.sh(f"cd {TOP}; python3 terminal.py {oci}; cut -d ' ' -f 1 hooks | tail -n 1", timeout=200)
    equal(found.ok().lines(), ["True", "prestart other creating True", "createRuntime other creating True",
                               "False", "poststop"])
