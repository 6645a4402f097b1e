"""A run as a page, and as pictures.

page        one HTML file, made of `verdict`, `tables`, and of figures by `drawing`, in its `style`
pictures    the same figures as PNGs
charts      what each figure shows, as data, and on which `axes`
"""

from croupier_bench.report.page import html
from croupier_bench.report.pictures import NoPlots, pngs

__all__ = ["NoPlots", "html", "pngs"]
