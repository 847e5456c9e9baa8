/* viv-cpu: runs a flat binary on the software CPU with no machine around it; see viv-cpu(1). */
#include <stdio.h>

#include "bare/bench.h"
#include "bare/options.h"
#include "bare/report.h"
#include "base/io.h"

static const char usage[] =
        "usage: viv-cpu [--mode 16|32|64] --load FILE@ADDRESS --entry ADDRESS\n"
        "               [--reg NAME=VALUE]... [--mem ADDRESS=HEX]... [--dump ADDRESS:LENGTH]...\n"
        "               [--max INSTRUCTIONS] [--deliver] [--json]\n"
        "Runs a flat binary on the software CPU and prints its state; see viv-cpu(1).\n";

static int run(const struct bare_options *options, struct error *err)
{
    struct bench bench;
    struct cpu_exit stop;
    _cleanup_buf_ struct buf out = {.max = (size_t)512 << 20};
    int r = bench_setup(&bench, options, err);
    if (r == 0) {
        cpu_run(bench.cpu, options->max, &stop);
        (options->json ? report_json : report_text)(&out, options, &bench, &stop);
        r = io_write_all(1, buf_text(&out), out.length);
        if (r < 0)
            r = error_sys(err, -r, "write the report");
    }
    bench_free(&bench);
    return r;
}

int main(int argc, char **argv)
{
    static struct bare_options options;
    struct error err = ERROR_NONE;
    int r = bare_options_parse(argc, argv, &options, &err);
    if (r == 0 && options.help)
        fputs(usage, stdout);
    else if (r == 0)
        r = run(&options, &err);
    bare_options_free(&options);
    if (r < 0)
        fprintf(stderr, "viv-cpu: %s\n", err.text);
    return r < 0;
}
