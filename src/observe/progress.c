#include "observe/progress.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "observe/style.h"
#include "observe/table.h"

#define REDRAW_MS 80
#define BAR_WIDTH 30

struct progress_line {
    char id[13];
    enum image_state state;
    uint64_t done, total;
};

void progress_start(struct progress *progress, FILE *out, bool quiet)
{
    const char *term = getenv("TERM");

    *progress = (struct progress){
            .out = out,
            .quiet = quiet,
            .terminal = isatty(fileno(out)) && !str_equal(term, "dumb"),
    };
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "sha256:0123456789ab…" becomes "0123456789ab". */
static void shorten(const char *digest, char id[13])
{
    const char *colon = strchr(digest, ':');

    snprintf(id, 13, "%s", colon ? colon + 1 : digest);
}

static struct progress_line *line_of(struct progress *progress, const char *digest)
{
    char id[13];

    shorten(digest, id);
    for (size_t i = 0; i < progress->count; i++)
        if (str_equal(progress->lines[i].id, id))
            return &progress->lines[i];
    progress->lines = arena_grow(&progress->arena, progress->lines, progress->count,
            &progress->room, sizeof(*progress->lines));
    struct progress_line *line = &progress->lines[progress->count++];
    *line = (struct progress_line){.state = IMAGE_WAITING};
    snprintf(line->id, sizeof(line->id), "%s", id);
    return line;
}

/* ---- a terminal ------------------------------------------------------------------------------ */

static const char *state_word(enum image_state state)
{
    static const char *const words[] = {
            [IMAGE_WAITING] = "waiting",
            [IMAGE_LOADING] = "",
            [IMAGE_VERIFYING] = "unpacking",
            [IMAGE_DONE] = "done",
            [IMAGE_PRESENT] = "already there",
    };

    return state < IMAGE_NOTE ? words[state] : "";
}

static void draw_bar(
        const struct progress *progress, struct arena *arena, const struct progress_line *line)
{
    const struct style *style = style_for(progress->out);
    bool over = line->state == IMAGE_DONE || line->state == IMAGE_PRESENT;
    uint64_t total = line->total > line->done ? line->total : line->done;
    unsigned filled = total ? (unsigned)(line->done * BAR_WIDTH / total) : 0;
    char bar[BAR_WIDTH + 1];

    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', over || line->state == IMAGE_VERIFYING ? BAR_WIDTH : filled);
    bar[BAR_WIDTH] = '\0';
    const char *word = line->state != IMAGE_LOADING ? state_word(line->state)
                       : line->total
                               ? arena_printf(arena, "%s of %s", table_bytes(arena, line->done),
                                         table_bytes(arena, line->total))
                               : table_bytes(arena, line->done);
    fprintf(progress->out, "\r\033[K%s %s[%s]%s %s\n", line->id, over ? style->green : style->blue,
            bar, style->reset, word);
}

/* As many as the terminal has room for: those that are over give way first. */
static void draw(struct progress *progress)
{
    struct winsize size = {0};
    _cleanup_arena_ struct arena arena = {0};

    size_t room = ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 && size.ws_row > 2
                          ? size.ws_row - 2U
                          : 22;
    size_t too_many = progress->count > room ? progress->count - room : 0;
    size_t shown = 0;
    if (progress->drawn)
        fprintf(progress->out, "\033[%zuA", progress->drawn);
    for (size_t i = 0; i < progress->count && shown < room; i++) {
        const struct progress_line *line = &progress->lines[i];
        if (too_many && (line->state == IMAGE_DONE || line->state == IMAGE_PRESENT)) {
            too_many--;
            continue;
        }
        draw_bar(progress, &arena, line);
        shown++;
    }
    for (; shown < progress->drawn; shown++)
        fprintf(progress->out, "\r\033[K\n");
    progress->drawn = shown;
    progress->drawn_at = now_ms();
    fflush(progress->out);
}

/* ---- what happens ---------------------------------------------------------------------------- */

/* It can have the words of a registry in it. */
static void tell(struct progress *progress, const char *text)
{
    char *tame = arena_strdup(&progress->arena, text);

    str_tame(tame, "");
    fprintf(progress->out, "%s%s\n", progress->drawn ? "\r\033[K" : "", tame);
    progress->drawn = 0; /* the bars go on below */
}

static void tell_line(const struct progress *progress, const struct progress_line *line)
{
    _cleanup_arena_ struct arena arena = {0};

    if (line->state == IMAGE_PRESENT)
        fprintf(progress->out, "%s: already there\n", line->id);
    else if (line->total)
        fprintf(progress->out, "%s: done, %s\n", line->id, table_bytes(&arena, line->total));
    else
        fprintf(progress->out, "%s: done\n", line->id);
}

void progress_event(const struct image_event *event, void *data)
{
    struct progress *progress = data;

    if (progress->quiet)
        return;
    if (event->state == IMAGE_NOTE) {
        tell(progress, event->text);
        return;
    }
    struct progress_line *line = line_of(progress, event->digest);
    bool changed = line->state != event->state;
    line->state = event->state;
    if (event->state == IMAGE_LOADING || event->done)
        line->done = event->done;
    if (event->total)
        line->total = event->total;
    if (progress->terminal && (changed || now_ms() - progress->drawn_at >= REDRAW_MS))
        draw(progress);
    else if (!progress->terminal && changed &&
             (event->state == IMAGE_DONE || event->state == IMAGE_PRESENT))
        tell_line(progress, line);
}

void progress_end(struct progress *progress)
{
    if (progress->terminal && progress->count)
        draw(progress);
    arena_free(&progress->arena);
    *progress = (struct progress){.out = progress->out};
}
