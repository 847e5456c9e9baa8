/* What sandboxes send to the responder of names: whatever is taken for a question has a name that
 * is a name, and its answer fits. And resolv.conf, whatever it holds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/directory.h"
#include "net/resolvconf.h"

static void check_question(const uint8_t *data, size_t size)
{
    struct net_lease leases[] = {{.network = "n", .id = "1", .ipv4 = "10.1.1.2"},
            {.network = "n", .id = "2", .ipv4 = "10.1.1.3", .ipv6 = "fd00::3"}};
    struct directory directory = {.leases = {leases, 2}};
    struct dns_question question = {0};
    struct dns_reply reply = {.code = DNS_NXDOMAIN};
    unsigned char answer[DNS_ANSWER_MAX];

    if (dns_parse(data, size, &question) < 0)
        return;
    if (question.end > size || strlen(question.name) >= DNS_NAME_MAX)
        abort();
    strv_add(&directory.arena, &leases[0].names, "web");
    strv_add(&directory.arena, &leases[1].names, question.name);
    directory_answer(&directory, &leases[0], &question, &reply);
    if (dns_answer(data, &question, &reply, false, answer) > sizeof(answer) ||
            dns_answer(data, &question, &reply, true, answer) > DNS_DATAGRAM_MAX)
        abort();
    directory_free(&directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    struct resolvconf conf = {0};

    check_question(data, size);
    resolvconf_parse(arena_strndup(&arena, (const char *)data, size), &arena, &conf);
    if (conf.servers.count > RESOLVCONF_SERVERS_MAX)
        abort();
    return 0;
}
