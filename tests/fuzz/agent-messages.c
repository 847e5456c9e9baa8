/* The agent's frames and messages, as both sides read them; questions for names, and answers, as
 * the agent passes them on. */
#include <string.h>

#include "base/cleanup.h"
#include "proto/agent.h"
#include "proto/questions.h"

static void pass_on(struct questions *questions, const struct agent_frame *frame)
{
    const struct sockaddr_in from = {.sin_family = AF_INET};
    struct sockaddr_in to;
    _cleanup_free_ unsigned char *message = malloc(frame->length ? frame->length : 1);

    if (!message)
        return;
    memcpy(message, frame->data, frame->length);
    if (frame->type == AGENT_ASK)
        (void)questions_begin(questions, &from, message, frame->length);
    else if (questions_end(questions, message, frame->length, &to) && to.sin_family != AF_INET)
        abort(); /* nobody's */
}

static void read_message(const struct agent_frame *frame)
{
    static const struct record *const records[AGENT_TYPES] = {
            [AGENT_HELLO] = &agent_hello_record,
            [AGENT_WELCOME] = &agent_welcome_record,
            [AGENT_CREATE] = &agent_create_record,
            [AGENT_RESUME] = &agent_resume_record,
            [AGENT_RESUMED] = &agent_resumed_record,
            [AGENT_EXEC] = &agent_exec_record,
            [AGENT_CALL] = &agent_call_record,
            [AGENT_FAILED] = &agent_failed_record,
            [AGENT_EXIT] = &agent_exit_record,
    };
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    uint16_t columns, lines;
    uint32_t number;
    char message[1024];
    size_t length;
    void *bytes;

    (void)agent_number(frame, &number);
    (void)agent_size(frame, &columns, &lines);
    (void)agent_read_error(frame, &err);
    if (records[frame->type] && records[frame->type]->size <= sizeof(message))
        (void)agent_read(frame, records[frame->type], &arena, message, &err);
    if (frame->type == AGENT_DATA)
        (void)agent_unhex(
                &arena, arena_strndup(&arena, frame->data, frame->length), &bytes, &length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    struct questions questions = {0};
    struct agent_frame frame;
    size_t used;

    while (agent_take(at, size, &frame, &used) > 0) {
        read_message(&frame);
        if (frame.type == AGENT_ASK || frame.type == AGENT_ANSWER)
            pass_on(&questions, &frame);
        at += used;
        size -= used;
    }
    return 0;
}
