#include "engine/journalreader.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/install.h"
#include "base/io.h"
#include "base/json.h"
#include "sys/program.h"

#define PROGRAM "viv-systemd"

static int start(const char *path, const char *order, bool follow, struct journal_reader *reader)
{
    int in[2];
    int out[2];

    reader->errors = memfd_create("errors", MFD_CLOEXEC);
    if (reader->errors < 0 || pipe2(in, O_CLOEXEC) < 0)
        return errno;
    _cleanup_close_ int input = in[0];
    reader->stop = in[1];
    if (pipe2(out, O_CLOEXEC) < 0)
        return errno;
    reader->fd = out[0];
    _cleanup_close_ int output = out[1];
    if (follow)
        fcntl(reader->fd, F_SETFL, O_NONBLOCK);
    _cleanup_arena_ struct arena arena = {0};
    struct strv words = {0};
    strv_add(&arena, &words, PROGRAM);
    strv_add(&arena, &words, order);
    struct program program = {.path = path,
            .words = &words,
            .input = input,
            .output = output,
            .errors = reader->errors};
    pid_t pid = program_start(&program);
    reader->pid = pid < 0 ? 0 : pid;
    return pid < 0 ? -pid : 0;
}

int journal_reader_start(struct arena *arena, const char *id, int64_t tail, bool follow,
        struct journal_reader *ret, struct error *err)
{
    _cleanup_json_ struct json_object *order = json_object_new_object();
    struct journal_reader reader = JOURNAL_READER_NONE;
    const char *path;
    int r = install_find_program(arena, PROGRAM, &path, err);

    if (r < 0)
        return error_prefix(err, "read the journal");
    json_add_str(order, "call", "journal");
    json_add_str(order, "id", id);
    json_object_object_add(order, "tail", json_object_new_int64(tail));
    json_object_object_add(order, "follow", json_object_new_boolean(follow));
    r = start(path, json_text(order), follow, &reader);
    if (r != 0) {
        journal_reader_end(&reader, NULL);
        return error_sys(err, r, "start %s, which reads the journal", path);
    }
    *ret = reader;
    return 0;
}

void journal_reader_stop(struct journal_reader *reader)
{
    cleanup_close(&reader->stop);
    fcntl(reader->fd, F_SETFL, 0);
}

int journal_reader_end(struct journal_reader *reader, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = 4096};
    int status = 0;

    cleanup_close(&reader->stop);
    cleanup_close(&reader->fd);
    if (reader->pid > 0)
        TEMP_FAILURE_RETRY(waitpid(reader->pid, &status, 0));
    if (WIFEXITED(status) && WEXITSTATUS(status) && lseek(reader->errors, 0, SEEK_SET) == 0)
        io_read_fd(reader->errors, &text);
    cleanup_close(&reader->errors);
    reader->pid = 0;
    if (!text.length)
        return 0;
    return error_set(err, EREMOTEIO, "%.*s", (int)strcspn(buf_text(&text), "\n"), buf_text(&text));
}
