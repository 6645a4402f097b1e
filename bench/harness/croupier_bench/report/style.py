"""How a report looks, on a light page and on a dark one, and the script that tells values below a pointer.

Text and lines stand out from their ground as WCAG 2.2 (AA) wants it, which tests/harness/report/test_style.py
computes. A page reads without the script.
"""

from __future__ import annotations

import base64
import hashlib

LIGHT = {
    "ground": "#ffffff",
    "panel": "#f6f8fa",
    "edge": "#d1d9e0",
    "text": "#1f2328",
    "faint": "#59636e",
    "first": "#0969da",
    "second": "#bc4c00",
    "third": "#1a7f37",
    "fourth": "#8250df",
    "quiet": "#6e7781",
    "bad": "#cf222e",
    "good": "#1a7f37",
    "doubt": "#9a6700",
}
DARK = {
    "ground": "#0d1117",
    "panel": "#161b22",
    "edge": "#3d444d",
    "text": "#f0f6fc",
    "faint": "#9198a1",
    "first": "#4493f8",
    "second": "#f0883e",
    "third": "#3fb950",
    "fourth": "#ab7df8",
    "quiet": "#8b949e",
    "bad": "#f85149",
    "good": "#3fb950",
    "doubt": "#d29922",
}

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font:16px/1.5 -apple-system,'Segoe UI','Noto Sans',
Helvetica,Arial,'DejaVu Sans',sans-serif;overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:1.5rem 1.25rem 3rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--edge)}
h3{font-size:1rem;margin:0}
p{margin:.4rem 0}
a{color:var(--first)}
.faint,figcaption p,.note{color:var(--faint);font-size:.875rem}
.verdict{border:1px solid var(--edge);border-left:6px solid var(--tone);background:var(--panel);
border-radius:6px;padding:.8rem 1rem;margin:1rem 0}
.verdict strong{display:block;font-size:1.25rem;color:var(--tone)}
.verdict ul{list-style:none;margin:.5rem 0 0;padding:0}
.verdict li{padding-left:1.5rem;text-indent:-1.5rem;margin:.15rem 0}
.sign{display:inline-block;width:1.5rem;text-indent:0;font-weight:700;color:var(--tone)}
.good{--tone:var(--good)}.bad{--tone:var(--bad)}.doubt{--tone:var(--doubt)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.6rem;
margin:0 0 1rem;padding:0}
.tiles div{border:1px solid var(--edge);border-radius:6px;padding:.5rem .75rem}
.tiles dt{color:var(--faint);font-size:.8125rem}
.tiles dd{margin:0;font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums}
.tiles dd.bad{color:var(--bad)}
.scroll{overflow-x:auto;margin:.75rem 0;
background:linear-gradient(to right,var(--ground) 40%,transparent) left/2rem 100% no-repeat local,
linear-gradient(to left,var(--ground) 40%,transparent) right/2rem 100% no-repeat local,
linear-gradient(to right,var(--edge),transparent) left/.7rem 100% no-repeat scroll,
linear-gradient(to left,var(--edge),transparent) right/.7rem 100% no-repeat scroll}
table{border-collapse:collapse;min-width:min(100%,36rem);font-size:.875rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding-bottom:.3rem}
th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--edge);
white-space:nowrap;overflow-wrap:normal;vertical-align:top}
th{font-weight:600;color:var(--faint)}
tbody th{color:var(--text);font-weight:400}
th:first-child,.words{text-align:left;white-space:normal}
tbody th,td.words{overflow-wrap:anywhere}
td.words,tbody th{min-width:7rem}
th:first-child{padding-left:0}
.bar{display:block;height:.35rem;border-radius:2px;background:var(--first);margin-top:.15rem}
figure{margin:1.5rem 0 2rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;
margin:.4rem 0 0;padding:0;font-size:.875rem}
.legend svg{width:26px;height:10px;margin-right:.4rem;vertical-align:middle}
.unit{color:var(--faint);font-size:.8125rem;margin-top:.5rem}
.plot{position:relative;margin:1.7rem .9rem 1.7rem 4rem;height:15rem}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;font-size:.8125rem;line-height:1;color:var(--faint);white-space:nowrap}
.plot .y{right:100%;margin-right:.5rem;transform:translateY(-50%)}
.plot .x{top:100%;margin-top:.5rem;transform:translateX(-50%)}
.plot .axis{top:100%;margin-top:1.6rem;right:0}
.plot .mark{transform:translate(-50%,-100%);border-radius:.7rem;padding:.16rem .35rem;
background:var(--text);color:var(--ground);font-size:.6875rem;font-weight:600}
.plot .mark.bad{background:var(--bad)}
.plot .bound{right:0;transform:translateY(-115%);background:var(--ground);color:var(--text);padding:0 .2rem}
path{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.grid{stroke:var(--edge);stroke-width:1}
.event{stroke:var(--text);stroke-width:1.2;stroke-dasharray:2 3}
.limit{stroke:var(--text);stroke-width:1.4;stroke-dasharray:8 4}
.line{stroke:var(--tone);stroke-width:1.9}
.dashed{stroke-dasharray:5 4;stroke-width:1.6}
.dots{stroke:var(--tone);stroke-width:9;stroke-linecap:round}
.point{stroke:var(--tone);stroke-width:4;stroke-linecap:round}
.first{--tone:var(--first)}.second{--tone:var(--second)}.third{--tone:var(--third)}
.fourth{--tone:var(--fourth)}.quiet{--tone:var(--quiet)}
.value{min-height:1.5em;font-size:.875rem;font-variant-numeric:tabular-nums;margin:0}
.hair{position:absolute;top:0;bottom:0;width:1px;background:var(--text);pointer-events:none}
ol.events{margin:.4rem 0;padding-left:1.6rem;font-size:.875rem}
summary{cursor:pointer;font-weight:600;padding:.3rem 0}
:focus-visible{outline:2px solid var(--first);outline-offset:2px}
@media (max-width:640px){
main{padding:1rem .8rem 2rem}
.tiles{grid-template-columns:repeat(2,1fr)}
.plot{margin-left:3.4rem;height:13rem}
.plot .odd{display:none}
th,td{padding:.3rem .3rem}
tbody th,td.words{min-width:5.5rem}
table{font-size:.8125rem}
thead th{white-space:normal;vertical-align:bottom}
}
@media print{.value{display:none}figure{break-inside:avoid}}
"""

SCRIPT = """
for (const plot of document.querySelectorAll('.plot[data-values]')) {
  const {axis, places, xs, lines} = JSON.parse(plot.dataset.values);
  const value = plot.parentElement.querySelector('.value');
  const hair = document.createElement('div');
  hair.className = 'hair';
  hair.hidden = true;
  plot.append(hair);
  plot.addEventListener('pointermove', (event) => {
    const area = plot.getBoundingClientRect();
    const at = (event.clientX - area.left) / area.width;
    let near = 0;
    places.forEach((place, number) => {
      if (Math.abs(place - at) < Math.abs(places[near] - at)) near = number;
    });
    hair.hidden = false;
    hair.style.left = 100 * places[near] + '%';
    const told = lines.map(([name, ys]) => name + ' ' + ys[near]);
    value.textContent = [axis + ' ' + xs[near], ...told].join(' · ');
  });
  plot.addEventListener('pointerleave', () => {
    hair.hidden = true;
    value.textContent = '';
  });
}
"""


def style() -> str:
    """The style sheet."""
    dark = f"@media (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    return f":root{{color-scheme:light dark;{_variables(LIGHT)}}}{dark}{_RULES}"


def policy() -> str:
    """What a browser lets the page do: its own style and this one script, and to ask nobody for anything."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--{name}:{color};" for name, color in colors.items())
