#include "image/certs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#define FILE_LIMIT ((size_t)64 << 10)

static int read_pem(
        int dir_fd, const char *folder, const char *name, struct buf *text, struct error *err)
{
    int r = io_read_file_at(dir_fd, name, text);

    buf_add_char(text, '\n');
    return r < 0 ? error_sys(err, -r, "read the certificate %s/%s", folder, name) : 0;
}

/* The key that belongs to NAME.cert. */
static int read_pair(int dir_fd, const char *folder, const char *name, struct arena *arena,
        struct certs *ret, struct error *err)
{
    _cleanup_buf_ struct buf certificate = {.max = FILE_LIMIT};
    _cleanup_buf_ struct buf key = {.max = FILE_LIMIT};
    char *key_name = arena_printf(arena, "%.*s.key", (int)(strlen(name) - strlen(".cert")), name);

    if (faccessat(dir_fd, key_name, F_OK, 0) < 0)
        return error_set(err, ENOENT, "%s/%s has no key: %s is missing", folder, name, key_name);
    int r = read_pem(dir_fd, folder, name, &certificate, err);
    if (r == 0)
        r = read_pem(dir_fd, folder, key_name, &key, err);
    ret->certificate = arena_strdup(arena, buf_text(&certificate));
    ret->key = arena_strdup(arena, buf_text(&key));
    return r;
}

static int load_folder(
        const char *folder, struct arena *arena, struct certs *ret, struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(folder);
    _cleanup_buf_ struct buf authority = {.max = FILE_LIMIT};
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return 0;
    while (r == 0 && (entry = readdir(dir))) {
        if (str_ends(entry->d_name, ".crt"))
            r = read_pem(dirfd(dir), folder, entry->d_name, &authority, err);
        else if (str_ends(entry->d_name, ".cert"))
            r = read_pair(dirfd(dir), folder, entry->d_name, arena, ret, err);
    }
    if (authority.length)
        ret->authority = arena_strdup(arena, buf_text(&authority));
    return r;
}

int certs_load(const char *folder, const char *host, struct arena *arena, struct certs *ret,
        struct error *err)
{
    static const char *const usual[] = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
    struct certs found = {0};

    if (folder) {
        const char *own = arena_printf(arena, "%s/%s", folder, host);
        int r = load_folder(access(own, F_OK) == 0 ? own : folder, arena, &found, err);
        *ret = found;
        return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(usual) && !found.authority && !found.certificate; i++) {
        int r = load_folder(arena_printf(arena, "%s/%s", usual[i], host), arena, &found, err);
        if (r < 0)
            return r;
    }
    *ret = found;
    return 0;
}
