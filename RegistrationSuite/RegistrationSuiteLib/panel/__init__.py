"""The panel that modules show, made from the catalog. The only part of the library that knows Qt."""

from RegistrationSuiteLib.panel.method_panel import MethodPanel
from RegistrationSuiteLib.panel.section_panel import SectionPanel
from RegistrationSuiteLib.panel.slice_panel import SlicesPanel

__all__ = ["MethodPanel", "SectionPanel", "SlicesPanel"]
