"""How much memory there is, and how much this process took at most: Linux, macOS and Windows, nothing to install."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes
else:
    import resource

_MIB = 1024 * 1024


def available_memory() -> int | None:
    """Bytes that a run may still take, or None where the system does not tell."""
    known = [amount for amount in (_free_memory(), _group_memory()) if amount is not None]
    return min(known, default=None)


def reset_peak() -> None:
    """Starts a new measurement where the system can (Linux); elsewhere the peak is that of the process's whole life."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mb() -> float:
    """The most memory (MiB) that was resident since :func:`reset_peak`."""
    high_water = _field(Path("/proc/self/status"), "VmHWM")
    return (high_water if high_water is not None else _lifetime_peak()) / _MIB


def text_of(amount: float) -> str:
    """Bytes as people say them: '640 MB', '3.5 GB'."""
    gigabytes = amount / 1e9
    if gigabytes < 1:
        return f"{amount / 1e6:.0f} MB"
    return f"{gigabytes:.1f} GB" if gigabytes < 10 else f"{gigabytes:.0f} GB"


def _field(file: Path, name: str) -> int | None:
    """Bytes in a 'Name:   123 kB' line of a file under /proc; None where there is no such line."""
    if not file.exists():
        return None
    for line in file.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def _group_memory(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves; None where there is no limit."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        return None if limit == "max" else int(limit) - int((group / "memory.current").read_text(encoding="ascii"))
    except OSError:
        return None


if sys.platform == "win32":

    class _MemoryStatus(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [
            ("length", wintypes.DWORD),
            ("load", wintypes.DWORD),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "total_page", "free_page")),
            *((name, ctypes.c_ulonglong) for name in ("total_virtual", "free_virtual", "extended")),
        ]

    class _MemoryCounters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of the Windows API."""

        _fields_ = [
            ("length", wintypes.DWORD),
            ("page_faults", wintypes.DWORD),
            ("peak_resident", ctypes.c_size_t),
            *((f"other_{n}", ctypes.c_size_t) for n in range(7)),
        ]

    def _free_memory() -> int | None:
        status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
        return int(status.free) if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else None

    def _lifetime_peak() -> int:
        counters = _MemoryCounters(length=ctypes.sizeof(_MemoryCounters))
        process = wintypes.HANDLE(ctypes.windll.kernel32.GetCurrentProcess())
        ctypes.windll.psapi.GetProcessMemoryInfo(process, ctypes.byref(counters), counters.length)
        return int(counters.peak_resident)

else:

    def _free_memory() -> int | None:
        available = _field(Path("/proc/meminfo"), "MemAvailable")
        return available if available is not None else _physical_memory()

    def _physical_memory() -> int | None:
        """All there is, where the system does not say what is free (macOS)."""
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):
            return None

    def _lifetime_peak() -> int:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
