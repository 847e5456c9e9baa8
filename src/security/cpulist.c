#include "security/cpulist.h"

#include <ctype.h>
#include <stdbool.h>

/* One number; moves the text on. */
static bool take_number(const char **at, size_t *ret)
{
    size_t value = 0;
    const char *start = *at;

    while (isdigit((unsigned char)**at) && value < CPULIST_BITS)
        value = value * 10 + (size_t)(*(*at)++ - '0');
    *ret = value;
    return *at > start && value < CPULIST_BITS;
}

static bool take_range(const char **at, struct cpulist *list)
{
    size_t first, last;

    if (!take_number(at, &first))
        return false;
    last = first;
    if (**at == '-') {
        (*at)++;
        if (!take_number(at, &last) || last < first)
            return false;
    }
    for (size_t i = first; i <= last; i++)
        list->words[i / 64] |= UINT64_C(1) << (i % 64);
    if (last + 1 > list->bits)
        list->bits = last + 1;
    return true;
}

int cpulist_parse(const char *text, const char *what, struct cpulist *ret, struct error *err)
{
    struct cpulist list = {0};
    const char *at = text ? text : "";

    while (*at) {
        bool fine = take_range(&at, &list);
        if (fine && *at == ',' && at[1])
            at++;
        else if (!fine || *at)
            return error_set(err, EINVAL,
                    "\"%s\" is not a list of %s numbers such as \"0-3,7\" (each below %d)", text,
                    what, CPULIST_BITS);
    }
    *ret = list;
    return 0;
}
