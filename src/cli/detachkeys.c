#include "cli/detachkeys.h"

#include <ctype.h>

#include "base/buf.h"

#define DEFAULT_KEYS "ctrl-p,ctrl-q"

/* "a" is itself, "ctrl-a" is 1, "ctrl-@" is 0. */
static int read_key(const char *text, char *ret)
{
    const char *letter = str_after(text, "ctrl-");

    if (!letter) {
        *ret = text[0];
        return text[0] && !text[1] ? 0 : -EINVAL;
    }
    char upper = (char)toupper((unsigned char)letter[0]);
    *ret = (char)(upper - '@');
    return upper > '@' && upper <= '_' && !letter[1] ? 0 : -EINVAL;
}

int detach_keys_read(struct arena *arena, const char *text, const char **ret, struct error *err)
{
    struct strv words = {0};
    _cleanup_buf_ struct buf keys = {0};
    const char *word;

    strv_split(arena, &words, text ? text : DEFAULT_KEYS, ',');
    strv_foreach (word, &words) {
        char key;
        if (read_key(word, &key) < 0)
            return error_set(err, EINVAL,
                    "--detach-keys %s: write keys with commas between, each a letter or ctrl- and "
                    "a letter or one of [ \\ ] ^ _",
                    text);
        buf_add_char(&keys, key);
    }
    if (keys.length > DETACH_KEYS_MAX)
        return error_set(err, EINVAL, "--detach-keys %s: %d keys at most", text, DETACH_KEYS_MAX);
    *ret = arena_strdup(arena, buf_text(&keys));
    return 0;
}
