#include "base/path.h"

#include "test.h"

TEST(path_clean_cases)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {{"/", "/"}, {"", "."}, {"//a//b/", "/a/b"}, {"/a/../../b", "/b"},
            {"a/./b/..", "a"}, {"../x", "../x"}, {"a/../..", ".."}, {"/..", "/"}};
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_STR(path_clean(&arena, cases[i].in), cases[i].out);
}

TEST(path_join_and_parts)
{
    _cleanup_arena_ struct arena arena = {0};

    CHECK_STR(path_join(&arena, "/a/", "/b"), "/a/b");
    CHECK_STR(path_join(&arena, "/", "b"), "/b");
    CHECK_STR(path_join(&arena, "/a", ""), "/a");
    CHECK_STR(path_base("/a/b"), "b");
    CHECK_STR(path_dir(&arena, "/a/b"), "/a");
    CHECK_STR(path_dir(&arena, "/a"), "/");
    CHECK_STR(path_dir(&arena, "a"), ".");
}

TEST(path_is_below_is_by_parts)
{
    CHECK(path_is_below("/a/b", "/a"));
    CHECK(path_is_below("/a", "/a"));
    CHECK(!path_is_below("/ab", "/a"));
    CHECK(path_is_below("/a", "/"));
    CHECK(path_has_dotdot("a/../b"));
    CHECK(!path_has_dotdot("a/..b/c.."));
}

TEST_MAIN()
