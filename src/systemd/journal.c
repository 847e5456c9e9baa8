#include "systemd/journal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/str.h"
#include "base/utc.h"

#define VARLINK "/run/systemd/journal/io.systemd.journal"
#define SYNC_WAIT_S 10
#define UNSYNCED_WAIT_US 300000 /* for what is on its way, where journald cannot be asked */

/* What a field's data has behind "NAME=". */
struct value {
    const char *text;
    size_t length;
};

static bool get_value(sd_journal *journal, const char *name, struct value *ret)
{
    const void *data;
    size_t length;
    size_t skipped = strlen(name) + 1;

    if (sd_journal_get_data(journal, name, &data, &length) < 0 || length < skipped)
        return false;
    *ret = (struct value){(const char *)data + skipped, length - skipped};
    return true;
}

static void print_entry(sd_journal *journal)
{
    _cleanup_json_ struct json_object *line = json_object_new_object();
    _cleanup_buf_ struct buf text = {0};
    struct value message, value;
    uint64_t when = 0;
    char second[UTC_TEXT_SIZE], moment[64];

    if (!get_value(journal, "MESSAGE", &message))
        return;
    buf_add(&text, message.text, message.length);
    if (!get_value(journal, "CONTAINER_PARTIAL_MESSAGE", &value))
        buf_add_char(&text, '\n');
    bool is_error = get_value(journal, "PRIORITY", &value) && value.length && *value.text == '3';
    sd_journal_get_realtime_usec(journal, &when);
    snprintf(moment, sizeof(moment), "%s.%06uZ", utc_text((int64_t)(when / 1000000), second),
            (unsigned)(when % 1000000));
    json_object_object_add(
            line, "log", json_object_new_string_len(buf_text(&text), (int)text.length));
    json_add_str(line, "stream", is_error ? "stderr" : "stdout");
    json_add_str(line, "time", moment);
    printf("%s\n", json_text(line));
}

/* Asks journald to write down all that has been sent to it, as `journalctl --sync` does: root may.
 * Whether it has. */
static bool sync_journal(void)
{
    static const char call[] = "{\"method\":\"io.systemd.Journal.Synchronize\"}";
    const struct sockaddr_un address = {AF_UNIX, VARLINK};
    const struct timeval patience = {SYNC_WAIT_S, 0};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[256];

    if (sock < 0 || connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return false;
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return io_write_all(sock, call, sizeof(call)) == 0 && /* a message ends with its NUL */
           read(sock, answer, sizeof(answer)) > 0;
}

static void print_new(sd_journal *journal)
{
    sd_journal_process(journal);
    while (sd_journal_next(journal) > 0)
        print_entry(journal);
    fflush(stdout);
}

/* To where the last `tail` entries begin. Behind none, the next one is the first of all. */
static void seek(sd_journal *journal, int64_t tail)
{
    sd_journal_seek_head(journal);
    if (tail < 0)
        return;
    sd_journal_seek_tail(journal);
    int found = sd_journal_previous_skip(journal, tail ? (uint64_t)tail : 1);
    if (found <= 0)
        sd_journal_seek_head(journal);
    else if (tail)
        print_entry(journal);
}

static void follow(sd_journal *journal)
{
    for (;;) {
        struct pollfd waiting[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                {.fd = sd_journal_get_fd(journal), .events = POLLIN}};
        if (poll(waiting, 2, -1) < 0 && errno != EINTR)
            return;
        bool over = waiting[0].revents;
        if (over && !sync_journal())
            sd_journal_wait(journal, UNSYNCED_WAIT_US);
        print_new(journal);
        if (over)
            return;
    }
}

static int open_journal(const char *id, sd_journal **ret, struct error *err)
{
    char match[256];
    int r = sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);

    if (r < 0)
        return error_sys(err, -r, "open the journal");
    if (sd_journal_has_runtime_files(*ret) <= 0 && sd_journal_has_persistent_files(*ret) <= 0)
        return error_set(err, ENOENT,
                "there is no journal here that you may read: journald keeps it in /run/log/journal "
                "or /var/log/journal, and the group systemd-journal may read it");
    snprintf(match, sizeof(match), "CONTAINER_ID_FULL=%s", id);
    r = sd_journal_add_match(*ret, match, 0);
    return r < 0 ? error_sys(err, -r, "look for %s in the journal", match) : 0;
}

int journal_print(struct json_object *order, struct error *err)
{
    sd_journal *journal = NULL;
    const char *id = json_get_str(order, "id");
    struct json_object *tail = json_get(order, "tail");

    if (!id)
        return error_set(err, EINVAL, "an order to read the journal needs \"id\"");
    sync_journal();
    int r = open_journal(id, &journal, err);
    if (r == 0) {
        sd_journal_get_fd(journal); /* from here on it tells what comes */
        seek(journal, tail ? json_object_get_int64(tail) : -1);
        print_new(journal);
        if (json_get_bool(order, "follow", false))
            follow(journal);
    }
    sd_journal_close(journal);
    return r;
}
