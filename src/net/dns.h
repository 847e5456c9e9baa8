/*
 * Messages of the DNS (RFC 1035), as far as a responder for a handful of names needs them: one
 * question is read, completely checked, and an answer is built on it. What a sandbox sends is read
 * here and nowhere else; fuzzed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/address.h"

#define DNS_NAME_MAX 254 /* "a.b.c", with its NUL */
#define DNS_HEADER 12
#define DNS_ANSWERS_MAX 32
#define DNS_ANSWER_MAX 1280  /* bytes of an answer of ours */
#define DNS_DATAGRAM_MAX 512 /* of one over UDP: what every client takes */

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_ANY = 255 };
enum dns_code { DNS_OK = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4 };

struct dns_question {
    uint16_t id;
    uint16_t type;
    bool recursion;          /* the client wants it */
    char name[DNS_NAME_MAX]; /* in small letters, without the last dot; "" is the root */
    size_t end;              /* bytes of header and question */
};

/* -EBADMSG: no query that can be answered at all; -EOPNOTSUPP: a query of a kind that is not known
 * here (opcode, class, number of questions), whose id is set. */
int dns_parse(const unsigned char *message, size_t length, struct dns_question *ret);

/* The address that "2.0.90.10.in-addr.arpa" or "….ip6.arpa" asks about; false for all else. */
bool dns_reverse(const char *name, struct net_address *ret);

/* What is said of a name. */
struct dns_reply {
    enum dns_code code;
    struct net_address addresses[DNS_ANSWERS_MAX];
    size_t count;
    const char *pointer; /* the name that a PTR question gets; NULL: none */
};

/* Builds the answer to a message that dns_parse() took into `into` (DNS_ANSWER_MAX bytes); returns
 * its length. Addresses of a type that was not asked for are left out. With `datagram` no more than
 * DNS_DATAGRAM_MAX bytes: what does not fit is left out, and the client told to ask over TCP. */
size_t dns_answer(const unsigned char *message, const struct dns_question *question,
        const struct dns_reply *reply, bool datagram, unsigned char *into);

/* A refusal that needs nothing but the header. */
size_t dns_refuse(uint16_t id, enum dns_code code, unsigned char *into);
