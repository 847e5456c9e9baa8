/*
 * XXH64, a fast 64-bit checksum against damage by chance (not against an attacker): some 10 GB/s.
 * The algorithm is the public one of xxHash (doc/xxhash_spec.md), so that `xxhsum -H64` says the
 * same.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of so many bytes, starting from a seed (0, or an earlier part's checksum). */
uint64_t checksum64(const void *data, size_t length, uint64_t seed);
