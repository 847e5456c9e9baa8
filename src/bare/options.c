#include "bare/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define MAX_DEFAULT 1000000000ull

enum option_code {
    OPT_MODE = 256,
    OPT_LOAD,
    OPT_ENTRY,
    OPT_REG,
    OPT_MEM,
    OPT_DUMP,
    OPT_MAX,
    OPT_DELIVER,
    OPT_JSON,
    OPT_HELP
};

static const struct option long_options[] = {
        {"mode", required_argument, NULL, OPT_MODE},
        {"load", required_argument, NULL, OPT_LOAD},
        {"entry", required_argument, NULL, OPT_ENTRY},
        {"reg", required_argument, NULL, OPT_REG},
        {"mem", required_argument, NULL, OPT_MEM},
        {"dump", required_argument, NULL, OPT_DUMP},
        {"max", required_argument, NULL, OPT_MAX},
        {"deliver", no_argument, NULL, OPT_DELIVER},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
};

/* ------------------------------------------------------------------ pieces */

static int bad(struct error *err, const char *option, const char *text, const char *wanted)
{
    return error_set(err, EINVAL, "--%s %s: it should be %s", option, text, wanted);
}

static int room(struct error *err, const char *option, size_t count)
{
    if (count < BARE_ITEMS_MAX)
        return 0;
    return error_set(err, EINVAL, "--%s is given more than %u times", option, BARE_ITEMS_MAX);
}

static int number(const char *text, uint64_t *ret)
{
    bool is_hex = str_starts(text, "0x") || str_starts(text, "0X");
    return str_to_u64(is_hex ? text + 2 : text, is_hex ? 16 : 10, ret);
}

/* "A<separator>B" in two; the text stays whole. */
static bool split_last(const char *text, char separator, char **ret_left, const char **ret_right)
{
    const char *at = strrchr(text, separator);
    if (!at || at == text || !at[1])
        return false;
    *ret_left = strndup(text, (size_t)(at - text));
    *ret_right = at + 1;
    return *ret_left != NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool hex_bytes(const char *text, uint8_t **ret, size_t *ret_length)
{
    size_t digits = strlen(text);
    uint8_t *data = digits && digits % 2 == 0 ? calloc(1, digits / 2) : NULL;
    if (!data)
        return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            free(data);
            return false;
        }
        data[i / 2] = (uint8_t)(data[i / 2] << 4 | digit);
    }
    *ret = data;
    *ret_length = digits / 2;
    return true;
}

/* Up to 128 bits: decimal, or 0x and up to 32 digits. */
static int wide_number(const char *text, uint64_t ret[2])
{
    size_t digits = strlen(text);
    char high[17] = "";
    ret[1] = 0;
    if (digits <= 18 || !str_starts(text, "0x"))
        return number(text, &ret[0]);
    if (digits > 34)
        return -ERANGE;
    memcpy(high, text + 2, digits - 18);
    int r = str_to_u64(high, 16, &ret[1]);
    return r < 0 ? r : str_to_u64(text + digits - 16, 16, &ret[0]);
}

/* ------------------------------------------------------------------ one option each */

static int take_load(struct bare_options *options, const char *text, struct error *err)
{
    const char *right;
    int r = room(err, "load", options->load_count);
    if (r < 0)
        return r;
    struct bare_load *load = &options->loads[options->load_count];
    if (!split_last(text, '@', &load->path, &right))
        return bad(err, "load", text, "FILE@ADDRESS");
    options->load_count++;
    return number(right, &load->address) < 0 ? bad(err, "load", text, "FILE@ADDRESS") : 0;
}

static int take_register(struct bare_options *options, const char *text, struct error *err)
{
    const char *right;
    int r = room(err, "reg", options->register_count);
    if (r < 0)
        return r;
    struct bare_register *reg = &options->registers[options->register_count];
    if (!split_last(text, '=', &reg->name, &right))
        return bad(err, "reg", text, "NAME=VALUE");
    options->register_count++;
    return wide_number(right, reg->value) < 0 ? bad(err, "reg", text, "NAME=VALUE") : 0;
}

static int take_bytes(struct bare_options *options, const char *text, struct error *err)
{
    char *left = NULL;
    const char *right;
    int r = room(err, "mem", options->bytes_count);
    if (r < 0)
        return r;
    struct bare_bytes *bytes = &options->bytes[options->bytes_count];
    if (!split_last(text, '=', &left, &right))
        return bad(err, "mem", text, "ADDRESS=HEX");
    bool ok = number(left, &bytes->address) == 0 && hex_bytes(right, &bytes->data, &bytes->length);
    free(left);
    if (!ok)
        return bad(err, "mem", text, "ADDRESS=HEX, two digits a byte");
    options->bytes_count++;
    return 0;
}

static int take_dump(struct bare_options *options, const char *text, struct error *err)
{
    char *left = NULL;
    const char *right;
    int r = room(err, "dump", options->dump_count);
    if (r < 0)
        return r;
    struct bare_dump *dump = &options->dumps[options->dump_count];
    if (!split_last(text, ':', &left, &right))
        return bad(err, "dump", text, "ADDRESS:LENGTH");
    bool ok = number(left, &dump->address) == 0 && number(right, &dump->length) == 0;
    free(left);
    if (!ok)
        return bad(err, "dump", text, "ADDRESS:LENGTH");
    options->dump_count++;
    return 0;
}

static int take_mode(struct bare_options *options, const char *text, struct error *err)
{
    uint32_t mode;
    if (str_to_u32(text, &mode) < 0 || (mode != 16 && mode != 32 && mode != 64))
        return bad(err, "mode", text, "16, 32 or 64");
    options->mode = mode;
    return 0;
}

static int take_number(const char *option, const char *text, uint64_t *ret, struct error *err)
{
    return number(text, ret) < 0 ? bad(err, option, text, "a number, decimal or 0x…") : 0;
}

static int take(struct bare_options *options, int code, const char *text, struct error *err)
{
    switch (code) {
    case OPT_MODE:
        return take_mode(options, text, err);
    case OPT_LOAD:
        return take_load(options, text, err);
    case OPT_ENTRY:
        options->has_entry = true;
        return take_number("entry", text, &options->entry, err);
    case OPT_REG:
        return take_register(options, text, err);
    case OPT_MEM:
        return take_bytes(options, text, err);
    case OPT_DUMP:
        return take_dump(options, text, err);
    case OPT_MAX:
        return take_number("max", text, &options->max, err);
    case OPT_DELIVER:
        options->deliver = true;
        return 0;
    case OPT_JSON:
        options->json = true;
        return 0;
    case OPT_HELP:
        options->help = true;
        return 0;
    default:
        return error_set(err, EINVAL, "unknown option, or one without its value; see viv-cpu(1)");
    }
}

int bare_options_parse(int argc, char **argv, struct bare_options *options, struct error *err)
{
    int code, r;
    *options = (struct bare_options){.mode = 64, .max = MAX_DEFAULT};
    optind = 1;
    opterr = 0;
    while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if ((r = take(options, code, optarg, err)) < 0)
            return r;
    if (optind < argc)
        return error_set(err, EINVAL, "unexpected argument %s; see viv-cpu(1)", argv[optind]);
    if (!options->help && !options->has_entry)
        return error_set(err, EINVAL, "--entry ADDRESS is missing; see viv-cpu(1)");
    return 0;
}

void bare_options_free(struct bare_options *options)
{
    for (size_t i = 0; i < options->load_count; i++)
        free(options->loads[i].path);
    for (size_t i = 0; i < options->register_count; i++)
        free(options->registers[i].name);
    for (size_t i = 0; i < options->bytes_count; i++)
        free(options->bytes[i].data);
}
