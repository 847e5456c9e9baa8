#include "base/utc.h"

#include <string.h>
#include <time.h>

#include "test.h"

static void check_one(int64_t seconds)
{
    time_t moment = (time_t)seconds;
    struct tm parts;
    char expected[64], found[UTC_TEXT_SIZE];

    gmtime_r(&moment, &parts);
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900,
            parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    CHECK_STR(utc_text(seconds, found), expected);
}

TEST(as_libc_has_it)
{
    for (int64_t day = -719528; day < 2932896; day += 97)
        check_one(day * 86400 + (day % 86399 + 86399) % 86399);
    for (int64_t day = 18000; day < 18000 + 4 * 366; day++) {
        check_one(day * 86400 - 1);
        check_one(day * 86400);
    }
}

TEST(what_is_beyond)
{
    char text[UTC_TEXT_SIZE];

    CHECK_STR(utc_text(0, text), "1970-01-01T00:00:00");
    CHECK_STR(utc_text(-1, text), "1969-12-31T23:59:59");
    CHECK_STR(utc_text(INT64_MAX, text), "9999-12-31T23:59:59");
    CHECK_STR(utc_text(INT64_MIN, text), "0000-01-01T00:00:00");
}

TEST_MAIN()
