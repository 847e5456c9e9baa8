#include "proto/questions.h"

#define HEADER 12
#define IS_ANSWER 0x80 /* of the third byte */

static uint16_t id_of(const unsigned char *message)
{
    return (uint16_t)(message[0] << 8 | message[1]);
}

static void set_id(unsigned char *message, uint16_t id)
{
    message[0] = (unsigned char)(id >> 8);
    message[1] = (unsigned char)id;
}

bool questions_begin(struct questions *questions, const struct sockaddr_in *from,
        unsigned char *message, size_t length)
{
    uint16_t number = questions->next;

    if (length < HEADER || message[2] & IS_ANSWER)
        return false;
    questions->next++;
    __typeof__(questions->items[0]) *item = &questions->items[number % QUESTIONS_MAX];
    item->from = *from;
    item->id = id_of(message);
    item->number = number;
    item->waits = true;
    set_id(message, number);
    return true;
}

bool questions_end(struct questions *questions, unsigned char *message, size_t length,
        struct sockaddr_in *ret_from)
{
    if (length < HEADER || !(message[2] & IS_ANSWER))
        return false;
    uint16_t number = id_of(message);
    __typeof__(questions->items[0]) *item = &questions->items[number % QUESTIONS_MAX];
    if (!item->waits || item->number != number)
        return false;
    item->waits = false;
    set_id(message, item->id);
    *ret_from = item->from;
    return true;
}
