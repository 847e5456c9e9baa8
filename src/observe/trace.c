#include "observe/trace.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "observe/style.h"

static void print_step(struct trace *trace, const struct plan_run *run, size_t index)
{
    _cleanup_arena_ struct arena arena = {0};
    const struct style *style = style_for(trace->out);
    const struct step *step = &run->plan->steps[index];
    struct step_text text = {.arena = &arena};

    plan_describe(run->plan, index, &text);
    fprintf(trace->out, "%s%3zu%s %-6s %s%-12s%s %s\n", style->bold, index + 1, style->reset,
            step_place_name(step->place), style->bold, step->ops->name, style->reset,
            text.calls.count ? text.calls.words[0] : "");
    for (size_t i = 1; i < text.calls.count; i++)
        fprintf(trace->out, "                        %s\n", text.calls.words[i]);
    fflush(trace->out);
}

static void trace_after(
        void *data, const struct plan_run *run, size_t index, int64_t ns, const struct error *err)
{
    struct trace *trace = data;
    const struct style *style = style_for(trace->out);

    trace->total += ns;
    if (!trace->in || trace->go_on)
        print_step(trace, run, index);
    if (err) {
        struct error shown = *err;
        str_tame(shown.text, "\n");
        fprintf(trace->out, "                        %s= %s%s\n", style->red, shown.text,
                style->reset);
    } else
        fprintf(trace->out, "                        %s= ok, %.3f ms%s\n", style->green,
                (double)ns / 1e6, style->reset);
    fflush(trace->out);
}

/* ---- stepping -------------------------------------------------------------------------------- */

/* "net:[4026531840]" of a process; "" when it cannot be told. */
static void read_namespace(const char *who, const char *kind, char text[64])
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%s/ns/%s", who, kind);
    ssize_t length = readlink(path, text, 63);
    text[length > 0 ? length : 0] = '\0';
}

static bool has_own(const char *who, const char *kind, char text[64])
{
    char ours[64];

    read_namespace("self", kind, ours);
    read_namespace(who, kind, text);
    return strcmp(ours, text) != 0;
}

static void list_namespaces(struct trace *trace, pid_t pid)
{
    static const char *const kinds[] = {
            "user", "cgroup", "ipc", "uts", "net", "pid", "time", "mnt"};
    char who[16];

    snprintf(who, sizeof(who), "%d", pid);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char text[64];
        bool own = has_own(who, kinds[i], text);
        if (*text)
            fprintf(trace->out, "    %-22s %s\n", text, own ? "its own" : "the host's");
    }
}

static void list_state(struct trace *trace, const struct plan_run *run)
{
    char path[64];
    struct buf text = {0};

    if (run->child == 0) {
        fprintf(trace->out, "    there is no process yet\n");
        return;
    }
    fprintf(trace->out, "    process %d\n", run->child);
    list_namespaces(trace, run->child);
    snprintf(path, sizeof(path), "/proc/%d/cgroup", run->child);
    if (io_read_file_at(AT_FDCWD, path, &text) == 0)
        fprintf(trace->out, "    control groups:\n%s", buf_text(&text));
    buf_free(&text);
}

/* nsenter for those namespaces that are not ours already: it refuses to enter our own user
 * namespace once more. */
static void fill_beside(char *who, char *argv[])
{
    static struct {
        const char *kind;
        char flag[8];
    } flags[] = {{"user", "--user"}, {"mnt", "--mount"}, {"uts", "--uts"}, {"ipc", "--ipc"},
            {"net", "--net"}};
    static char program[] = "nsenter", target[] = "--target", end[] = "--", shell[] = "sh";
    char text[64];
    size_t count = 0;

    argv[count++] = program;
    argv[count++] = target;
    argv[count++] = who;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (has_own(who, flags[i].kind, text))
            argv[count++] = flags[i].flag;
    argv[count++] = end;
    argv[count++] = shell;
    argv[count] = NULL;
}

/* A shell in the namespaces as they are at this step, without the sandbox's limits. */
static void open_shell(struct trace *trace, const struct plan_run *run)
{
    char who[16];
    char *host_shell[] = {(char[]){"sh"}, NULL};
    char *beside[12];

    snprintf(who, sizeof(who), "%d", run->child);
    fill_beside(who, beside);
    fprintf(trace->out, "    a shell %s; exit to come back\n",
            run->child ? "in the sandbox's namespaces" : "on the host, there is no process yet");
    fflush(trace->out);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(trace->in), 0);
        dup2(fileno(trace->out), 1);
        dup2(fileno(trace->out), 2);
        if (run->child)
            execvp(beside[0], beside);
        else
            execvp(host_shell[0], host_shell);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

static int trace_before(void *data, const struct plan_run *run, size_t index, struct error *err)
{
    struct trace *trace = data;
    char line[64];

    if (!trace->in || trace->go_on)
        return 0;
    print_step(trace, run, index);
    for (;;) {
        fprintf(trace->out,
                "  [enter] do it  [l]ist  [s]hell  [c]ontinue to the end  [q] undo and leave > ");
        fflush(trace->out);
        if (!fgets(line, sizeof(line), trace->in) || line[0] == 'q')
            return error_set(
                    err, ECANCELED, "left at step %zu, as you asked; all was undone", index + 1);
        if (line[0] == '\n' || line[0] == 'n')
            return 0;
        if (line[0] == 'c')
            trace->go_on = true;
        if (line[0] == 'c')
            return 0;
        if (line[0] == 'l')
            list_state(trace, run);
        if (line[0] == 's')
            open_shell(trace, run);
    }
}

void trace_end(struct trace *trace)
{
    if (trace->in)
        fclose(trace->in);
    if (trace->out)
        fclose(trace->out);
    *trace = (struct trace){0};
}

int trace_init(struct trace *trace, bool step, struct error *err)
{
    int fd = fcntl(2, F_DUPFD_CLOEXEC, 10);

    *trace = (struct trace){.watch = {.data = trace, .before = trace_before, .after = trace_after}};
    if (fd < 0)
        return error_sys(err, errno, "keep stderr for the trace");
    trace->out = fdopen(fd, "w");
    if (!trace->out) {
        close(fd);
        return error_set(err, ENOMEM, "out of memory");
    }
    if (!step)
        return 0;
    trace->in = fopen("/dev/tty", "re");
    if (!trace->in) {
        int code = errno;
        trace_end(trace);
        return error_sys_hint(err, code, "run it from one, or use --trace",
                "--step asks on the terminal, and there is none");
    }
    return 0;
}
