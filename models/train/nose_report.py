"""Writes the report of a fit: one HTML file with its curve drawn in it, that opens anywhere and loads nothing."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from models.train.nose_fit import Fit

_PX = 360
_EDGE = 44
_RATE_MIN = 0.001  # the axes are logarithmic, from here to 1
_TICKS = (0.001, 0.01, 0.1, 1.0)


def write_report(fit: Fit, account: dict[str, Any], path: Path) -> Path:
    """Write the report and return its path."""
    likelihood = fit.likelihood
    state = (
        f"Provisional: {account['animals_with_enough_sessions']} animals have {account['sessions_min']} sessions, "
        f"{account['animals_min']} are needed. Decide nothing by it."
        if likelihood.provisional
        else f"Valid for photos like these: {account['animals_with_enough_sessions']} animals with "
        f"{account['sessions_min']} sessions."
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(_cell(fit.figures[name][key]) for key in _RATES) + "</tr>"
        for name in ("fused", "similarity", "inliers")
    )
    same, across = fit.figures["same_session"], fit.figures["across_sessions"]
    thresholds = "".join(f"<li><code>{escape(key)}</code> {value}</li>" for key, value in fit.thresholds.items())
    path.write_text(
        f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Nose thresholds</title>
<style>body{{font:15px/1.5 sans-serif;max-width:52rem;margin:2rem auto}}
td,th{{padding:.2rem .8rem;text-align:right}}</style>
<h1>Nose thresholds from own photos</h1><p><strong>{escape(state)}</strong></p>
<p>{escape(likelihood.fitted_on)}. {account["photos_used"]} of {account["photos"]} photos used. Templates of
{escape(likelihood.model)}.</p>
<h2>Sessions apart, by animals that the fusion was not fitted to</h2>
<table><tr><th></th>{"".join(f"<th>{escape(words)}</th>" for words in _RATES.values())}</tr>{rows}</table>
<p>In brackets: 95% intervals, {fit.figures["bootstraps"]} bootstraps over animals. Cllr {fit.figures["cllr_bits"]} bits
(0 is perfect, 1 says nothing). The likelihood ratio is reported from 10<sup>{likelihood.log10_min}</sup> to
10<sup>{likelihood.log10_max}</sup>: so few animals show no more.</p>{_drawing(fit)}
<h2>Same session, which flatters every method</h2><p>{same["comparisons"]} comparisons, median similarity
{same["similarity_p50"]}, AUC {same["auc_similarity"]}; across sessions {across["comparisons"]} comparisons, median
{across["similarity_p50"]}, one in 20 below {across["similarity_p5"]}.</p>
<h2>Suggested rules</h2><ul>{thresholds}</ul>
<h2>Left out</h2>{_listed("Duplicates", account["duplicates"])}
{_listed("One photo in two sessions", account["replayed"])}
{_listed("Photos refused", [f"{reason}: {count}" for reason, count in account["refused"].items()])}</html>
""",
        encoding="utf-8",
    )
    return path


_RATES = {
    "auc": "AUC",
    "eer": "equal error rate",
    "miss_rate_at_1pct": "missed at 1% false alarms",
    "miss_rate_at_0.1pct": "missed at 0.1%",
}


def _cell(figure: dict[str, float]) -> str:
    return f"<td>{figure['value']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})</td>"


def _listed(title: str, lines: list[str]) -> str:
    body = "".join(f"<li>{escape(line)}</li>" for line in lines) or "<li>none</li>"
    return f"<h3>{escape(title)}</h3><ul>{body}</ul>"


def _drawing(fit: Fit) -> str:
    """Return the trade-off of errors as SVG, both axes logarithmic; the diagonal is chance."""
    points = " ".join(f"{_at(alarm):.1f},{_PX - _at(miss):.1f}" for alarm, miss in fit.curve)
    ticks = "".join(
        f'<text x="{_at(rate):.0f}" y="{_PX - 22}" text-anchor="middle">{rate:g}</text>'
        f'<text x="{_EDGE - 6}" y="{_PX - _at(rate):.0f}" text-anchor="end">{rate:g}</text>'
        for rate in _TICKS
    )
    return (
        f'<svg viewBox="0 0 {_PX} {_PX}" width="{_PX}" font-size="11" role="img" aria-label="false alarms and misses">'
        f'<rect x="{_EDGE}" y="8" width="{_PX - _EDGE - 8}" height="{_PX - _EDGE - 8}" fill="none" stroke="#999"/>'
        f'{ticks}<text x="{_PX / 2}" y="{_PX - 6}" text-anchor="middle">false alarms</text>'
        f'<text x="{_EDGE + 6}" y="22">misses</text>'
        f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="2"/></svg>'
    )


def _at(rate: float) -> float:
    """Return the place of a rate on an axis, pixels from its edge of the drawing."""
    from math import log

    share = log(max(rate, _RATE_MIN) / _RATE_MIN) / log(1 / _RATE_MIN)
    return _EDGE + share * (_PX - _EDGE - 8)
