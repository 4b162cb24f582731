"""Numbers as texts, rounded so that what is not zero does not look like it, and zero has no sign.

Numbers are first rounded to nine decimals. A mean such as 10.925 lies a little above or below a tie, by the
order of its sum, and would otherwise be 10.92 on one machine and 10.93 on another.
"""

MOST_DECIMALS, SURE_DECIMALS = 3, 9


def rounded(value: float, form: str = ".1f") -> str:
    """Return a number in a form such as `.1f` or `+.2f`, with more decimals where it would show as zero.

    So -0.04 in `+.1f` is `-0.04`. What three decimals show as zero is `0.0`.
    """
    sign, least = form[: form.index(".")], int(form.strip("+.f"))
    for decimals in range(least, MOST_DECIMALS + 1):
        text = f"{round(value, SURE_DECIMALS):{sign}.{decimals}f}"
        if float(text):
            return text
    return f"{0:.{least}f}"


def with_interval(value: float, low: float, high: float, form: str = "+.1f") -> str:
    """Return a number with its interval: `+0.4 [+0.2, +0.6]`.

    All three have as many decimals as the end that needs most: `-0.03 [-0.08, +0.01]`. The number itself asks
    for none: -0.02 between -1.9 and +1.8 is `0.0`.
    """
    decimals = _decimals(low, high, form)
    shown, *ends = (_fixed(number, form, decimals) for number in (value, low, high))
    return f"{shown} [{', '.join(ends)}]"


def interval(low: float, high: float, form: str = "+.1f") -> str:
    """Return the ends of an interval, with as many decimals as the one that needs most: `+0.2 to +0.6`."""
    decimals = _decimals(low, high, form)
    return f"{_fixed(low, form, decimals)} to {_fixed(high, form, decimals)}"


def _decimals(low: float, high: float, form: str) -> int:
    return max(len(rounded(end, form).partition(".")[2]) for end in (low, high))


def _fixed(value: float, form: str, decimals: int) -> str:
    text = f"{round(value, SURE_DECIMALS):{form[: form.index('.')]}.{decimals}f}"
    return text if float(text) else f"{0:.{decimals}f}"


def p_value(p: float) -> str:
    """Return a p-value in thousandths, or that it is below one."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
