#include "security/selinux.h"
#include "test.h"

static const char *shared(struct arena *arena, const char *label)
{
    return selinux_label_shared(arena, label);
}

TEST(selinux_shared_labels_have_no_categories)
{
    _cleanup_arena_ struct arena arena = {0};

    CHECK_STR(shared(&arena, "u:object_r:t:s0:c1,c2"), "u:object_r:t:s0");
    CHECK_STR(shared(&arena, "u:object_r:t:s0-s3:c0.c1023"), "u:object_r:t:s0");
    CHECK_STR(shared(&arena, "u:object_r:t:s2"), "u:object_r:t:s2");
    CHECK_STR(shared(&arena, "u:object_r:t"), "u:object_r:t");
    CHECK_STR(shared(&arena, "no context"), "no context");
    CHECK_STR(shared(&arena, ""), "");
}

TEST_MAIN()
