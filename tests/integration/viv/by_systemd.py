"""Scopes that a real systemd makes for viv, as root and as an ordinary user with a manager of its own:
inside the rig that systemd has booted."""
import json
import os

from explained import calls_seen, calls_told, differences, strace
from lib import *

RIG = "systemd"
BUILDS = ["plain"]
TIMEOUT = 400

VIV = str(program("viv"))


def there(script, user="root"):
    """A shell script in the rig; `viv` is ours, with a store of the test's own."""
    store = "/tmp/" + unique("store-")
    return rig("systemd").sh(f"mkdir -p {store}; viv() {{ {VIV} --root {store} --data-root {store}/d \"$@\"; }}; "
                             f"{script.strip()}\nstatus=$?; rm -rf {store}; exit $status", user=user)


def test_a_scope_with_its_limits():
    """systemd knows the scope and its limits, the process is in it, update goes through systemd, and
    nothing of it stays."""
    name = unique("s")
    done = there(f"""set -e
        viv run -d --name {name} --cgroup-manager systemd -m 64m --pids-limit 30 --cpus 0.5 \\
            --annotation org.systemd.property.CollectMode="'inactive-or-failed'" busybox -- sleep 1000 >/dev/null
        show() {{ systemctl show viv-{name}.scope -p "$1" --value; }}
        show ActiveState; show MemoryMax; show TasksMax; show CPUQuotaPerSecUSec
        pid=$(viv inspect --format json {name} | jq '.[0].Pid')
        test "$(cut -d: -f3 /proc/$pid/cgroup)" = "$(show ControlGroup)" && echo inside
        viv update -m 80m {name} >/dev/null
        show MemoryMax; cat /sys/fs/cgroup$(show ControlGroup)/memory.max
        systemctl daemon-reload; cat /sys/fs/cgroup$(show ControlGroup)/memory.max
        viv rm -f {name} >/dev/null
        for i in $(seq 600); do [ "$(systemctl is-active viv-{name}.scope)" = inactive ] && break; sleep 0.1; done
        systemctl is-active viv-{name}.scope || true
        """).ok()
    equal(done.lines(), ["active", str(64 << 20), "30", "500ms", "inside", str(80 << 20), str(80 << 20),
                         str(80 << 20), "inactive"])


def test_a_slice_of_ones_choice():
    name = unique("s")
    done = there(f"viv run --rm --name {name} --cgroup-manager systemd --cgroup-parent viv-test.slice "
                 "--cgroupns host busybox -- cat /proc/self/cgroup").ok()
    equal(done.out.strip(), f"0::/viv.slice/viv-test.slice/viv-{name}.scope")


def test_an_ordinary_users_scope():
    """The user's own manager makes it; the limits are there, without a word about any."""
    done = there("viv run --rm --cgroup-manager systemd -m 64m --pids-limit 30 busybox -- cat "
                 "/sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max", user="rig").ok()
    equal(done.lines(), [str(64 << 20), "30"])
    equal(done.err, "")


def test_a_subtree_that_was_given_to_an_ordinary_user():
    """Without systemd's help, in a scope with Delegate=yes."""
    script = (f"systemd-run --user --scope -q -p Delegate=yes {VIV} --root /tmp/d1 --data-root /tmp/d1/d "
              "run --rm -m 64m busybox -- "
              "cat /sys/fs/cgroup/memory.max; rm -rf /tmp/d1")
    done = rig("systemd").sh(script, user="rig")
    equal((done.ok().out.strip(), done.err), (str(64 << 20), ""))


def test_memory_that_runs_out_in_a_scope():
    done = there("viv run --name oom --cgroup-manager systemd -m 16m busybox -- tail /dev/zero; echo $?; "
                 "viv inspect oom | jq '.[0].State.OOMKilled'; viv rm -f oom")
    equal(done.lines()[:2], ["137", "true"])
    contains(done.err, "ran out of memory")


def test_memory_that_runs_out_while_nobody_looks():
    """systemd has removed the scope, and with it the count of what was killed in it, before its monitor
    comes to ask."""
    done = there("""set -e
        viv run -d --name oom --cgroup-manager systemd -m 16m busybox -- \\
            sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done; exec tail /dev/zero' >/dev/null
        pid=$(viv inspect -f '{{.State.Pid}}' oom)
        monitor=$(awk '/^PPid/ { print $2 }' /proc/$pid/status)
        group=/sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup)
        test -d $group
        kill -STOP $monitor
        touch /proc/$pid/root/tmp/go
        for _ in $(seq 600); do test -d $group || break; sleep 0.1; done
        test ! -d $group && echo gone
        kill -CONT $monitor
        viv wait oom
        viv inspect -f '{{.State.OOMKilled}}' oom
        viv rm oom >/dev/null""").ok()
    equal(done.lines(), ["gone", "137", "true"])


LIMITS = ("--cgroup-manager systemd -m 64m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 "
          "--cpuset-cpus 0 --pids-limit 50 --blkio-weight 300")


def explained(name):
    return json.loads(there(f"viv explain --format json --name {name} {LIMITS} busybox true").ok().out)


def test_the_scope_is_what_was_explained():
    """What systemd says of the scope is, property by property, what the explanation says is asked."""
    name = unique("s")
    step = next(step for step in explained(name) if step["op"] == "StartTransientUnit")
    order = json.loads(json.loads(step["args"][1].removeprefix("write(<viv-systemd>, ").removesuffix(")"))
                       .replace("<child>", "1"))
    equal((order["call"], order["unit"], order["user"]), ("start", f"viv-{name}.scope", False))
    contains(step["why"], f"viv-{name}.scope")
    systemd = "busctl --json=short call org.freedesktop.systemd1"
    done = there(f"""set -e
        viv run -d --name {name} {LIMITS} busybox -- sleep 1000 >/dev/null
        unit=$({systemd} /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s \
            viv-{name}.scope | jq -r '.data[0]')
        {systemd} $unit org.freedesktop.DBus.Properties GetAll s ''
        viv rm -f {name} >/dev/null""").ok()
    found = json.loads(done.out)["data"][0]
    told = {key: (kind, (json.loads(value) if kind in "tb" else value))
            for key, kind, value in order["properties"]}
    check(len(told) > 12, f"only {sorted(told)} were compared")
    found["AllowedCPUs"]["data"] = found["AllowedCPUs"]["data"][:1]  # padded with zeros
    for key, what in told.items():
        equal((key, found[key]["type"], found[key]["data"]), (key, *what))


def test_the_calls_are_what_was_explained():
    """With a scope too the isolating calls, and what is asked of systemd, are those of the plan."""
    name, store = unique("s"), "/tmp/" + unique("strace-")
    os.environ["VIV_DATA_ROOT"] = f"{store}/d"
    words = f"--name {name} --rm {LIMITS} busybox -- true"
    files = f"--root {store} --data-root {store}/d"
    done = rig("systemd").sh(f"""mkdir {store}
        {VIV} {files} explain --format json {words} 2>/dev/null &&
        {" ".join(strace(f"{store}/log"))} {VIV} {files} run {words} >&2; status=$?
        cat {store}/log; rm -rf {store}; exit $status""").ok()
    steps, end = json.JSONDecoder().raw_decode(done.out)
    seen = calls_seen(done.out[end:].lstrip(), store)
    parted = differences(calls_told(steps), seen)
    check(not parted, parted)
    check(len(seen) > 60, f"only {len(seen)} calls were compared")
