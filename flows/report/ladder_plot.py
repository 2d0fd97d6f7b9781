"""The plot of a ladder: each model's held-out loss over its tokens, and the fitted law for its size."""

from itertools import groupby

import numpy as np
from markupsafe import Markup

from flows.display.numbers import short
from flows.planning.ladder_result import LadderResult
from flows.report.drawing import ACCENT, KEPT, MUTED, WIDE, drawing, label_ends, log_ticks, scale

_POINTS, _MARGIN = 60, 1.25
_FAINTEST = 0.4


def ladder_plot(result: LadderResult) -> Markup:
    """Draw loss in nats per token over tokens, both on logarithmic axes: a point for a model, a line for a size.

    The model that was held back from the first fit is marked, with what that fit predicted of it.
    """
    tokens = [model.tokens for model in result.models]
    span = min(tokens) / _MARGIN, max(tokens) * _MARGIN
    ordered = sorted(result.models, key=lambda model: model.parameters)
    sizes = [(size, list(models)) for size, models in groupby(ordered, key=lambda model: model.parameters)]
    with drawing("ladder", WIDE) as (figure, out):
        axes = figure.add_subplot()
        along, ends = np.geomspace(*span, _POINTS), []
        for place, (size, models) in enumerate(sizes):
            strength = _FAINTEST + (1 - _FAINTEST) * (place + 1) / len(sizes)
            curve = [result.fit.law.loss(size, at) for at in along]
            axes.plot(along, curve, color=KEPT, alpha=strength, linewidth=1.2)
            axes.scatter([m.tokens for m in models], [m.loss for m in models], color=KEPT, alpha=strength, s=22)
            ends.append((curve[-1], f"{short(size)} parameters", MUTED))
        if result.check:
            at, check = result.check.held_back.tokens, result.check
            axes.scatter([at], [check.held_back.loss], facecolors="none", edgecolors=ACCENT, s=70, linewidths=1.4)
            axes.scatter([at], [check.predicted], color=ACCENT, marker="x", s=40, linewidths=1.4)
        axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="nats per token, held out")
        scale(axes.xaxis, short, log_ticks())
        scale(axes.yaxis, "{:g}".format, log_ticks())
        axes.set_xlim(span[0], span[1] * (span[1] / span[0]) ** 0.16)
        label_ends(axes, span[1], ends)
    return Markup(out[0])
