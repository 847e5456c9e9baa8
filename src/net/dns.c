#include "net/dns.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TTL 5 /* seconds: sandboxes come and go */
#define LABEL_MAX 63
#define CLASS_IN 1
#define FLAG_ANSWER 0x80
#define FLAG_AUTHORITATIVE 0x04
#define FLAG_TRUNCATED 0x02
#define FLAG_RECURSION 0x01
#define FLAG_AVAILABLE 0x80

static uint16_t get16(const unsigned char *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

/* A name written label by label; a question has none that is compressed. The place behind it, or
 * 0. A dot or a zero inside a label would make it look like another name: that is refused. */
static size_t read_name(const unsigned char *message, size_t length, char *name)
{
    size_t at = DNS_HEADER;
    size_t used = 0;

    for (;;) {
        if (at >= length)
            return 0;
        size_t label = message[at++];
        if (label == 0)
            break;
        if (label > LABEL_MAX || at + label > length || used + label + 1 >= DNS_NAME_MAX)
            return 0;
        if (used)
            name[used++] = '.';
        for (size_t i = 0; i < label; i++) {
            unsigned char c = message[at + i];
            if (c == '.' || c == '\0')
                return 0;
            name[used++] = (char)tolower(c);
        }
        at += label;
    }
    name[used] = '\0';
    return at;
}

int dns_parse(const unsigned char *message, size_t length, struct dns_question *ret)
{
    struct dns_question question = {0};

    if (length < DNS_HEADER || message[2] & FLAG_ANSWER)
        return -EBADMSG;
    question.id = get16(message);
    ret->id = question.id;
    if (message[2] & 0x78 || get16(message + 4) != 1) /* opcode; one question */
        return -EOPNOTSUPP;
    size_t at = read_name(message, length, question.name);
    if (at == 0 || at + 4 > length)
        return -EBADMSG;
    question.type = get16(message + at);
    question.recursion = message[2] & FLAG_RECURSION;
    question.end = at + 4;
    if (get16(message + at + 2) != CLASS_IN)
        return -EOPNOTSUPP;
    *ret = question;
    return 0;
}

/* ---- addresses as names ---------------------------------------------------------------------- */

static bool reverse4(const char *name, struct net_address *ret)
{
    unsigned parts[4];
    int end = 0;

    if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &parts[3], &parts[2], &parts[1], &parts[0],
                &end) != 4 ||
            end == 0 || name[end])
        return false;
    *ret = (struct net_address){.family = AF_INET};
    for (size_t i = 0; i < 4; i++) {
        if (parts[i] > 255)
            return false;
        ret->bytes[i] = (unsigned char)parts[i];
    }
    return true;
}

static bool reverse6(const char *name, struct net_address *ret)
{
    *ret = (struct net_address){.family = AF_INET6};
    for (size_t i = 0; i < 32; i++) {
        const char *digits = "0123456789abcdef";
        const char *found = name[i * 2] ? strchr(digits, name[i * 2]) : NULL;
        if (!found || name[i * 2 + 1] != '.')
            return false;
        unsigned char *byte = &ret->bytes[15 - i / 2];
        *byte = (unsigned char)(*byte | (found - digits) << (i % 2 ? 4 : 0));
    }
    return strcmp(name + 64, "ip6.arpa") == 0;
}

bool dns_reverse(const char *name, struct net_address *ret)
{
    return reverse4(name, ret) || reverse6(name, ret);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* A record about the name of the question; the place of its data. */
static unsigned char *put_record(unsigned char *at, unsigned type, size_t size)
{
    put16(at, 0xc000 | DNS_HEADER);
    put16(at + 2, type);
    put16(at + 4, CLASS_IN);
    put16(at + 6, 0);
    put16(at + 8, TTL);
    put16(at + 10, (unsigned)size);
    return at + 12;
}

static size_t put_name(unsigned char *at, const char *name)
{
    size_t used = 0;

    while (*name) {
        size_t label = strcspn(name, ".");
        if (label == 0 || label > LABEL_MAX)
            return 0;
        at[used] = (unsigned char)label;
        memcpy(at + used + 1, name, label);
        used += label + 1;
        name += label + (name[label] == '.');
    }
    at[used] = 0;
    return used + 1;
}

/* As many as fit into `room` bytes; whether that was all. */
static bool put_addresses(const struct dns_question *question, const struct dns_reply *reply,
        size_t room, unsigned char *at, size_t *ret_used, unsigned *ret_count)
{
    for (size_t i = 0; i < reply->count; i++) {
        const struct net_address *address = &reply->addresses[i];
        unsigned type = address->family == AF_INET ? DNS_A : DNS_AAAA;
        size_t size = net_address_size(address);
        if (question->type != type && question->type != DNS_ANY)
            continue;
        if (*ret_used + 12 + size > room)
            return false;
        memcpy(put_record(at + *ret_used, type, size), address->bytes, size);
        *ret_used += 12 + size;
        (*ret_count)++;
    }
    return true;
}

size_t dns_answer(const unsigned char *message, const struct dns_question *question,
        const struct dns_reply *reply, bool datagram, unsigned char *into)
{
    size_t room = (datagram ? DNS_DATAGRAM_MAX : DNS_ANSWER_MAX) - question->end;
    size_t used = 0;
    unsigned count = 0;

    memcpy(into, message, question->end);
    into[2] = (unsigned char)(FLAG_ANSWER | FLAG_AUTHORITATIVE |
                              (question->recursion ? FLAG_RECURSION : 0));
    into[3] = (unsigned char)(FLAG_AVAILABLE | reply->code);
    if (question->type == DNS_PTR && reply->pointer && strlen(reply->pointer) + 2 + 12 <= room) {
        size_t size = put_name(into + question->end + 12, reply->pointer);
        if (size) {
            put_record(into + question->end, DNS_PTR, size);
            used = 12 + size;
            count = 1;
        }
    }
    if (!put_addresses(question, reply, room, into + question->end, &used, &count))
        into[2] = (unsigned char)(into[2] | FLAG_TRUNCATED);
    put16(into + 6, count);
    put16(into + 8, 0);
    put16(into + 10, 0);
    return question->end + used;
}

size_t dns_refuse(uint16_t id, enum dns_code code, unsigned char *into)
{
    memset(into, 0, DNS_HEADER);
    put16(into, id);
    into[2] = FLAG_ANSWER;
    into[3] = (unsigned char)code;
    return DNS_HEADER;
}
