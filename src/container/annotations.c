#include "container/annotations.h"

#include <ctype.h>
#include <linux/filter.h>
#include <stdio.h>

#include "base/cleanup.h"

#define SYSTEMD "org.systemd.property."
#define FILTER_MAX 4096 /* BPF_MAXINSNS */

/* What crun has and a container here cannot be given, with the reason. An empty value asks for
 * nothing. */
static const struct {
    const char *name, *why;
} refused[] = {
        {"run.oci.handler", "this runtime runs programs as they are and has no other handlers"},
        {"run.oci.seccomp.plugins", "a static program loads no plugins; use a listener "
                                    "(linux.seccomp.listenerPath)"},
        {"run.oci.systemd.force_cgroup_v1", "mount a cgroup hierarchy by /mounts instead"},
};

static int apply_offset(
        struct arena *arena, struct spec *spec, const char *value, struct error *err)
{
    struct spec_time_offset *offset = arena_new(arena, struct spec_time_offset);
    char clock[16];
    long long secs;
    unsigned nanos;
    char rest;

    if (sscanf(value, "%15s %lld %u %c", clock, &secs, &nanos, &rest) != 3 || nanos > 999999999)
        return error_set(err, EINVAL,
                "config.json: /annotations/run.oci.timens_offset: \"%s\": write the clock, seconds "
                "and nanoseconds, as in \"monotonic 3600 0\"",
                value);
    *offset = (struct spec_time_offset){secs, nanos};
    if (str_equal(clock, "monotonic") || str_equal(clock, "1"))
        spec->linux.timeOffsets.monotonic = offset;
    else if (str_equal(clock, "boottime") || str_equal(clock, "7"))
        spec->linux.timeOffsets.boottime = offset;
    else
        return error_set(err, EINVAL,
                "config.json: /annotations/run.oci.timens_offset: unknown clock \"%s\"; write "
                "monotonic or boottime",
                clock);
    return 0;
}

int container_annotations_apply(struct arena *arena, struct spec *spec, struct error *err)
{
    const char *value;

    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (!str_empty(spec_annotation(spec, refused[i].name)))
            return error_set(err, EOPNOTSUPP, "config.json: /annotations/%s: not supported: %s",
                    refused[i].name, refused[i].why);
    value = spec_annotation(spec, "run.oci.mount_context_type");
    if (!str_empty(value) && !str_equal(value, "context"))
        return error_set(err, EOPNOTSUPP,
                "config.json: /annotations/run.oci.mount_context_type: \"%s\": only context is "
                "supported",
                value);
    value = spec_annotation(spec, "run.oci.seccomp.receiver");
    if (!str_empty(value) && spec->linux.seccomp)
        spec->linux.seccomp->listenerPath = value;
    value = spec_annotation(spec, "run.oci.timens_offset");
    return str_empty(value) ? 0 : apply_offset(arena, spec, value, err);
}

/* The value of a base64 digit; -1 for what is none. */
static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The bytes, or -EINVAL; `into` has room for three quarters of the text. */
static ssize_t decode_base64(const char *text, unsigned char *into)
{
    size_t length = 0;
    unsigned bits = 0, have = 0;

    for (; *text && *text != '='; text++) {
        int value = digit(*text);
        if (value < 0)
            return -EINVAL;
        bits = (bits << 6 | (unsigned)value) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            into[length++] = (unsigned char)(bits >> have);
        }
    }
    return text[strspn(text, "=")] ? -EINVAL : (ssize_t)length;
}

int container_annotated_filter(struct arena *arena, const struct spec *spec,
        const struct seccomp_filter **ret, struct error *err)
{
    const char *text = spec_annotation(spec, "run.oci.seccomp_bpf_data");

    if (str_empty(text))
        return 0;
    if (spec->linux.seccomp)
        return error_set(err, EPERM,
                "config.json: /annotations/run.oci.seccomp_bpf_data: it does not replace the "
                "filter in /linux/seccomp, since an annotation can come from an image; leave one "
                "of them out");
    size_t size = strlen(text);
    struct sock_filter *code =
            arena_new_array(arena, struct sock_filter, size / sizeof(struct sock_filter) + 1);
    ssize_t length = decode_base64(text, (unsigned char *)code);
    size_t count = length > 0 ? (size_t)length / sizeof(*code) : 0;
    if (length <= 0 || (size_t)length % sizeof(*code) || count > FILTER_MAX)
        return error_set(err, EINVAL,
                "config.json: /annotations/run.oci.seccomp_bpf_data: no compiled filter in base64 "
                "(instructions of 8 bytes, %d at most)",
                FILTER_MAX);
    struct seccomp_filter *filter = arena_new(arena, struct seccomp_filter);
    *filter = (struct seccomp_filter){.code = code, .count = (uint32_t)count};
    *ret = filter;
    return 1;
}

/* "uint64 5" or "5" seconds in microseconds. */
static int to_microseconds(struct arena *arena, const char *name, const char *value,
        const char **ret, struct error *err)
{
    const char *number = strrchr(value, ' ');
    double seconds;

    if (str_to_double(number ? number + 1 : value, &seconds) < 0 || seconds < 0 || seconds > 1e12)
        return error_set(err, EINVAL,
                "config.json: /annotations/" SYSTEMD "%s: \"%s\" is no number of seconds", name,
                value);
    *ret = arena_printf(arena, "uint64 %llu", (unsigned long long)(seconds * 1e6));
    return 0;
}

static int check_property(const char *name, struct error *err)
{
    size_t length = strlen(name);

    for (const char *at = name; *at; at++)
        if (!isalpha((unsigned char)*at))
            length = 0;
    return length >= 3
                   ? 0
                   : error_set(err, EINVAL,
                             "config.json: /annotations/" SYSTEMD
                             "%s: a property's name has three letters at least and nothing else",
                             name);
}

int container_systemd_properties(struct arena *arena, const struct record_map *annotations,
        struct record_map *ret, struct error *err)
{
    *ret = (struct record_map){arena_new_array(arena, struct record_pair, annotations->count), 0};
    for (size_t i = 0; i < annotations->count; i++) {
        const char *name = str_after(annotations->items[i].key, SYSTEMD);
        const char *value = annotations->items[i].value;
        if (!name)
            continue;
        int r = check_property(name, err);
        size_t length = strlen(name);
        if (r == 0 && str_ends(name, "Sec") && !str_ends(name, "USec")) {
            r = to_microseconds(arena, name, value, &value, err);
            name = arena_printf(arena, "%.*sUSec", (int)length - 3, name);
        }
        if (r < 0)
            return r;
        ret->items[ret->count++] = (struct record_pair){name, value};
    }
    return 0;
}
