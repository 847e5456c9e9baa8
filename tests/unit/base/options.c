#include "base/options.h"

#include "base/cleanup.h"
#include "test.h"

struct example {
    bool all;
    bool quiet;
    struct opt_bool tty;
    const char *signal;
    const char *format;
    struct strv env;
    struct opt_i64 weight;
    struct opt_u64 count;
    struct opt_u64 memory;
    struct opt_i64 time;
};

static const struct option_row first_rows[] = {
        OPTION('a', "all", OPTION_FLAG, struct example, all, NULL, "Everything"),
        OPTION('q', "quiet", OPTION_FLAG, struct example, quiet, NULL, "Say nothing"),
        OPTION('t', "tty", OPTION_SWITCH, struct example, tty, NULL, "A terminal"),
        OPTION('s', "signal", OPTION_TEXT, struct example, signal, "SIGNAL", "What to send"),
        OPTION(0, "format", OPTION_CHOICE, struct example, format, "json|table",
                "How to print, in words that are long enough to be broken into two lines"),
};
static const struct option_row second_rows[] = {
        OPTION('e', "env", OPTION_LIST, struct example, env, "NAME=VALUE", "Set a variable"),
        OPTION(0, "weight", OPTION_NUMBER, struct example, weight, "N", "From -5 to 5"),
        OPTION(0, "count", OPTION_COUNT, struct example, count, "N", "How many"),
        OPTION('m', "memory", OPTION_BYTES, struct example, memory, "BYTES", "How much"),
        OPTION(0, "timeout-of-all-that-is-long", OPTION_TIME, struct example, time, "TIME", "When"),
        OPTION(0, "mem", OPTION_BYTES, struct example, memory, "BYTES", NULL),
};
static const struct option_table first = OPTION_TABLE("Options", first_rows);
static const struct option_table second = OPTION_TABLE("Limits", second_rows);

static struct option_command command = {.name = "viv try",
        .usage = "THING [ARG…]",
        .about = "Tries a thing.",
        .order = OPTIONS_FIRST,
        .least = 1,
        .most = 4,
        .tables = {&first, &second}};

/* Parses the words of one line; returns what options_parse() does. */
static int parse(struct arena *arena, const char *line, struct example *into, struct strv *rest,
        struct error *err)
{
    struct strv words = {0};

    strv_split(arena, &words, line, ' ');
    return options_parse(&command, (int)words.count, words.words, arena, into, rest, err);
}

TEST(options_reads_every_form)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;
    struct example got = {0};
    struct strv rest = {0};

    int r = parse(&arena,
            "-aq --tty=false -sTERM --signal KILL --format=json -e A=1 -e=B=2 -eC=3 --env D= "
            "--weight -3 --count 7 -m 64m --timeout-of-all-that-is-long 1m30s -- -x y",
            &got, &rest, &err);
    CHECK_STR(err.text, "");
    CHECK_INT(r, 0);
    CHECK(got.all && got.quiet && got.tty.set && !got.tty.value);
    CHECK_STR(got.signal, "KILL");
    CHECK_STR(got.format, "json");
    CHECK_STR(strv_join(&arena, &got.env, ","), "A=1,B=2,C=3,D=");
    CHECK_INT(got.weight.value, -3);
    CHECK_INT(got.count.value, 7);
    CHECK_INT(got.memory.value, 64 << 20);
    CHECK_INT(got.time.value, 90000000000);
    CHECK_STR(strv_join(&arena, &rest, " "), "-x y");
}

TEST(options_end_at_the_first_argument)
{
    _cleanup_arena_ struct arena arena = {0};
    struct example got = {0};
    struct strv rest = {0};

    CHECK_INT(parse(&arena, "-a busybox -q --all -", &got, &rest, NULL), 0);
    CHECK(got.all && !got.quiet);
    CHECK_STR(strv_join(&arena, &rest, " "), "busybox -q --all -");
}

TEST(options_may_stand_anywhere)
{
    _cleanup_arena_ struct arena arena = {0};
    struct example got = {0};
    struct strv rest = {0};

    command.order = OPTIONS_ANYWHERE;
    command.long_with_one_dash = true;
    int r = parse(&arena, "one -q - -signal=9 two --all -- -three", &got, &rest, NULL);
    int letters = parse(&arena, "one -aq", &got, &rest, NULL);
    command.order = OPTIONS_FIRST;
    command.long_with_one_dash = false;
    CHECK_INT(letters, 0);
    CHECK_INT(r, 0);
    CHECK(got.all && got.quiet);
    CHECK_STR(got.signal, "9");
    CHECK_INT(rest.count, 1);
}

TEST(options_say_what_is_wrong)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
            {"--memroy 5", "unknown flag --memroy; did you mean --memory?"},
            {"--memroy=5", "unknown flag --memroy; did you mean --memory?"},
            {"--zebra", "unknown flag --zebra: see 'viv try --help'"},
            {"-aZ x", "unknown flag -Z in -Z: see 'viv try --help'"},
            {"--signal", "flag --signal needs a value: --signal SIGNAL"},
            {"-as", "flag --signal needs a value: --signal SIGNAL"},
            {"--all=maybe", "flag --all wants true or false, not \"maybe\""},
            {"--format xml", "flag --format wants json or table, not \"xml\""},
            {"--weight five", "flag --weight wants a whole number, not \"five\""},
            {"--count -1", "flag --count wants a number that is not negative, not \"-1\""},
            {"-m 64q",
                    "flag --memory: invalid size \"64q\": write a number with an optional suffix "
                    "b, k, m, g, t or p"},
            {"--timeout-of-all-that-is-long 3x",
                    "flag --timeout-of-all-that-is-long: invalid time \"3x\": write seconds, or "
                    "numbers with h, m, s, ms, us or ns"},
            {"-a", "try needs at least 1 argument: viv try THING [ARG…]"},
            {"1 2 3 4 5", "try takes at most 4 arguments, but 5 were given: viv try THING [ARG…]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct error err = ERROR_NONE;
        struct example got = {0};
        struct strv rest = {0};
        CHECK_INT(parse(&arena, cases[i].line, &got, &rest, &err), -EINVAL);
        CHECK_STR(err.text, cases[i].message);
        CHECK_INT(rest.count, 0);
    }
}

TEST(options_know_help)
{
    _cleanup_arena_ struct arena arena = {0};
    struct example got = {0};
    struct strv rest = {0};

    CHECK_INT(parse(&arena, "--help", &got, &rest, NULL), OPTIONS_HELP);
    CHECK_INT(parse(&arena, "-ah", &got, &rest, NULL), OPTIONS_HELP);
    CHECK_INT(parse(&arena, "x --help", &got, &rest, NULL), 0);
}

TEST(options_help_is_generated)
{
    _cleanup_buf_ struct buf text = {0};

    options_help(&command, 0, &text);
    CHECK_STR(buf_text(&text),
            "Usage: viv try [OPTIONS] THING [ARG…]\n"
            "\n"
            "Tries a thing.\n"
            "\n"
            "Options:\n"
            "  -a, --all                     Everything\n"
            "  -q, --quiet                   Say nothing\n"
            "  -t, --tty                     A terminal\n"
            "  -s, --signal SIGNAL           What to send\n"
            "      --format json|table       How to print, in words that are long enough to\n"
            "                                be broken into two lines\n"
            "\n"
            "Limits:\n"
            "  -e, --env NAME=VALUE          Set a variable\n"
            "      --weight N                From -5 to 5\n"
            "      --count N                 How many\n"
            "  -m, --memory BYTES            How much\n"
            "      --timeout-of-all-that-is-long TIME\n"
            "                                When\n");
}

TEST_MAIN()

static struct option_place place_of(struct arena *arena, const char *line)
{
    struct option_place place;
    struct strv words = {0};

    strv_split(arena, &words, line, ' ');
    if (str_ends(line, " "))
        strv_add(arena, &words, "");
    options_place(&command, (int)words.count, words.words, &place);
    return place;
}

TEST(options_tell_what_is_being_written)
{
    static const struct {
        const char *line, *value_of, *begun;
        bool name;
        size_t nth;
    } cases[] = {
            {"", "", "", false, 0},
            {"th", "", "th", false, 0},
            {"--al", "", "--al", true, 0},
            {"-", "", "-", true, 0},
            {"--all ", "", "", false, 0},
            {"--signal ", "signal", "", false, 0},
            {"--signal SIG", "signal", "SIG", false, 0},
            {"--signal TERM x", "", "x", false, 0},
            {"--signal=TERM x", "", "x", false, 0},
            {"--format=j", "format", "j", false, 0},
            {"--nonsense=j", "", "--nonsense=j", true, 0},
            {"--nonsense x", "", "x", false, 0},
            {"-aqs T", "signal", "T", false, 0},
            {"-sTERM x", "", "x", false, 0},
            {"-az x", "", "x", false, 0},
            {"-- --al", "", "--al", false, 0},
            {"thing --al", "", "--al", false, 1}, /* another's command */
            {"thing --signal x", "", "x", false, 2},
    };
    _cleanup_arena_ struct arena arena = {0};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct option_place place = place_of(&arena, cases[i].line);
        CHECK_STR(place.row ? place.row->name : "", cases[i].value_of);
        CHECK_STR(place.begun, cases[i].begun);
        CHECK(place.name == cases[i].name);
        if (!place.row && !place.name)
            CHECK_INT(place.nth, cases[i].nth);
    }
}
