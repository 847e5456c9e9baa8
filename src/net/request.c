#include "net/request.h"

#include <ctype.h>
#include <net/if.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/address.h"
#include "net/network.h"

static const struct field join_fields[] = {
        FIELD_REQUIRED(struct net_join, network, FIELD_STR),
        FIELD(struct net_join, ip, FIELD_STR),
        FIELD(struct net_join, ip6, FIELD_STR),
        FIELD(struct net_join, mac, FIELD_STR),
        FIELD(struct net_join, interface, FIELD_STR),
        FIELD(struct net_join, aliases, FIELD_STRV),
};
static const struct record join_record = RECORD(struct net_join, join_fields);

static const struct field request_fields[] = {
        FIELD_OF(struct net_request, joins, "joins", FIELD_LIST, &join_record),
        FIELD(struct net_request, pasta, FIELD_BOOL),
        FIELD(struct net_request, publish, FIELD_STRV),
        FIELD(struct net_request, exposed, FIELD_STRV),
        FIELD(struct net_request, publish_all, FIELD_BOOL),
        FIELD(struct net_request, dns, FIELD_STRV),
        FIELD(struct net_request, dns_search, FIELD_STRV),
        FIELD(struct net_request, dns_option, FIELD_STRV),
        FIELD(struct net_request, add_host, FIELD_STRV),
        FIELD(struct net_request, rate_in, FIELD_U64),
        FIELD(struct net_request, rate_out, FIELD_U64),
        FIELD(struct net_request, no_hosts, FIELD_BOOL),
        FIELD(struct net_request, host, FIELD_BOOL),
};
const struct record net_request_record = RECORD(struct net_request, request_fields);

bool net_wants_anything(const struct net_request *request)
{
    return request->joins.count || request->pasta || request->host || request->dns.count ||
           request->add_host.count;
}

bool net_is_name(const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length > 253 || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
            return false;
    return true;
}

static int take_address(const char *value, int family, const char **ret, struct error *err)
{
    struct net_address address;

    if (net_address_parse(value, false, &address) < 0 || address.family != family)
        return error_set(err, EINVAL, "\"%.64s\" is no address of IPv%c", value,
                family == AF_INET ? '4' : '6');
    *ret = value;
    return 0;
}

static int take_option(const char *key, const char *value, struct arena *arena,
        struct net_join *join, struct error *err)
{
    unsigned char mac[NET_MAC_SIZE];

    if (str_equal(key, "ip"))
        return take_address(value, strchr(value, ':') ? AF_INET6 : AF_INET,
                strchr(value, ':') ? &join->ip6 : &join->ip, err);
    if (str_equal(key, "ip6"))
        return take_address(value, AF_INET6, &join->ip6, err);
    if (str_equal(key, "mac")) {
        if (net_mac_parse(value, mac) < 0)
            return error_set(err, EINVAL,
                    "\"%.64s\" is no MAC address of one host, as in 02:00:00:00:00:01", value);
        join->mac = value;
        return 0;
    }
    if (str_equal(key, "alias")) {
        if (!net_is_name(value))
            return error_set(err, EINVAL, "alias \"%.64s\" is no host name", value);
        strv_add(arena, &join->aliases, value);
        return 0;
    }
    if (str_equal(key, "interface_name")) {
        if (!*value || strlen(value) >= IFNAMSIZ || strpbrk(value, "/ :%"))
            return error_set(err, EINVAL, "interface_name \"%.64s\": 1 to %d characters", value,
                    IFNAMSIZ - 1);
        join->interface = value;
        return 0;
    }
    return error_set(err, EINVAL,
            "unknown option \"%.64s\"; there are ip, ip6, mac, alias and interface_name", key);
}

int net_join_parse(const char *text, struct arena *arena, struct net_join *ret, struct error *err)
{
    const char *colon = strchr(text, ':');
    struct net_join join = {
            .network = colon ? arena_strndup(arena, text, (size_t)(colon - text)) : text};
    struct strv words = {0};
    const char *word;

    if (network_check_name(join.network, err) < 0)
        return -EINVAL;
    if (colon)
        strv_split(arena, &words, colon + 1, ',');
    strv_foreach (word, &words) {
        const char *equals = strchr(word, '=');
        if (!equals)
            return error_set(err, EINVAL, "\"%.64s\": write KEY=VALUE, as in ip=10.90.0.7", word);
        const char *key = arena_strndup(arena, word, (size_t)(equals - word));
        if (take_option(key, equals + 1, arena, &join, err) < 0)
            return -EINVAL;
    }
    *ret = join;
    return 0;
}

int net_host_parse(const char *text, struct arena *arena, const char **ret_name,
        const char **ret_address, struct error *err)
{
    const char *equals = strchr(text, '=');
    const char *sign = equals ? equals : strchr(text, ':');
    struct net_address address;

    if (sign && sign > text) {
        const char *name = arena_strndup(arena, text, (size_t)(sign - text));
        if (net_is_name(name) && (str_equal(sign + 1, "host-gateway") ||
                                         net_address_parse(sign + 1, true, &address) == 0)) {
            *ret_name = name;
            *ret_address = str_equal(sign + 1, "host-gateway") ? sign + 1
                                                               : net_address_text(arena, &address);
            return 0;
        }
    }
    return error_set(err, EINVAL,
            "\"%.128s\": write NAME:ADDRESS, as in db:10.1.1.1, or NAME:host-gateway", text);
}
