"""The claims as data: `claims.json` (`record.py`), `.csv`, `.md`, `.tex`; same input same bytes.

Floats are rounded to four significant digits, keys are sorted, and a number that is not finite
becomes null: NaN is not JSON.
"""

from __future__ import annotations

import csv
import io
import json
import re

from scripts.report import environments, wording
from scripts.report.grid import in_a_line
from scripts.report.model import Study
from scripts.report.record import claim_record, study_record

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    wording.TIMES: r"$\times$", wording.DASH: "--", wording.NBSP: "~", "\u00b1": r"$\pm$",
    "\u00b5": r"$\mu$", "\u2265": r"$\geq$", "\u2264": r"$\leq$", "\u00f7": r"$\div$",
    "\u2013": "--", "\u2014": "---", "\u2026": r"\ldots{}", "\u2192": r"$\to$",
    "\u2212": "$-$", "\u202f": "~", "\u2019": "'", "\u2018": "`", "\u201c": "``", "\u201d": "''",
}  # fmt: skip


def claims_json(study: Study) -> str:
    """claims.json, checked before anyone reads it.

    Raises `pydantic.ValidationError` when it does not fit: a fault of this program, not the user's,
    so it is not turned into a sentence.
    """
    record = study_record(study)
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def claims_csv(study: Study) -> str:
    """One row a claim, with a verdict column for each machine when there are several, and for
    each of its environments beside the reference."""
    machines = [m.name for m in study.machines] if len(study.machines) > 1 else []
    head = ["id", "title", "section", "origin", "verdict", "finding", "boundary", "grid", "missing",
            "metric", "arms", "quantity", "unit", "estimate", "low", "high", "total", "for",
            "against", "unclear", "skipped"]  # fmt: skip
    beside = [environments.beside(claim, study) for claim in study.claims]
    head += [f"verdict on {name}" for name in machines]
    head += [f"verdict on {name}, {other}" for name, other, _ in (beside or [[]])[0]]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for claim, others in zip(study.claims, beside, strict=True):
        record = claim_record(claim)
        effect = record["effect"] or {}
        record["grid"] = in_a_line(claim.grid)
        row = [record[name] for name in head[:9]]
        row += [effect.get("metric", ""), " / ".join(effect.get("arms", []))]
        row += [effect.get(name, "") for name in ("quantity", "unit", "estimate", "low", "high")]
        row += [record["cells"][name] for name in head[16:21]]
        row += [claim.by_machine.get(name, "") for name in machines]
        writer.writerow(row + [verdict for _, _, verdict in others])
    return buffer.getvalue()


def escape_md(text: str) -> str:
    """Text that Markdown shows as it is, on one line, inside a table too."""
    text = re.sub(r"([\\`*_{}\[\]#|~$^])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_tex(text: str) -> str:
    """Text that LaTeX sets as it is; characters outside the table below are left to UTF-8."""
    return "".join(TEX.get(char, char) for char in " ".join(text.split(" ")))


def rows(study: Study) -> list[list[str]]:
    """The short table that Markdown and LaTeX share."""
    return [
        [c.id, c.title, c.verdict, wording.headline(c) or wording.DASH, c.finding or c.missing]
        for c in study.claims
    ]


HEAD = ["Id", "Claim, restated", "Verdict", "Effect [95 % interval]", "Finding"]


def provenance(study: Study) -> str:
    machines = "; ".join(f"{m.name}: {m.summary}" for m in study.machines)
    return (
        f"Profile {study.profile}, {study.rounds} rounds, commit {wording.short_commit(study)}, "
        f"rules {study.claims_hash[:10]}. Noise floor: {wording.noise_sentence(study)}. "
        f"Measured on {machines}."
    )


def claims_md(study: Study) -> str:
    lines = [f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
    lines += [f"| {' | '.join(escape_md(text) for text in row)} |" for row in rows(study)]
    return "\n".join([*lines, "", escape_md(provenance(study)), ""])


def claims_tex(study: Study) -> str:
    """A booktabs longtable to \\input; needs the packages booktabs, longtable, array, textcomp."""
    body = [" & ".join(escape_tex(text) for text in row) + r" \\" for row in rows(study)]
    head = " & ".join(escape_tex(text) for text in HEAD) + r" \\"
    return "\n".join([
        "% needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs,longtable,array}",
        r"\begin{longtable}{@{}l>{\raggedright}p{.24\linewidth}l"
        r">{\raggedright}p{.16\linewidth}>{\raggedright\arraybackslash}p{.32\linewidth}@{}}",
        r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endlastfoot",
        *body, r"\end{longtable}", "\\noindent " + escape_tex(provenance(study)), "",
    ])  # fmt: skip
