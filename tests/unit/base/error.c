#include "base/error.h"

#include "test.h"

TEST(error_returns_the_negated_code)
{
    struct error err = ERROR_NONE;

    CHECK_INT(error_set(&err, EPERM, "mount %s", "proc"), -EPERM);
    CHECK_INT(err.errnum, EPERM);
    CHECK_STR(err.text, "mount proc");
    CHECK_INT(error_set(NULL, EIO, "nobody listens"), -EIO);
}

TEST(error_sys_names_the_code)
{
    struct error err = ERROR_NONE;

    CHECK_INT(error_sys(&err, ENOENT, "open %s", "/x"), -ENOENT);
    CHECK_STR(err.text, "open /x: ENOENT: No such file or directory");
    CHECK_STR(error_name(4095), "errno 4095");
}

TEST(error_context_goes_in_front)
{
    struct error err = ERROR_NONE;

    error_set(&err, EPERM, "inner");
    CHECK_INT(error_prefix(&err, "outer %d", 1), -EPERM);
    error_append(&err, "; do this");
    CHECK_STR(err.text, "outer 1: inner; do this");
}

TEST(error_text_is_capped)
{
    static char large[2 * ERROR_TEXT_MAX];
    struct error err = ERROR_NONE;

    memset(large, 'x', sizeof(large) - 1);
    error_set(&err, E2BIG, "%s", large);
    CHECK_INT(strlen(err.text), ERROR_TEXT_MAX - 1);
    error_prefix(&err, "%s", large);
    error_append(&err, "%s", large);
    CHECK_INT(strlen(err.text), ERROR_TEXT_MAX - 1);
}

TEST_MAIN()
