#include "image/registries.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "image/toml.h"

#define FILE_LIMIT ((size_t)1 << 20)
#define FILES_MAX 256
#define SYSTEM_FILE "/etc/containers/registries.conf"

static void read_words(
        struct json_object *root, const char *key, struct strv *list, struct arena *arena)
{
    struct json_object *array = json_get(root, key);

    if (!json_object_is_type(array, json_type_array))
        return;
    *list = (struct strv){0};
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *word = json_object_array_get_idx(array, i);
        if (json_object_is_type(word, json_type_string))
            strv_add(arena, list, json_object_get_string(word));
    }
}

static int read_when(const char *text, bool digest_only, enum registry_when *ret, const char *name,
        struct error *err)
{
    *ret = digest_only ? REGISTRY_DIGEST_ONLY : REGISTRY_ALWAYS;
    if (str_empty(text) || str_equal(text, "all"))
        return 0;
    if (str_equal(text, "digest-only"))
        *ret = REGISTRY_DIGEST_ONLY;
    else if (str_equal(text, "tag-only"))
        *ret = REGISTRY_TAG_ONLY;
    else
        return error_set(err, EINVAL,
                "%s: pull-from-mirror is \"%s\"; it can be all, digest-only or tag-only", name,
                text);
    return 0;
}

static int read_mirrors(struct json_object *table, struct registry_rule *rule, const char *name,
        struct arena *arena, struct error *err)
{
    struct json_object *array = json_get(table, "mirror");
    bool digest_only = json_get_bool(table, "mirror-by-digest-only", false);

    if (!json_object_is_type(array, json_type_array))
        return 0;
    rule->mirrors = arena_new_array(arena, struct registry_mirror, json_object_array_length(array));
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        struct registry_mirror *mirror = &rule->mirrors[rule->mirror_count++];
        mirror->location = arena_strdup(arena, json_get_str(item, "location"));
        mirror->insecure = json_get_bool(item, "insecure", false);
        if (str_empty(mirror->location))
            return error_set(err, EINVAL, "%s: a mirror of %s has no location", name, rule->prefix);
        int r = read_when(
                json_get_str(item, "pull-from-mirror"), digest_only, &mirror->when, name, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_rule(struct registries *into, struct json_object *table, const char *name,
        struct arena *arena, struct error *err)
{
    struct registry_rule rule = {.location = arena_strdup(arena, json_get_str(table, "location")),
            .prefix = arena_strdup(arena, json_get_str(table, "prefix")),
            .insecure = json_get_bool(table, "insecure", false),
            .blocked = json_get_bool(table, "blocked", false)};

    if (str_empty(rule.prefix))
        rule.prefix = rule.location;
    if (str_empty(rule.location))
        rule.location = NULL;
    if (str_empty(rule.prefix))
        return error_set(err, EINVAL, "%s: a [[registry]] has neither prefix nor location", name);
    if (!rule.location && !str_starts(rule.prefix, "*."))
        rule.location = rule.prefix;
    int r = read_mirrors(table, &rule, name, arena, err);
    if (r < 0)
        return r;
    into->rules = arena_grow(
            arena, into->rules, into->rule_count, &into->rule_room, sizeof(*into->rules));
    into->rules[into->rule_count++] = rule;
    return 0;
}

static struct registry_alias *find_alias(const struct registries *registries, const char *name)
{
    for (size_t i = 0; i < registries->alias_count; i++)
        if (str_equal(registries->aliases[i].name, name))
            return &registries->aliases[i];
    return NULL;
}

static void read_aliases(struct registries *into, struct json_object *table, struct arena *arena)
{
    if (!json_object_is_type(table, json_type_object))
        return;
    json_object_object_foreach(table, name, value)
    {
        struct registry_alias *alias = find_alias(into, name);
        if (!json_object_is_type(value, json_type_string))
            continue;
        if (!alias) {
            into->aliases = arena_grow(arena, into->aliases, into->alias_count, &into->alias_room,
                    sizeof(*into->aliases));
            alias = &into->aliases[into->alias_count++];
            alias->name = arena_strdup(arena, name);
        }
        alias->value = arena_strdup(arena, json_object_get_string(value));
    }
}

/* Version 1 of the format had [registries.search] and the like. */
static int refuse_old_format(struct json_object *root, const char *name, struct error *err)
{
    if (!json_get(root, "registries"))
        return 0;
    return error_set(err, EINVAL,
            "%s: is in the old format (version 1, [registries.…]); write [[registry]] tables and "
            "unqualified-search-registries, see containers-registries.conf(5)",
            name);
}

int registries_read(struct registries *into, const char *text, size_t length, const char *name,
        struct arena *arena, struct error *err)
{
    _cleanup_json_ struct json_object *root = NULL;

    int r = toml_parse(text, length, name, &root, err);
    if (r == 0)
        r = refuse_old_format(root, name, err);
    if (r < 0)
        return r;
    read_words(root, "unqualified-search-registries", &into->search, arena);
    read_words(root, "credential-helpers", &into->helpers, arena);
    read_aliases(into, json_get(root, "aliases"), arena);
    struct json_object *rules = json_get(root, "registry");
    size_t count =
            json_object_is_type(rules, json_type_array) ? json_object_array_length(rules) : 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = read_rule(into, json_object_array_get_idx(rules, i), name, arena, err);
    return r;
}

static int load_file(
        struct registries *into, const char *path, struct arena *arena, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = FILE_LIMIT};
    int r = io_read_file_at(AT_FDCWD, path, &text);

    if (r < 0)
        return error_sys(err, -r, "read %s", path);
    return registries_read(into, buf_text(&text), text.length, path, arena, err);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int load_folder(
        struct registries *into, const char *path, struct arena *arena, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(path);
    struct strv names = {0};
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                       ? 0
                       : error_sys(err, errno, "open %s", path);
    while ((entry = readdir(dir)) && names.count < FILES_MAX)
        if (str_ends(entry->d_name, ".conf"))
            strv_add(arena, &names, entry->d_name);
    if (names.count)
        qsort(names.words, names.count, sizeof(char *), compare_words);
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = load_file(into, arena_printf(arena, "%s/%s", path, names.words[i]), arena, err);
    return r;
}

/* "~/.config/containers/registries.conf" if the user has one. */
static const char *user_file(struct arena *arena)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    const char *path;

    if (!str_empty(config))
        path = arena_printf(arena, "%s/containers/registries.conf", config);
    else if (!str_empty(home))
        path = arena_printf(arena, "%s/.config/containers/registries.conf", home);
    else
        return NULL;
    return access(path, R_OK) == 0 ? path : NULL;
}

int registries_load(
        const char *path, struct arena *arena, struct registries *ret, struct error *err)
{
    struct registries found = {0};
    int r = 0;

    if (!path)
        path = getenv("CONTAINERS_REGISTRIES_CONF");
    bool given = path != NULL;
    if (!path)
        path = user_file(arena);
    if (!path)
        path = SYSTEM_FILE;
    if (given || access(path, F_OK) == 0)
        r = load_file(&found, path, arena, err);
    if (r == 0)
        r = load_folder(&found, arena_printf(arena, "%s.d", path), arena, err);
    if (r == 0)
        *ret = found;
    return r;
}

static int resolve_alias(const struct registries *registries, const struct reference *name,
        struct arena *arena, struct reference *ret, struct error *err)
{
    struct registry_alias *alias = find_alias(registries, name->path);

    if (!alias || str_empty(alias->value))
        return 0;
    int r = reference_parse(alias->value, arena, ret, err);
    if (r == 0 && (!ret->domain || ret->tag || ret->digest))
        r = error_set(err, EINVAL,
                "is not a full name without tag: [aliases] may only give \"host/path\"");
    if (r < 0)
        return error_prefix(
                err, "registries.conf: alias \"%s\" = \"%s\"", alias->name, alias->value);
    ret->tag = name->tag;
    ret->digest = name->digest;
    return 1;
}

int registries_resolve(const struct registries *registries, const struct reference *name,
        struct arena *arena, struct reference **ret, size_t *ret_count, struct error *err)
{
    const struct strv *search = &registries->search;
    size_t count = name->domain || search->count == 0 ? 1 : search->count;
    struct reference *list = arena_new_array(arena, struct reference, count);
    int r = 0;

    list[0] = *name;
    if (!name->domain) {
        r = resolve_alias(registries, name, arena, &list[0], err);
        if (r < 0)
            return r;
    }
    if (r == 1 || name->domain)
        count = 1;
    for (size_t i = 0; i < count; i++) {
        if (r == 0 && !name->domain) {
            list[i] = *name;
            list[i].domain = search->count ? search->words[i] : "docker.io";
        }
        list[i] = reference_complete(&list[i], arena);
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

/* How much of the name the prefix covers, in characters; 0 if it does not fit. */
static size_t prefix_fit(const char *prefix, const char *domain, const char *text)
{
    size_t length = strlen(prefix);

    if (str_starts(prefix, "*.")) {
        const char *colon = strchrnul(domain, ':');
        size_t host = (size_t)(colon - domain);
        bool fits = host > length - 1 && strncmp(colon - (length - 1), prefix + 1, length - 1) == 0;
        return fits ? length : 0;
    }
    if (!str_starts(text, prefix))
        return 0;
    return text[length] == '\0' || strchr("/:@", text[length]) ? length : 0;
}

static const struct registry_rule *find_rule(
        const struct registries *registries, const struct reference *name, struct arena *arena)
{
    const char *text = reference_text(name, arena);
    const struct registry_rule *best = NULL;
    size_t best_fit = 0;

    for (size_t i = 0; i < registries->rule_count; i++) {
        size_t fit = prefix_fit(registries->rules[i].prefix, name->domain, text);
        if (fit > best_fit) {
            best = &registries->rules[i];
            best_fit = fit;
        }
    }
    return best;
}

/* "location" put in the place of the rule's prefix, cut into host and path. */
static int locate(const struct registry_rule *rule, const char *location,
        const struct reference *name, struct arena *arena, struct registry_endpoint *endpoint,
        struct error *err)
{
    const char *text = reference_name(name, arena);
    struct reference found;

    if (location && str_starts(rule->prefix, "*."))
        text = arena_printf(arena, "%s/%s", location, name->path);
    else if (location)
        text = arena_printf(arena, "%s%s", location,
                strlen(text) > strlen(rule->prefix) ? text + strlen(rule->prefix) : "");
    int r = reference_parse(text, arena, &found, err);
    if (r == 0 && !found.domain)
        r = error_set(err, EINVAL, "\"%s\" has no host", text);
    if (r < 0)
        return error_prefix(err, "registries.conf: location \"%s\"", location ? location : "");
    endpoint->host = found.domain;
    endpoint->path = found.path;
    return 0;
}

static bool mirror_wanted(const struct registry_mirror *mirror, const struct reference *name)
{
    return mirror->when == REGISTRY_ALWAYS ||
           (mirror->when == REGISTRY_DIGEST_ONLY) == (name->digest != NULL);
}

int registries_endpoints(const struct registries *registries, const struct reference *name,
        bool push, struct arena *arena, struct registry_endpoint **ret, size_t *ret_count,
        struct error *err)
{
    const struct registry_rule *rule = find_rule(registries, name, arena);
    size_t mirrors = rule && !push ? rule->mirror_count : 0;
    struct registry_endpoint *list = arena_new_array(arena, struct registry_endpoint, mirrors + 1);
    size_t count = 0;
    int r = 0;

    if (rule && rule->blocked)
        return error_set(err, EACCES, "registries.conf blocks \"%s\" (prefix \"%s\")",
                reference_text(name, arena), rule->prefix);
    for (size_t i = 0; i < mirrors && r == 0; i++) {
        const struct registry_mirror *mirror = &rule->mirrors[i];
        if (!mirror_wanted(mirror, name))
            continue;
        list[count] = (struct registry_endpoint){.insecure = mirror->insecure, .mirror = true};
        r = locate(rule, mirror->location, name, arena, &list[count++], err);
    }
    list[count].insecure = rule && rule->insecure;
    if (r == 0)
        r = locate(rule, rule ? rule->location : NULL, name, arena, &list[count++], err);
    *ret = list;
    *ret_count = count;
    return r;
}
