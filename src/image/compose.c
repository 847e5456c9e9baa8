#include "image/compose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/blobs.h"
#include "image/codec.h"
#include "image/ingest.h"
#include "image/list.h"
#include "image/roots.h"
#include "image/tarout.h"

/* --- Lines of a Dockerfile
 * ------------------------------------------------------------------------- */

enum change_kind {
    CHANGE_COMMAND, /* ["a", "b"], or words for a shell */
    CHANGE_TEXT,
    CHANGE_PAIRS_LIST,   /* "A=1" in a list */
    CHANGE_PAIRS_OBJECT, /* {"a": "b"} */
    CHANGE_SET,          /* {"80/tcp": {}} */
    CHANGE_LIST,
};

static const struct {
    const char *word;
    const char *member;
    enum change_kind kind;
} changes[] = {
        {"CMD", "Cmd", CHANGE_COMMAND},
        {"ENTRYPOINT", "Entrypoint", CHANGE_COMMAND},
        {"ENV", "Env", CHANGE_PAIRS_LIST},
        {"EXPOSE", "ExposedPorts", CHANGE_SET},
        {"LABEL", "Labels", CHANGE_PAIRS_OBJECT},
        {"ONBUILD", "OnBuild", CHANGE_LIST},
        {"STOPSIGNAL", "StopSignal", CHANGE_TEXT},
        {"USER", "User", CHANGE_TEXT},
        {"VOLUME", "Volumes", CHANGE_SET},
        {"WORKDIR", "WorkingDir", CHANGE_TEXT},
};

static struct json_object *member_of(
        struct json_object *config, const char *name, struct json_object *(*make)(void))
{
    struct json_object *member = json_get(config, name);

    if (!member) {
        member = make();
        json_object_object_add(config, name, member);
    }
    return member;
}

static struct json_object *new_array(void)
{
    return json_object_new_array();
}

static bool is_list_of_strings(struct json_object *json)
{
    if (!json_object_is_type(json, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(json); i++)
        if (!json_object_is_type(json_object_array_get_idx(json, i), json_type_string))
            return false;
    return true;
}

static void set_command(struct json_object *config, const char *member, const char *rest)
{
    struct json_object *list = NULL;

    if (json_parse(rest, strlen(rest), "change", &list, NULL) < 0 || !is_list_of_strings(list)) {
        if (list)
            json_object_put(list);
        list = json_object_new_array();
        json_object_array_add(list, json_object_new_string("/bin/sh"));
        json_object_array_add(list, json_object_new_string("-c"));
        json_object_array_add(list, json_object_new_string(rest));
    }
    json_object_object_add(config, member, list);
}

/* The next word, with quotes and backslashes taken away; false at the end. */
static bool next_word(const char **at, struct buf *word)
{
    char quote = '\0';

    buf_clear(word);
    while (isspace((unsigned char)**at))
        (*at)++;
    if (!**at)
        return false;
    for (; **at && (quote || !isspace((unsigned char)**at)); (*at)++) {
        if (**at == '\\' && (*at)[1] && quote != '\'')
            buf_add_char(word, *++(*at));
        else if (quote ? **at == quote : **at == '"' || **at == '\'')
            quote = quote ? '\0' : **at;
        else
            buf_add_char(word, **at);
    }
    return true;
}

static void put_pair_in_list(struct json_object *list, const char *pair)
{
    size_t name = strcspn(pair, "=") + 1;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *there = json_object_get_string(json_object_array_get_idx(list, i));
        if (there && strncmp(there, pair, name) == 0) {
            json_object_array_put_idx(list, i, json_object_new_string(pair));
            return;
        }
    }
    json_object_array_add(list, json_object_new_string(pair));
}

static int put_pair(struct json_object *config, const char *member, enum change_kind kind,
        char *pair, struct error *err)
{
    char *equals = strchr(pair, '=');

    if (!equals || equals == pair)
        return error_set(err, EINVAL, "\"%s\" is not NAME=VALUE", pair);
    if (kind == CHANGE_PAIRS_LIST) {
        put_pair_in_list(member_of(config, member, new_array), pair);
        return 0;
    }
    *equals = '\0';
    json_object_object_add(member_of(config, member, json_object_new_object), pair,
            json_object_new_string(equals + 1));
    return 0;
}

static int put_pairs(struct json_object *config, const char *member, enum change_kind kind,
        const char *rest, struct error *err)
{
    _cleanup_buf_ struct buf word = {0};
    size_t first = strcspn(rest, " \t=");
    int r = 0;

    if (rest[first] && rest[first] != '=') { /* the old form: ENV NAME the rest is the value */
        buf_printf(&word, "%.*s=%s", (int)first, rest, rest + first + strspn(rest + first, " \t"));
        return put_pair(config, member, kind, word.data, err);
    }
    while (r == 0 && next_word(&rest, &word))
        r = put_pair(config, member, kind, word.data ? word.data : (char[]){""}, err);
    return r;
}

static void put_set(struct json_object *config, const char *member, const char *rest)
{
    struct json_object *set = member_of(config, member, json_object_new_object);
    _cleanup_json_ struct json_object *list = NULL;
    _cleanup_buf_ struct buf word = {0};
    bool ports = str_equal(member, "ExposedPorts");

    if (json_parse(rest, strlen(rest), "change", &list, NULL) == 0 && is_list_of_strings(list)) {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            json_object_object_add(set, json_object_get_string(json_object_array_get_idx(list, i)),
                    json_object_new_object());
        return;
    }
    while (next_word(&rest, &word)) {
        if (ports && !strchr(buf_text(&word), '/'))
            buf_add_str(&word, "/tcp");
        json_object_object_add(set, buf_text(&word), json_object_new_object());
    }
}

int compose_apply(struct json_object *config, const char *line, struct error *err)
{
    size_t length = strcspn(line, " \t=");
    const char *rest = line + length;

    rest += strspn(rest, " \t=");
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        if (strlen(changes[i].word) != length || strncasecmp(changes[i].word, line, length) != 0)
            continue;
        const char *member = changes[i].member;
        switch (changes[i].kind) {
        case CHANGE_COMMAND:
            set_command(config, member, rest);
            return 0;
        case CHANGE_TEXT:
            json_add_str(config, member, rest);
            return 0;
        case CHANGE_SET:
            put_set(config, member, rest);
            return 0;
        case CHANGE_LIST:
            json_object_array_add(
                    member_of(config, member, new_array), json_object_new_string(rest));
            return 0;
        default:
            return put_pairs(config, member, changes[i].kind, rest, err);
        }
    }
    return error_set(err, EINVAL,
            "\"%s\" is no change: it begins with CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
            "STOPSIGNAL, USER, VOLUME or WORKDIR",
            line);
}

/* --- Configuration and manifest
 * ---------------------------------------------------------------------- */

static void now_text(char text[32])
{
    time_t now = time(NULL);
    struct tm parts;

    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
}

static int new_config(const struct content *base, const struct image_change *change,
        struct arena *arena, struct json_object **ret, struct error *err)
{
    struct platform platform;

    if (base)
        return json_parse(base->config_text, strlen(base->config_text), "configuration", ret, err);
    int r = platform_parse(change->platform, arena, &platform, err);
    if (r < 0)
        return r;
    struct json_object *json = json_object_new_object();
    json_add_str(json, "architecture", platform.architecture);
    json_add_str(json, "os", platform.os);
    json_add_str(json, "variant", platform.variant);
    *ret = json;
    return 0;
}

static void add_history(struct json_object *json, const struct image_change *change)
{
    struct json_object *step = json_object_new_object();
    char now[32];

    now_text(now);
    json_add_str(json, "created", now);
    json_add_str(json, "author", change->author);
    json_add_str(step, "created", now);
    json_add_str(step, "created_by", change->created_by);
    json_add_str(step, "author", change->author);
    json_add_str(step, "comment", change->message);
    json_object_array_add(member_of(json, "history", new_array), step);
}

static void add_diff_id(struct json_object *json, const char *diff_id)
{
    struct json_object *rootfs = member_of(json, "rootfs", json_object_new_object);

    json_add_str(rootfs, "type", "layers");
    json_object_array_add(
            member_of(rootfs, "diff_ids", new_array), json_object_new_string(diff_id));
}

static int write_config(struct image_store *store, const struct content *base, const char *diff_id,
        const struct image_change *change, struct arena *arena, struct descriptor *ret,
        struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    char digest[DIGEST_SIZE];

    int r = new_config(base, change, arena, &json, err);
    if (r < 0)
        return r;
    struct json_object *config = member_of(json, "config", json_object_new_object);
    for (size_t i = 0; i < change->changes.count && r == 0; i++)
        r = compose_apply(config, change->changes.words[i], err);
    if (r < 0)
        return r;
    add_diff_id(json, diff_id);
    add_history(json, change);
    const char *text = json_text(json);
    r = blob_write(store, text, strlen(text), digest, err);
    *ret = (struct descriptor){
            .digest = arena_strdup(arena, digest), .size = (int64_t)strlen(text)};
    return r;
}

static int take_in(struct image_store *store, const struct manifest *manifest, const char *text,
        const struct image_change *change, struct arena *arena, char *ret_id, struct error *err)
{
    _cleanup_ingest_ struct ingest ingest = {0};
    struct strv names = {0};
    struct strv digests = {0};
    char *name;
    int r = 0;

    if (change->name) {
        r = list_full_name(change->name, arena, &name, err);
        if (r < 0)
            return r;
        strv_add(arena, &names, name);
    }
    ingest_start(&ingest, store, arena, manifest, text, strlen(text));
    r = ingest_config(&ingest, NULL, err);
    if (r == 0)
        r = ingest_wait(&ingest, err);
    return r < 0 ? r : ingest_commit(&ingest, &names, &digests, ret_id, err);
}

int compose_image(struct image_store *store, const struct content *base,
        const struct descriptor *layer, const char *diff_id, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    size_t below = base ? base->manifest.count : 0;
    struct manifest manifest = {
            .count = below + 1, .items = arena_new_array(&arena, struct descriptor, below + 1)};
    char *text;

    for (size_t i = 0; i < below; i++)
        manifest.items[i] = base->manifest.items[i];
    manifest.items[below] = *layer;
    bool oci = !base || str_equal(base->manifest.media_type, MANIFEST_OCI);
    int r = write_config(store, base, diff_id, change, &arena, &manifest.config, err);
    if (r == 0)
        r = manifest_write(&manifest, oci, &arena, &text, err);
    if (r == 0)
        r = manifest_parse(text, strlen(text), NULL, &arena, &manifest, err);
    return r < 0 ? r : take_in(store, &manifest, text, change, &arena, ret_id, err);
}

/* --- import, export, commit
 * --------------------------------------------------------------------------- */

/* What a spooled tarball is: its compression and its diff id. */
static int examine(struct image_store *store, const char *digest, char diff_id[DIGEST_SIZE],
        const char **ret_type, struct error *err)
{
    static const enum layer_kind kinds[] = {LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD};
    _cleanup_codec_ struct codec_reader *codec = NULL;
    uint64_t bytes;

    _cleanup_close_ int fd = blob_open(store, digest, err);
    if (fd < 0)
        return fd;
    int r = codec_open(fd, UINT64_MAX, &codec, err);
    if (r == 0)
        r = codec_finish(codec, diff_id, &bytes, err);
    if (r == 0)
        *ret_type = manifest_layer_type(kinds[codec_kind(codec)], true);
    return r;
}

static int import(struct image_store *store, int fd, const struct image_change *change,
        char *ret_id, struct error *err)
{
    struct descriptor layer = {0};
    char digest[DIGEST_SIZE];
    char diff_id[DIGEST_SIZE];
    uint64_t size;

    int r = blob_spool(store, fd, NULL, digest, &size, err);
    if (r == 0)
        r = examine(store, digest, diff_id, &layer.media_type, err);
    if (r < 0)
        return error_prefix(err, "the tarball");
    layer.digest = digest;
    layer.size = (int64_t)size;
    return compose_image(store, NULL, &layer, diff_id, change, ret_id, err);
}

int image_import(struct image_store *store, int fd, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    struct image_change full = *change;

    if (!full.created_by)
        full.created_by = "import of a tarball";
    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = import(store, fd, &full, ret_id, err);
    store_release(store);
    image_collect(store, NULL, NULL);
    return r;
}

int image_export(int dirfd, int fd, struct error *err)
{
    _cleanup_tarout_ struct tarout *out = NULL;

    int r = tarout_open(fd, &out, err);
    if (r == 0)
        r = tarout_add_tree(out, dirfd, false, err);
    return r < 0 ? r : tarout_finish(out, NULL, NULL, err);
}

/* A tree as a blob; `upper`: with overlayfs's marks in it. */
static int write_layer(struct image_store *store, int dirfd, bool upper, struct descriptor *ret,
        char digest[DIGEST_SIZE], struct error *err)
{
    _cleanup_tarout_ struct tarout *out = NULL;
    const char *path;
    uint64_t bytes;

    _cleanup_close_ int fd = store_make_file(store, &path, err);
    if (fd < 0)
        return fd;
    int r = tarout_open(fd, &out, err);
    if (r == 0)
        r = tarout_add_tree(out, dirfd, upper, err);
    if (r == 0)
        r = tarout_finish(out, digest, &bytes, err);
    if (r == 0)
        r = blob_adopt(store, fd, path, digest, err);
    if (r < 0) {
        unlinkat(store->root_fd, path, 0);
        return store_advise(store, r, err);
    }
    *ret = (struct descriptor){.digest = digest,
            .size = (int64_t)bytes,
            .media_type = manifest_layer_type(LAYER_PLAIN, true)};
    return 0;
}

static int commit(struct image_store *store, const char *id, const struct image_change *change,
        char *ret_id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_content_ struct content base = {0};
    struct root_info info;
    struct descriptor layer;
    char digest[DIGEST_SIZE];

    int r = root_load(store, id, &arena, &info, err);
    if (r == 0 && info.folder)
        r = error_set(
                err, EOPNOTSUPP, "root %s is laid upon %s, not upon an image", id, info.folder);
    if (r == 0)
        r = content_load(store,
                &(struct catalog_image){.id = info.image, .manifest = info.manifest}, &arena, &base,
                err);
    if (r < 0)
        return r;
    int upper_fd = root_open_upper(store, id, err);
    _cleanup_close_ int upper = upper_fd;
    if (upper < 0)
        return upper;
    r = write_layer(store, upper, true, &layer, digest, err);
    return r < 0 ? r : compose_image(store, &base, &layer, digest, change, ret_id, err);
}

static int commit_tree(struct image_store *store, int dirfd, const struct image_change *change,
        char *ret_id, struct error *err)
{
    struct descriptor layer;
    char digest[DIGEST_SIZE];
    int r = write_layer(store, dirfd, false, &layer, digest, err);

    return r < 0 ? r : compose_image(store, NULL, &layer, digest, change, ret_id, err);
}

int image_commit_tree(struct image_store *store, int dirfd, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    struct image_change full = *change;

    if (!full.created_by)
        full.created_by = "commit of a container";
    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = commit_tree(store, dirfd, &full, ret_id, err);
    store_release(store);
    return r;
}

int image_commit(struct image_store *store, const char *id, const struct image_change *change,
        char ret_id[IMAGE_ID_SIZE], struct error *err)
{
    struct image_change full = *change;

    if (!full.created_by)
        full.created_by = "commit of a container";
    int r = store_use(store, err);
    if (r < 0)
        return r;
    r = commit(store, id, &full, ret_id, err);
    store_release(store);
    return r;
}
