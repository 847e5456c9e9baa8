#include "proto/questions.h"

#include <string.h>

#include "test.h"

#define LENGTH 12

static void make(unsigned char message[LENGTH], uint16_t id, bool answer)
{
    memset(message, 0, LENGTH);
    message[0] = (unsigned char)(id >> 8);
    message[1] = (unsigned char)id;
    message[2] = answer ? 0x81 : 1;
}

static uint16_t id_of(const unsigned char *message)
{
    return (uint16_t)(message[0] << 8 | message[1]);
}

TEST(an_answer_goes_to_whoever_has_asked_once)
{
    static struct questions questions;
    struct sockaddr_in one = {.sin_port = 1}, two = {.sin_port = 2}, found;
    unsigned char first[LENGTH], second[LENGTH];

    make(first, 0x1234, false);
    make(second, 0x1234, false);
    CHECK(questions_begin(&questions, &one, first, LENGTH));
    CHECK(questions_begin(&questions, &two, second, LENGTH));
    CHECK(id_of(first) != id_of(second));
    second[2] |= 0x80;
    CHECK(questions_end(&questions, second, LENGTH, &found));
    CHECK_INT(found.sin_port, 2);
    CHECK_INT(id_of(second), 0x1234);
    first[2] |= 0x80;
    unsigned char again[LENGTH];
    memcpy(again, first, LENGTH);
    CHECK(questions_end(&questions, first, LENGTH, &found));
    CHECK_INT(found.sin_port, 1);
    CHECK(!questions_end(&questions, again, LENGTH, &found));
}

TEST(what_is_no_question_or_answers_none_is_refused)
{
    static struct questions questions;
    struct sockaddr_in from = {0}, found;
    unsigned char message[LENGTH];

    make(message, 0, true);
    CHECK(!questions_end(&questions, message, LENGTH, &found)); /* nobody has asked */
    CHECK(!questions_begin(&questions, &from, message, LENGTH));
    make(message, 0, false);
    CHECK(!questions_begin(&questions, &from, message, LENGTH - 1));
    CHECK(questions_begin(&questions, &from, message, LENGTH));
    CHECK(!questions_end(&questions, message, LENGTH, &found)); /* still the question */
}

TEST(a_further_question_takes_the_oldest_ones_place)
{
    static struct questions questions;
    struct sockaddr_in from = {0}, found;
    unsigned char oldest[LENGTH], message[LENGTH];

    make(oldest, 7, false);
    CHECK(questions_begin(&questions, &from, oldest, LENGTH));
    for (uint16_t i = 0; i < QUESTIONS_MAX; i++) {
        make(message, i, false);
        CHECK(questions_begin(&questions, &from, message, LENGTH));
    }
    oldest[2] |= 0x80;
    CHECK(!questions_end(&questions, oldest, LENGTH, &found));
    message[2] |= 0x80;
    CHECK(questions_end(&questions, message, LENGTH, &found));
    CHECK_INT(id_of(message), QUESTIONS_MAX - 1);
}

TEST_MAIN()
