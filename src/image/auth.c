#include "image/auth.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "image/helper.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *auth_encode(const char *data, size_t length, struct arena *arena)
{
    const unsigned char *in = (const unsigned char *)data;
    char *text = arena_alloc(arena, (length + 2) / 3 * 4 + 1);
    char *out = text;

    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < length)
            group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < length)
            group |= in[i + 2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = i + 1 < length ? alphabet[group >> 6 & 63] : '=';
        *out++ = i + 2 < length ? alphabet[group & 63] : '=';
    }
    return text;
}

char *auth_decode(const char *text, size_t *ret_length, struct arena *arena)
{
    size_t length = strlen(text);
    char *data = arena_alloc(arena, length / 4 * 3 + 4);
    size_t used = 0;
    uint32_t bits = 0;
    unsigned count = 0;

    while (length && text[length - 1] == '=')
        length--;
    for (size_t i = 0; i < length; i++) {
        const char *found = strchr(alphabet, text[i]);
        if (!found || !text[i])
            return NULL;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        count += 6;
        if (count >= 8) {
            count -= 8;
            data[used++] = (char)(bits >> count & 255);
        }
    }
    data[used] = '\0';
    *ret_length = used;
    return data;
}

static void add_file(struct strv *files, struct arena *arena, const char *first, const char *rest)
{
    if (!str_empty(first))
        strv_add(arena, files, rest ? path_join(arena, first, rest) : first);
}

/* Where passwords may be, the most specific first. */
static struct strv list_files(const char *file, struct arena *arena)
{
    struct strv files = {0};

    if (file) {
        strv_add(arena, &files, file);
        return files;
    }
    add_file(&files, arena, getenv("REGISTRY_AUTH_FILE"), NULL);
    add_file(&files, arena, getenv("DOCKER_CONFIG"), "config.json");
    add_file(&files, arena, getenv("XDG_RUNTIME_DIR"), "containers/auth.json");
    add_file(&files, arena, getenv("XDG_CONFIG_HOME"), "containers/auth.json");
    add_file(&files, arena, getenv("HOME"), ".config/containers/auth.json");
    add_file(&files, arena, getenv("HOME"), ".docker/config.json");
    return files;
}

/* Where new ones go: what the user named, else Docker's own file. */
static const char *file_to_write(const char *file, struct arena *arena, struct error *err)
{
    struct strv files = {0};

    add_file(&files, arena, file, NULL);
    add_file(&files, arena, getenv("REGISTRY_AUTH_FILE"), NULL);
    add_file(&files, arena, getenv("DOCKER_CONFIG"), "config.json");
    add_file(&files, arena, getenv("HOME"), ".docker/config.json");
    if (files.count == 0)
        error_set(err, ENOENT,
                "there is no place for the password: neither REGISTRY_AUTH_FILE nor HOME is set");
    return files.count ? files.words[0] : NULL;
}

static bool is_docker_hub(const char *host)
{
    return str_equal(host, "docker.io") || str_equal(host, "index.docker.io") ||
           str_equal(host, "registry-1.docker.io");
}

/* A key of `auths` may be a URL ("https://index.docker.io/v1/"): what counts is host and path. */
static char *key_name(const char *key, struct arena *arena)
{
    const char *rest = str_after(key, "https://");

    if (!rest)
        rest = str_after(key, "http://");
    char *name = arena_strdup(arena, rest ? rest : key);
    size_t length = strlen(name);
    while (length && name[length - 1] == '/')
        name[--length] = '\0';
    for (size_t i = 1; i <= 2; i++) {
        const char *version = i == 1 ? "/v1" : "/v2";
        if (str_ends(name, version))
            name[length - 3] = '\0';
    }
    return is_docker_hub(name) ? arena_strdup(arena, "docker.io") : name;
}

static struct json_object *find_entry(
        struct json_object *root, const char *wanted, struct arena *arena)
{
    struct json_object *auths = json_get(root, "auths");

    if (!json_object_is_type(auths, json_type_object))
        return NULL;
    json_object_object_foreach(auths, key, value)
    {
        if (str_equal(key_name(key, arena), wanted))
            return value;
    }
    return NULL;
}

static int read_entry(struct json_object *entry, const char *name, struct arena *arena,
        struct auth *ret, struct error *err)
{
    const char *text = json_get_str(entry, "auth");
    size_t length;

    ret->token = arena_strdup(arena, json_get_str(entry, "identitytoken"));
    ret->user = arena_strdup(arena, json_get_str(entry, "username"));
    ret->password = arena_strdup(arena, json_get_str(entry, "password"));
    if (str_empty(text))
        return 0;
    char *decoded = auth_decode(text, &length, arena);
    char *colon = decoded ? strchr(decoded, ':') : NULL;
    if (!colon || strlen(decoded) != length)
        return error_set(err, EINVAL,
                "%s: \"auth\" is not base 64 of \"user:password\"; log in again to replace it",
                name);
    *colon = '\0';
    ret->user = decoded;
    ret->password = colon + 1;
    return 0;
}

/* The helper for a host: credHelpers first, then the one for all. */
static const char *find_helper(struct json_object *root, const char *host)
{
    const char *helper = json_get_str(json_get(root, "credHelpers"), host);

    if (!helper && is_docker_hub(host))
        helper = json_get_str(json_get(root, "credHelpers"), "https://index.docker.io/v1/");
    if (!helper)
        helper = json_get_str(root, "credsStore");
    return str_empty(helper) ? NULL : helper;
}

static const char *helper_key(const char *host)
{
    return is_docker_hub(host) ? "https://index.docker.io/v1/" : host;
}

static int ask_helper(const char *helper, const char *host, struct arena *arena, struct auth *ret,
        struct error *err)
{
    _cleanup_buf_ struct buf answer = {0};
    _cleanup_json_ struct json_object *json = NULL;

    int r = helper_run(helper, "get", helper_key(host), &answer, err);
    if (r == -EREMOTEIO && strstr(err->text, "not found")) {
        *err = (struct error)ERROR_NONE; /* "credentials not found in native keychain" */
        return 0;
    }
    if (r < 0)
        return r;
    r = json_parse(buf_text(&answer), answer.length, helper, &json, err);
    if (r < 0)
        return error_prefix(err, "credential helper");
    const char *user = json_get_str(json, "Username");
    const char *secret = json_get_str(json, "Secret");
    if (str_equal(user, "<token>")) {
        ret->token = arena_strdup(arena, secret);
    } else {
        ret->user = arena_strdup(arena, user);
        ret->password = arena_strdup(arena, secret);
    }
    return 0;
}

static bool auth_known(const struct auth *auth)
{
    return auth->user || auth->token;
}

static int find_in_file(const char *file, const char *host, const char *path, struct arena *arena,
        struct auth *ret, struct error *err)
{
    _cleanup_json_ struct json_object *root = NULL;
    bool hub = is_docker_hub(host);

    int r = json_parse_file_at(AT_FDCWD, file, &root, err);
    if (r < 0)
        return r;
    char *name = arena_printf(
            arena, "%s%s%s", hub ? "docker.io" : host, path ? "/" : "", path ? path : "");
    const char *helper = find_helper(root, host);
    if (helper) {
        r = ask_helper(helper, host, arena, ret, err);
        if (r < 0 || auth_known(ret))
            return r;
    }
    for (;;) {
        struct json_object *entry = find_entry(root, name, arena);
        if (entry)
            return read_entry(entry, file, arena, ret, err);
        char *slash = strrchr(name, '/');
        if (!slash)
            return 0;
        *slash = '\0';
    }
}

int auth_find(const char *file, const char *host, const char *path, struct arena *arena,
        struct auth *ret, struct error *err)
{
    struct strv files = list_files(file, arena);
    struct auth found = {0};
    const char *one;

    strv_foreach (one, &files) {
        if (access(one, F_OK) < 0)
            continue;
        int r = find_in_file(one, host, path, arena, &found, err);
        if (r < 0)
            return r;
        if (auth_known(&found))
            break;
    }
    *ret = found;
    return 0;
}

static int load_or_new(const char *file, struct json_object **ret, struct error *err)
{
    if (access(file, F_OK) == 0)
        return json_parse_file_at(AT_FDCWD, file, ret, err);
    *ret = json_object_new_object();
    return 0;
}

static int save(const char *file, struct json_object *root, struct arena *arena, struct error *err)
{
    int r = io_make_dirs_at(AT_FDCWD, path_dir(arena, file), 0700);
    if (r < 0)
        return error_sys(err, -r, "make the folder of %s", file);
    const char *text = json_text_pretty(root);
    r = io_replace_file_at(AT_FDCWD, file, text, strlen(text), 0600, true);
    return r < 0 ? error_sys(err, -r, "write %s", file) : 0;
}

static int store_by_helper(
        const char *helper, const char *host, const struct auth *auth, struct error *err)
{
    _cleanup_json_ struct json_object *json = json_object_new_object();
    _cleanup_buf_ struct buf answer = {0};

    json_add_str(json, "ServerURL", helper_key(host));
    json_add_str(json, "Username", auth->token ? "<token>" : auth->user);
    json_add_str(json, "Secret", auth->token ? auth->token : auth->password);
    return helper_run(helper, "store", json_text(json), &answer, err);
}

int auth_store(const char *file, const char *host, const struct auth *auth, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *root = NULL;
    const char *path = file_to_write(file, &arena, err);

    int r = path ? load_or_new(path, &root, err) : -ENOENT;
    if (r < 0)
        return r;
    const char *helper = find_helper(root, host);
    if (helper)
        return store_by_helper(helper, host, auth, err);
    struct json_object *auths = json_get(root, "auths");
    if (!auths) {
        auths = json_object_new_object();
        json_object_object_add(root, "auths", auths);
    }
    struct json_object *entry = json_object_new_object();
    char *pair = arena_printf(&arena, "%s:%s", auth->user, auth->password ? auth->password : "");
    json_add_str(entry, "auth", auth_encode(pair, strlen(pair), &arena));
    json_add_str(entry, "identitytoken", auth->token);
    json_object_object_add(auths, helper_key(host), entry);
    return save(path, root, &arena, err);
}

/* Takes out every key that means the host; returns whether there was one. */
static bool erase_entries(struct json_object *root, const char *host, struct arena *arena)
{
    struct json_object *auths = json_get(root, "auths");
    struct strv keys = {0};
    const char *name;

    if (!json_object_is_type(auths, json_type_object))
        return false;
    json_object_object_foreach(auths, key, value)
    {
        (void)value;
        if (str_equal(key_name(key, arena), host))
            strv_add(arena, &keys, key);
    }
    strv_foreach (name, &keys)
        json_object_object_del(auths, name);
    return keys.count > 0;
}

int auth_erase_all(const char *file, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *root = NULL;
    const char *path = file_to_write(file, &arena, err);

    int r = path ? load_or_new(path, &root, err) : -ENOENT;
    if (r < 0 || !json_get(root, "auths"))
        return r;
    json_object_object_del(root, "auths");
    return save(path, root, &arena, err);
}

int auth_erase(const char *file, const char *host, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_json_ struct json_object *root = NULL;
    _cleanup_buf_ struct buf answer = {0};
    const char *path = file_to_write(file, &arena, err);

    int r = path ? load_or_new(path, &root, err) : -ENOENT;
    if (r < 0)
        return r;
    const char *helper = find_helper(root, host);
    if (helper)
        return helper_run(helper, "erase", helper_key(host), &answer, err);
    if (!erase_entries(root, is_docker_hub(host) ? "docker.io" : host, &arena))
        return error_set(err, ENOENT, "%s: not logged in to %s", path, host);
    return save(path, root, &arena, err);
}
