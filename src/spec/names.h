/*
 * The words that the specification allows in the members that are enumerations, as lists: for the
 * checks ("one of", "did you mean"), for `features`, and for whoever turns them into numbers.
 * Capability names stand in the kernel's order, so that a name's index is its number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct spec_words {
    const char *const *words;
    size_t count;
};

extern const struct spec_words spec_namespace_types;
extern const struct spec_words spec_capabilities; /* index = number */
extern const struct spec_words spec_rlimits;      /* "RLIMIT_AS" …; index = number on Linux */
extern const struct spec_words spec_hook_names;
extern const struct spec_words spec_mount_options; /* the file-system-independent ones */
extern const struct spec_words spec_propagations;  /* of rootfsPropagation */
extern const struct spec_words spec_seccomp_actions;
extern const struct spec_words spec_seccomp_operators;
extern const struct spec_words spec_seccomp_archs;
extern const struct spec_words spec_seccomp_flags;
extern const struct spec_words spec_scheduler_policies;
extern const struct spec_words spec_scheduler_flags;
extern const struct spec_words spec_io_classes;
extern const struct spec_words spec_memory_modes;
extern const struct spec_words spec_memory_flags;
extern const struct spec_words spec_personalities;
extern const struct spec_words spec_image_formats;

/* The word's place in the list, -1 if it is none of them. */
int spec_words_index(const struct spec_words *list, const char *word);
bool spec_words_have(const struct spec_words *list, const char *word);

/* The word of the list closest to a wrong one, NULL if none is close. */
const char *spec_words_closest(const struct spec_words *list, const char *word);

/* The same where people leave out what all words start with ("CAP_", "RLIMIT_"): the wrong word has
 * no prefix, and neither has the result. */
const char *spec_words_closest_after(
        const struct spec_words *list, const char *prefix, const char *word);
