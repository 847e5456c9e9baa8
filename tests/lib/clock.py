"""The processor's time stamp counter, which virtual machines show to their guests."""
import ctypes
import mmap
import time

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")


def tsc_khz(seconds=0.1):
    """How fast it counts, measured: /proc/cpuinfo tells the clock of the moment."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(READ)
        place = ctypes.c_char.from_buffer(page)
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(place))

        def both():
            """One moment on both clocks: the closest of some tries."""
            tries = []
            for _ in range(20):
                before, now, after = read(), time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), read()
                tries.append((after - before, (before + after) // 2, now))
            return min(tries)[1:]
        first = both()
        time.sleep(seconds)
        second = both()
        del read, place
    return (second[0] - first[0]) * 1000000 // (second[1] - first[1])
