"""A limit on huge pages bites: ENOMEM at the first one beyond it. Inside the rig, whose kernel may be
told to have some."""
from lib import *

RIG = "v2"
BUILDS = ["plain"]
TIMEOUT = 120
PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages"


def test_the_limit_ends_in_enomem():
    taker, store = program("tests/integration/viv/take-huge-pages"), "/tmp/" + unique("store-")
    viv_there = f"{program('viv')} --root {store} --data-root {store}/data"
    found = rig("v2").sh(f"""
        echo 64 > {PAGES}
        for limit in 6m 10m; do
            {viv_there} run --rm --userns host --hugetlb-limit 2MB=$limit -v {taker}:/take:ro busybox /take
            echo $?
        done
        {viv_there} run -d --name h --hugetlb-limit 2MB=4m busybox sleep 1000 >/dev/null
        {viv_there} stats --no-stream --format json h | jq -c '.. | .hugetlb? // empty'
        {viv_there} rm -f h >/dev/null; rm -rf {store}""").ok()
    equal(found.lines()[:2], ["3", "5"])
    contains(found.out, "2MB")
