#include "engine/vm_network.h"

#include "engine/network.h"

static size_t interfaces_of(const struct vm *vm, const struct sandbox_interface **ret)
{
    *ret = NULL;
    return vm->config->networks ? sandbox_networks_interfaces(vm->config->networks, ret) : 0;
}

const char *vm_network_device(struct arena *arena, size_t number)
{
    return arena_printf(arena, "02:56:49:56:00:%02zx", number + 1);
}

void vm_join_first_network(struct spec *spec)
{
    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (str_equal(spec->linux.namespaces.items[i].type, "network"))
            spec->linux.namespaces.items[i].path = "/proc/1/ns/net";
}

int vm_network_describe(struct vm *vm, struct error *err)
{
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);
    struct proto_machine *machine = &vm->machine;

    if (vm->config->pasta)
        return error_set(err, EOPNOTSUPP,
                "--network pasta carries containers; a machine takes a network's name, or none");
    if (count > VM_NETWORKS_MAX)
        return error_set(
                err, E2BIG, "--network: a machine is on %d networks at most", VM_NETWORKS_MAX);
    vm_join_first_network(&vm->guest_spec);
    if (!count)
        return 0;
    machine->nets.items = arena_new_array(vm->arena, struct proto_net, count);
    machine->nets.count = count;
    for (size_t i = 0; i < count; i++)
        machine->nets.items[i] = (struct proto_net){
                .mac = vm_network_device(vm->arena, i), .mtu = interfaces[i].mtu};
    return 0;
}

/* ---- the taps -------------------------------------------------------------------------------- */

static int taps_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct vm *vm = step->args;
    int fds[VM_NETWORKS_MAX];
    int r = sandbox_networks_open_taps(vm->config->networks, fds, err);

    for (size_t i = 0; r == 0 && i < vm->machine.nets.count; i++)
        run->fds[vm->tap_slots[i]] = fds[i];
    return r;
}

static void taps_describe(const struct step *step, struct step_text *text)
{
    const struct vm *vm = step->args;
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    for (size_t i = 0; i < count; i++) {
        step_call(text, "openat(AT_FDCWD, \"/dev/net/tun\", O_RDWR|O_NONBLOCK|O_CLOEXEC)");
        step_call(text, "ioctl(<tap>, TUNSETIFF, {ifr_name=%s, IFF_TAP|IFF_NO_PI|IFF_VNET_HDR})",
                step_quote(text->arena, interfaces[i].lease.device));
    }
    step_why(text, "A tap for each network, on its bridge: what the machine's network device sends "
                   "comes out here.");
}

static const struct step_ops taps_ops = {
        .name = "tap",
        .manual = "netdevice(7)",
        .apply = taps_apply,
        .describe = taps_describe,
};

int vm_network_steps(struct plan *plan, struct vm *vm, struct error *err)
{
    if (!vm->config->networks)
        return 0;
    int r = sandbox_networks_steps(vm->config->networks, CONTAINER_BEFORE_CHILD, plan, err);
    if (r < 0 || !vm->machine.nets.count)
        return r;
    for (size_t i = 0; i < vm->machine.nets.count; i++)
        vm->tap_slots[i] = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &taps_ops, "/linux/namespaces", vm);
    return 0;
}

void vm_network_give(const struct vm *vm, const struct plan_run *run, struct proto_machine *machine)
{
    for (size_t i = 0; i < machine->nets.count; i++)
        machine->nets.items[i].fd = (struct opt_i64){true, run->fds[vm->tap_slots[i]]};
}

/* ---- the guest's end ------------------------------------------------------------------------- */

static const char *address_or_none(struct arena *arena, const struct net_address *address)
{
    return address->family ? net_address_text(arena, address) : NULL;
}

struct agent_interface *vm_network_send_one(
        struct arena *arena, const struct link_inside *inside, struct agent_create *into)
{
    const char *device = vm_network_device(arena, into->interfaces.count);
    struct agent_interface *to = RECORD_APPEND(arena, &into->interfaces);

    *to = (struct agent_interface){.device = device, .name = inside->name};
    for (size_t i = 0; i < inside->addresses.count; i++) {
        const struct link_address *address = &inside->addresses.items[i];
        strv_add(arena, &to->addresses,
                arena_printf(arena, "%s/%u", net_address_text(arena, &address->address),
                        address->prefix));
    }
    for (size_t i = 0; i < inside->routes.count; i++) {
        const struct link_route *route = &inside->routes.items[i];
        struct agent_route *slot = RECORD_APPEND(arena, &to->routes);
        *slot = (struct agent_route){
                .to = net_subnet_text(arena, &route->to),
                .gateway = address_or_none(arena, &route->gateway),
                .source = address_or_none(arena, &route->source),
                .metric = route->metric,
                .onlink = route->onlink,
        };
    }
    return to;
}

void vm_network_send(const struct vm *vm, struct arena *arena, struct agent_create *into)
{
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    for (size_t i = 0; i < count; i++) {
        struct agent_interface *to = vm_network_send_one(arena, &interfaces[i].inside, into);
        to->mac = interfaces[i].lease.mac;
        to->mtu = interfaces[i].mtu;
    }
}
