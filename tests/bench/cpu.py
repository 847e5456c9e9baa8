#!/usr/bin/python3
"""The software CPU's speed on an integer loop: millions of guest instructions a second, as `viv-cpu`
counts them, beside the host's own time for the same loop and, where it is installed, QEMU's TCG in
user mode. Processor time, since others may use the machine. Interleaved."""
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VIV_BUILD", ROOT / "build"))
ROUNDS = 5
TURNS = 40_000_000
PER_TURN = 5  # instructions

SOURCE = f"""
    .globl _start
_start: mov ${TURNS}, %ecx
1:  add %rcx, %rax
    xor %rcx, %rdx
    lea 3(%rax, %rdx), %rbx
    dec %ecx
    jnz 1b
"""
LEAVE = {"bare": "    hlt\n", "host": "    mov $60, %eax\n    xor %edi, %edi\n    syscall\n"}


def processor_seconds(argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in argv], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def assemble(folder):
    for name, leave in LEAVE.items():
        (folder / f"{name}.s").write_text(SOURCE + leave)
        subprocess.run(["gcc", "-nostdlib", "-static", "-Wl,-Ttext=0x400000",
                        folder / f"{name}.s", "-o", folder / name], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", folder / "bare", folder / "bare.bin"],
                   check=True)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        assemble(folder)
        commands = {
            "viv-cpu": [BUILD / "viv-cpu", "--load", f"{folder}/bare.bin@0x400000", "--entry",
                        "0x400000", "--json"],
            "host": [folder / "host"],
        }
        if shutil.which("qemu-x86_64"):
            commands["qemu-x86_64 (TCG)"] = ["qemu-x86_64", folder / "host"]
        best = {}
        for _ in range(ROUNDS):
            for what, argv in commands.items():
                seconds = processor_seconds(argv)
                best[what] = min(best.get(what, seconds), seconds)
        for what, seconds in best.items():
            rate = TURNS * PER_TURN / max(seconds, 1e-3) / 1e6
            print(f"integer loop  {what:20} {seconds:6.2f} s  {rate:7.0f} M instructions/s")


if __name__ == "__main__":
    main()
