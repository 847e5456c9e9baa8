/*
 * Questions to a name server (RFC 1035) that are passed on for others, as far as they have to be
 * looked at: each gets a number of ours in place of its own, which says whose the answer is.
 * Nothing of a message but its header is read.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUESTIONS_MAX 64 /* that wait for an answer; a further one takes the oldest one's place */

struct questions {
    struct {
        struct sockaddr_in from;
        uint16_t id, number;
        bool waits;
    } items[QUESTIONS_MAX];
    uint16_t next;
};

/* Notes a question and gives it its number. False for what is none. */
bool questions_begin(struct questions *questions, const struct sockaddr_in *from,
        unsigned char *message, size_t length);

/* Finds whom an answer is for, once, and gives it the question's own number back. False for what
 * answers nothing. */
bool questions_end(struct questions *questions, unsigned char *message, size_t length,
        struct sockaddr_in *ret_from);
