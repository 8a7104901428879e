"""Which processor a job runs on."""

from __future__ import annotations

import gc

from regsuite import memory
from regsuite.errors import InputError


def choose(wanted: str) -> str:
    """The PyTorch device for "auto" or a device's name; InputError where that device cannot be used here."""
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    advice = "choose 'cpu', or 'auto' to take a GPU only where there is one"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise InputError(f"There is no device '{wanted}': {advice}.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"A GPU was asked for ('{wanted}'), but PyTorch finds none on this computer: {advice}.")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"The device '{wanted}' cannot be used on this computer ({reason}): {advice}.") from error
    return wanted


def name(device: str) -> str:
    """What the record calls the device: a GPU with its product name."""
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device


def reset_peak(device: str) -> None:
    """Starts a new measurement of a GPU's memory."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def peaks(device: str) -> dict[str, float]:
    """peak_memory_mb of the process and, on a GPU, peak_gpu_memory_mb of its tensors, in MiB."""
    import torch

    if not device.startswith("cuda"):
        return {"peak_memory_mb": memory.peak_mb()}
    return {"peak_memory_mb": memory.peak_mb(), "peak_gpu_memory_mb": torch.cuda.max_memory_allocated(device) / 2**20}


def release() -> None:
    """Gives memory back that only finished or failed work still holds, a GPU's above all."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
