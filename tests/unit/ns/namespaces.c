#include "ns/namespaces.h"

#include <linux/sched.h>

#include "test.h"

TEST(namespaces_are_found_by_every_name)
{
    for (int kind = 0; kind < NS_KINDS; kind++) {
        CHECK_INT(ns_kind_from_name(ns_kinds[kind].oci), kind);
        CHECK_INT(ns_kind_from_name(ns_kinds[kind].file), kind);
        CHECK_INT(ns_kind_from_flag(ns_kinds[kind].flag), kind);
    }
    CHECK_INT(ns_kind_from_name("mount"), NS_MNT);
    CHECK_INT(ns_kind_from_name("network"), NS_NET);
    CHECK_INT(ns_kind_from_name("nonsense"), -1);
    CHECK_INT(ns_kind_from_flag(1), -1);
}

TEST(namespaces_flags_read_well)
{
    char text[NS_FLAGS_TEXT_MAX];

    CHECK_STR(ns_flags_text(0, text), "0");
    CHECK_STR(ns_flags_text(CLONE_NEWNS | CLONE_NEWUSER, text), "CLONE_NEWUSER|CLONE_NEWNS");
}

TEST(namespaces_split_by_who_makes_them)
{
    struct ns_set set = {0};
    uint64_t clone, late;

    for (int kind = 0; kind < NS_KINDS; kind++)
        set.of[kind].mode = NS_NEW;
    ns_set_split(&set, &clone, &late);
    CHECK_INT(clone, CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID |
                             CLONE_NEWNS);
    CHECK_INT(late, 0);
    set.of[NS_USER].mode = NS_JOIN;
    ns_set_split(&set, &clone, &late);
    CHECK_INT(clone, CLONE_NEWPID);
    CHECK_INT(late, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWNS);
}

TEST_MAIN()
