#include "base/checksum.h"

#include "test.h"

/* From xxHash's own sanity tests: its buffer, and sums of its first bytes. */
TEST(checksum_is_xxh64)
{
    CHECK(checksum64("", 0, 0) == 0xEF46DB3751D8E999ULL);
    CHECK(checksum64("a", 1, 0) == 0xD24EC4F1A98C6E5BULL);
    CHECK(checksum64("abc", 3, 0) == 0x44BC2CF5AD770999ULL);
    const char *text = "Nobody inspects the spammish repetition";
    CHECK(checksum64(text, strlen(text), 0) == 0xFBCEA83C8A378BF1ULL);
}

TEST(checksum_sees_every_bit)
{
    uint8_t data[100] = {0};
    uint64_t good = checksum64(data, sizeof(data), 0);

    for (size_t i = 0; i < sizeof(data) * 8; i++) {
        data[i / 8] ^= (uint8_t)(1U << i % 8);
        CHECK(checksum64(data, sizeof(data), 0) != good);
        data[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    CHECK(checksum64(data, sizeof(data) - 1, 0) != good);
    CHECK(checksum64(data, sizeof(data), 1) != good);
}

TEST_MAIN()
