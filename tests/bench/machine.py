#!/usr/bin/python3
"""A machine on the software CPU beside QEMU's microvm with TCG: the same kernel, initramfs, disk and
network, interleaved, medians. Processor seconds of the whole process, since others may use the host;
for the boot the time on the clock as well. A ratio above 1 says that viv takes so many times more."""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VIV_BUILD", ROOT / "build"))
os.environ.setdefault("VIV_BUILD", str(BUILD))
sys.path.insert(0, str(ROOT / "tests"))
from lib.clock import tsc_khz  # noqa: E402
from lib.guest import initramfs, kernel  # noqa: E402

ROUNDS = int(os.environ.get("VIV_BENCH_ROUNDS", "3"))
PATIENCE = 120
MEMORY = 256
APPEND = "console=ttyS0 quiet panic=-1 pci=off TELL=1"  # init then says when it begins
UNITS = {"boot": ("M instructions", 1e6), "integer": ("M instructions", 1e6), "floating": ("M turns", 1e6), "copy": ("MB", 1e6),
         "syscalls": ("k calls", 1e3), "fork+exec": ("processes", 1), "disk-read": ("MB", 1e6),
         "disk-write": ("MB", 1e6), "network": ("MB", 1e6)}


def guest_program(folder):
    path = folder / "work"
    subprocess.run(["gcc", "-O2", "-static", "-D_GNU_SOURCE", ROOT / "tests/bench/machine_guest.c",
                    "-o", path], check=True)
    return path


def viv(folder, wire, control):
    description = {
        "accel": "emu", "memory": MEMORY << 20, "kernel": {"path": str(kernel() / "vmlinuz")},
        "initrd": {"path": str(folder / "initramfs")}, "append": APPEND, "console": {"output": 1},
        "disks": [{"file": {"path": str(folder / "disk")}, "format": "raw"}],
        "nets": [{"fd": wire, "stream": True}], "controlFd": control}
    (folder / "machine.json").write_text(json.dumps(description), encoding="utf-8")
    return [BUILD / "viv-vmm", folder / "machine.json"]


def qemu(folder, wire, _):
    """There is nothing in it that this kernel could calibrate its clock against."""
    return ["qemu-system-x86_64", "-M", "microvm,acpi=on", "-accel", "tcg", "-cpu", "max", "-m",
            str(MEMORY), "-kernel", kernel() / "vmlinuz", "-initrd", folder / "initramfs", "-append",
            f"{APPEND} tsc_early_khz={tsc_khz()}", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial",
            "stdio", "-drive", f"id=d,file={folder}/disk,format=raw,if=none", "-device",
            "virtio-blk-device,drive=d", "-netdev", f"socket,id=n,fd={wire}", "-device",
            "virtio-net-device,netdev=n"]


def processor(pid):
    """Seconds of all threads so far."""
    total = 0
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(path.read_text(encoding="ascii").split()[0])
        except OSError:
            pass
    return total / 1e9


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def drain(end):
    while end.recv(1 << 16):
        pass


def instructions(control):
    """What viv-vmm has counted so far; 0 for QEMU, which does not answer."""
    control.send(b'{"command":"stats"}')
    cpus = json.loads(control.recv(1 << 16))["stats"]["cpus"]
    return sum(cpu["instructions"] for cpu in cpus)


def measure(make, folder):
    """One machine's life: {name: (processor seconds, units)}."""
    ours, wire = socket.socketpair()
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    threading.Thread(target=drain, args=(ours,), daemon=True).start()
    argv = [str(part) for part in make(folder, wire.fileno(), theirs.fileno())]
    begin, results, mark = time.monotonic(), {}, 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, pass_fds=[wire.fileno(), theirs.fileno()]) as process:
        wire.close()
        theirs.close()
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.start()
        for line in process.stdout:
            words = line.decode(errors="replace").split()
            if words[:1] == ["user"]:
                used = processor(process.pid)
                results["boot"] = (used, instructions(control) if make is viv else 0)
                results["boot, on the clock"] = (time.monotonic() - begin, 1)
            if words[:1] == ["begin"]:
                mark = processor(process.pid)
            if words[:1] == ["end"] and len(words) == 3:
                results[words[1]] = (processor(process.pid) - mark, float(words[2]))
                results["resident"] = (resident(process.pid), 1)
        alarm.cancel()
        process.wait()
    ours.close()
    control.close()
    return results


def main():
    makes = {"viv": viv}
    if shutil.which("qemu-system-x86_64"):
        makes["qemu"] = qemu
    found = {name: {} for name in makes}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chdir(folder)
        initramfs("work", programs=[guest_program(folder)])
        (folder / "disk").write_bytes(bytes(32 << 20))
        for _ in range(ROUNDS):
            for what, make in makes.items():
                for key, value in measure(make, folder).items():
                    found[what].setdefault(key, []).append(value)
        os.chdir("/")
    if "integer" not in found["viv"]:
        sys.exit("machine.py: viv's machine did not come to its work")
    print(f"{'':20} " + "".join(f"{what:>12}" for what in makes) + "   ratio")
    for key in found["viv"]:
        middle = {what: statistics.median(value[0] for value in found[what].get(key, [(0, 1)]))
                  for what in makes}
        unit = "MB" if key == "resident" else "s"
        ratio = f"{middle['viv'] / middle['qemu']:7.2f}" if middle.get("qemu") else ""
        rate = ""
        if key in UNITS and middle["viv"] > 0:
            name, scale = UNITS[key]
            rate = f"   viv: {found['viv'][key][0][1] / scale / middle['viv']:.1f} {name}/s"
        print(f"{key:20} " + "".join(f"{middle[what]:10.2f} {unit:1}" for what in makes) + f" {ratio}{rate}")


if __name__ == "__main__":
    main()
