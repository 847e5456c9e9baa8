#include "security/caps.h"

#include "test.h"

static struct strv words(struct arena *arena, const char *text)
{
    struct strv list = {0};

    strv_split(arena, &list, text, ' ');
    return list;
}

TEST(names_and_numbers)
{
    CHECK_INT(caps_number("CAP_CHOWN"), 0);
    CHECK_INT(caps_number("cap_sys_admin"), 21);
    CHECK_INT(caps_number("CHECKPOINT_RESTORE"), 40);
    CHECK_INT(caps_number("CAP_"), -1);
    CHECK_STR(caps_name(24), "CAP_SYS_RESOURCE");
    CHECK(!caps_name(CAPS_COUNT));
}

TEST(unknown_names_are_passed_over)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv list = words(&arena, "CAP_CHOWN CAP_NET_ADMINN NONSENSE kill");

    CHECK_INT(caps_from_names(&list), CAPS_BIT(0) | CAPS_BIT(5));
}

TEST(fit_tells_what_is_lost)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv told = {0};
    struct caps_sets sets = {
            .bounding = CAPS_BIT(0) | CAPS_BIT(24),
            .permitted = CAPS_BIT(0),
            .effective = CAPS_BIT(0) | CAPS_BIT(1),
            .inheritable = 0,
            .ambient = CAPS_BIT(0),
    };

    caps_sets_fit(&arena, &sets, CAPS_ALL & ~CAPS_BIT(24), &told);
    CHECK_INT(sets.bounding, CAPS_BIT(0));
    CHECK_INT(sets.effective, CAPS_BIT(0));
    CHECK_INT(sets.ambient, 0);
    CHECK_INT(told.count, 3);
    CHECK_STR(told.words[0], "CAP_SYS_RESOURCE is left out of the bounding set: we do not have it "
                             "ourselves, or the kernel does not know it");
}

TEST(kernel_and_table_agree)
{
    FILE *file = fopen("/proc/sys/kernel/cap_last_cap", "re");
    unsigned last = 0;

    CHECK(file && fscanf(file, "%u", &last) == 1);
    fclose(file);
    CHECK_INT(caps_kernel_last(), last);
}

TEST(mask_text_is_strace_s)
{
    _cleanup_arena_ struct arena arena = {0};

    CHECK_STR(caps_mask_text(&arena, 0), "0");
    CHECK_STR(caps_mask_text(&arena, CAPS_BIT(0) | CAPS_BIT(5)), "1<<CAP_CHOWN|1<<CAP_KILL");
}

TEST_MAIN()
