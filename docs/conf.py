"""How the pages of this folder become a site: `make site`. https://www.sphinx-doc.org"""

from receiver import __version__

project = "Receiver"
version = release = __version__
html_title = f"Receiver {release}"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False

extensions = ["myst_parser"]
myst_heading_anchors = 3
# A link that leads nowhere is an error.
nitpicky = True
