/*
 * The guest's side of the tests of disks, static so that it runs in an initramfs:
 *     guest-disk zero DEVICE OFFSET LENGTH    zeros that keep their space (BLKZEROOUT)
 *     guest-disk punch DEVICE OFFSET LENGTH   zeros that give it back (fallocate(2))
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    int fd = argc == 5 ? open(argv[2], O_RDWR) : -1;
    int r;

    if (fd < 0) {
        perror("guest-disk");
        return 2;
    }
    uint64_t range[2] = {strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0)};
    if (strcmp(argv[1], "zero") == 0)
        r = ioctl(fd, BLKZEROOUT, range);
    else
        r = fallocate(
                fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)range[0], (off_t)range[1]);
    if (r < 0)
        perror(argv[1]);
    return r < 0;
}
