#include "base/utc.h"

#include <stdio.h>

#define DAY 86400
#define DAYS_OF_ERA 146097      /* 400 years */
#define DAYS_BEFORE_1970 719468 /* since 0000-03-01, with which the years here begin */
#define FIRST (-62167219200LL)  /* 0000-01-01T00:00:00 */
#define LAST 253402300799LL     /* 9999-12-31T23:59:59 */

const char *utc_text(int64_t seconds, char text[UTC_TEXT_SIZE])
{
    if (seconds < FIRST)
        seconds = FIRST;
    if (seconds > LAST)
        seconds = LAST;
    /* a year that begins in March has its leap day last, so that no month depends on it */
    int64_t of_day = (seconds % DAY + DAY) % DAY;
    int64_t days = (seconds - of_day) / DAY + DAYS_BEFORE_1970 + DAYS_OF_ERA;
    int64_t era = days / DAYS_OF_ERA - 1;
    int64_t day = days % DAYS_OF_ERA;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153;

    day -= (153 * month + 2) / 5;
    year += era * 400 + (month >= 10);
    month += month < 10 ? 3 : -9;
    snprintf(text, UTC_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u", (unsigned)year % 10000,
            (unsigned)month % 100, (unsigned)(day + 1) % 100, (unsigned)(of_day / 3600) % 100,
            (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60));
    return text;
}
