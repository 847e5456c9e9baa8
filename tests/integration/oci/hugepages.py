"""A limit on huge pages holds for those that are reserved and not yet touched as well: inside the rig,
whose kernel may be told to have some."""
import json

from lib import *

RIG = "v2"
BUILDS = ["plain"]
TIMEOUT = 120
POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
TOP = "/tmp/viv-oci-huge"
# reserves so many pages of 2 MiB one by one, touches none, and tells how many it got
RESERVES = """
import mmap, time
kept = []
try:
    for _ in range(8):
        kept.append(mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000))
except OSError as error:
    print(error.errno, len(kept), flush=True)
time.sleep(1000)
"""


def test_what_is_reserved_counts():
    guest = rig("v2")
    oci = f"{program('viv-oci')} --root /run/viv-oci-huge"
    guest.sh(f"rm -rf {TOP}; mkdir -p {TOP}; cd {TOP}; {oci} spec").ok()
    config = json.loads(guest.run("cat", f"{TOP}/config.json").ok().out)
    config["root"] = {"path": "/", "readonly": True}
    config["process"].update(terminal=False, args=["/usr/bin/python3", "-c", RESERVES])
    config["linux"]["resources"] = {"hugepageLimits": [{"pageSize": "2MB", "limit": 6 << 20}]}
    guest.push(f"{TOP}/config.json", json.dumps(config))
    found = guest.sh(f"""
        set -e
        cd {TOP}
        before=$(cat {POOL})
        trap 'echo $before > {POOL}; {oci} delete --force huge; rm -rf {TOP}' EXIT
        echo 16 > {POOL}
        {oci} run --detach huge </dev/null >told 2>&1
        for i in $(seq 600); do [ -s told ] && break; sleep 0.1; done
        cat told
        group=$(jq -r .cgroup.unified /run/viv-oci-huge/huge/state.json)
        cat $group/hugetlb.2MB.max $group/hugetlb.2MB.rsvd.max $group/hugetlb.2MB.current
        {oci} events --stats huge | jq -c '.data.hugetlb["2MB"] | .usage'
        """, timeout=100)
    # ENOMEM (12) at the fourth, although nothing is in use
    equal(found.ok().lines(), ["12 3", "6291456", "6291456", "0", "6291456"])
