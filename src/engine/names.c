#include "engine/names.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"

static const char *const adjectives[] = {"amber", "brisk", "calm", "clever", "crisp", "eager",
        "fleet", "gentle", "golden", "happy", "hidden", "keen", "lively", "lucid", "mellow",
        "misty", "nimble", "patient", "placid", "proud", "quick", "quiet", "rapid", "sandy", "shy",
        "silent", "silver", "steady", "sunny", "swift", "tidy", "vivid"};
static const char *const animals[] = {"adder", "agama", "anole", "axolotl", "basilisk", "beetle",
        "bullfrog", "caiman", "cricket", "firefly", "frog", "gecko", "iguana", "ladybird", "lizard",
        "mantis", "moth", "newt", "olm", "python", "salamander", "scorpion", "shrew", "skink",
        "snail", "spider", "terrapin", "toad", "tortoise", "tuatara", "turtle", "viper"};

const char *sandbox_name_new(struct arena *arena, const struct store *store)
{
    uint32_t number = 0;

    for (;;) {
        struct stat found;
        if (getrandom(&number, sizeof(number), 0) < 0)
            number++;
        const char *name =
                arena_printf(arena, "%s_%s_%u", adjectives[number % ARRAY_SIZE(adjectives)],
                        animals[number / 64 % ARRAY_SIZE(animals)], number >> 16 & 4095);
        if (fstatat(store->fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
            return name;
    }
}

const char *name_new_id(struct arena *arena)
{
    unsigned char bytes[32];
    char *id = arena_alloc(arena, 2 * sizeof(bytes) + 1);

    for (size_t got = 0; got < sizeof(bytes);) {
        ssize_t more = getrandom(bytes + got, sizeof(bytes) - got, 0);
        if (more > 0)
            got += (size_t)more;
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return id;
}
