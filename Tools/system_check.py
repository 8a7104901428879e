"""What the system must bring before VTK can draw with no display and Qt can open its off-screen platform.

``system_check.py missing`` names the Debian packages to install, trying to load each library and to open an EGL device.
``system_check.py render`` draws one picture with VTK and one widget with Qt, in the environment that will be used.
The first needs nothing but the standard library, so that it runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libXcursor.so.1": "libxcursor1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
DRIVER = ["libegl-mesa0", "libgl1-mesa-dri"]

EGL_PLATFORM_DEVICE_EXT = 0x313F
MAX_DEVICES = 16


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def egl_function(egl: ctypes.CDLL, name: bytes, result: Any, *arguments: Any) -> Callable[..., Any] | None:
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(name)
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


def egl_device_opens() -> bool:
    """Whether EGL opens a device with no display, as VTK asks of it; True where EGL is missing, which is said apart."""
    if not loads("libEGL.so.1"):
        return True
    egl = ctypes.CDLL("libEGL.so.1")
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    query = egl_function(egl, b"eglQueryDevicesEXT", integer, integer, pointer, pointer)
    display = egl_function(egl, b"eglGetPlatformDisplayEXT", pointer, integer, pointer, pointer)
    if query is None or display is None:
        return False
    devices, count = (pointer * MAX_DEVICES)(), integer(0)
    query(MAX_DEVICES, devices, ctypes.byref(count))
    egl.eglInitialize.argtypes = [pointer, pointer, pointer]
    opened = (display(EGL_PLATFORM_DEVICE_EXT, device, None) for device in devices[: count.value])
    return any(handle and egl.eglInitialize(handle, None, None) for handle in opened)


def missing_packages() -> list[str]:
    packages = [package for library, package in LIBRARIES.items() if not loads(library)]
    if not egl_device_opens():
        packages += DRIVER
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return packages


def check_vtk() -> None:
    import vtk

    window, renderer, grab = vtk.vtkRenderWindow(), vtk.vtkRenderer(), vtk.vtkWindowToImageFilter()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(16, 16)
    renderer.SetBackground(0, 0, 1)
    window.AddRenderer(renderer)
    window.Render()
    grab.SetInput(window)
    grab.Update()
    pixel = [grab.GetOutput().GetScalarComponentAsDouble(8, 8, 0, channel) for channel in range(3)]
    if pixel != [0, 0, 255]:
        raise RuntimeError(f"VTK drew {pixel} where blue was asked for")


def check_qt() -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6 import QtWidgets

    application = QtWidgets.QApplication([])
    label = QtWidgets.QLabel("text")
    if label.grab().isNull():
        raise RuntimeError("Qt drew nothing")
    application.quit()


def main(command: str) -> None:
    os.environ["EGL_LOG_LEVEL"] = "fatal"  # Mesa would print each driver it tries
    if command == "missing":
        print(" ".join(missing_packages()))
    else:
        os.environ.pop("DISPLAY", None)
        check_vtk()
        check_qt()


if __name__ == "__main__":
    main(sys.argv[1])
