#include "net/shape.h"

#include "base/cleanup.h"
#include "test.h"

TEST(rates_are_bits_in_powers_of_a_thousand)
{
    static const struct {
        const char *text;
        uint64_t bits; /* 0: refused */
    } cases[] = {{"64000", 64000}, {"10mbit", 10000000}, {"1.5g", 1500000000}, {"8k", 8000},
            {"8KBIT", 8000}, {"1gbit/s", 1000000000}, {"10mbps", 0}, {"10Mbitps", 10000000},
            {"7999", 0}, {"0", 0}, {"-1m", 0}, {"", 0}, {"m", 0}, {"10x", 0}, {"10m ", 0},
            {"1e30", 0}, {"nan", 0}, {"2000g", 0}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t bits = 0;
        int r = shape_parse_rate(cases[i].text, &bits, NULL);
        if ((r == 0) != (cases[i].bits > 0) || bits != cases[i].bits)
            test_report(__FILE__, __LINE__, "%s gives %d, %" PRIu64, cases[i].text, r, bits);
    }
}

TEST_MAIN()
