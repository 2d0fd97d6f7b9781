"""The page's plots as inline SVG: losses by step, lengths of documents, distributions of signals.

Notable: a drawing has at most `_MAX_POINTS` points a line, whatever the length of training.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from flows.display.numbers import short
from flows.report.drawing import ACCENT, INK, KEPT, NARROW, REMOVED, WIDE, drawing, label_ends, log_ticks, scale
from flows.report.readers.reasons import Distributions
from flows.report.readers.signals import SignalHistogram
from flows.store.training_log import CURVES, Training

_ACROSS, _PANEL_HEIGHT = 4, 1.12
_FLOOR = 0.7  # where bars on a logarithmic axis begin, so that a single document shows
_MAX_POINTS = 500
_SMOOTHING_SHARE = 0.04
_LABEL_SPACE = 0.12
_BINS = 40
_STEEP = 20


def loss_plot(training: Training) -> Markup:
    """Draw loss by step in nats per token: each logged step faintly, their running mean, and the held-out scores."""
    steps = np.array([step.step for step in training.steps])
    losses = np.array([step.loss for step in training.steps])
    smooth = _running_mean(losses)
    with drawing(f"loss-{training.stage}", WIDE) as (figure, out):
        axes = figure.add_subplot()
        shown = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _MAX_POINTS)).astype(np.int64))
        axes.plot(steps[shown], losses[shown], color=KEPT, alpha=0.28, linewidth=0.8)
        axes.plot(steps[shown], smooth[shown], color=KEPT, linewidth=1.9)
        ends = [(float(smooth[-1]), f"training {smooth[-1]:.2f}", KEPT)]
        if held_out := [(score.step, score.loss) for score in training.held_out if score.loss is not None]:
            at, scores = zip(*held_out, strict=True)
            axes.plot(at, scores, color=ACCENT, linewidth=1.4, marker="o", markersize=4)
            ends.append((scores[-1], f"held out {scores[-1]:.2f}", ACCENT))
        _steps_axis(axes, float(steps[0]), float(steps[-1]))
        axes.set(xlabel="step", ylabel=training.loss_unit)
        if smooth.min() > smooth.max() / _STEEP > 0:
            # The second half of pretraining is a flat line on a linear axis; a loss near 0 is all noise on this one.
            axes.set_yscale("log")
            scale(axes.yaxis, "{:g}".format, log_ticks())
        label_ends(axes, float(steps[-1]), ends)
    return Markup(out[0])


def curves_plot(training: Training) -> Markup:
    """Draw what a training's loss measures beside itself, by step, a panel for each: in training, and held out."""
    curves = training.curves
    rows = -(-len(curves) // 2)
    with drawing(f"curves-{training.stage}", (WIDE[0], 0.8 * WIDE[1] * rows)) as (figure, out):
        panels = figure.subplots(rows, 2, sharex=True, squeeze=False).flat
        for curve, axes in zip(curves, panels, strict=False):
            if curve.trained:
                steps, values = (np.array(column) for column in zip(*curve.trained, strict=True))
                shown = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _MAX_POINTS)).astype(np.int64))
                axes.plot(steps[shown], values[shown], color=KEPT, alpha=0.28, linewidth=0.8)
                axes.plot(steps[shown], _running_mean(values)[shown], color=KEPT, linewidth=1.9, label="training")
            if curve.held_out:
                axes.plot(*zip(*curve.held_out, strict=True), color=ACCENT, marker="o", markersize=4, label="held out")
            axes.set_title(CURVES[curve.name], fontsize=8.5, loc="left", color=INK)
            axes.legend(frameon=False, labelcolor=INK, handlelength=1.0)
        for axes in panels:
            axes.set_axis_off()
    return Markup(out[0])


def length_plot(distributions: Distributions) -> Markup:
    """Draw how many words kept and removed documents have, on a logarithmic axis."""
    kept, removed = np.array(distributions.words_kept), np.array(distributions.words_removed)
    longest = max(10, int(max(kept.max(initial=0), removed.max(initial=0))))
    # A document may have no word at all; on a logarithmic axis it counts as one.
    edges = np.geomspace(1, longest + 1, _BINS + 1)
    with drawing("lengths", NARROW) as (figure, out):
        axes = figure.add_subplot()
        values = [np.maximum(kept, 1), np.maximum(removed, 1)]
        axes.hist(values, bins=list(edges), stacked=True, color=[KEPT, REMOVED], label=["kept", "removed"])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        scale(axes.yaxis, short, MaxNLocator(5, integer=True))
        axes.set(xlabel="words in the document", ylabel="documents")
        axes.legend(frameon=False, loc="upper left", labelcolor=INK, handlelength=1.0)
    return Markup(out[0])


def signals_plot(name: str, histograms: Sequence[SignalHistogram]) -> Markup:
    """Draw a small histogram for each signal, all on one scale of heights; where a rule removes is shaded."""
    rows = -(-len(histograms) // _ACROSS)
    tallest = max(max(*one.kept, *one.removed) for one in histograms)
    height = _PANEL_HEIGHT * rows
    with drawing(f"signals-{name}", (WIDE[0], height), layout=None) as (figure, out):
        # Letters and panels have known sizes here, and a layout by matplotlib would double the time.
        panels = figure.subplots(rows, _ACROSS, sharey=True, squeeze=False)
        margins = {"left": 0.032, "right": 0.996, "bottom": 0.22 / height, "top": 1 - 0.24 / height}
        figure.subplots_adjust(**margins, wspace=0.09, hspace=0.72)
        for place, panel in enumerate(panels.flat):
            if place < len(histograms):
                _signal_panel(panel, histograms[place])
                panel.set_ylim(_FLOOR, 2 * max(tallest, 10))
            else:
                panel.set_axis_off()
        for panel in panels[:, 0]:
            scale(panel.yaxis, short, LogLocator(numticks=4))
    return Markup(out[0])


def _signal_panel(axes: Axes, one: SignalHistogram) -> None:
    axes.set_yscale("log")
    axes.set_xscale("log" if one.is_logarithmic else "linear")
    ticks = LogLocator(numticks=4) if one.is_logarithmic else MaxNLocator(4, integer=one.whole_numbers)
    scale(axes.xaxis, lambda value: short(value) if value >= 1000 else f"{value:g}", ticks)
    low, high = one.edges[0], one.edges[-1]
    for rule in one.thresholds:
        limit = one.boundary(rule)
        failing = (low, limit) if rule.comparison.startswith("<") else (limit, high)
        axes.axvspan(*failing, color=REMOVED, alpha=0.1, linewidth=0)
        axes.axvline(limit, color=REMOVED, linewidth=0.9, linestyle=(0, (3, 2)))
    kept, removed = (np.maximum(counts, _FLOOR) for counts in (one.kept, one.removed))
    axes.stairs(kept, one.edges, baseline=_FLOOR, fill=True, color=KEPT, alpha=0.7)
    axes.stairs(removed, one.edges, baseline=_FLOOR, color=REMOVED, linewidth=1.2)
    axes.set_xlim(low, high)
    axes.set_title(one.signal.replace("_", " "), fontsize=8.5, loc="left", color=INK)
    axes.tick_params(labelsize=7.5, pad=2)


def _running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each value's mean with those around it, over a small share of the whole, narrower towards the ends."""
    half = int(len(values) * _SMOOTHING_SHARE / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    reach = np.minimum(half, np.minimum(place, len(values) - 1 - place))
    return (sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1)


def _steps_axis(axes: Axes, first: float, last: float) -> None:
    """Set ticks where there are steps, and leave room for the lines' names at the right."""
    width = max(last - first, 1.0)
    axes.set_xticks([tick for tick in MaxNLocator(8, integer=True).tick_values(first, last) if first <= tick <= last])
    axes.set_xlim(first - 0.01 * width, last + _LABEL_SPACE * width)
