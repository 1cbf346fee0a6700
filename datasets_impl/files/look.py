"""The look of pages that people open: colours, type and tables, in light and dark."""

from __future__ import annotations

LOOK = """\
:root{
  color-scheme:light dark;
  --page:#fbfaf8; --raised:#fff; --text:#1c2230; --soft:#555e6e; --rule:#e3e3e0; --line:#cdd1d8;
  --link:#0b5a98; --code:#f1f1ee;
  --supported:#0b5a98; --supported-tint:#e4f0fa;
  --challenged:#9f3a05; --challenged-tint:#fdece1;
  --conditional:#5342ae; --conditional-tint:#edebfa;
  --inconclusive:#665410; --inconclusive-tint:#f5eed4;
  --not-tested:#555e6e; --not-tested-tint:#eceef1;
  --sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
  --serif:ui-serif,"Iowan Old Style","Palatino Linotype",Palatino,"Source Serif 4",Georgia,serif;
  --mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
}
@media screen and (prefers-color-scheme:dark){:root{
  --page:#14171c; --raised:#1a1e25; --text:#e7eaf0; --soft:#a6afbe; --rule:#2a2f38; --line:#434b58;
  --link:#7cc0f4; --code:#20252d;
  --supported:#8cc8f5; --supported-tint:#14293b;
  --challenged:#ffab7a; --challenged-tint:#3a2216;
  --conditional:#bdb3ff; --conditional-tint:#272244;
  --inconclusive:#dcc76f; --inconclusive-tint:#2f2a13;
  --not-tested:#a6afbe; --not-tested-tint:#252a32;
}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.6 var(--sans);
  overflow-wrap:break-word}
h1,h2,h3{line-height:1.2;text-wrap:balance;font-weight:600;margin:0}
h1,h2{font-family:var(--serif);letter-spacing:-.012em}
h1{font-size:clamp(2rem,1.2rem + 2.6vw,3rem);line-height:1.1}
h2{font-size:1.75rem;margin-bottom:.75rem}
h3{font-size:1.3rem;letter-spacing:-.008em}
p{margin:0 0 1rem;text-wrap:pretty}
a{color:var(--link);text-underline-offset:.18em;text-decoration-thickness:.06em}
a:hover{text-decoration-thickness:.12em}
:focus-visible{outline:2px solid var(--link);outline-offset:3px;border-radius:3px}
code,pre{font:.875em/1.55 var(--mono)}
b,strong{font-weight:600}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
th,td{text-align:left;vertical-align:baseline;padding:.55rem .9rem .55rem 0;
  border-bottom:1px solid var(--rule)}
th.num,td.num{text-align:right}
thead th{font-size:.8125rem;font-weight:600;color:var(--soft);border-color:var(--line)}
.scroll{overflow-x:auto;max-width:100%}
pre{margin:0 0 .5rem;padding:.9rem 1rem;background:var(--code);border-radius:6px;overflow-x:auto;
  font-size:.8125rem;white-space:pre-wrap}
"""
