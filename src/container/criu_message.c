#include "container/criu_message.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

/* criu_req, criu_resp and what is in them. */
enum { REQUEST_TYPE = 1, REQUEST_OPTIONS = 2, REQUEST_NOTIFIED = 3 };
enum { ANSWER_TYPE = 1, ANSWER_SUCCESS = 2, ANSWER_RESTORE = 4, ANSWER_NOTIFY = 5 };
enum { ANSWER_ERRNO = 7, ANSWER_MESSAGE = 9 };
enum { RESTORE_PID = 1, NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };

void criu_add_page_server(struct buf *options, const char *address, unsigned port)
{
    _cleanup_buf_ struct buf server = {0};

    protobuf_add_text(&server, 1, address);
    protobuf_add_number(&server, 2, port);
    protobuf_add_message(options, CRIU_PAGE_SERVER, &server);
}

void criu_add_inherited(struct buf *options, const char *key, int fd)
{
    _cleanup_buf_ struct buf inherited = {0};

    protobuf_add_text(&inherited, 1, key);
    protobuf_add_number(&inherited, 2, (unsigned)fd);
    protobuf_add_message(options, CRIU_INHERIT_FD, &inherited);
}

void criu_add_joined(struct buf *options, const char *kind, const char *path)
{
    _cleanup_buf_ struct buf joined = {0};

    protobuf_add_text(&joined, 1, kind);
    protobuf_add_text(&joined, 2, path);
    protobuf_add_message(options, CRIU_JOIN_NS, &joined);
}

void criu_add_cgroup_root(struct buf *options, const char *controller, const char *path)
{
    _cleanup_buf_ struct buf root = {0};

    if (controller)
        protobuf_add_text(&root, 1, controller);
    protobuf_add_text(&root, 2, path);
    protobuf_add_message(options, CRIU_CGROUP_ROOT, &root);
}

void criu_add_request(struct buf *into, enum criu_kind kind, const struct buf *options)
{
    protobuf_add_number(into, REQUEST_TYPE, kind);
    protobuf_add_message(into, REQUEST_OPTIONS, options);
}

void criu_add_notified(struct buf *into, bool success)
{
    protobuf_add_number(into, REQUEST_TYPE, CRIU_NOTIFY);
    protobuf_add_number(into, REQUEST_NOTIFIED, success);
}

/* A process's number; 0 for what is none. */
static pid_t to_pid(const struct protobuf_field *field)
{
    return field->is_number && field->value <= INT32_MAX ? (pid_t)field->value : 0;
}

static const char *to_text(const struct protobuf_field *field, struct arena *arena)
{
    return field->is_number ? "" : arena_strndup(arena, field->data, field->length);
}

/* criu_restore_resp and criu_notify. */
static int parse_inner(
        const struct protobuf_field *outer, struct arena *arena, struct criu_answer *ret)
{
    unsigned pid_field = outer->number == ANSWER_RESTORE ? RESTORE_PID : NOTIFY_PID;
    struct protobuf_field field;
    int r;

    if (outer->is_number)
        return -EBADMSG;
    struct protobuf_reader reader = {outer->data, outer->data + outer->length};
    while ((r = protobuf_next(&reader, &field)) > 0) {
        if (field.number == pid_field)
            ret->pid = to_pid(&field);
        else if (outer->number == ANSWER_NOTIFY && field.number == NOTIFY_SCRIPT)
            ret->script = to_text(&field, arena);
    }
    return r;
}

static int parse_field(
        const struct protobuf_field *field, struct arena *arena, struct criu_answer *ret)
{
    switch (field->number) {
    case ANSWER_TYPE:
        ret->kind = (unsigned)field->value;
        return 0;
    case ANSWER_SUCCESS:
        ret->success = field->value != 0;
        return 0;
    case ANSWER_ERRNO:
        ret->code = field->value <= INT32_MAX ? (int)field->value : 0;
        return 0;
    case ANSWER_MESSAGE:
        ret->message = to_text(field, arena);
        return 0;
    case ANSWER_RESTORE:
    case ANSWER_NOTIFY:
        return parse_inner(field, arena, ret);
    default:
        return 0;
    }
}

int criu_answer_parse(const char *data, size_t length, struct arena *arena, struct criu_answer *ret,
        struct error *err)
{
    struct protobuf_reader reader = {data, data + length};
    struct criu_answer answer = {.message = "", .script = ""};
    struct protobuf_field field;
    int r;

    while ((r = protobuf_next(&reader, &field)) > 0) {
        r = parse_field(&field, arena, &answer);
        if (r < 0)
            break;
    }
    if (r == 0 && !answer.kind)
        r = -EBADMSG;
    if (r < 0)
        return error_set(err, EBADMSG, "criu answered with what is no message of its protocol");
    *ret = answer;
    return 0;
}
