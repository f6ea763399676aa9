"""Show three-dimensional reflectivity: figures made without a window, exports, and the interactive page.

In every picture x points to the right, y up, and z, down-range, towards the reader where it is not an axis of the page.
The function `view` needs the extra ``view``, and says so when it is called without it. What draws is loaded when it is
first asked for: the page is served without matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mimo.viewer.browser import view
    from mimo.viewer.contact_sheets import contact_sheet
    from mimo.viewer.exports import export
    from mimo.viewer.figures import Panel, figure, panels_from, save
    from mimo.viewer.files import figure_of_file, history_of_file
    from mimo.viewer.history import history_figure
    from mimo.viewer.notebook import Shown, show
    from mimo.viewer.overviews import overview, overview_of_file
    from mimo.viewer.projections import maximum_projections, to_db, voxel_edges
    from mimo.viewer.standalone import save_html
    from mimo.viewer.surface import surface_mesh

__all__ = [
    "Panel",
    "Shown",
    "contact_sheet",
    "export",
    "figure",
    "figure_of_file",
    "history_figure",
    "history_of_file",
    "maximum_projections",
    "overview",
    "overview_of_file",
    "panels_from",
    "save",
    "save_html",
    "show",
    "surface_mesh",
    "to_db",
    "view",
    "voxel_edges",
]

_MODULES = {
    "browser": ("view",),
    "contact_sheets": ("contact_sheet",),
    "exports": ("export",),
    "figures": ("Panel", "figure", "panels_from", "save"),
    "files": ("figure_of_file", "history_of_file"),
    "history": ("history_figure",),
    "notebook": ("Shown", "show"),
    "overviews": ("overview", "overview_of_file"),
    "projections": ("maximum_projections", "to_db", "voxel_edges"),
    "standalone": ("save_html",),
    "surface": ("surface_mesh",),
}


def __getattr__(name: str) -> Any:
    """Load a public name with its module, when it is first asked for."""
    for module, names in _MODULES.items():
        if name in names:
            found = getattr(import_module(f"mimo.viewer.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
