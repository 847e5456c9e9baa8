"""A cgroup below the container's own, which the workload manages (run.oci.delegate-cgroup): it needs
cgroup v2 alone. In a user namespace, whose root owns the groups that it sees: also its own, since
the mount may be written (config-linux.md#cgroup-ownership)."""
import json

from lib import *

RIG = "v2"
BUILDS = ["plain"]
TIMEOUT = 400
TOP = "/tmp/viv-delegate"
# Makes a group of its own with a limit, and enters it: what a manager inside does.
MANAGES = """
set -e
cat /proc/self/cgroup
cd /sys/fs/cgroup
cat pids.max
stat -c %u . cgroup.procs memory.max | tr '\\n' ' '; echo
mkdir below/mine below/other
echo 0 > below/other/cgroup.procs
echo +pids > below/cgroup.subtree_control
echo 7 > below/mine/pids.max
cat below/mine/pids.max
echo ready > /ready
exec sleep 1000
"""


def test_the_workload_has_a_group_to_manage():
    guest = rig("v2")
    oci = f"{program('viv-oci')} --root /run/viv-delegate"
    guest.sh(f"rm -rf {TOP}; mkdir -p {TOP}/root; cp -a {image()}/. {TOP}/root/; "
             f"chown -hR 100000:100000 {TOP}/root; "
             f"cd {TOP}; {oci} spec").ok()
    config = json.loads(guest.run("cat", f"{TOP}/config.json").ok().out)
    config["root"] = {"path": "root", "readonly": False}
    config["process"].update(terminal=False, args=["/bin/sh", "-c", MANAGES])
    config["annotations"] = {"run.oci.delegate-cgroup": "below"}
    config["linux"].update(cgroupsPath="/viv-delegate", resources={"pids": {"limit": 50}})
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ["uidMappings", "gidMappings"]:
        config["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    for mount in config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"] = ["nosuid", "noexec", "nodev"]
    guest.push(f"{TOP}/config.json", json.dumps(config))
    found = guest.sh(f"""
        set -e
        cd {TOP}
        trap '{oci} delete --force one >/dev/null 2>&1' EXIT
        {oci} delete --force one
        {oci} run --detach one </dev/null >out 2>&1 || {{ cat out; exit 1; }}
        while [ ! -e root/ready ] && {oci} state one | grep -q running; do sleep 0.1; done
        cat out
        cat /sys/fs/cgroup/viv-delegate/pids.max
        {oci} exec one grep -c below /proc/self/cgroup
        {oci} ps --format json one | jq length
        {oci} pause one; {oci} state one | jq -r .status; {oci} resume one
        {oci} update --pids-limit 40 one; cat /sys/fs/cgroup/viv-delegate/pids.max
        {oci} delete --force one
        test ! -e /sys/fs/cgroup/viv-delegate && echo gone""", timeout=300)
    equal(found.ok().lines(), ["0::/below", "50", "0 0 65534 ", "7", "50", "1", "1", "paused", "40", "gone"])
