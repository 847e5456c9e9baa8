"""A host with control groups v1 alone, inside the rig that has them all, and something for each of them
to count: what is set, changed, told and bites there. Then the same with rdma and misc on v2."""
import contextlib
import json

from lib import *
from box import CGROUPS, box
from groups import (resources, test_devices, test_disk_rates, test_frozen,  # noqa: F401
                    test_limits_that_only_a_configuration_has,  # noqa: F401
                    test_removed_with_what_is_left_inside, test_statistics_of_all,  # noqa: F401
                    test_too_many_processes, test_too_much_memory,  # noqa: F401
                    test_update_changes_it_while_it_runs, test_what_is_set_is_there,  # noqa: F401
                    test_what_this_version_lacks_is_refused)  # noqa: F401
from hugepages import (test_huge_pages_are_changed_and_counted,  # noqa: F401
                       test_huge_pages_end_in_enomem)  # noqa: F401
from reclaim import test_swap_is_limited  # noqa: F401
from selinux import (test_a_type_confines_the_workload_and_what_joins_it,  # noqa: F401
                     test_an_engine_says_the_labels, test_own_and_shared_folders,  # noqa: F401
                     test_the_policy_says_what_containers_get,  # noqa: F401
                     test_what_cannot_be_labelled_is_an_error)  # noqa: F401

ONLY_IN = ["v1 plain"]
TIMEOUT = 120
LONG = "while :; do sleep 1000; done"


def taker(*flags):
    """The flags of a sandbox in which /take takes what there is."""
    return ["--userns", "host", "--device", "/dev/infiniband/uverbs0", "--device", "/dev/rig-misc",
            "-v", f"{program('tests/integration/viv/take')}:/take:ro", *flags]


def taken(b, name, *things):
    return [b.viv("exec", name, "/take", thing).status for thing in things]


def stats(b, name):
    return json.loads(b.viv("stats", "--no-stream", "--format", "json", name).ok().out)[0]


def group(controller):
    """Where a controller's hierarchy is: its own, or that of v2."""
    own = CGROUPS / controller
    return own if (own / "tasks").exists() else CGROUPS / "unified"


def limited_by_flags():
    """Set by --cgroup-conf, read back, refused beyond it, changed, counted."""
    with box() as b:
        name = b.start(*taker("--cgroup-conf", "rdma.max=rxe0 hca_handle=2 hca_object=3",
                              "--cgroup-conf", "misc.max=sev 4"), script=LONG)
        folder = group("rdma") / b.scope
        equal([path.read_text().strip() for path in folder.glob("*/rdma.max")],
              ["rxe0 hca_handle=2 hca_object=3"])
        equal([path.read_text().strip() for path in (group("misc") / b.scope).glob("*/misc.max")],
              ["sev 4"])
        equal(taken(b, name, "handles", "objects", "misc"), [2, 3, 4])
        b.viv("update", "--cgroup-conf", "rdma.max=rxe0 hca_handle=4 hca_object=max",
              "--cgroup-conf", "misc.max=sev 1", name).ok()
        equal(taken(b, name, "handles", "objects", "misc"), [4, 8, 1])
        for thing in ("handles", "misc"):
            b.viv("exec", "-d", name, "/take", thing, "1000").ok()

        def counted():
            found = stats(b, name)
            return ([(item["device"], item["handles"], item["handles_limit"]) for item in found["rdma"]],
                    [(item["name"], item["value"]) for item in found["misc"]])
        eventually(lambda: counted() == ([("rxe0", 4, 4)], [("sev", 1)]), 20, lambda: str(counted()))


def limited_by_a_configuration():
    with box() as b:
        name = resources(b, {"rdma": {"rxe0": {"hcaHandles": 1, "hcaObjects": 2000}},
                             "unified": {"misc.max": "sev 2"}})
        equal((stats(b, name)["rdma"][0]["handles_limit"], stats(b, name)["rdma"][0]["objects_limit"]),
              (1, 2000))


def test_rdma_and_misc_bite():
    limited_by_flags()
    limited_by_a_configuration()


def test_check_tells_of_v1():
    contains(viv("check").ok().out, "v1")


@contextlib.contextmanager
def on_v2(*controllers):
    """These controllers where v2 is mounted beside v1, as on a hybrid host, and back again."""
    unified = CGROUPS / "unified"
    unified.mkdir()
    try:
        for controller in controllers:
            run("umount", CGROUPS / controller).ok()
        run("mount", "-t", "cgroup2", "none", unified).ok()
        yield
    finally:
        run("umount", unified)
        for controller in controllers:
            run("mount", "-t", "cgroup", "-o", controller, "none", CGROUPS / controller).ok()
        unified.rmdir()


def test_rdma_and_misc_bite_on_v2():
    with on_v2("rdma", "misc"):
        eventually(lambda: "rdma" in (CGROUPS / "unified/cgroup.controllers").read_text())
        limited_by_flags()
        limited_by_a_configuration()
