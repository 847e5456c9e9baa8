#include "base/moment.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/utc.h"

#define SECOND 1000000000LL

const char *moment_text(int64_t ns, char text[MOMENT_TEXT_SIZE])
{
    int64_t part = (ns % SECOND + SECOND) % SECOND;
    char whole[UTC_TEXT_SIZE];

    snprintf(text, MOMENT_TEXT_SIZE, "%s.%09uZ", utc_text((ns - part) / SECOND, whole),
            (unsigned)part);
    return text;
}

/* "", "Z", "+01:00": in seconds. */
static bool read_zone(const char *text, int64_t *ret)
{
    unsigned hours;
    unsigned minutes;
    char sign;
    int length = 0;

    *ret = 0;
    if (!*text || str_equal(text, "Z") || str_equal(text, "z"))
        return true;
    if (sscanf(text, "%c%2u:%2u%n", &sign, &hours, &minutes, &length) != 3 || text[length] ||
            (sign != '+' && sign != '-') || hours > 23 || minutes > 59)
        return false;
    *ret = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

/* ".25" in nanoseconds; what is behind it. */
static const char *read_fraction(const char *text, int64_t *ret)
{
    int64_t unit = SECOND;

    *ret = 0;
    if (*text != '.')
        return text;
    for (text++; isdigit((unsigned char)*text); text++) {
        unit /= 10;
        *ret += (*text - '0') * unit;
    }
    return text;
}

/* False for a year that nanoseconds do not reach: before 1678, after 2261. */
static bool in_nanoseconds(int64_t seconds, int64_t fraction, int64_t *ret)
{
    int64_t ns;

    if (__builtin_mul_overflow(seconds, SECOND, &ns) || __builtin_add_overflow(ns, fraction, &ns))
        return false;
    *ret = ns;
    return true;
}

static bool read_calendar(const char *text, int64_t *ret)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm parts = {0};
        int64_t fraction;
        int64_t zone;
        const char *rest = strptime(text, forms[i], &parts);
        if (!rest || !read_zone(read_fraction(rest, &fraction), &zone))
            continue;
        return in_nanoseconds((int64_t)timegm(&parts) - zone, fraction, ret);
    }
    return false;
}

int moment_read(const char *text, int64_t *ret_ns, struct error *err)
{
    struct timespec now;
    double seconds;
    int64_t age;

    if (read_calendar(text, ret_ns))
        return 0;
    if (strspn(text, "0123456789") >= 10 && str_to_double(text, &seconds) == 0 && seconds < 9e9) {
        *ret_ns = (int64_t)(seconds * SECOND);
        return 0;
    }
    if (str_to_nanoseconds(text, &age, NULL) < 0)
        return error_set(err, EINVAL,
                "\"%s\" is no moment: write an age (\"10m\"), a time (\"2026-01-31T10:00:00Z\") or "
                "seconds since 1970",
                text);
    clock_gettime(CLOCK_REALTIME, &now);
    *ret_ns = now.tv_sec * SECOND + now.tv_nsec - age;
    return 0;
}
