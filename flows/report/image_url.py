"""A plot of the page as an image of its own, for where the page's style sheet is not: Prefect's artifacts."""

import base64
import re
from pathlib import Path

from markupsafe import Markup

_STYLE = Path(__file__).parent / "templates" / "style.html.j2"


def image_url(plot: Markup) -> str:
    """Return a plot as a `data:` URL of SVG, in the page's light colours on white."""
    light = re.search(r":root \{(.*?)\}", _STYLE.read_text(), flags=re.DOTALL)
    assert light
    style = f"<style>svg {{ {light[1]} background: white; font-family: sans-serif }}</style>"
    svg = str(plot).replace(">", f">{style}", 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
