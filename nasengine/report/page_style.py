"""Looks of the page, which has no script, and what a browser lets it do."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --soft: #f2f4f7; --line: #c9ced6; --quiet: #555d68;
  --link: #0b57a4; --warn: #8a3b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #15181c; --soft: #20252b; --line: #414953;
  --quiet: #a9b2bd; --link: #8cc1ff; --warn: #ffb27a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; margin: 0; padding: 0; }
.verdict { background: var(--soft); border-left: .3rem solid var(--link); padding: .8rem 1rem; font-size: 1.05rem; }
.fault { color: var(--warn); border-left: .3rem solid var(--warn); padding-left: .8rem; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .875rem; }
dl { display: grid; grid-template-columns: minmax(7rem, 14rem) 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: .5rem 0; }
.pictures > * { min-width: 0; }
.picture { background: #ffffff; color: #000000; border: 1px solid var(--line); border-radius: .4rem; padding: .4rem;
  overflow-x: auto; }
.picture svg { display: block; max-width: 100%; height: auto; margin: 0 auto; stroke-linejoin: round;
  stroke-linecap: butt; }
.scroll { overflow-x: auto; max-width: 100%; margin: .5rem 0; max-height: 32rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .875rem; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
td.long { max-width: 34rem; overflow-wrap: anywhere; min-width: 14rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
summary { cursor: pointer; color: var(--link); padding: .2rem 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .875rem; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; border-radius: .4rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .4rem; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #fff; --quiet: #333; --link: #000;
    --line: #999; --warn: #000; }
  nav { display: none; } .scroll, .picture { overflow: visible; max-height: none; }
  .picture svg { min-width: 0 !important; }
  table { min-width: 0; width: 100%; } td, td.long { min-width: 0; overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; } h2, h3, caption, summary { break-after: avoid; }
  thead { display: table-header-group; } .picture, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; display: block; height: auto; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser lets the page do: its own looks and pictures inside it; no script, no network."""
