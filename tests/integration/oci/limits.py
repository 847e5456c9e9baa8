"""update and events, resctrl on a tree made for the test, and annotations."""
import base64
import contextlib
import json
import os
import pathlib
import struct
import time

from lib import *
from bundle import bundle, container, oci, output, sh, state, state_dir, status

ROOT_ONLY = needs(root=True)


def limit(name, controller, file):
    """A file of the container's cgroup on v1, read from the state that we keep."""
    saved = json.loads((state_dir() / name / "state.json").read_text())["cgroup"]
    for names, path in saved.get("v1", {}).items():
        if controller in names.split(","):
            return open(os.path.join(path["path"], file)).read().strip()
    return open(os.path.join(saved["unified"], file)).read().strip()


@ROOT_ONLY
def test_update_by_single_options():
    with container() as name:
        oci("update", "--memory", "64m", "--memory-swap", "128m", "--memory-reservation=32m", name).ok()
        equal(limit(name, "memory", "memory.limit_in_bytes"), str(64 << 20))
        equal(limit(name, "memory", "memory.soft_limit_in_bytes"), str(32 << 20))
        oci("update", name, "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-share", "512").ok()
        equal(limit(name, "cpu", "cpu.cfs_quota_us"), "50000")
        equal(limit(name, "cpu", "cpu.shares"), "512")
        oci("update", "--cpu-quota", "-1", name).ok()
        equal(limit(name, "cpu", "cpu.cfs_quota_us"), "-1")
        oci("update", "--pids-limit", "77", name).ok()
        equal(limit(name, "pids", "pids.max"), "77")
        oci("update", "--pids-limit", "-1", name).ok()
        equal(limit(name, "pids", "pids.max"), "max")
        oci("update", "--cpuset-cpus", "0", "--cpuset-mems", "0", name).ok()
        equal(limit(name, "cpuset", "cpuset.cpus"), "0")
        equal(oci("exec", name, "nproc").ok().out, "1\n")
        oci("update", "--memory", "-1", "--memory-swap", "-1", name).ok()
        check(int(limit(name, "memory", "memory.limit_in_bytes")) > 1 << 50)


@ROOT_ONLY
def test_update_by_a_file_and_by_standard_input():
    file = work() / "resources.json"
    file.write_text(json.dumps({"memory": {"limit": 50 << 20}, "pids": {"limit": 33}}))
    with container() as name:
        oci("update", "--resources", file, name).ok()
        equal(limit(name, "memory", "memory.limit_in_bytes"), str(50 << 20))
        oci("update", "--resources", "-", name, stdin='{"pids": {"limit": 44}}').ok()
        equal(limit(name, "pids", "pids.max"), "44")
        equal(limit(name, "memory", "memory.limit_in_bytes"), str(50 << 20))
        config = json.loads((state_dir() / name / "config.json").read_text())
        equal(config["linux"]["resources"]["pids"]["limit"], 44)
        fails(oci("update", f"-r={work()}/none", name), 1, "none")
        fails(oci("update", "-r", "-", name, stdin='{"pids": {"limit": "x"}}'), 1, "/pids/limit")
        fails(oci("update", "--memory", "lots", name), 1, "--memory")
        fails(oci("update", "--cpu-period", "x", name), 1, "--cpu-period")
        equal(limit(name, "pids", "pids.max"), "44")


@ROOT_ONLY
def test_a_realtime_budget_and_a_realtime_process():
    """The budget is there before the process becomes one, and bounds what it gets of a CPU."""
    if not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        skip("this kernel has no realtime groups (CONFIG_RT_GROUP_SCHED)")
    fifo = {"scheduler": {"policy": "SCHED_FIFO", "priority": 1}}
    fails(oci("run", "--bundle", bundle(["true"], process=fifo), unique("oci")), 1, "SCHED_FIFO")
    with container(sh("while :; do :; done"), process=fifo, linux={"resources": {"cpu": {
            "realtimeRuntime": 10000, "realtimePeriod": 100000, "cpus": "0"}}}) as name:
        equal(limit(name, "cpu", "cpu.rt_runtime_us"), "10000")
        pid = state(name)["pid"]
        equal(os.sched_getscheduler(pid), os.SCHED_FIFO)
        before, begin = int(limit(name, "cpuacct", "cpuacct.usage")), time.monotonic()
        time.sleep(1)
        used = (int(limit(name, "cpuacct", "cpuacct.usage")) - before) / 1e9
        check(used <= 0.15 * (time.monotonic() - begin), f"{used} s of a CPU")
        oci("update", "--cpu-rt-runtime", "5000", name).ok()
        equal(limit(name, "cpu", "cpu.rt_runtime_us"), "5000")


@ROOT_ONLY
def test_update_of_devices_replaces_the_rules():
    with container() as name:
        check(oci("exec", name, "sh", "-c", "mknod /dev/f c 10 229; : < /dev/f").status != 0)
        oci("update", "-r", "-", name, stdin=json.dumps({"devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]})).ok()
        contains(limit(name, "devices", "devices.list"), "10:229")


@ROOT_ONLY
def test_update_refuses_what_cannot_be():
    with container() as name:
        fails(oci("update", "--cpuset-cpus", "4000", name), 1, "cpuset")
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        fails(oci("update", "--pids-limit", "3", name), 1, "not running")


@ROOT_ONLY
def test_events_once():
    with container(sh("dd if=/dev/zero of=/dev/null bs=1M count=10 2>/dev/null; sleep 1000"), linux={
            "resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}}) as name:
        eventually(lambda: "sleep" in oci("ps", name).ok().out)
        event = json.loads(oci("events", "--stats", name).ok().out)
        equal((event["type"], event["id"]), ("stats", name))
        data = event["data"]
        check(data["cpu"]["usage"]["total"] > 0)
        equal(data["memory"]["usage"]["limit"], 64 << 20)
        check(data["memory"]["usage"]["usage"] > 0)
        check("failcnt" in data["memory"]["usage"])
        equal(data["pids"]["limit"], 50)
        check(data["pids"]["current"] >= 1)
        for key in ["blkio", "hugetlb", "intel_rdt", "network_interfaces", "cpuset"]:
            check(key in data, key)
        check(data["memory"]["raw"])
    with container(start=False) as name:
        oci("kill", name, "KILL").ok()
        eventually(lambda: status(name) == "stopped")
        fails(oci("events", "--stats", name), 1, "is not running")


@ROOT_ONLY
def test_events_go_on_until_the_end():
    with container() as name, Background(program("viv-oci"), "--root", state_dir(), "events",
                                         "--interval", "50ms", name) as behind:
        eventually(lambda: len(behind.out().splitlines()) >= 3)
        oci("kill", name, "KILL").ok()
        equal(behind.wait(), 0)
        for line in behind.out().splitlines():
            equal(json.loads(line)["type"], "stats")
        fails(oci("events", "--interval", "0", name), 1, "greater than 0")


def watches(pid):
    """Whether the process has something by which the kernel tells it of events."""
    kinds = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            kinds.append(os.readlink(path))
    return any("[eventfd]" in kind or "inotify" in kind for kind in kinds)


@ROOT_ONLY
def test_events_tell_of_memory_that_ran_out():
    eat = "x=a; while :; do x=$x$x; done"
    with container(sh(f"while ! test -e /tmp/go; do sleep 0.05; done; sh -c '{eat}'; sleep 1000"),
                   linux={"resources": {"memory": {"limit": 20 << 20, "swap": 20 << 20}}},
                   mounts=[{"destination": "/proc", "type": "proc", "source": "proc"},
                           {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                           {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}]) as name:
        with Background(program("viv-oci"), "--root", state_dir(), "events", "--interval", "1h",
                        name) as behind:
            eventually(lambda: watches(behind.pid))
            oci("exec", name, "touch", "/tmp/go").ok()
            behind.wait_for('"type":"oom"', 20)
            equal(json.loads(behind.out().splitlines()[0]), {"type": "oom", "id": name})


def resctrl(folder, *groups):
    """A tree as the kernel's looks, for a CPU that has none."""
    for path in [folder, *(folder / group for group in groups)]:
        path.mkdir()
        (path / "schemata").write_text("    MB:0=100\n    L3:0=ff\n")
        (path / "tasks").write_text("")
        (path / "mon_groups").mkdir()
    return {"RESCTRL_ROOT": str(folder)}


def rdt(name, env, settings, command="create"):
    return oci(command, "--bundle", bundle(linux={"intelRdt": settings}), name, env=env)


@ROOT_ONLY
def test_resctrl_makes_a_group_of_its_own():
    env = resctrl(work() / "r")
    name = unique("oci")
    rdt(name, env, {"schemata": ["L3:0=f", "MB:0=20"], "enableMonitoring": True}).ok()
    group = work() / "r" / name
    pid = str(json.loads(oci("state", name).ok().out)["pid"])
    equal((group / "schemata").read_text(), "L3:0=f\nMB:0=20\n")
    equal((group / "tasks").read_text().split(), [pid])
    oci("update", "--l3-cache-schema", "L3:0=3", name, env=env).ok()
    contains((group / "schemata").read_text(), "L3:0=3\n")
    oci("delete", "--force", name, env=env).ok()
    check(not group.exists(), "the group stays")


@ROOT_ONLY
def test_resctrl_with_a_group_of_the_administrator():
    env = resctrl(work() / "r", "gold")
    name = unique("oci")
    rdt(name, env, {"closID": "gold", "enableMonitoring": True}).ok()
    group = work() / "r/gold"
    check((group / "mon_groups" / name / "tasks").exists())
    oci("delete", "--force", name, env=env).ok()
    check(group.exists(), "the administrator's group went away")
    check(not (group / "mon_groups" / name).exists(), "the monitoring group stays")
    fails(rdt(name, env, {"closID": "silver"}), 1, "silver")
    fails(rdt(name, env, {"closID": "gold", "schemata": ["L3:0=1"]}), 1, "L3:0=1")
    rdt(name, env, {"closID": "gold", "schemata": ["L3:0=ff"]}).ok()
    oci("delete", "--force", name, env=env).ok()
    fails(rdt(name, env, {"closID": ".."}), 1, "closID")
    fails(rdt(name, {"RESCTRL_ROOT": str(work() / "none")}, {"schemata": ["L3:0=1"]}), 1, "resctrl")
    check(oci("state", name).status == 1)


def test_annotations_that_cannot_be_met_are_refused():
    for key in ["run.oci.handler", "run.oci.seccomp.plugins", "run.oci.systemd.force_cgroup_v1"]:
        fails(oci("create", "--bundle", bundle(annotations={key: "x"}), unique("oci")), 1, key)
    fails(oci("create", "--bundle", bundle(annotations={
        "run.oci.mount_context_type": "fscontext"}), unique("oci")), 1, "fscontext")
    for wrong in ["..", "a/b"]:
        fails(oci("create", "--bundle", bundle(annotations={"run.oci.delegate-cgroup": wrong}),
                  unique("oci")), 1, "write one name")
    if os.path.exists("/sys/fs/cgroup/memory/tasks"):
        fails(oci("create", "--bundle", bundle(annotations={"run.oci.delegate-cgroup": "below"}),
                  unique("oci")), 1, "are safe on v2 alone")


@ROOT_ONLY
def test_annotations_that_change_something():
    types = [{"type": kind} for kind in ["mount", "pid", "time", "uts", "ipc", "network"]]
    text = output(["cat", "/proc/self/timens_offsets"], linux={"namespaces": types}, annotations={
        "run.oci.timens_offset": "boottime 3600 0"})
    matches(text, r"boottime\s+3600\s+0")
    fails(oci("create", "--bundle", bundle(annotations={"run.oci.timens_offset": "wall 1 1"}),
              unique("oci")), 1, "wall")
    found = run(program("viv-oci"), "--root", state_dir(), "run", "--bundle",
                bundle(["id", "-G"], annotations={"run.oci.keep_original_groups": "1"}),
                unique("oci"), extra_groups=[7, 8]).ok()
    equal(found.out.split(), ["0", "7", "8"])
    fails(oci("create", "--bundle", bundle(annotations={
        "run.oci.seccomp_fail_unknown_syscall": "1"}, linux={"seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}}), unique("oci")), 1,
          "no_such_call")


@ROOT_ONLY
def test_a_compiled_filter_by_annotation():
    # load nr; uname (63) -> EPERM; allow
    code = b"".join(struct.pack("<HBBI", *line) for line in [
        (0x20, 0, 0, 0), (0x15, 0, 1, 63), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)])
    text = base64.b64encode(code).decode()
    found = oci("run", "--bundle", bundle(["uname"], annotations={
        "run.oci.seccomp_bpf_data": text}), unique("oci"))
    equal(found.out.strip(), "", "what uname told")
    equal(oci("run", "--bundle", bundle(["uname"]), unique("oci")).ok().out, "Linux\n")
    fails(oci("create", "--bundle", bundle(annotations={"run.oci.seccomp_bpf_data": "!!"}),
              unique("oci")), 1, "seccomp_bpf_data")
    # Podman passes on what an image says: it is not to open the filter that the engine gave
    fails(oci("create", "--bundle", bundle(annotations={"run.oci.seccomp_bpf_data": text}, linux={
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}), unique("oci")), 1, "can come from an image")


@ROOT_ONLY
def test_systemd_properties_are_checked():
    for key, value in [("X-y", "1"), ("ab", "1"), ("TimeoutStopSec", "soon")]:
        fails(oci("create", "--bundle", bundle(annotations={f"org.systemd.property.{key}": value}),
                  unique("oci")), 1, key)


def test_a_machine_is_refused_clearly():
    fails(oci("create", "--bundle", bundle(vm={"kernel": {"path": "/vmlinuz"}}), unique("oci")), 1,
          "/vm: a virtual machine is asked for")


@ROOT_ONLY
def test_exec_begins_on_the_first_cpus():
    with container(process={"execCPUAffinity": {"initial": "0", "final": "0"}}) as name:
        equal(oci("exec", name, "nproc").ok().out, "1\n")
    fails(oci("create", "--bundle", bundle(process={"execCPUAffinity": {"initial": "x"}}),
              unique("oci")), 1, "execCPUAffinity")


@ROOT_ONLY
def test_mounts_come_and_go():
    source = work() / "source"
    source.mkdir()
    (source / "file").write_text("here\n")
    listing = work() / "mounts.json"
    wanted = [{"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind", "ro"]},
              {"destination": "/home", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}]
    listing.write_text(json.dumps(wanted))
    with container() as name:
        oci("mounts", "add", name, listing).ok()
        equal(oci("exec", name, "cat", "/mnt/file").ok().out, "here\n")
        check(oci("exec", name, "touch", "/mnt/x").status != 0, "the mount can be written")
        oci("exec", name, "touch", "/home/x").ok()
        oci("mounts", "remove", name, listing).ok()
        check(oci("exec", name, "cat", "/mnt/file").status != 0, "the mount stays")
        fails(oci("mounts", "remove", name, listing), 1, "/home")
        listing.write_text(json.dumps({"mounts": wanted[:1]}))
        oci("mounts", "add", name, listing).ok()
        fails(oci("mounts", "move", name, listing), 1, "move")
        listing.write_text("{}")
        fails(oci("mounts", "add", name, listing), 1, "list of mounts")
