#include "net/shape.h"

#include <inttypes.h>
#include <linux/pkt_sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/link.h"
#include "net/redirect.h"
#include "sys/netlink.h"

#define RATE_LEAST 8000
#define RATE_MOST 1e12
#define BURST_LEAST 16384u
#define QUEUE_LEAST 65536u
#define QUEUE_PATIENT (8u << 20) /* above the largest window that Linux gives by itself, 6 MiB */

int shape_parse_rate(const char *text, uint64_t *ret_bits, struct error *err)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"", 1}, {"bit", 1}, {"k", 1e3}, {"kbit", 1e3}, {"m", 1e6}, {"mbit", 1e6},
            {"g", 1e9}, {"gbit", 1e9}};
    char *end;
    double number = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && number >= 0; i++) {
        size_t length = strlen(units[i].suffix);
        if (strncasecmp(end, units[i].suffix, length) != 0 ||
                (end[length] && !str_equal(end + length, "/s") && !str_equal(end + length, "ps")))
            continue;
        double bits = number * units[i].factor;
        if (!(bits >= RATE_LEAST && bits <= RATE_MOST))
            return error_set(err, EINVAL, "rate %s: from 8kbit to 1000gbit a second", text);
        *ret_bits = (uint64_t)bits;
        return 0;
    }
    return error_set(
            err, EINVAL, "rate \"%.64s\": write bits a second, as in 10mbit, 1.5g or 64000", text);
}

const char *shape_ifb(struct arena *arena, const char *device)
{
    return arena_printf(arena, "i%s", device);
}

static uint32_t at_least(uint64_t bytes, uint32_t least)
{
    if (bytes > UINT32_MAX)
        return UINT32_MAX;
    return bytes < least ? least : (uint32_t)bytes;
}

/* A token bucket of 20 milliseconds, behind it a queue of a tenth of a second: long enough for TCP
 * to fill it, short enough to keep answers quick. */
static int add_bucket(int sock, int index, uint64_t bits, bool patient)
{
    const struct tcmsg header = {
            .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = 0x10000};
    uint64_t bytes = bits / 8;
    uint32_t burst = at_least(bytes / 50, BURST_LEAST);
    struct tc_tbf_qopt options = {
            .rate = {.linklayer = TC_LINKLAYER_ETHERNET,
                    .rate = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes},
            .limit = at_least(bytes / 10 + burst, patient ? QUEUE_PATIENT : QUEUE_LEAST),
    };
    struct netlink_request request;

    netlink_begin(&request, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
    netlink_add_str(&request, TCA_KIND, "tbf");
    struct nlattr *nest = netlink_nest(&request, TCA_OPTIONS);
    netlink_add(&request, TCA_TBF_PARMS, &options, sizeof(options));
    netlink_add_u32(&request, TCA_TBF_BURST, burst);
    if (bytes > UINT32_MAX)
        netlink_add(&request, TCA_TBF_RATE64, &bytes, sizeof(bytes));
    netlink_nest_end(&request, nest);
    return netlink_send(sock, &request);
}

static int limit_sending(
        int sock, const char *device, int index, const struct shape *shape, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *name = shape_ifb(&arena, device);
    int r = link_make_ifb(sock, name, err);

    if (r < 0)
        return r;
    int ifb = link_find(sock, name, NULL);
    r = ifb < 0 ? ifb : add_bucket(sock, ifb, shape->out, shape->patient);
    if (r == 0)
        r = redirect_add(sock, index, ifb, REDIRECT_FIRST);
    if (r < 0)
        link_remove(sock, name, NULL);
    return r < 0 ? error_sys(err, -r, "limit what %s sends to %" PRIu64 " bits a second", device,
                           shape->out)
                 : 0;
}

int shape_add(int sock, const char *device, const struct shape *shape, struct error *err)
{
    int index = link_find(sock, device, NULL);

    if (index < 0)
        return error_sys(err, -index, "look at the interface %s", device);
    int r = shape->in ? add_bucket(sock, index, shape->in, false) : 0;
    if (r < 0)
        return error_sys_hint(err, -r, r == -ENOENT ? "this kernel lacks sch_tbf" : NULL,
                "limit what %s receives to %" PRIu64 " bits a second", device, shape->in);
    return shape->out ? limit_sending(sock, device, index, shape, err) : 0;
}

int shape_remove(int sock, const char *device, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};

    return link_remove(sock, shape_ifb(&arena, device), err);
}
