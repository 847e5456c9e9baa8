#include "base/str.h"

#include "test.h"

TEST(str_numbers_are_whole_texts)
{
    uint64_t u = 7;
    int64_t i = 7;
    int n = 7;

    CHECK_INT(str_to_u64("18446744073709551615", 10, &u), 0);
    CHECK(u == UINT64_MAX);
    CHECK_INT(str_to_u64("18446744073709551616", 10, &u), -ERANGE);
    CHECK_INT(str_to_u64("-1", 10, &u), -EINVAL);
    CHECK_INT(str_to_u64(" 1", 10, &u), -EINVAL);
    CHECK_INT(str_to_u64("1x", 10, &u), -EINVAL);
    CHECK_INT(str_to_u64("", 10, &u), -EINVAL);
    CHECK_INT(str_to_i64("-9223372036854775808", &i), 0);
    CHECK_INT(str_to_int("2147483648", &n), -ERANGE);
    CHECK_INT(n, 7);
}

TEST(str_tame_leaves_letters_alone)
{
    static const struct {
        const char *text, *keep, *tame;
    } cases[] = {
            {"plain, \303\251t\303\251, \346\274\242, \360\237\230\200", "",
                    "plain, \303\251t\303\251, \346\274\242, \360\237\230\200"},
            {"\033]0;title\007\033[2J", "", "?]0;title??[2J"},
            {"a\nb\tc\rd", "\n\t", "a\nb\tc?d"},
            {"a\nb\177", "", "a?b?"},
            {"\302\23331m", "\n", "?31m"},                /* U+009B */
            {"\23331m", "", "?31m"},                      /* the same for terminals of 8 bits */
            {"\342\200\256gpj\342\201\246", "", "?gpj?"}, /* U+202E, U+2066 */
            {"\360\033[m\342\033[m\303\033", "", "\360?[m\342?[m\303?"},
            {"\360\220", "", "\360?"},      /* cut short: the rest is bytes */
            {"\351t\351", "", "\351t\351"}, /* Latin-1 */
            {"", "", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        str_tame(text, cases[i].keep);
        CHECK_STR(text, cases[i].tame);
    }
}

TEST(str_sizes)
{
    uint64_t bytes;

    CHECK_INT(str_to_bytes("64m", &bytes, NULL), 0);
    CHECK_INT(bytes, 64 << 20);
    CHECK_INT(str_to_bytes("1.5KiB", &bytes, NULL), 0);
    CHECK_INT(bytes, 1536);
    CHECK_INT(str_to_bytes("18446744073709551615", &bytes, NULL), 0);
    CHECK(bytes == UINT64_MAX);
    CHECK_INT(str_to_bytes("-1", &bytes, NULL), -EINVAL);
    CHECK_INT(str_to_bytes("12q", &bytes, NULL), -EINVAL);
    CHECK_INT(str_to_bytes("99999999t", &bytes, NULL), -ERANGE);
}

TEST(str_times)
{
    int64_t ns;

    CHECK_INT(str_to_nanoseconds("1m30s", &ns, NULL), 0);
    CHECK_INT(ns, 90000000000LL);
    CHECK_INT(str_to_nanoseconds("250ms", &ns, NULL), 0);
    CHECK_INT(ns, 250000000LL);
    CHECK_INT(str_to_nanoseconds("-2", &ns, NULL), 0);
    CHECK_INT(ns, -2000000000LL);
    CHECK_INT(str_to_nanoseconds("x", &ns, NULL), -EINVAL);
    CHECK_INT(str_to_nanoseconds("1d", &ns, NULL), -EINVAL);
    CHECK_INT(str_to_nanoseconds("", &ns, NULL), -EINVAL);
}

TEST(strv_splits_joins_and_terminates)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv list = {0};

    strv_split(&arena, &list, "/a//bc/", '/');
    CHECK_INT(list.count, 2);
    CHECK_STR(strv_join(&arena, &list, ","), "a,bc");
    for (int i = 0; i < 50; i++)
        strv_add(&arena, &list, "x");
    CHECK(list.words[52] == NULL);
    CHECK(strv_contains(&list, "bc"));
    CHECK(!strv_contains(&list, "b"));
}

TEST(str_closest_finds_misspellings_only)
{
    static const char *const names[] = {"memory", "process", "mounts"};

    CHECK_STR(str_closest("proces", names, 3), "process");
    CHECK_STR(str_closest("Memory", names, 3), "memory");
    CHECK_STR(str_closest("memroy", names, 3), "memory");
    CHECK_STR(str_closest("ruonst", (const char *const[]){"runs", "rounst"}, 2), "rounst");
    CHECK(str_closest("zebra", names, 3) == NULL);
    CHECK_STR(str_closest("rn", (const char *const[]){"top", "rm"}, 2), "rm");
    CHECK(str_closest("foo", (const char *const[]){"top", "rm"}, 2) == NULL);
}

TEST_MAIN()
