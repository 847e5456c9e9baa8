#include "image/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/auth.h"
#include "image/client.h"
#include "image/reference.h"
#include "image/transport.h"

/* "host[:port]"; a URL's scheme and path are what people copy along. */
static int parse_host(const char *text, struct arena *arena, const char **ret, struct error *err)
{
    struct reference name;
    const char *rest = str_after(text, "https://");

    rest = rest ? rest : str_after(text, "http://");
    char *host = arena_strdup(arena, rest ? rest : text);
    host[strcspn(host, "/")] = '\0';
    /* any path makes it a name whose grammar is known; one word alone is a host too */
    int r = reference_parse(arena_printf(arena, "%s%s/x", host, strpbrk(host, ".:") ? "" : ":443"),
            arena, &name, err);
    if (r < 0)
        return error_prefix(err, "\"%s\" is not a registry", text);
    *ret = str_equal(host, "index.docker.io") ? "docker.io" : host;
    return 0;
}

static int start(struct image_store *store, const char *host, const struct image_access *access,
        struct arena *arena, struct client *client, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct reference name = {.domain = host, .path = "x", .tag = "latest"};
    struct registry_endpoint *endpoints;
    size_t count;

    int r = registries
                    ? registries_endpoints(registries, &name, true, arena, &endpoints, &count, err)
                    : -EINVAL;
    if (r == 0)
        r = client_start(store, access, client, err);
    if (r < 0)
        return r;
    endpoints[0].path = NULL; /* the whole registry */
    r = client_endpoints(client, endpoints, 1, false, arena, err);
    if (r < 0)
        client_stop(client);
    return r;
}

int image_login(struct image_store *store, const char *registry, const struct image_access *access,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct wire_message request = {.kind = WIRE_PING};
    struct wire_message answer;
    struct client client;
    const char *host;

    if (!access || str_empty(access->user))
        return error_set(err, EINVAL, "logging in to %s needs a user and a password", registry);
    int r = parse_host(registry, &arena, &host, err);
    if (r == 0)
        r = start(store, host, access, &arena, &client, err);
    if (r < 0)
        return r;
    r = client_ask_and_wait(&client, &request, -1, &arena, &answer, err);
    client_stop(&client);
    if (r < 0)
        return r;
    struct auth auth = {.user = access->user, .password = access->password};
    return auth_store(store->options.auth_file, host, &auth, err);
}

int image_logout(struct image_store *store, const char *registry, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *host;

    int r = parse_host(registry, &arena, &host, err);
    return r < 0 ? r : auth_erase(store->options.auth_file, host, err);
}

int image_logout_all(struct image_store *store, struct error *err)
{
    return auth_erase_all(store->options.auth_file, err);
}

int image_login_name(struct image_store *store, const char *registry, struct arena *arena,
        const char **ret_user, struct error *err)
{
    const char *host;
    struct auth auth;

    int r = parse_host(registry, arena, &host, err);
    if (r == 0)
        r = auth_find(store->options.auth_file, host, NULL, arena, &auth, err);
    if (r < 0)
        return r;
    if (!auth.user)
        return error_set(err, ENOENT, "not logged in to %s", host);
    *ret_user = auth.user;
    return 0;
}

/* ---- tags ------------------------------------------------------------------------------------ */

/* One answer's; the number of them. What is no tag would be no name either. */
static int take_tags(const struct buf *text, const char *name, struct arena *arena,
        struct strv *tags, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    int r = json_parse(buf_text(text), text->length, name, &json, err);
    struct json_object *list = r < 0 ? NULL : json_get(json, "tags");
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < count; i++) {
        const char *tag = json_object_get_string(json_object_array_get_idx(list, i));
        struct reference parsed;
        const char *whole = arena_printf(arena, "%s:%s", name, tag ? tag : "");
        if (reference_parse(whole, arena, &parsed, err) < 0)
            return error_prefix(err, "%s: the registry's list of tags", name);
        strv_add(arena, tags, parsed.tag);
    }
    return r < 0 ? r : (int)count;
}

#define TAGS_MAX 100000

/* Answer by answer: each begins behind the last tag of the one before. */
static int ask_for_tags(struct client *client, const struct reference *name, struct arena *arena,
        struct strv *tags, struct error *err)
{
    const char *bare = reference_name(name, arena);
    int got;

    do {
        _cleanup_buf_ struct buf text = {0};
        struct wire_message answer;
        const char *last = tags->count ? tags->words[tags->count - 1] : "";
        int r = client_get_text(client, WIRE_GET_TAGS, last, arena, &text, &answer, err);
        if (r < 0)
            return r;
        got = take_tags(&text, bare, arena, tags, err);
        if (tags->count > TAGS_MAX)
            return error_set(err, EFBIG, "%s has more than %d tags", bare, TAGS_MAX);
    } while (got == WIRE_TAGS_MAX);
    return got < 0 ? got : 0;
}

static int tags_of(struct image_store *store, const struct registries *registries,
        const struct reference *name, const struct image_access *access, struct arena *arena,
        struct strv *tags, struct error *err)
{
    struct registry_endpoint *endpoints;
    struct client client;
    size_t count;

    int r = registries_endpoints(registries, name, true, arena, &endpoints, &count, err);
    if (r == 0)
        r = client_start(store, access, &client, err);
    if (r < 0)
        return r;
    r = client_endpoints(&client, endpoints, 1, false, arena, err);
    if (r == 0)
        r = ask_for_tags(&client, name, arena, tags, err);
    client_stop(&client);
    return r;
}

static int compare_tags(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In their order, each once: not every registry keeps one, or stops where it was asked to. */
static void put_in_order(struct strv *tags)
{
    size_t kept = 0;

    if (tags->count)
        qsort(tags->words, tags->count, sizeof(char *), compare_tags);
    for (size_t i = 0; i < tags->count; i++)
        if (kept == 0 || !str_equal(tags->words[kept - 1], tags->words[i]))
            tags->words[kept++] = tags->words[i];
    tags->count = kept;
}

/* Each repository that the name may mean, until one is there. */
int image_tags(struct image_store *store, const char *name, const struct image_access *access,
        struct arena *arena, struct strv *ret, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    struct transport_name source;
    struct reference *names;
    struct strv whole = {0};
    size_t count;

    int r = registries ? transport_parse(name, arena, &source, err) : -EINVAL;
    if (r < 0)
        return r;
    if (source.kind != TRANSPORT_REGISTRY)
        return error_set(err, EINVAL, "%s is in no registry, which alone lists tags", name);
    if (strrchr(name, ':') > strrchr(name, '/') || strchr(name, '@'))
        return error_set(err, EINVAL, "%s: all tags are wanted, so name none", name);
    r = registries_resolve(registries, &source.reference, arena, &names, &count, err);
    for (size_t i = 0; i < count && r == 0 && !whole.count; i++) {
        struct strv tags = {0};
        const char *bare = reference_name(&names[i], arena);
        const char *tag;
        r = tags_of(store, registries, &names[i], access, arena, &tags, err);
        put_in_order(&tags);
        strv_foreach (tag, &tags) {
            strv_add(arena, &whole, arena_printf(arena, "%s:%s", bare, tag));
        }
        if (r == -ENOENT && i + 1 < count)
            r = 0;
    }
    if (r == 0)
        *ret = whole;
    return r;
}

/* ---- search ---------------------------------------------------------------------------------- */

/* {"results": [{"name", "description", "star_count"}]}, or a catalog {"repositories": [names]}. */
static void read_hits(struct json_object *json, const char *host, const char *term,
        struct arena *arena, struct image_hit **ret, size_t *ret_count)
{
    struct json_object *results = json_get(json, "results");
    struct json_object *names = json_get(json, "repositories");
    struct json_object *list = results ? results : names;
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
    struct image_hit *hits = arena_new_array(arena, struct image_hit, count + 1);
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = results ? json_get_str(item, "name") : json_object_get_string(item);
        if (!name || (!results && !strstr(name, term)))
            continue;
        hits[found++] = (struct image_hit){arena_printf(arena, "%s/%s", host, name),
                arena_strdup(arena, json_get_str(item, "description")),
                (uint64_t)json_get_int(item, "star_count", 0),
                results && json_get_bool(item, "is_official", false),
                results && json_get_bool(item, "is_automated", false)};
    }
    *ret = hits;
    *ret_count = found;
}

/* "host/term", or a term for the first registry that short names are looked up in. */
static int split_term(struct image_store *store, const char *text, struct arena *arena,
        const char **ret_host, const char **ret_term, struct error *err)
{
    const struct registries *registries = store_registries(store, err);
    const char *slash = strchr(text, '/');

    if (!registries)
        return -EINVAL;
    if (slash && strcspn(text, ".:") < (size_t)(slash - text)) {
        *ret_term = slash + 1;
        return parse_host(arena_strndup(arena, text, (size_t)(slash - text)), arena, ret_host, err);
    }
    *ret_host = registries->search.count ? registries->search.words[0] : "docker.io";
    *ret_term = text;
    return 0;
}

int image_search(struct image_store *store, const char *term, const struct image_access *access,
        struct arena *arena, struct image_hit **ret, size_t *ret_count, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    _cleanup_json_ struct json_object *json = NULL;
    struct wire_message answer;
    struct client client;
    const char *host;
    const char *word;

    int r = split_term(store, term, arena, &host, &word, err);
    if (r == 0)
        r = start(store, host, access, arena, &client, err);
    if (r < 0)
        return r;
    r = client_get_text(&client, WIRE_SEARCH, word, arena, &text, &answer, err);
    client_stop(&client);
    if (r == 0)
        r = json_parse(buf_text(&text), text.length, host, &json, err);
    if (r == 0)
        read_hits(json, host, word, arena, ret, ret_count);
    return r;
}
