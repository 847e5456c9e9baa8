#include "image/platform.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Other spellings of an architecture, and the variant that is meant when none is given. */
static const struct {
    const char *alias;
    const char *architecture;
    const char *variant;
} aliases[] = {
        {"x86_64", "amd64", NULL},
        {"x86-64", "amd64", NULL},
        {"i386", "386", NULL},
        {"i686", "386", NULL},
        {"aarch64", "arm64", "v8"},
        {"arm64", "arm64", "v8"},
        {"armv6l", "arm", "v6"},
        {"armv7l", "arm", "v7"},
        {"armhf", "arm", "v7"},
        {"armel", "arm", "v6"},
        {"arm", "arm", "v7"},
};

static struct platform normal(struct platform platform)
{
    if (str_empty(platform.variant))
        platform.variant = NULL;
    for (size_t i = 0; platform.architecture && i < ARRAY_SIZE(aliases); i++) {
        if (!str_equal(platform.architecture, aliases[i].alias))
            continue;
        platform.architecture = aliases[i].architecture;
        if (!platform.variant)
            platform.variant = aliases[i].variant;
        break;
    }
    if (str_equal(platform.architecture, "amd64") && str_equal(platform.variant, "v1"))
        platform.variant = NULL;
    return platform;
}

static bool good_word(const char *word)
{
    return *word && strlen(word) < 32 &&
           strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                   strlen(word);
}

int platform_parse(const char *text, struct arena *arena, struct platform *ret, struct error *err)
{
    struct platform found = {.os = "linux"};
    struct strv parts = {0};
    struct utsname names;
    const char *part;

    if (!text) {
        uname(&names);
        found.architecture = arena_strdup(arena, names.machine);
        *ret = normal(found);
        return 0;
    }
    strv_split(arena, &parts, text, '/');
    bool good = parts.count >= 1 && parts.count <= 3 && !str_ends(text, "/");
    strv_foreach (part, &parts)
        good = good && good_word(part);
    if (!good)
        return error_set(err, EINVAL,
                "invalid platform \"%s\": expected os/architecture[/variant], such as linux/arm64",
                text);
    found.architecture = parts.words[parts.count > 1];
    if (parts.count > 1)
        found.os = parts.words[0];
    if (parts.count > 2)
        found.variant = parts.words[2];
    *ret = normal(found);
    return 0;
}

/* "v7" runs what was made for "v6"; a higher one does not run on a lower. */
static int variant_fit(const char *wanted, const char *found)
{
    if (str_equal(wanted, found))
        return 100;
    if (!found)
        return 1;
    if (!wanted || wanted[0] != 'v' || found[0] != 'v' || strlen(wanted) != 2 || strlen(found) != 2)
        return 0;
    return found[1] < wanted[1] ? 2 + (found[1] - '0') : 0;
}

int platform_fit(const struct platform *wanted, const struct platform *found)
{
    struct platform a = normal(*wanted);
    struct platform b = normal(*found);

    if (!str_equal(a.os, b.os) || !str_equal(a.architecture, b.architecture))
        return 0;
    return variant_fit(a.variant, b.variant);
}

char *platform_text(const struct platform *platform, struct arena *arena)
{
    const char *variant = str_empty(platform->variant) ? NULL : platform->variant;

    return arena_printf(arena, "%s/%s%s%s", str_empty(platform->os) ? "unknown" : platform->os,
            str_empty(platform->architecture) ? "unknown" : platform->architecture,
            variant ? "/" : "", variant ? variant : "");
}
