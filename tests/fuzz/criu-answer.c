/* What CRIU answers, as bytes: whatever is accepted can be told, and is within the message; what we
 * say ourselves is read by the same reader. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/criu_message.h"

static void check_answer(const char *data, size_t size, struct arena *arena)
{
    struct criu_answer answer;
    struct error err = ERROR_NONE;
    int r = criu_answer_parse(data, size, arena, &answer, &err);

    if (r < 0 && !*err.text)
        abort();
    if (r == 0 && (!answer.kind || answer.pid < 0 || answer.code < 0 ||
                          strlen(answer.message) + strlen(answer.script) > size))
        abort();
}

/* A request with any text in it reads as the fields that were written. */
static void check_request(const char *text)
{
    _cleanup_buf_ struct buf options = {0}, request = {0};
    struct protobuf_field outer = {0}, inner = {0};

    protobuf_add_text(&options, CRIU_EXTERNAL, text);
    criu_add_request(&request, CRIU_DUMP, &options);
    struct protobuf_reader reader = {request.data, request.data + request.length};
    if (protobuf_next(&reader, &outer) != 1 || outer.value != CRIU_DUMP ||
            protobuf_next(&reader, &outer) != 1 || outer.number != 2)
        abort();
    struct protobuf_reader within = {outer.data, outer.data + outer.length};
    if (protobuf_next(&within, &inner) != 1 || inner.number != CRIU_EXTERNAL ||
            inner.length != strlen(text) || memcmp(inner.data, text, inner.length) != 0 ||
            protobuf_next(&within, &inner) != 0 || protobuf_next(&reader, &outer) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};

    check_answer((const char *)data, size, &arena);
    check_request(arena_strndup(&arena, (const char *)data, size));
    return 0;
}
