/* Takes huge pages of 2 MiB, up to 8; its status is how many it got until ENOMEM, 255 for another
 * error. Static, for it runs inside sandboxes. */
#include <errno.h>
#include <sys/mman.h>

#define SIZE ((size_t)2 << 20)

int main(void)
{
    for (int count = 0; count < 8; count++) {
        char *page = mmap(
                0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
        if (page == MAP_FAILED)
            return errno == ENOMEM ? count : 255;
        page[0] = 1;
    }
    return 8;
}
