/* The small rules that the checks of a configuration share. Each adds a fault that says what was
 * found and what to write instead, and returns whether all was well. For spec/check*.c only. */
#pragma once

#include "spec/names.h"
#include "spec/spec.h"

#define RULE_INTERFACE_MAX 15 /* IFNAMSIZ less the NUL */

/* The value is one of the words; `what` names the kind: "namespace type". */
bool rule_one_of(struct record_report *report, const struct record_place *place, const char *value,
        const struct spec_words *words, const char *what);

/* Every word of the list is one of the words. */
void rule_all_of(struct record_report *report, const struct record_place *place,
        const struct strv *values, const struct spec_words *words, const char *what);

/* Given, and from the root on. */
bool rule_absolute(
        struct record_report *report, const struct record_place *place, const char *path);

/* min <= value <= max; `unit` follows the numbers: " bytes". */
bool rule_range(struct record_report *report, const struct record_place *place, int64_t value,
        int64_t min, int64_t max, const char *unit);

/* A list as cpuset(7) has it: "0-3,7". An absent or empty one is fine. */
bool rule_number_list(
        struct record_report *report, const struct record_place *place, const char *text);

/* A network interface's name. */
bool rule_interface(
        struct record_report *report, const struct record_place *place, const char *name);

/* Mappings of user or group ids: sizes, ends, overlaps, the kernel's 340 lines. */
void rule_id_mappings(struct record_report *report, const struct record_place *place,
        const struct spec_id_mappings *list);

/* Whether ".." in the path leads above where it starts: "a/../../b". */
bool rule_path_escapes(const char *path);
