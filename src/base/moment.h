/* Moments as people write them: ages, days, times, seconds since 1970. Apart from utc.h, since only
 * commands read them, and reading takes what libc knows of calendars. */
#pragma once

#include <stdint.h>

#include "base/error.h"

/* A moment as people write it, in nanoseconds since 1970: an age ("10m" ago), a day or a time
 * ("2026-01-31", "2026-01-31T10:00:00.5Z", "…+01:00"; without a zone in UTC) or seconds since 1970
 * (of ten digits or more, since fewer are an age). -EINVAL. */
int moment_read(const char *text, int64_t *ret_ns, struct error *err);

/* "2026-01-31T10:00:00.000000000Z", which sorts as the moments do. */
#define MOMENT_TEXT_SIZE 40
const char *moment_text(int64_t ns, char text[MOMENT_TEXT_SIZE]);
