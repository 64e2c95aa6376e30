"""Amounts as people write them."""

import re

from nasengine.errors import ConfigError

FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
LARGEST = 10**15
_PATTERN = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*(Ki|Mi|Gi|[KMG])?B?", re.IGNORECASE)


def amount(text: str, option: str) -> int | None:
    """A whole number of at least 1; None for an empty text.

    Raises:
        ConfigError: anything else.

    >>> amount("1.5MB", "--max-bytes"), amount("256KiB", "--max-bytes"), amount("20m", "--max-macs")
    (1500000, 262144, 20000000)
    """
    if not text:
        return None
    found = _PATTERN.fullmatch(text.strip())
    if found is not None:
        unit = (found[2] or "").capitalize()
        value = int(float(found[1]) * FACTORS[unit])
        if 1 <= value <= LARGEST:
            return value
    raise ConfigError(f"{option}: expected an amount of at least 1 such as 200000, 900KB, 1MB or 256KiB, got {text!r}")


def amounts(text: str, option: str) -> tuple[int, ...]:
    """Amounts with commas between them.

    Raises:
        ConfigError: one of them is none.

    >>> amounts("5M,10M", "--also-macs")
    (5000000, 10000000)
    """
    found = (amount(part.strip() or "nothing", option) for part in text.split(",") if text)
    return tuple(value for value in found if value is not None)
