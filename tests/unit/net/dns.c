#include "net/dns.h"

#include <errno.h>

#include "test.h"

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define WEB HEADER "\x03WeB\x00\x00\x01\x00\x01"

static int parse(const char *bytes, size_t length, struct dns_question *ret)
{
    return dns_parse((const unsigned char *)bytes, length, ret);
}
#define PARSE(bytes_, ret_) parse((bytes_), sizeof(bytes_) - 1, (ret_))

TEST(a_question_is_read)
{
    struct dns_question question = {0};

    CHECK_INT(PARSE(WEB, &question), 0);
    CHECK_INT(question.id, 0x1234);
    CHECK_INT(question.type, DNS_A);
    CHECK(question.recursion);
    CHECK_STR(question.name, "web");
    CHECK_INT(question.end, sizeof(WEB) - 1);
    CHECK_INT(PARSE(HEADER "\x01"
                           "a\x02"
                           "bc\x00\x00\x1c\x00\x01"
                           "more",
                      &question),
            0);
    CHECK_STR(question.name, "a.bc");
    CHECK_INT(question.type, DNS_AAAA);
}

TEST(what_is_no_question_is_refused)
{
    struct dns_question question = {0};
    char long_name[400] = HEADER;

    for (size_t at = 0; at < sizeof(WEB) - 1; at++) /* each prefix is incomplete */
        CHECK(parse(WEB, at, &question) < 0);
    CHECK_INT(PARSE("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
                      &question),
            -EBADMSG); /* an answer */
    CHECK_INT(PARSE("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
                      &question),
            -EOPNOTSUPP); /* an update */
    CHECK_INT(PARSE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
                      &question),
            -EOPNOTSUPP);                                                     /* two questions */
    CHECK_INT(PARSE(HEADER "\xc0\x0c\x00\x01\x00\x01", &question), -EBADMSG); /* points to itself */
    CHECK_INT(PARSE(HEADER "\x03"
                           "a.b\x00\x00\x01\x00\x01",
                      &question),
            -EBADMSG); /* a dot inside a label */
    CHECK_INT(PARSE(HEADER "\x00\x00\x01\x00\x03", &question), -EOPNOTSUPP); /* class CHAOS */
    for (size_t i = 12; i + 64 < sizeof(long_name); i += 64)
        long_name[i] = 63;
    CHECK_INT(parse(long_name, sizeof(long_name), &question), -EBADMSG);
}

TEST(answers_hold_what_was_asked_for)
{
    struct dns_reply reply = {
            .addresses = {{AF_INET, {10, 1, 1, 1}}, {AF_INET6, {0xfd}}}, .count = 2};
    struct dns_question question;
    unsigned char answer[DNS_ANSWER_MAX];

    CHECK_INT(PARSE(WEB, &question), 0);
    size_t length = dns_answer((const unsigned char *)WEB, &question, &reply, true, answer);
    CHECK_INT(length, sizeof(WEB) - 1 + 16);
    CHECK_INT(answer[2] & 0x80, 0x80);
    CHECK_INT(answer[7], 1);
    CHECK_INT(answer[length - 4], 10);
    reply.code = DNS_NXDOMAIN;
    reply.count = 0;
    length = dns_answer((const unsigned char *)WEB, &question, &reply, true, answer);
    CHECK_INT(length, sizeof(WEB) - 1);
    CHECK_INT(answer[3] & 15, DNS_NXDOMAIN);
}

TEST(the_largest_answer_fits)
{
    struct dns_reply reply = {.count = DNS_ANSWERS_MAX};
    struct dns_question question = {.end = DNS_HEADER + DNS_NAME_MAX + 5, .type = DNS_ANY};
    unsigned char message[512] = {0}, answer[DNS_ANSWER_MAX];

    for (size_t i = 0; i < DNS_ANSWERS_MAX; i++)
        reply.addresses[i].family = AF_INET6;
    CHECK(dns_answer(message, &question, &reply, false, answer) <= DNS_ANSWER_MAX);
    CHECK_INT(answer[7], DNS_ANSWERS_MAX);
    CHECK_INT(answer[2] & 2, 0);
    CHECK(dns_answer(message, &question, &reply, true, answer) <= DNS_DATAGRAM_MAX);
    CHECK_INT(answer[7], 8);
    CHECK_INT(answer[2] & 2, 2);
}

TEST(addresses_are_names_backwards)
{
    struct net_address address;

    CHECK(dns_reverse("2.0.90.10.in-addr.arpa", &address));
    CHECK_INT(address.bytes[3], 2);
    CHECK(dns_reverse(
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", &address));
    CHECK_INT(address.bytes[0], 0xfd);
    CHECK_INT(address.bytes[15], 1);
    CHECK(!dns_reverse("2.0.90.in-addr.arpa", &address));
    CHECK(!dns_reverse("2.0.90.256.in-addr.arpa", &address));
    CHECK(!dns_reverse("2.0.90.10.in-addr.arpa.x", &address));
    CHECK(!dns_reverse("web", &address));
    CHECK(!dns_reverse("1.0.ip6.arpa", &address));
}

TEST_MAIN()
