#include "engine/nametexts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define TEXT_MAX (1 << 20)

/* Whether a line begins with this word and a blank. */
static bool begins(const char *line, const char *word)
{
    size_t length = word ? strlen(word) : 0;

    return length && strncmp(line, word, length) == 0 &&
           (line[length] == '\t' || line[length] == ' ');
}

/* The names that stand behind one of its addresses. */
static const char *own_names(const struct strv *lines, const struct nametexts_change *change)
{
    const char *line;
    const char *address;

    strv_foreach (line, lines) {
        strv_foreach (address, &change->own) {
            if (begins(line, address))
                return line + strlen(address) + 1;
        }
    }
    return change->name;
}

static void change_hosts(
        const struct strv *lines, const struct nametexts_change *change, struct buf *text)
{
    const char *names = own_names(lines, change);
    const char *line;

    strv_foreach (line, lines) {
        if (!begins(line, change->left))
            buf_printf(text, "%s\n", line);
    }
    if (change->joined)
        buf_printf(text, "%s\t%s\n", change->joined, names);
}

static void add_servers(const struct strv *servers, struct buf *text)
{
    const char *server;

    strv_foreach (server, servers) {
        buf_printf(text, "nameserver %s\n", server);
    }
}

static bool is_server(const char *line, const struct strv *servers)
{
    const char *server = str_after(line, "nameserver ");

    return server && strv_contains(servers, server);
}

/* The new servers stand where the first of the old ones stood. */
static void change_servers(
        const struct strv *lines, const struct nametexts_change *change, struct buf *text)
{
    const char *line;
    bool written = false;

    strv_foreach (line, lines) {
        if (!is_server(line, &change->servers_before)) {
            buf_printf(text, "%s\n", line);
            continue;
        }
        if (!written)
            add_servers(&change->servers, text);
        written = true;
    }
}

typedef void (*change_fn)(
        const struct strv *lines, const struct nametexts_change *change, struct buf *text);

static int rewrite(int run_fd, const char *name, struct arena *arena, change_fn fn,
        const struct nametexts_change *change, struct error *err)
{
    _cleanup_buf_ struct buf before = {.max = TEXT_MAX};
    _cleanup_buf_ struct buf after = {.max = 2 * TEXT_MAX};
    _cleanup_close_ int fd = openat(run_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct strv lines = {0};

    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, errno, "open the sandbox's %s", name);
    int r = io_read_fd(fd, &before);
    if (r < 0)
        return error_sys(err, -r, "read the sandbox's %s", name);
    if (before.length && before.data[before.length - 1] == '\n')
        before.data[--before.length] = '\0';
    strv_split(arena, &lines, buf_text(&before), '\n');
    fn(&lines, change, &after);
    if (lseek(fd, 0, SEEK_SET) < 0 || ftruncate(fd, 0) < 0)
        return error_sys(err, errno, "write the sandbox's %s", name);
    r = io_write_all(fd, buf_text(&after), after.length);
    return r < 0 ? error_sys(err, -r, "write the sandbox's %s", name) : 0;
}

int nametexts_apply(
        int run_fd, struct arena *arena, const struct nametexts_change *change, struct error *err)
{
    int r = rewrite(run_fd, "hosts", arena, change_hosts, change, err);

    if (r == 0 && !str_equal(strv_join(arena, &change->servers, " "),
                          strv_join(arena, &change->servers_before, " ")))
        r = rewrite(run_fd, "resolv.conf", arena, change_servers, change, err);
    return r;
}
