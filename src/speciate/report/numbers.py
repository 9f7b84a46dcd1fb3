"""Numbers as a practitioner writes them. Every number a person reads in the report comes from here."""

from __future__ import annotations

NO_BREAK = "\N{NO-BREAK SPACE}"
MISSING = "\N{EM DASH}"


def count_text(value: float) -> str:
    """A count with its magnitude: two digits below ten, three above.

    >>> [count_text(v) for v in (0, 950, 36_224, 1_234_567, 2_000_000, 20e9)]
    ['0', '950', '36k', '1.2M', '2M', '20B']
    """
    for unit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9995:  # 999,700 reads 1M, not 1000k
            return f"{_short(value / unit)}{suffix}"
    return f"{value:.0f}"


def _short(value: float) -> str:
    text = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
    return text.removesuffix(".0")


def tokens_text(tokens: float) -> str:
    """Tokens with their unit.

    >>> tokens_text(1_200_000)
    '1.2M tokens'
    """
    return f"{count_text(tokens)} tokens"


def percent_text(share: float) -> str:
    """A share between 0 and 1 in percent: whole numbers from ten up, one decimal below.

    >>> percent_text(0.4137), percent_text(0.0312), percent_text(0.0)
    ('41\\xa0%', '3.1\\xa0%', '0\\xa0%')
    """
    percent = 100 * share
    text = f"{percent:.0f}" if abs(percent) >= 9.95 else f"{percent:.1f}".removesuffix(".0")
    return f"{text}{NO_BREAK}%"


def ratio_text(ratio: float) -> str:
    """A ratio that was set rather than estimated: every digit that was given, up to two decimals.

    >>> ratio_text(0.125), ratio_text(0.4)
    ('12.5\\xa0%', '40\\xa0%')
    """
    text = f"{100 * ratio:.2f}".rstrip("0").rstrip(".")
    return f"{text}{NO_BREAK}%"


def range_text(low: float, high: float) -> str:
    """Two ends of an interval of shares.

    >>> range_text(0.352, 0.479)
    '35 to 48\\xa0%'
    """
    left, right = percent_text(low), percent_text(high)
    return f"{left.removesuffix(f'{NO_BREAK}%')} to {right}"


def nats_text(nats: float, *, signed: bool = False) -> str:
    """Loss in nats per token, three decimals; ``signed`` for a change.

    >>> nats_text(0.0361), nats_text(3.4127), nats_text(-0.0361, signed=True), nats_text(0.0002, signed=True)
    ('.036', '3.413', '\\u2212.036', '.000')
    """
    digits = f"{abs(nats):.3f}"
    body = digits[1:] if digits.startswith("0.") else digits
    if body == ".000":
        return body
    sign = "\N{MINUS SIGN}" if nats < 0 else ("+" if signed else "")
    return sign + body


def nats_short(nats: float, *, signed: bool = False) -> str:
    """Loss that was set rather than measured, or a tick of an axis: no trailing zeros.

    >>> nats_short(0.05), nats_short(0.1, signed=True), nats_short(0.0), nats_short(3.5)
    ('.05', '+.1', '0', '3.5')
    """
    text = nats_text(nats, signed=signed).rstrip("0")
    return "0" if text == "." else text.removesuffix(".")


def flops_text(flops: float) -> str:
    """Floating-point operations in the way budgets are written.

    >>> flops_text(2.31e13), flops_text(1e12)
    ('2.3e13 FLOPs', '1e12 FLOPs')
    """
    mantissa, exponent = f"{flops:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)} FLOPs"


def duration_text(seconds: float) -> str:
    """A duration in the unit that fits it.

    >>> [duration_text(s) for s in (42, 60, 444, 11_520)]
    ['42 seconds', '1 minute', '7.4 minutes', '3.2 hours']
    """
    if seconds < 59.5:
        return _plural(f"{seconds:.0f}", "second")
    if seconds < 3570:
        return _plural(_short(seconds / 60), "minute")
    return _plural(_short(seconds / 3600), "hour")


def number_of(count: int, noun: str) -> str:
    """A count with its noun in the right number.

    >>> number_of(1, "run"), number_of(1204, "measurement")
    ('1 run', '1,204 measurements')
    """
    return _plural(f"{count:,}", noun)


def _plural(text: str, noun: str) -> str:
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"
