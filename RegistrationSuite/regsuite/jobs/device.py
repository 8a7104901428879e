"""Which processor a job runs on."""

from __future__ import annotations

import gc

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


def release() -> None:
    """Gives the GPU's cached memory back after a run that failed there."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
