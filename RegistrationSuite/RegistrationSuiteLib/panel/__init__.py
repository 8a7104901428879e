"""The panel that every module shows, made from the catalog. The only part of the library that knows Qt."""

from RegistrationSuiteLib.panel.method_panel import MethodPanel

__all__ = ["MethodPanel"]
