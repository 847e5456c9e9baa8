#include "rootfs/refusal.h"

#include "test.h"

static const char info[] = "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
                           "30 22 0:25 /null /proc/kcore rw - tmpfs tmpfs rw\n"
                           "31 22 0:21 /sys /proc/sys ro - proc proc rw\n"
                           "32 22 0:40 / /proc/sys/fs/binfmt_misc rw shared:3 - binfmt_misc x rw\n"
                           "33 27 0:22 / /sys rw - sysfs sysfs rw\n"
                           "34 33 0:50 / /sys/firmware ro - tmpfs tmpfs ro\n"
                           "malformed\n"
                           "1 2 3 4\n";

TEST(refusal_names_what_covers_proc)
{
    char list[256];

    CHECK(refusal_covered(info, "proc", list, sizeof(list)));
    CHECK_STR(list, "/proc/kcore, /proc/sys");
    CHECK(refusal_covered(info, "sysfs", list, sizeof(list)));
    CHECK_STR(list, "/sys/firmware");
    CHECK(!refusal_covered("", "proc", list, sizeof(list)));
    CHECK(!refusal_covered("22 27 0:21 / /proc rw - proc proc rw", "proc", list, sizeof(list)));
}

TEST(refusal_fits_any_buffer)
{
    char list[8];

    CHECK(refusal_covered(info, "proc", list, sizeof(list)));
    CHECK_STR(list, "/proc/k");
}

TEST(refusal_tells_the_errno)
{
    struct error err = ERROR_NONE;

    CHECK_INT(refusal_explain("ext4", "/dev/sda", "/data", ENODEV, &err), -ENODEV);
    CHECK_STR(err.text,
            "mount /dev/sda (ext4) on /data: ENODEV: No such device; this kernel has no "
            "file system of that type (/proc/filesystems)");
}

TEST_MAIN()
