"""A limit on huge pages bites, whether they are used or only reserved, and can be changed: inside the
rigs, whose kernels may be told to have some."""
import contextlib
import json
import pathlib

from lib import *
from box import box
from groups import value

ONLY_IN = ["v2 plain"]  # v1.py has them for the other version
TIMEOUT = 120
PAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages")


@contextlib.contextmanager
def pages():
    """The kernel makes huge pages as they are asked for."""
    before = PAGES.read_text()
    PAGES.write_text("64")
    try:
        yield
    finally:
        PAGES.write_text(before)


def taken(b, what, *flags):
    """How many of a thing a sandbox gets."""
    take = program("tests/integration/viv/take")
    return b.run("--userns", "host", "-v", f"{take}:/take:ro", *flags, "busybox", "/take", what).status


def test_huge_pages_end_in_enomem():
    with box() as b, pages():
        equal([taken(b, what, "--hugetlb-limit", f"2MB={limit}") for what, limit in
               (("huge", "6m"), ("huge", "10m"), ("reserved", "6m"))], [3, 5, 3])


def test_huge_pages_are_changed_and_counted():
    with box() as b, pages():
        take = program("tests/integration/viv/take")
        name = b.start("--userns", "host", "--hugetlb-limit", "2MB=4m", "-v", f"{take}:/take:ro",
                       script="/take huge 1000 & while :; do sleep 1000; done")

        def counted():
            stats = json.loads(b.viv("stats", "--no-stream", "--format", "json", name).ok().out)[0]
            return next(item for item in stats["hugetlb"] if item["page_size"] == "2MB")
        eventually(lambda: counted()["usage"] == 4 << 20, 20, lambda: str(counted()))
        equal(b.viv("exec", name, "/take", "huge").status, 0)
        b.viv("update", "--hugetlb-limit", "2MB=10m", name).ok()
        for middle in ("", "rsvd."):
            equal(value(b, name, "hugetlb", f"hugetlb.2MB.{middle}limit_in_bytes",
                        f"hugetlb.2MB.{middle}max"), str(10 << 20))
        equal([b.viv("exec", name, "/take", what).status for what in ("huge", "reserved")], [3, 3])
        check(counted()["failures"] > 0, lambda: str(counted()))
