#include "image/image.h"

#include <string.h>

#include "base/cleanup.h"
#include "image/auth.h"
#include "image/client.h"
#include "image/reference.h"

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
