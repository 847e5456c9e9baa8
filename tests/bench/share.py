#!/usr/bin/python3
"""A folder shared with a guest: small synchronous writes and large reads over virtio-fs, beside a raw
disk in the same machine; and what viv-vmm needs beside its guest's memory."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("VIV_BUILD", str(ROOT / "build"))
os.environ.setdefault("VIV_SOURCE", str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
from lib.guest import describe  # noqa: E402
from lib.process import program  # noqa: E402

MEMORY = 256 << 20
WRITES, READ_MB = 300, 64

MEASURE = (f"guest-share sync $where/sync {WRITES}; "
           "echo 3 > /proc/sys/vm/drop_caches; a=$(cut -d' ' -f1 /proc/uptime);"
           f"dd if=$where/$big of=/dev/null bs=1M count={READ_MB} 2>/dev/null;"
           "echo read $a $(cut -d' ' -f1 /proc/uptime);")
SCRIPT = ("mkdir /data; mount -t virtiofs data /data; where=/data big=big;" + MEASURE +
          "if [ -b /dev/vda ]; then ln -s /dev/vda /tmp/sync; ln -s /dev/vda /tmp/big;"
          "where=/tmp;" + MEASURE + "fi; echo over; sleep 3")


def figures(text):
    """[(writes a second, MB a second)] in the order of the guest's lines."""
    writes = [float(number) for number in re.findall(r"sync (\d+) writes/s", text)]
    reads = [READ_MB / max(float(end) - float(begin), 0.01)
             for begin, end in re.findall(r"read ([\d.]+) ([\d.]+)", text)]
    return list(zip(writes, reads))


def own_memory(pid):
    """KiB beside the guest's memory, by smaps."""
    beside = 0
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )",
                            pathlib.Path(f"/proc/{pid}/smaps").read_text())[1:]:
        begin, end = (int(number, 16) for number in mapping.split()[0].split("-"))
        if end - begin < MEMORY:
            beside += int(re.search(r"^Pss: +(\d+) kB", mapping, re.M)[1])
    return beside


def until_over(process):
    text = ""
    for line in process.stdout:
        text += line.decode(errors="replace").replace("\r", "")
        if text.endswith("over\n"):
            break
    return text


def measure_viv(folder):
    pathlib.Path("disk.raw").write_bytes(os.urandom(1 << 20) * READ_MB)
    description = describe(SCRIPT, memory=MEMORY, programs=[program("tests/machine/guest-share")],
                           shares=[{"tag": "data", "folder": {"path": str(folder)}}],
                           disks=[{"file": {"path": str(pathlib.Path("disk.raw").resolve())}}])
    process = subprocess.Popen([program("viv-vmm"), description], stdout=subprocess.PIPE)
    text = until_over(process)
    memory = own_memory(process.pid)
    process.kill()
    process.wait()
    return figures(text), memory


def main():
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        folder = pathlib.Path(name) / "folder"
        folder.mkdir()
        (folder / "big").write_bytes(os.urandom(1 << 20) * READ_MB)
        (share, disk), memory = measure_viv(folder)
        rows = [("shared folder", share), ("raw disk", disk)]
        for what, (writes, reads) in rows:
            print(f"{what:16} {writes:8.0f} synchronous writes/s of 4 KiB  {reads:8.0f} MB/s read")
        print(f"viv-vmm (emu) beside the guest's memory: {memory} KiB")
        os.chdir("/")


if __name__ == "__main__":
    main()
