"""A layer of eight gigabytes, from its tar archive to the unpacked layer, in constant memory."""
import os
import pathlib
import shutil
import subprocess

from lib import *
from lib.registry import Store

TIMEOUT = 1800
SIZE = 8 << 30
ROOM = 2 * SIZE + (2 << 30)  # the blob and what is unpacked of it; a zip bomb would be refused
BLOCK = 1 << 20

# Prints the largest resident size of its children in KiB.
PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=2)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def tar_of_size(out, size):
    """One file of that size, of which a megabyte repeats: longer than any decompressor looks back."""
    header = subprocess.run(["tar", "-cf", "-", "--format=gnu", "-C", work(), "seed"], check=True,
                            capture_output=True).stdout[:512]
    fields = bytearray(header)
    fields[124:136] = b"\x80" + size.to_bytes(11, "big")  # base 256, as GNU tar has large sizes
    fields[148:156] = b" " * 8
    fields[148:156] = b"%06o\0 " % sum(fields)
    out.write(fields)
    block = os.urandom(BLOCK)
    for _ in range(size // BLOCK):
        out.write(block)
    out.write(bytes(1024))


@needs(root=True)
def test_eight_gigabytes():
    if SANITIZED or shutil.disk_usage(work()).free < ROOM:
        skip("it needs 18 GB of disk, and a build without sanitizers")
    pathlib.Path(work() / "seed").write_bytes(b"")
    store = Store()
    with subprocess.Popen(["python3", "-c", PEAK, *map(str, store.argv("import", "big:1"))],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        tar_of_size(process.stdin, SIZE)
        process.stdin.close()
        peak = int(process.stdout.read())
        equal(process.wait(), 0)
    between(peak, 100, 24000, "resident KiB")
    found = [path for path in store.root.glob("layers/*/diff/seed")]
    equal([path.stat().st_size for path in found], [SIZE])
