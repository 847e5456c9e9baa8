#include "spec/signals.h"

#include "test.h"

static int number_of(const char *text)
{
    int number = 0;

    return signal_parse(text, &number, NULL) < 0 ? -1 : number;
}

TEST(signal_names_become_numbers)
{
    CHECK_INT(number_of("SIGTERM"), 15);
    CHECK_INT(number_of("term"), 15);
    CHECK_INT(number_of("SigKill"), 9);
    CHECK_INT(number_of("9"), 9);
    CHECK_INT(number_of("64"), 64);
    CHECK_INT(number_of("SIGRTMIN"), 34);
    CHECK_INT(number_of("RTMIN+3"), 37);
    CHECK_INT(number_of("sigrtmax-2"), 62);
    CHECK_INT(number_of("SIGCLD"), 17);
    CHECK_INT(number_of("SIGIOT"), 6);
}

TEST(signal_refuses_what_is_none)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
            {"SIGTREM", "unknown signal \"SIGTREM\"; did you mean \"SIGTERM\"?"},
            {"banana", "unknown signal \"banana\": write a name such as SIGTERM or a number from 1 "
                       "to 64"},
            {"0", "signal 0 does not exist: write a number from 1 to 64"},
            {"65", "signal 65 does not exist: write a number from 1 to 64"},
            {"-9", "signal -9 does not exist: write a number from 1 to 64"},
            {"", "no signal given: write a name such as SIGTERM or a number from 1 to 64"},
            {"SIG", "no signal given: write a name such as SIGTERM or a number from 1 to 64"},
            {"RTMIN+31", "unknown signal \"RTMIN+31\"; did you mean \"SIGRTMIN\"?"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_NONE;
        int number = 77;
        CHECK_INT(signal_parse(cases[i].text, &number, &err), -EINVAL);
        CHECK_STR(err.text, cases[i].message);
        CHECK_INT(number, 77);
    }
}

TEST(signal_numbers_become_names)
{
    CHECK_STR(signal_name(15), "SIGTERM");
    CHECK_STR(signal_name(17), "SIGCHLD");
    CHECK_STR(signal_name(37), "SIGRTMIN+3");
    CHECK_STR(signal_name(64), "SIGRTMAX");
    CHECK_STR(signal_name(33), "signal 33");
}

TEST(signal_names_and_numbers_agree)
{
    for (int number = 1; number <= SIGNALS_MAX; number++) {
        int again = 0;
        if (number == 32 || number == 33) /* glibc's own */
            continue;
        CHECK_INT(signal_parse(signal_name(number), &again, NULL), 0);
        CHECK_INT(again, number);
    }
}

TEST_MAIN()
