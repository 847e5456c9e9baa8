#include "observe/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/logfile.h"
#include "engine/network.h"
#include "engine/records.h"
#include "observe/logreader.h"

/* One of the sandboxes whose logs are shown. */
struct source {
    const char *word;   /* its id, which no renaming changes */
    const char *prefix; /* of each line; "": it is the only one */
    int record_fd;
    struct logreader reader;
    bool over; /* nothing is added any more */
    const struct output_choice *choice;
};

static void print_line(const char *line, size_t length, void *data)
{
    const struct source *source = data;
    const struct output_choice *choice = source->choice;
    _cleanup_json_ struct json_object *json = NULL;
    struct logfile_entry entry;

    if (logfile_parse(line, length, &json, &entry) < 0)
        return; /* a line that a full disk has cut */
    if (choice->since && strcmp(entry.time, choice->since) < 0)
        return;
    if (choice->until && strcmp(entry.time, choice->until) >= 0)
        return;
    int fd = entry.stream == LOG_STDERR ? 2 : 1;
    io_write_all(fd, source->prefix, strlen(source->prefix));
    if (choice->timestamps) {
        io_write_all(fd, entry.time, strlen(entry.time));
        io_write_all(fd, " ", 1);
    }
    io_write_all(fd, entry.text, entry.length);
}

/* ---- following ------------------------------------------------------------------------------- */

/* Whether nothing will be added any more: nobody watches the sandbox. */
static bool is_over(struct engine *engine, const char *name)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    struct engine view = *engine;

    view.arena = &arena; /* this may go on for days */
    if (engine_find(&view, name, &sandbox, NULL) < 0)
        return true;
    return !sandbox_has_run(&sandbox) && !record_is_watched(sandbox.record_fd);
}

/* What has come; where nothing more comes, all of it. */
static int read_source(struct source *source, struct error *err)
{
    if (source->over)
        return logreader_finish(&source->reader, print_line, source, err);
    int r = logreader_read(&source->reader, print_line, source);
    return r < 0 ? error_sys(err, -r, "read the log of \"%s\"", source->word) : 0;
}

static int watch_record(int watch, int record_fd, struct error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", record_fd);
    if (inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
        return error_sys(err, errno, "watch the log");
    return 0;
}

/* Waits until a record changes, or a journal has more, or a second has passed. */
static void wait_for_more(int watch, struct pollfd *waiting, size_t count)
{
    char events[4096];

    if (poll(waiting, count, 1000) > 0)
        while (read(watch, events, sizeof(events)) > 0)
            ;
}

/* Prints what comes, of all of them, until all are over. */
static int follow(struct engine *engine, struct source *sources, size_t count, struct error *err)
{
    _cleanup_close_ int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    struct pollfd *waiting = arena_new_array(engine->arena, struct pollfd, count + 1);

    if (watch < 0)
        return error_sys(err, errno, "watch the logs");
    for (size_t i = 0; i < count; i++) {
        int r = watch_record(watch, sources[i].record_fd, err);
        if (r < 0)
            return r;
    }
    for (;;) {
        size_t left = 0;
        for (size_t i = 0; i < count; i++) {
            struct source *source = &sources[i];
            if (source->over)
                continue;
            source->over = source->reader.ended || is_over(engine, source->word);
            int r = read_source(source, err); /* once more, where it is over */
            if (r < 0)
                return r;
            waiting[i] = (struct pollfd){
                    .fd = source->over ? -1 : source->reader.journal.fd, .events = POLLIN};
            left += !source->over;
        }
        if (!left)
            return 0;
        waiting[count] = (struct pollfd){.fd = watch, .events = POLLIN};
        wait_for_more(watch, waiting, count + 1);
    }
}

static int no_log(const struct sandbox *sandbox, struct error *err)
{
    const char *name = sandbox->meta.name;

    if (str_equal(sandbox->meta.log, "none"))
        return error_set(err, ENOENT, "sandbox \"%s\" has no log: --log-driver none", name);
    if (sandbox->status == SPEC_CREATED)
        return 0;
    return error_set(err, ENOENT,
            "sandbox \"%s\" has no log: with --rm in the foreground its output goes to the "
            "terminal alone",
            name);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static const char *prefix_of(
        struct arena *arena, const struct sandbox_meta *meta, const struct output_choice *choice)
{
    if (choice->names || str_empty(meta->id))
        return arena_printf(arena, "%s ", meta->name);
    return arena_printf(arena, "%.*s ", SANDBOX_SHORT_ID, meta->id);
}

static int open_source(struct engine *engine, const char *name, const struct output_choice *choice,
        struct source *ret, struct error *err)
{
    _cleanup_sandbox_ struct sandbox sandbox = {.record_fd = -1};
    int r = engine_find(engine, name, &sandbox, err);

    if (r < 0)
        return r;
    ret->choice = choice;
    ret->word = sandbox.meta.id ? sandbox.meta.id : sandbox.meta.name;
    ret->prefix = prefix_of(engine->arena, &sandbox.meta, choice);
    ret->record_fd = take_fd(&sandbox.record_fd);
    ret->over = !choice->follow;
    if (str_equal(sandbox.meta.log, "journald")) {
        struct journal_reader journal = JOURNAL_READER_NONE;
        r = journal_reader_start(
                engine->arena, sandbox.meta.id, choice->tail, choice->follow, &journal, err);
        logreader_take_journal(&journal, &ret->reader);
        return r;
    }
    logreader_open(ret->record_fd, choice->tail, &ret->reader);
    return logreader_is_open(&ret->reader) ? 0 : no_log(&sandbox, err);
}

static int print_sources(struct engine *engine, const struct strv *names, struct source *sources,
        const struct output_choice *choice, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < names->count; i++)
        r = open_source(engine, names->words[i], choice, &sources[i], err);
    if (r == 0 && names->count == 1)
        sources[0].prefix = "";
    for (size_t i = 0; r == 0 && i < names->count; i++)
        r = read_source(&sources[i], err);
    return r == 0 && choice->follow ? follow(engine, sources, names->count, err) : r;
}

int output_print(struct engine *engine, const struct strv *names,
        const struct output_choice *choice, struct error *err)
{
    struct source *sources = arena_new_array(engine->arena, struct source, names->count);

    for (size_t i = 0; i < names->count; i++)
        sources[i] = (struct source){.record_fd = -1, .reader = LOGREADER_NONE};
    int r = print_sources(engine, names, sources, choice, err);
    for (size_t i = 0; i < names->count; i++) {
        logreader_close(&sources[i].reader);
        cleanup_close(&sources[i].record_fd);
    }
    return r;
}
