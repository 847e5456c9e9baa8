#include "engine/journal.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

/* NAME=VALUE and a newline; a value with a newline inside has its length in front instead. */
static void add_field(struct buf *buf, const char *name, const char *value, size_t length)
{
    buf_add_str(buf, name);
    if (memchr(value, '\n', length)) {
        uint64_t size = htole64(length);
        buf_add_char(buf, '\n');
        buf_add(buf, &size, sizeof(size));
    } else {
        buf_add_char(buf, '=');
    }
    buf_add(buf, value, length);
    buf_add_char(buf, '\n');
}

static void add_text(struct buf *buf, const char *name, const char *value)
{
    if (value)
        add_field(buf, name, value, strlen(value));
}

int journal_open(const struct journal_source *source, struct journal *ret, struct error *err)
{
    const struct sockaddr_un address = {AF_UNIX, JOURNAL_SOCKET};
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char short_id[13] = "";

    if (sock < 0)
        return error_sys(err, errno, "make a socket for the journal");
    if (connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_sys_hint(err, errno, "use --log-driver json-file where no journald runs",
                "--log-driver journald: connect to " JOURNAL_SOCKET);
    snprintf(short_id, sizeof(short_id), "%.12s", source->id ? source->id : "");
    struct journal journal = {.sock = take_fd(&sock)};
    add_text(&journal.fields, "CONTAINER_ID", short_id);
    add_text(&journal.fields, "CONTAINER_ID_FULL", source->id);
    add_text(&journal.fields, "CONTAINER_NAME", source->name);
    add_text(&journal.fields, "CONTAINER_TAG", source->tag ? source->tag : short_id);
    add_text(&journal.fields, "SYSLOG_IDENTIFIER", source->tag ? source->tag : short_id);
    add_text(&journal.fields, "IMAGE_NAME", source->image);
    *ret = journal;
    return 0;
}

void journal_send(
        struct journal *journal, const char *text, size_t length, bool is_error, bool part)
{
    _cleanup_buf_ struct buf entry = {0};

    add_field(&entry, "MESSAGE", text, length);
    add_text(&entry, "PRIORITY", is_error ? "3" : "6");
    if (part)
        add_text(&entry, "CONTAINER_PARTIAL_MESSAGE", "true");
    buf_add(&entry, journal->fields.data, journal->fields.length);
    send(journal->sock, entry.data, entry.length, MSG_NOSIGNAL);
}

void journal_close(struct journal *journal)
{
    cleanup_close(&journal->sock);
    buf_free(&journal->fields);
}
