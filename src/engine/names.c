#include "engine/names.h"

#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include <fcntl.h>

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
