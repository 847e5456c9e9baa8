/*
 * How far a pull, a push or a load has come: one bar for each layer where the output is a terminal,
 * else one line for each layer when it is there. Not for several threads.
 */
#pragma once

#include <stdio.h>

#include "image/image.h"

struct progress_line;

struct progress {
    FILE *out;
    bool quiet;    /* nothing is told, no note of a try that failed either */
    bool terminal; /* bars, drawn again and again */
    struct arena arena;
    struct progress_line *lines;
    size_t count;
    size_t room;
    size_t drawn;     /* lines of the terminal that the bars take */
    int64_t drawn_at; /* milliseconds */
};

/* Nothing is drawn yet. What it holds is freed by progress_end(). */
void progress_start(struct progress *progress, FILE *out, bool quiet);

/* For struct image_access; `data` is the progress. */
void progress_event(const struct image_event *event, void *data);

/* Draws the bars for the last time. */
void progress_end(struct progress *progress);
#define _cleanup_progress_ __attribute__((cleanup(progress_end)))
