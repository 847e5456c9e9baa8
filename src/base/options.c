#include "base/options.h"

#include <inttypes.h>

#include "base/cleanup.h"

#define NAMES_MAX 256
#define HELP_COLUMN 32
#define WIDTH_DEFAULT 80
#define WIDTH_LEAST 60

/* The arguments that are still to be read. */
struct reader {
    const struct option_command *command;
    char *const *at;
    char *const *end;
    struct arena *arena;
    char *into;
    struct strv *rest;
};

static bool takes_value(const struct option_row *row)
{
    return row->kind != OPTION_FLAG && row->kind != OPTION_SWITCH;
}

static const struct option_row *find_name(
        const struct option_command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_TABLES_MAX && command->tables[i]; i++)
        for (size_t j = 0; j < command->tables[i]->count; j++) {
            const struct option_row *row = &command->tables[i]->rows[j];
            if (row->name && strlen(row->name) == length && memcmp(row->name, name, length) == 0)
                return row;
        }
    return NULL;
}

static const struct option_row *find_letter(const struct option_command *command, char letter)
{
    for (size_t i = 0; i < OPTION_TABLES_MAX && command->tables[i]; i++)
        for (size_t j = 0; j < command->tables[i]->count; j++)
            if (command->tables[i]->rows[j].letter == letter)
                return &command->tables[i]->rows[j];
    return NULL;
}

static int unknown_name(
        const struct option_command *command, const char *name, size_t length, struct error *err)
{
    const char *names[NAMES_MAX] = {"help"};
    size_t count = 1;
    char wrong[64];

    for (size_t i = 0; i < OPTION_TABLES_MAX && command->tables[i]; i++)
        for (size_t j = 0; j < command->tables[i]->count && count < NAMES_MAX; j++)
            if (command->tables[i]->rows[j].name)
                names[count++] = command->tables[i]->rows[j].name;
    snprintf(wrong, sizeof(wrong), "%.*s", (int)(length < 63 ? length : 63), name);
    const char *closest = strlen(wrong) > 1 ? str_closest(wrong, names, count) : NULL;
    if (closest)
        return error_set(err, EINVAL, "unknown flag --%s; did you mean --%s?", wrong, closest);
    return error_set(err, EINVAL, "unknown flag --%s: see '%s --help'", wrong, command->name);
}

/* How a row is called in messages. */
static const char *shown(struct arena *arena, const struct option_row *row)
{
    return row->name ? arena_printf(arena, "--%s", row->name)
                     : arena_printf(arena, "-%c", row->letter);
}

static int bad_value(struct reader *reader, const struct option_row *row, const char *wants,
        const char *value, struct error *err)
{
    return error_set(err, EINVAL, "flag %s wants %s, not \"%.128s\"", shown(reader->arena, row),
            wants, value);
}

static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True", "yes", "on"};
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False", "no", "off"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!str_equal(text, yes[i]) && !str_equal(text, no[i]))
            continue;
        *ret = str_equal(text, yes[i]);
        return 0;
    }
    return -EINVAL;
}

static int set_choice(struct reader *reader, const struct option_row *row, const char *value,
        const char **ret, struct error *err)
{
    struct strv words = {0};

    strv_split(reader->arena, &words, row->value, '|');
    if (strv_contains(&words, value)) {
        *ret = value;
        return 0;
    }
    return bad_value(reader, row, strv_join(reader->arena, &words, " or "), value, err);
}

static int set_number(struct reader *reader, const struct option_row *row, const char *value,
        void *at, struct error *err)
{
    struct opt_i64 *number = at;
    struct opt_u64 *count = at;
    int r;

    if (row->kind == OPTION_NUMBER)
        r = str_to_i64(value, &number->value);
    else
        r = str_to_u64(value, 10, &count->value);
    if (r < 0)
        return bad_value(reader, row,
                row->kind == OPTION_NUMBER ? "a whole number" : "a number that is not negative",
                value, err);
    if (row->kind == OPTION_NUMBER)
        number->set = true;
    else
        count->set = true;
    return 0;
}

/* Bytes and times, whose readers say what is wrong. */
static int set_measure(struct reader *reader, const struct option_row *row, const char *value,
        void *at, struct error *err)
{
    struct opt_u64 *bytes = at;
    struct opt_i64 *time = at;
    int r;

    if (row->kind == OPTION_BYTES) {
        r = str_to_bytes(value, &bytes->value, err);
        bytes->set = r == 0;
    } else {
        r = str_to_nanoseconds(value, &time->value, err);
        time->set = r == 0;
    }
    return r < 0 ? error_prefix(err, "flag %s", shown(reader->arena, row)) : 0;
}

static int set_flag(struct reader *reader, const struct option_row *row, const char *value,
        void *at, struct error *err)
{
    bool on = true;

    if (value && parse_bool(value, &on) < 0)
        return bad_value(reader, row, "true or false", value, err);
    if (row->kind == OPTION_FLAG)
        *(bool *)at = on;
    else
        *(struct opt_bool *)at = (struct opt_bool){true, on};
    return 0;
}

static int set_value(
        struct reader *reader, const struct option_row *row, const char *value, struct error *err)
{
    void *at = reader->into + row->offset;

    switch (row->kind) {
    case OPTION_FLAG:
    case OPTION_SWITCH:
        return set_flag(reader, row, value, at, err);
    case OPTION_TEXT:
        *(const char **)at = value;
        return 0;
    case OPTION_LIST:
        strv_add(reader->arena, at, value);
        return 0;
    case OPTION_CHOICE:
        return set_choice(reader, row, value, at, err);
    case OPTION_NUMBER:
    case OPTION_COUNT:
        return set_number(reader, row, value, at, err);
    case OPTION_BYTES:
    case OPTION_TIME:
        return set_measure(reader, row, value, at, err);
    }
    return 0;
}

/* The value, or the next argument when there was none behind the name. */
static int set_from(
        struct reader *reader, const struct option_row *row, const char *value, struct error *err)
{
    if (takes_value(row) && !value) {
        if (reader->at == reader->end)
            return error_set(err, EINVAL, "flag %s needs a value: %s %s", shown(reader->arena, row),
                    shown(reader->arena, row), row->value ? row->value : "VALUE");
        value = *reader->at++;
    }
    return set_value(reader, row, value, err);
}

/* "name" or "name=value", whose dashes are cut */
static int read_long(struct reader *reader, const char *text, struct error *err)
{
    size_t length = strcspn(text, "=");
    const struct option_row *row = find_name(reader->command, text, length);

    if (!row && length == 4 && memcmp(text, "help", 4) == 0)
        return OPTIONS_HELP;
    if (!row)
        return unknown_name(reader->command, text, length, err);
    return set_from(reader, row, text[length] ? text + length + 1 : NULL, err);
}

/* "abc", "nVALUE", "n=VALUE", whose dash is cut */
static int read_letters(struct reader *reader, const char *text, struct error *err)
{
    for (; *text; text++) {
        const struct option_row *row = find_letter(reader->command, *text);
        if (!row && *text == 'h')
            return OPTIONS_HELP;
        if (!row)
            return error_set(err, EINVAL, "unknown flag -%c in -%.64s: see '%s --help'", *text,
                    text, reader->command->name);
        const char *value = text[1] == '=' ? text + 2 : NULL;
        if (!value && takes_value(row) && text[1])
            value = text + 1;
        int r = set_from(reader, row, value, err);
        if (r != 0 || value)
            return r;
    }
    return 0;
}

static int read_one(struct reader *reader, const char *text, struct error *err)
{
    if (text[1] == '-')
        return read_long(reader, text + 2, err);
    if (reader->command->long_with_one_dash &&
            find_name(reader->command, text + 1, strcspn(text + 1, "=")))
        return read_long(reader, text + 1, err);
    return read_letters(reader, text + 1, err);
}

static int read_all(struct reader *reader, struct error *err)
{
    while (reader->at < reader->end) {
        const char *text = *reader->at++;
        if (str_equal(text, "--"))
            break;
        if (text[0] == '-' && text[1]) {
            int r = read_one(reader, text, err);
            if (r != 0)
                return r;
            continue;
        }
        strv_add(reader->arena, reader->rest, text);
        if (reader->command->order == OPTIONS_FIRST)
            break;
    }
    for (; reader->at < reader->end; reader->at++)
        strv_add(reader->arena, reader->rest, *reader->at);
    return 0;
}

static int check_count(
        const struct option_command *command, const struct strv *rest, struct error *err)
{
    const char *usage = command->usage ? command->usage : "";
    const char *behind = strchr(command->name, ' '); /* the program is named before the error */
    const char *name = behind ? behind + 1 : command->name;

    if (rest->count < command->least)
        return error_set(err, EINVAL, "%s needs %s%zu argument%s: %s %s", name,
                command->most > command->least ? "at least " : "", command->least,
                command->least == 1 ? "" : "s", command->name, usage);
    if (rest->count > command->most && command->most == 0)
        return error_set(err, EINVAL, "%s takes no arguments, but \"%.128s\" was given", name,
                rest->words[0]);
    if (rest->count > command->most)
        return error_set(err, EINVAL, "%s takes at most %zu argument%s, but %zu were given: %s %s",
                name, command->most, command->most == 1 ? "" : "s", rest->count, command->name,
                usage);
    return 0;
}

int options_parse(const struct option_command *command, int argc, char *const *argv,
        struct arena *arena, void *into, struct strv *ret_rest, struct error *err)
{
    struct strv rest = {0};
    struct reader reader = {command, argv, argc > 0 ? argv + argc : argv, arena, into, &rest};

    if (argc > OPTION_VALUES_MAX)
        return error_set(err, E2BIG, "more than %d arguments", OPTION_VALUES_MAX);
    int r = read_all(&reader, err);
    if (r == 0)
        r = check_count(command, &rest, err);
    if (r == 0)
        *ret_rest = rest;
    return r;
}

/* The row whose value is the next argument; NULL: the option is complete, or is not known. */
static const struct option_row *awaits_value(const struct option_command *command, const char *text)
{
    const struct option_row *row = NULL;

    if (text[1] == '-') {
        row = find_name(command, text + 2, strlen(text + 2));
        return row && takes_value(row) ? row : NULL;
    }
    for (text++; *text; text++) {
        row = find_letter(command, *text);
        if (!row || takes_value(row))
            return row && !text[1] ? row : NULL;
    }
    return NULL;
}

void options_place(
        const struct option_command *command, int argc, char *const *argv, struct option_place *ret)
{
    struct option_place place = {.begun = argc > 0 ? argv[argc - 1] : ""};
    bool ended = false; /* only arguments follow */

    for (int i = 0; i + 1 < argc; i++) {
        const char *text = argv[i];
        if (ended || text[0] != '-' || !text[1]) {
            place.nth++;
            ended = ended || command->order == OPTIONS_FIRST;
        } else if (str_equal(text, "--")) {
            ended = true;
        } else {
            place.row = awaits_value(command, text);
            i += place.row != NULL;
        }
        if (i + 1 < argc)
            place.row = NULL;
    }
    const char *equals = strchr(place.begun, '=');
    if (!ended && !place.row && place.begun[0] == '-') {
        if (equals && place.begun[1] == '-')
            place.row = find_name(command, place.begun + 2, (size_t)(equals - place.begun) - 2);
        place.name = !place.row;
        place.begun = place.row ? equals + 1 : place.begun;
    }
    *ret = place;
}

/* Adds the text from a column on, broken between words. */
static void add_wrapped(struct buf *text, const char *words, size_t column, size_t width)
{
    size_t used = column;

    while (*words) {
        size_t length = strcspn(words, " ");
        if (used > column && used + 1 + length > width) {
            buf_printf(text, "\n%*s", (int)column, "");
            used = column;
        } else if (used > column) {
            buf_add_char(text, ' ');
            used++;
        }
        buf_add(text, words, length);
        used += length;
        words += length;
        words += *words == ' ';
    }
    buf_add_char(text, '\n');
}

static void add_row(struct buf *text, const struct option_row *row, size_t width)
{
    size_t start = text->length;

    if (row->letter)
        buf_printf(text, "  -%c%s", row->letter, row->name ? ", " : "");
    else
        buf_add_str(text, "      ");
    if (row->name)
        buf_printf(text, "--%s", row->name);
    if (takes_value(row))
        buf_printf(text, " %s", row->value ? row->value : "VALUE");
    size_t used = text->length - start;
    if (used + 2 > HELP_COLUMN)
        buf_printf(text, "\n%*s", HELP_COLUMN, "");
    else
        buf_printf(text, "%*s", (int)(HELP_COLUMN - used), "");
    add_wrapped(text, row->help, HELP_COLUMN, width);
}

void options_help(const struct option_command *command, size_t width, struct buf *text)
{
    if (width == 0)
        width = WIDTH_DEFAULT;
    if (width < WIDTH_LEAST)
        width = WIDTH_LEAST;
    buf_printf(text, "Usage: %s%s%s%s\n", command->name, command->tables[0] ? " [OPTIONS]" : "",
            command->usage ? " " : "", command->usage ? command->usage : "");
    if (command->about) {
        buf_add_char(text, '\n');
        add_wrapped(text, command->about, 0, width);
    }
    for (size_t i = 0; i < OPTION_TABLES_MAX && command->tables[i]; i++) {
        const struct option_table *table = command->tables[i];
        buf_printf(text, "\n%s:\n", table->title);
        for (size_t j = 0; j < table->count; j++)
            if (table->rows[j].help)
                add_row(text, &table->rows[j], width);
    }
}
