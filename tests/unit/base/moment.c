#include "base/moment.h"

#include <string.h>
#include <time.h>

#include "test.h"

static int64_t read_one(const char *text)
{
    struct error err = ERROR_NONE;
    int64_t ns = -1;

    return moment_read(text, &ns, &err) == 0 ? ns : -2;
}

TEST(times)
{
    const int64_t noon = 1769860800LL * 1000000000; /* 2026-01-31T12:00:00Z */
    char text[MOMENT_TEXT_SIZE];

    CHECK_INT(read_one("2026-01-31T12:00:00Z"), noon);
    CHECK_INT(read_one("2026-01-31T12:00:00"), noon);
    CHECK_INT(read_one("2026-01-31T12:00"), noon);
    CHECK_INT(read_one("2026-01-31"), noon - 12 * 3600 * 1000000000LL);
    CHECK_INT(read_one("2026-01-31T12:00:00.25Z"), noon + 250000000);
    CHECK_INT(read_one("2026-01-31T12:00:00.000000001Z"), noon + 1);
    CHECK_INT(read_one("2026-01-31T13:30:00+01:30"), noon);
    CHECK_INT(read_one("2026-01-31T10:00:00-02:00"), noon);
    CHECK_INT(read_one("1769860800"), noon);
    CHECK_INT(read_one("1769860800.5"), noon + 500000000);
    CHECK_STR(moment_text(noon + 5, text), "2026-01-31T12:00:00.000000005Z");
    CHECK_STR(moment_text(-1, text), "1969-12-31T23:59:59.999999999Z");
}

TEST(ages)
{
    int64_t now = (int64_t)time(NULL) * 1000000000;
    int64_t hour = read_one("1h");

    CHECK(hour < now - 3500 * 1000000000LL && hour > now - 3700 * 1000000000LL);
    CHECK(read_one("90") < now);
}

TEST(what_is_none)
{
    static const char *const texts[] = {"", "yesterday", "2026-13-01", "2026-01-31T12:00:00+1",
            "2026-01-31T12:00:00Zulu", "2026-01-31T25:00:00Z", "9999-12-31", "0001-01-01T00:00:00Z",
            "99999999999999999999999", "10q"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error err = ERROR_NONE;
        int64_t ns = 7;
        CHECK_INT(moment_read(texts[i], &ns, &err), -EINVAL);
        CHECK_INT(ns, 7);
        CHECK(strstr(err.text, "is no moment"));
    }
}

TEST_MAIN()
