"""Numbers as texts, rounded so that what is not zero does not look like it, and zero has no sign."""

MOST_DECIMALS = 3


def rounded(value: float, form: str = ".1f") -> str:
    """Return a number in a form such as `.1f` or `+.2f`, with more decimals where it would show as zero.

    So -0.04 in `+.1f` is `-0.04`. What three decimals show as zero is `0.0`.
    """
    sign, least = form[: form.index(".")], int(form.strip("+.f"))
    for decimals in range(least, MOST_DECIMALS + 1):
        text = f"{value:{sign}.{decimals}f}"
        if float(text):
            return text
    return f"{0:.{least}f}"


def with_interval(value: float, low: float, high: float, form: str = "+.1f") -> str:
    """Return a number with its interval: `+0.4 [+0.2, +0.6]`.

    The number has more decimals only where an end has, which is where the interval is as small: -0.02 between
    -1.9 and +1.8 is `0.0`.
    """
    ends = [rounded(end, form) for end in (low, high)]
    is_small = any(not float(f"{end:{form}}") for end in (low, high))
    shown = rounded(value if is_small or float(f"{value:{form}}") else 0.0, form)
    return f"{shown} [{', '.join(ends)}]"
