#include "observe/table.h"

#include "test.h"

TEST(table_cut_keeps_characters_whole)
{
    _cleanup_arena_ struct arena arena = {0};

    CHECK_STR(table_cut(&arena, "abcde", 5), "abcde");
    CHECK_STR(table_cut(&arena, "abcdef", 5), "abcd…");
    CHECK_STR(table_cut(&arena, "äöüäö", 5), "äöüäö");
    CHECK_STR(table_cut(&arena, "äöüäöü", 5), "äöüä…");
    CHECK_STR(table_cut(&arena, "", 5), "");
    CHECK_STR(table_cut(&arena, "ab", 1), "…");
}

TEST_MAIN()
