"""How the page of a pack looks: calm on a screen, and on paper."""

from typing import Final

STYLE: Final = """
:root { --ink: #1d2125; --quiet: #5c636b; --line: #dfe3e6; --faint: #f6f7f8;
  --good: #146c43; --goodbg: #ecf6f0; --wrong: #a3242b; --wrongbg: #fcefee;
  --care: #7a5200; --carebg: #fdf5e3; color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: break-word; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 2rem 5rem; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 1.25rem; margin-bottom: 1.75rem; }
.kicker { margin: 0; color: var(--quiet); font-size: .85rem; letter-spacing: .06em;
  text-transform: uppercase; }
h1 { font-size: 2rem; line-height: 1.2; margin: .2rem 0 .6rem; font-weight: 650; }
h2 { font-size: 1.3rem; margin: 2.75rem 0 .75rem; font-weight: 650; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; font-weight: 650; }
p { margin: .5rem 0; }
.lead { font-size: 1.1rem; }
.quiet { color: var(--quiet); }
nav { font-size: .92rem; color: var(--quiet); }
nav a { margin-right: 1.1rem; }
a { color: #0b57a4; text-decoration-thickness: 1px; text-underline-offset: 2px; }
.verdict { border-left: 4px solid; border-radius: 3px; padding: .7rem 1.1rem; margin: 1rem 0; }
.verdict p { margin: .25rem 0; }
.good { border-color: var(--good); background: var(--goodbg); color: var(--good); }
.wrong { border-color: var(--wrong); background: var(--wrongbg); color: var(--wrong); }
.care { border-color: var(--care); background: var(--carebg); color: var(--care); }
.mark { border-radius: 3px; padding: .1rem .45rem; font-size: .85rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; margin: .5rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); border-bottom: 1px solid var(--ink);
  padding: .3rem .9rem .3rem 0; }
td { vertical-align: top; border-bottom: 1px solid var(--line); padding: .35rem .9rem .35rem 0; }
th:last-child, td:last-child { padding-right: 0; }
td.at, td.id, td.n { white-space: nowrap; font-variant-numeric: tabular-nums; }
td.at, td.id { color: var(--quiet); }
td.n, th.n { text-align: right; }
tr.day th { border: 0; padding-top: 1.1rem; color: var(--ink); }
code, pre, .hash { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  font-size: .86em; }
.hash { word-break: break-all; color: var(--quiet); }
pre { background: var(--faint); border: 1px solid var(--line); border-radius: 4px;
  padding: .8rem 1rem; overflow-x: auto; line-height: 1.45; margin: .75rem 0; }
pre.screen { max-height: 32rem; overflow-y: auto; }
section.session { border-top: 1px solid var(--line); margin-top: 1.75rem; padding-top: .25rem; }
ul { padding-left: 1.2rem; margin: .5rem 0; }
li { margin: .35rem 0; }
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  table { display: block; overflow-x: auto; }
}
@media print {
  @page { margin: 18mm 16mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav, .to { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3 { break-after: avoid; }
  tr, dl, .verdict { break-inside: avoid; }
  pre, pre.screen { white-space: pre-wrap; max-height: none; overflow: visible; }
  .verdict, .mark, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
