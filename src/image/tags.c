/* The tags of a repository, as its registry lists them. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "image/client.h"
#include "image/image.h"
#include "image/reference.h"
#include "image/transport.h"

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
