#include "image/reference.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/digest.h"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* Between two letters of a path's part: ".", "_", "__" or any number of "-". */
static size_t separator_length(const char *at)
{
    if (*at == '.')
        return 1;
    if (*at == '_')
        return at[1] == '_' ? 2 : 1;
    return strspn(at, "-");
}

/* One part of a path, up to `end`; returns why it is wrong, or NULL. */
static const char *check_part(const char *at, const char *end)
{
    if (at == end)
        return "a part of the name is empty";
    while (at < end) {
        const char *start = at;
        while (at < end && is_lower_alnum(*at))
            at++;
        if (at == start)
            return isupper((unsigned char)*at)
                           ? "the name must be in lower case"
                           : "a part of the name must start with a lower-case letter or a digit "
                             "and have single '.', '_', '__' or '-' between them";
        if (at == end)
            return NULL;
        at += separator_length(at);
        if (at == end)
            return "a part of the name must end with a lower-case letter or a digit";
        if (at > end)
            return "a part of the name has two separators in a row";
    }
    return NULL;
}

static const char *check_path(const char *path)
{
    if (!*path)
        return "the name is empty";
    for (const char *at = path;;) {
        const char *end = strchrnul(at, '/');
        const char *why = check_part(at, end);
        if (why)
            return why;
        if (!*end)
            return NULL;
        at = end + 1;
    }
}

static const char *check_port(const char *port)
{
    size_t length = strspn(port, "0123456789");
    uint32_t value = 0;

    if (length == 0 || length > 5 || port[length] || str_to_u32(port, &value) < 0 || value > 65535)
        return "the registry's port is not a number up to 65535";
    return NULL;
}

static const char *check_ipv6(const char *host)
{
    const char *end = strchr(host, ']');
    if (!end || strspn(host + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - host - 1))
        return "the registry's IPv6 address is not closed, or not one";
    if (!end[1])
        return NULL;
    return end[1] == ':' ? check_port(end + 2) : "there is text behind the registry's address";
}

static const char *check_domain(const char *domain)
{
    static const char rule[] = "the registry's name may have letters, digits, '-' inside, and '.'";

    if (*domain == '[')
        return check_ipv6(domain);
    const char *end = strchrnul(domain, ':');
    for (const char *at = domain; at < end;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        const char *stop = dot ? dot : end;
        if (at == stop || !is_alnum(*at) || !is_alnum(stop[-1]))
            return rule;
        for (const char *c = at; c < stop; c++)
            if (!is_alnum(*c) && *c != '-')
                return rule;
        at = stop + 1;
        if (dot && at == end)
            return rule;
    }
    if (end == domain)
        return rule;
    return *end ? check_port(end + 1) : NULL;
}

static const char *check_tag(const char *tag)
{
    if (!*tag)
        return "the tag is empty";
    if (strlen(tag) > REFERENCE_TAG_MAX)
        return "the tag is longer than 128 characters";
    if (*tag == '.' || *tag == '-')
        return "the tag starts with '.' or '-'";
    for (; *tag; tag++)
        if (!is_alnum(*tag) && !strchr("_.-", *tag))
            return "the tag may only have letters, digits, '_', '.' and '-'";
    return NULL;
}

/* The first part is a host when it cannot be anything else: a dot, a port, an address, capitals,
 * or "localhost". */
static bool looks_like_domain(const char *text, size_t length)
{
    if (length == 9 && strncmp(text, "localhost", 9) == 0)
        return true;
    for (size_t i = 0; i < length; i++)
        if (strchr(".:[", text[i]) || isupper((unsigned char)text[i]))
            return true;
    return false;
}

/* Cuts "@digest" and ":tag" off the copy. */
static const char *cut_tail(char *copy, struct reference *ref)
{
    char *at = strchr(copy, '@');
    if (at) {
        *at = '\0';
        ref->digest = at + 1;
        if (!digest_valid(ref->digest))
            return "what follows '@' is not a digest such as sha256:<64 hex digits>";
    }
    char *slash = strrchr(copy, '/');
    char *colon = strchr(slash ? slash : copy, ':');
    if (colon) {
        *colon = '\0';
        ref->tag = colon + 1;
        return check_tag(ref->tag);
    }
    return NULL;
}

static const char *parse(char *copy, struct reference *ref)
{
    const char *why = cut_tail(copy, ref);
    if (why)
        return why;
    if (strlen(copy) > REFERENCE_NAME_MAX)
        return "the name is longer than 255 characters";
    char *slash = strchr(copy, '/');
    ref->path = copy;
    if (slash && looks_like_domain(copy, (size_t)(slash - copy))) {
        *slash = '\0';
        ref->domain = copy;
        ref->path = slash + 1;
        why = check_domain(ref->domain);
        if (why)
            return why;
    }
    return check_path(ref->path);
}

int reference_parse(const char *text, struct arena *arena, struct reference *ret, struct error *err)
{
    struct reference ref = {0};

    if (strlen(text) > 1024)
        return error_set(err, EINVAL, "invalid image name: longer than 1024 characters");
    const char *why = parse(arena_strdup(arena, text), &ref);
    if (why)
        return error_set(err, EINVAL, "invalid image name \"%s\": %s", text, why);
    *ret = ref;
    return 0;
}

struct reference reference_complete(const struct reference *reference, struct arena *arena)
{
    struct reference full = *reference;

    if (str_equal(full.domain, "index.docker.io"))
        full.domain = "docker.io";
    if (str_equal(full.domain, "docker.io") && !strchr(full.path, '/'))
        full.path = arena_printf(arena, "library/%s", full.path);
    if (!full.tag && !full.digest)
        full.tag = "latest";
    return full;
}

char *reference_name(const struct reference *reference, struct arena *arena)
{
    if (!reference->domain)
        return arena_strdup(arena, reference->path);
    return arena_printf(arena, "%s/%s", reference->domain, reference->path);
}

char *reference_text(const struct reference *reference, struct arena *arena)
{
    return arena_printf(arena, "%s%s%s%s%s%s%s", reference->domain ? reference->domain : "",
            reference->domain ? "/" : "", reference->path, reference->tag ? ":" : "",
            reference->tag ? reference->tag : "", reference->digest ? "@" : "",
            reference->digest ? reference->digest : "");
}
