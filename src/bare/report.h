/* What viv-cpu prints at the end: as JSON, or as lines for people. */
#pragma once

#include "bare/bench.h"
#include "base/buf.h"

void report_json(struct buf *out, const struct bare_options *options, struct bench *bench,
        const struct cpu_exit *stop);
void report_text(struct buf *out, const struct bare_options *options, struct bench *bench,
        const struct cpu_exit *stop);
