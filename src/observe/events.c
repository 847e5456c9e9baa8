#include "observe/events.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utc.h"
#include "engine/events.h"
#include "observe/style.h"
#include "observe/template.h"

struct printing {
    const struct events_choice *choice;
    struct template *template;
    FILE *out;
    struct buf text; /* what follows the last newline */
    struct error *err;
};

/* ---- filters --------------------------------------------------------------------------------- */

static const char *const filter_keys[] = {"event", "container", "type", "image", "volume"};

static const char *attribute(struct json_object *event, const char *name)
{
    return json_get_str(json_get(json_get(event, "Actor"), "Attributes"), name);
}

/* "health_status" stands for "health_status: healthy" too. */
static bool is_action(struct json_object *event, const char *wanted)
{
    const char *rest = str_after(json_get_str(event, "Action"), wanted);

    return rest && (!*rest || *rest == ':');
}

static bool fits(struct json_object *event, const char *key, const char *value)
{
    const char *id = json_get_str(json_get(event, "Actor"), "ID");
    const char *name = attribute(event, "name");

    if (str_equal(key, "event"))
        return is_action(event, value);
    if (str_equal(key, "type"))
        return str_equal(json_get_str(event, "Type"), value);
    if (str_equal(key, "image"))
        return str_equal(attribute(event, "image"), value);
    return str_equal(json_get_str(event, "Type"), key) &&
           (str_equal(name, value) || (id && *value && str_starts(id, value)));
}

/* Several of one key are alternatives, different keys are all wanted. */
static bool passes(const struct strv *filters, struct json_object *event)
{
    for (size_t i = 0; i < ARRAY_SIZE(filter_keys); i++) {
        bool asked = false;
        bool met = false;
        const char *filter;
        strv_foreach (filter, filters) {
            const char *rest = str_after(filter, filter_keys[i]);
            if (!rest || *rest != '=')
                continue;
            asked = true;
            met |= fits(event, filter_keys[i], rest + 1);
        }
        if (asked && !met)
            return false;
    }
    return true;
}

static int check_filters(const struct strv *filters, struct error *err)
{
    const char *filter;

    strv_foreach (filter, filters) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(filter_keys); i++) {
            const char *rest = str_after(filter, filter_keys[i]);
            known |= rest && *rest == '=';
        }
        if (!known)
            return error_set(err, EINVAL,
                    "--filter %.100s: write event=, container=, type=, image= or volume=", filter);
    }
    return 0;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_plain(struct printing *printing, struct json_object *event)
{
    struct json_object *attributes = json_get(json_get(event, "Actor"), "Attributes");
    int64_t nano = json_get_int(event, "timeNano", 0);
    _cleanup_buf_ struct buf line = {0};
    const char *separator = " (";
    char when[UTC_TEXT_SIZE];

    buf_printf(&line, "%s.%09lldZ %s %s %s", utc_text(nano / 1000000000, when),
            (long long)(nano % 1000000000), json_get_str(event, "Type"),
            json_get_str(event, "Action"), json_get_str(json_get(event, "Actor"), "ID"));
    json_object_object_foreach(attributes, key, value)
    {
        buf_printf(&line, "%s%s=%s", separator, key, json_object_get_string(value));
        separator = ", ";
    }
    buf_add_str(&line, separator[0] == ',' ? ")" : "");
    str_tame(line.data, ""); /* one line is one event */
    fprintf(printing->out, "%s\n", line.data);
}

static int print_event(struct printing *printing, struct json_object *event)
{
    _cleanup_buf_ struct buf line = {0};

    if (!printing->choice->format) {
        print_plain(printing, event);
    } else if (!printing->template) {
        style_print_line(printing->out, json_text(event));
    } else {
        int r = template_render(printing->template, event, &line, printing->err);
        if (r < 0)
            return r;
        style_print_line(printing->out, buf_text(&line));
    }
    fflush(printing->out);
    return 0;
}

/* One line of the file; 1 when it lies behind the end that was asked for. */
static int take_line(struct printing *printing, const char *line, size_t length)
{
    const struct events_choice *choice = printing->choice;
    _cleanup_json_ struct json_object *event = NULL;

    if (json_parse(line, length, "event", &event, NULL) < 0 || !json_get_str(event, "Type") ||
            !json_get_str(event, "Action") ||
            !json_object_is_type(
                    json_get(json_get(event, "Actor"), "Attributes"), json_type_object))
        return 0; /* a line that a full disk has cut */
    int64_t when = json_get_int(event, "timeNano", 0);
    if (choice->until_ns >= 0 && when > choice->until_ns)
        return 1;
    if (when < choice->since_ns || !passes(&choice->filters, event))
        return 0;
    return print_event(printing, event);
}

static int take_new(struct printing *printing, int fd)
{
    char chunk[65536];
    ssize_t got;

    while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
        struct buf *text = &printing->text;
        buf_add(text, chunk, (size_t)got);
        char *start = text->data;
        char *newline;
        while ((newline = memchr(start, '\n', text->length - (size_t)(start - text->data)))) {
            int r = take_line(printing, start, (size_t)(newline - start));
            if (r != 0)
                return r;
            start = newline + 1;
        }
        size_t rest = text->length - (size_t)(start - text->data);
        memmove(text->data, start, rest);
        text->length = rest;
    }
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int open_file(const struct engine *engine, const char *name, int flags)
{
    return openat(engine->store.fd, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Milliseconds until the end that was asked for, and at most a second. */
static int patience(const struct events_choice *choice)
{
    int64_t left = choice->until_ns < 0 ? 1000 : (choice->until_ns - now_ns()) / 1000000 + 1;

    return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

/* A full file was moved away: what is left in it, then the new one. */
static int go_on(struct printing *printing, const struct engine *engine, int *fd)
{
    struct stat ours, current;
    int r = take_new(printing, *fd);

    if (r != 0 || fstat(*fd, &ours) < 0)
        return r;
    if (fstatat(engine->store.fd, EVENTS_FILE, &current, AT_SYMLINK_NOFOLLOW) == 0 &&
            current.st_ino == ours.st_ino)
        return 0;
    r = take_new(printing, *fd);
    if (r != 0)
        return r;
    cleanup_close(fd);
    *fd = open_file(engine, EVENTS_FILE, O_RDWR | O_CREAT);
    return *fd < 0 ? error_sys(printing->err, errno, "open " EVENTS_FILE) : take_new(printing, *fd);
}

static int follow(struct printing *printing, const struct engine *engine, int *fd)
{
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    char events[4096];

    if (watch < 0 ||
            inotify_add_watch(watch, engine->store.root, IN_MODIFY | IN_CREATE | IN_MOVED_FROM) < 0)
        return error_sys(printing->err, errno, "watch %s", engine->store.root);
    for (;;) {
        int r = go_on(printing, engine, fd);
        if (r != 0)
            return r;
        if (printing->choice->until_ns >= 0 && now_ns() >= printing->choice->until_ns)
            return 0;
        struct pollfd waiting = {.fd = watch, .events = POLLIN};
        if (poll(&waiting, 1, patience(printing->choice)) > 0)
            while (read(watch, events, sizeof(events)) > 0)
                ;
    }
}

int events_print(
        struct engine *engine, const struct events_choice *choice, FILE *out, struct error *err)
{
    struct printing printing = {.choice = choice, .out = out, .text = {.max = 1 << 20}, .err = err};
    int r = check_filters(&choice->filters, err);

    if (r == 0 && choice->format && !str_equal(choice->format, "json"))
        r = template_parse(engine->arena, choice->format, &printing.template, err);
    if (r < 0)
        return r;
    struct events_choice from_now = *choice;
    if (from_now.since_ns < 0)
        from_now.since_ns = now_ns();
    printing.choice = &from_now;
    _cleanup_close_ int fd = open_file(engine, EVENTS_FILE, O_RDWR | O_CREAT);
    _cleanup_close_ int old = open_file(engine, EVENTS_OLD, O_RDONLY);
    if (fd < 0)
        return error_sys(err, errno, "open " EVENTS_FILE);
    if (old >= 0)
        r = take_new(&printing, old);
    buf_clear(&printing.text);
    if (r == 0)
        r = take_new(&printing, fd);
    if (r == 0 && choice->follow)
        r = follow(&printing, engine, &fd);
    buf_free(&printing.text);
    return r < 0 ? r : 0;
}
