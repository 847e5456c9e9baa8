/* Words about networks and ports: what is taken can be stored, read again, and is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/port.h"
#include "net/request.h"
#include "net/shape.h"

static void check_join(struct arena *arena, const char *text)
{
    struct net_request request = {0}, again = {0};
    struct record_report report = {.arena = arena};
    struct net_join join;

    if (net_join_parse(text, arena, &join, NULL) < 0)
        return;
    struct net_join *slot = RECORD_APPEND(arena, &request.joins);
    *slot = join;
    _cleanup_json_ struct json_object *json = record_write(&net_request_record, &request);
    record_read(&net_request_record, json, "", &again, &report);
    if (report.faults.count || again.joins.count != 1 ||
            !str_equal(again.joins.items[0].network, join.network))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *text = arena_strndup(&arena, (const char *)data, size);
    struct net_publish publish;
    struct net_subnet subnet, same;
    const char *name, *address;
    uint64_t bits = 8000;

    check_join(&arena, text);
    if (net_publish_parse(text, &publish, NULL) == 0 &&
            (!publish.count || !publish.port || publish.count > NET_PORTS_MAX ||
                    publish.port + publish.count - 1 > UINT16_MAX ||
                    publish.host_port + publish.count - 1 > UINT16_MAX))
        abort();
    if (net_subnet_parse(text, &subnet, NULL) == 0 &&
            (net_subnet_parse(net_subnet_text(&arena, &subnet), &same, NULL) < 0 ||
                    !net_subnet_overlaps(&subnet, &same)))
        abort();
    if (net_host_parse(text, &arena, &name, &address, NULL) == 0 && !net_is_name(name))
        abort();
    shape_parse_rate(text, &bits, NULL);
    if (bits < 8000)
        abort();
    return 0;
}
