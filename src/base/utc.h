/* Moments as texts, in UTC. libc's functions read the time zone's file first, which takes longer
 * than all else that is written about a sandbox. */
#pragma once

#include <stdint.h>

#define UTC_TEXT_SIZE 20

/* "2026-11-28T06:42:18", of seconds since 1970 in the years 0 to 9999 (others become the nearest of
 * them): RFC 3339 but for what follows the seconds. Returns `text`. */
const char *utc_text(int64_t seconds, char text[UTC_TEXT_SIZE]);
