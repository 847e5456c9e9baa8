#include "security/passwd.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "sys/mount.h"

#define FIELDS_MAX 7  /* of a passwd line */
#define WORD_MAX 256  /* bytes of a user's or group's name */
#define HOME_MAX 4096 /* bytes of a home directory's name */

/* A piece of the text. */
struct span {
    const char *start;
    size_t length;
};

static bool span_is(struct span span, const char *word)
{
    return span.length == strlen(word) && memcmp(span.start, word, span.length) == 0;
}

static bool span_id(struct span span, uint32_t *ret)
{
    char word[16];

    if (span.length == 0 || span.length >= sizeof(word))
        return false;
    memcpy(word, span.start, span.length);
    word[span.length] = 0;
    return str_to_u32(word, ret) == 0 && *ret != UINT32_MAX;
}

/* Takes the next line off the text and cuts it at colons; the number of fields, 0 at the end. */
static size_t next_line(const char **text, struct span fields[FIELDS_MAX])
{
    const char *at = *text;
    const char *end = strchrnul(at, '\n');
    size_t count = 0;

    if (!*at)
        return 0;
    *text = *end ? end + 1 : end;
    for (;;) {
        const char *colon = memchr(at, ':', (size_t)(end - at));
        bool last = !colon || count == FIELDS_MAX - 1;
        fields[count++] = (struct span){at, (size_t)((last ? end : colon) - at)};
        if (last)
            return count;
        at = colon + 1;
    }
}

/* What was asked for: each half is a number or a name. */
struct wanted {
    const char *word; /* NULL: this half was left out */
    bool is_number;
    uint32_t number;
};

static bool all_digits(const char *word)
{
    for (; *word; word++)
        if (!isdigit((unsigned char)*word))
            return false;
    return true;
}

static int read_wanted(const char *word, const char *what, struct wanted *ret, struct error *err)
{
    if (!*word)
        return error_set(err, EINVAL, "the %s is empty", what);
    if (strlen(word) > WORD_MAX)
        return error_set(err, EINVAL, "the %s is longer than %d bytes", what, WORD_MAX);
    ret->word = word;
    ret->is_number = all_digits(word);
    if (ret->is_number) {
        if (str_to_u32(word, &ret->number) < 0 || ret->number == UINT32_MAX)
            return error_set(err, EINVAL, "the %s %s is not from 0 to 4294967294", what, word);
        return 0;
    }
    /* "-1", "+5", "0x0", " 0": numbers to some readers, names to others */
    if (!isalpha((unsigned char)*word) && *word != '_')
        return error_set(err, EINVAL,
                "the %s \"%s\" is neither a number nor a name: a name starts with a letter or _",
                what, word);
    for (const char *at = word; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return error_set(err, EINVAL, "the %s has a blank or a control character in it", what);
    return 0;
}

struct request {
    struct wanted user;
    struct wanted group;
};

static int read_spec(const char *spec, struct arena *arena, struct request *ret, struct error *err)
{
    const char *colon = strchr(spec, ':');
    const char *user = colon ? arena_strndup(arena, spec, (size_t)(colon - spec)) : spec;

    if (!*spec)
        user = "0";
    if (colon && strchr(colon + 1, ':'))
        return error_set(err, EINVAL, "\"%s\" has more than one colon", spec);
    int r = read_wanted(user, "user", &ret->user, err);
    if (r == 0 && colon)
        r = read_wanted(colon + 1, "group", &ret->group, err);
    return r < 0 ? error_prefix(err, "user \"%s\"", spec) : 0;
}

/* name:password:uid:gid:comment:home:shell; the first line that fits counts. */
static bool find_user(
        const char *text, const struct wanted *wanted, struct arena *arena, struct passwd_user *ret)
{
    struct span fields[FIELDS_MAX];
    uint32_t uid, gid;
    size_t count;

    while ((count = next_line(&text, fields)) > 0) {
        if (count < 6 || fields[0].length == 0 || fields[0].length > WORD_MAX)
            continue;
        if (!span_id(fields[2], &uid) || !span_id(fields[3], &gid))
            continue;
        if (wanted->is_number ? uid != wanted->number : !span_is(fields[0], wanted->word))
            continue;
        ret->uid = uid;
        ret->gid = gid;
        ret->name = arena_strndup(arena, fields[0].start, fields[0].length);
        if (fields[5].length > 0 && fields[5].length <= HOME_MAX && *fields[5].start == '/')
            ret->home = arena_strndup(arena, fields[5].start, fields[5].length);
        return true;
    }
    return false;
}

/* Whether the comma-separated list has the name. */
static bool lists_name(struct span list, const char *name)
{
    const char *at = list.start;
    const char *end = at + list.length;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        if (span_is((struct span){at, (size_t)(stop - at)}, name))
            return true;
        at = stop + 1;
    }
    return false;
}

/* name:password:gid:members */
static bool find_group(const char *text, const struct wanted *wanted, gid_t *ret)
{
    struct span fields[FIELDS_MAX];
    uint32_t gid;
    size_t count;

    while ((count = next_line(&text, fields)) > 0) {
        if (count < 3 || !span_id(fields[2], &gid))
            continue;
        if (wanted->is_number ? gid != wanted->number : !span_is(fields[0], wanted->word))
            continue;
        *ret = gid;
        return true;
    }
    return false;
}

static int add_groups(
        const char *text, struct arena *arena, struct passwd_user *user, struct error *err)
{
    struct span fields[FIELDS_MAX];
    size_t capacity = 0;
    uint32_t gid;
    size_t count;

    while ((count = next_line(&text, fields)) > 0) {
        if (count < 4 || !span_id(fields[2], &gid) || !lists_name(fields[3], user->name))
            continue;
        if (user->additional_gids.count == PASSWD_GROUPS_MAX)
            return error_set(
                    err, E2BIG, "user %s is in more than %d groups", user->name, PASSWD_GROUPS_MAX);
        user->additional_gids.items = arena_grow(arena, user->additional_gids.items,
                user->additional_gids.count, &capacity, sizeof(uint32_t));
        user->additional_gids.items[user->additional_gids.count++] = gid;
    }
    return 0;
}

/* The entries of a parsed request. */
static int resolve(const char *passwd, const char *group, const struct request *request,
        struct arena *arena, struct passwd_user *ret, struct error *err)
{
    struct passwd_user user = {.uid = request->user.number, .home = "/"};

    if (!find_user(passwd, &request->user, arena, &user) && !request->user.is_number)
        return error_set(err, ENOENT,
                "unable to find user %s: no matching entries in the root's /etc/passwd; add it "
                "there, "
                "or give a number",
                request->user.word);
    if (request->group.word) {
        user.gid = request->group.number;
        if (!find_group(group, &request->group, &user.gid) && !request->group.is_number)
            return error_set(err, ENOENT,
                    "unable to find group %s: no matching entries in the root's /etc/group; add it "
                    "there, or give a number",
                    request->group.word);
    } else if (user.name) {
        int r = add_groups(group, arena, &user, err);
        if (r < 0)
            return r;
    }
    *ret = user;
    return 0;
}

int passwd_parse(const char *passwd, const char *group, const char *spec, struct arena *arena,
        struct passwd_user *ret, struct error *err)
{
    struct request request = {0};
    int r = read_spec(spec, arena, &request, err);

    return r < 0 ? r : resolve(passwd, group, &request, arena, ret, err);
}

/* -1: there is none. */
static int open_inside(int root_fd, const char *path, int *ret_fd, struct error *err)
{
    int fd = sys_openat2(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
            RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

    if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
        return error_sys(err, -fd, "open the root's /%s", path);
    *ret_fd = fd < 0 ? -1 : fd;
    return 0;
}

/* A missing file is an empty one. */
static int read_open(int fd, const char *path, struct buf *text, struct error *err)
{
    struct stat status;

    if (fd < 0)
        return 0;
    if (fstat(fd, &status) < 0)
        return error_sys(err, errno, "look at the root's /%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, EINVAL, "the root's /%s is not a regular file", path);
    int r = io_read_fd(fd, text);
    if (r == -EFBIG)
        return error_set(err, EFBIG, "the root's /%s is larger than %zu bytes", path, text->max);
    return r < 0 ? error_sys(err, -r, "read the root's /%s", path) : 0;
}

int passwd_lookup_files(int passwd_fd, int group_fd, const char *spec, struct arena *arena,
        struct passwd_user *ret, struct error *err)
{
    _cleanup_buf_ struct buf passwd = {.max = PASSWD_FILE_MAX};
    _cleanup_buf_ struct buf group = {.max = PASSWD_FILE_MAX};
    struct request request = {0};

    int r = read_spec(spec, arena, &request, err);
    if (r == 0)
        r = read_open(passwd_fd, "etc/passwd", &passwd, err);
    if (r == 0)
        r = read_open(group_fd, "etc/group", &group, err);
    if (r < 0)
        return r;
    return resolve(buf_text(&passwd), buf_text(&group), &request, arena, ret, err);
}

int passwd_lookup(int root_fd, const char *spec, struct arena *arena, struct passwd_user *ret,
        struct error *err)
{
    _cleanup_close_ int passwd = -1;
    _cleanup_close_ int group = -1;
    int r = open_inside(root_fd, "etc/passwd", &passwd, err);

    if (r == 0)
        r = open_inside(root_fd, "etc/group", &group, err);
    return r < 0 ? r : passwd_lookup_files(passwd, group, spec, arena, ret, err);
}

const char *passwd_home(int root_fd, uid_t uid, struct arena *arena)
{
    _cleanup_buf_ struct buf passwd = {.max = PASSWD_FILE_MAX};
    const struct wanted wanted = {.word = "", .is_number = true, .number = uid};
    struct passwd_user user = {.home = "/"};

    _cleanup_close_ int fd = -1;
    if (open_inside(root_fd, "etc/passwd", &fd, NULL) == 0 &&
            read_open(fd, "etc/passwd", &passwd, NULL) == 0)
        find_user(buf_text(&passwd), &wanted, arena, &user);
    return user.home;
}
