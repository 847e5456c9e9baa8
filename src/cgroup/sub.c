#include "cgroup/sub.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/str.h"

#define WORDS_MAX 64

/* Whether a list such as "cpu,cpuacct" has the word; "name=systemd" is called systemd too. */
static bool has_word(const char *list, const char *word, size_t length)
{
    for (const char *at = list; *at; at += strspn(at, ",")) {
        size_t size = strcspn(at, ",");
        const char *name = str_starts(at, "name=") ? at + 5 : at;
        size_t name_size = size - (size_t)(name - at);
        if ((size == length && memcmp(at, word, length) == 0) ||
                (name_size == length && memcmp(name, word, length) == 0))
            return true;
        at += size;
    }
    return false;
}

/* Whether the lists have a word in common. */
static bool have_common(const char *list, const char *other)
{
    for (const char *at = other; *at; at += strspn(at, ",")) {
        size_t size = strcspn(at, ",");
        if (has_word(list, at, size))
            return true;
        at += size;
    }
    return false;
}

static int parse_one(
        struct arena *arena, const char *word, struct cgroup_sub *ret, struct error *err)
{
    const char *colon = strchr(word, ':');
    struct cgroup_sub sub = {.path = colon ? colon + 1 : word};

    if (path_has_dotdot(sub.path))
        return error_set(err, EINVAL, "cgroup \"%s\": it may not have \"..\" in it", sub.path);
    if (colon)
        sub.controllers = arena_strndup(arena, word, (size_t)(colon - word));
    if (colon &&
            (word[0] == ',' || colon == word || colon[-1] == ',' || strstr(sub.controllers, ",,")))
        return error_set(
                err, EINVAL, "invalid --cgroup argument: %s (empty <controller> prefix)", word);
    *ret = sub;
    return 0;
}

static int check_with_others(const struct cgroup_sub_list *list, size_t count, struct error *err)
{
    const struct cgroup_sub *sub = &list->of.items[count];

    for (size_t i = 0; i < count; i++)
        if (sub->controllers && have_common(list->of.items[i].controllers, sub->controllers))
            return error_set(err, EINVAL,
                    "invalid --cgroup argument(s): a controller of %s is named several times",
                    sub->controllers);
    return 0;
}

int cgroup_sub_parse(struct arena *arena, const struct strv *words, struct cgroup_sub_list *ret,
        struct error *err)
{
    struct cgroup_sub_list list = {0};

    if (words->count > WORDS_MAX)
        return error_set(err, E2BIG, "--cgroup is given more than %d times", WORDS_MAX);
    list.of.items = arena_new_array(arena, struct cgroup_sub, words->count);
    for (; list.of.count < words->count; list.of.count++) {
        struct cgroup_sub *sub = &list.of.items[list.of.count];
        int r = parse_one(arena, words->words[list.of.count], sub, err);
        if (r == 0 && !sub->controllers && words->count > 1)
            r = error_set(err, EINVAL,
                    "invalid --cgroup argument: %s (missing <controller>: prefix)", sub->path);
        if (r == 0)
            r = check_with_others(&list, list.of.count, err);
        if (r < 0)
            return r;
    }
    *ret = list;
    return 0;
}

static bool is_known(const struct cgroup_saved *saved, const char *controller, size_t length)
{
    for (size_t i = 0; i < saved->v1.count; i++)
        if (has_word(saved->v1.items[i].controllers, controller, length))
            return true;
    return false;
}

int cgroup_sub_check(
        const struct cgroup_sub_list *subs, const struct cgroup_saved *saved, struct error *err)
{
    for (size_t i = 0; subs && i < subs->of.count; i++) {
        const char *list = subs->of.items[i].controllers;
        for (const char *at = list; at && *at; at += strspn(at, ",")) {
            size_t size = strcspn(at, ",");
            if (!is_known(saved, at, size))
                return error_set(err, EINVAL,
                        "unknown controller %.*s in --cgroup: the container has no v1 hierarchy "
                        "with it; write a path alone for all",
                        (int)size, at);
            at += size;
        }
    }
    return 0;
}

const struct cgroup_sub *cgroup_sub_find(
        const struct cgroup_sub_list *subs, const char *controllers)
{
    for (size_t i = 0; subs && i < subs->of.count; i++) {
        const struct cgroup_sub *sub = &subs->of.items[i];
        if (!sub->controllers || (controllers && have_common(controllers, sub->controllers)))
            return sub;
    }
    return NULL;
}
