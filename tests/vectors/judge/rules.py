"""Small words for writing the rules of an API: each complaint names its place."""
import re


class Rules:
    """Collects complaints. Every method answers whether the rule was kept."""

    def __init__(self):
        self.complaints = []

    def bad(self, place, what):
        self.complaints.append(f"{place}: {what}")
        return False

    def known(self, place, value, keys, needed=()):
        """An object with no other keys than these."""
        if not isinstance(value, dict):
            return self.bad(place, f"expected an object, got {type(value).__name__}")
        for key in value:
            if key not in keys:
                self.bad(f"{place}.{key}" if place else key, "extra inputs are not permitted")
        for key in needed:
            if key not in value:
                self.bad(f"{place}.{key}" if place else key, "field required")
        return all(key in value for key in needed)

    def string(self, place, value, empty=True, pattern=None, most=None):
        if not isinstance(value, str):
            return self.bad(place, f"expected a string, got {type(value).__name__}")
        if not empty and not value:
            return self.bad(place, "must not be empty")
        if pattern and not re.fullmatch(pattern, value):
            return self.bad(place, f"{value!r} does not match {pattern}")
        if most and len(value) > most:
            return self.bad(place, f"is longer than {most} characters")
        return True

    def word(self, place, value, words):
        if not isinstance(value, str) or value not in words:
            return self.bad(place, f"{value!r} is none of {', '.join(words)}")
        return True

    def boolean(self, place, value):
        return isinstance(value, bool) or self.bad(place, "expected a boolean")

    def integer(self, place, value, low=None, high=None):
        if isinstance(value, bool) or not isinstance(value, int):
            return self.bad(place, f"expected an integer, got {value!r}")
        return self.between(place, value, low, high)

    def number(self, place, value, low=None, high=None):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.bad(place, f"expected a number, got {value!r}")
        return self.between(place, value, low, high)

    def between(self, place, value, low, high):
        if low is not None and value < low:
            return self.bad(place, f"{value} is below {low}")
        if high is not None and value > high:
            return self.bad(place, f"{value} is above {high}")
        return True

    def listing(self, place, value, least=0, most=None):
        if not isinstance(value, list):
            return self.bad(place, f"expected a list, got {type(value).__name__}")
        if len(value) < least:
            return self.bad(place, f"needs at least {least} elements")
        if most is not None and len(value) > most:
            return self.bad(place, f"has more than {most} elements")
        return True

    def strings(self, place, value, most=None, empty=True):
        if not self.listing(place, value, 0, most):
            return False
        return all([self.string(f"{place}[{i}]", v, empty) for i, v in enumerate(value)])

    def optional(self, value, key, rule, place="", *args):
        """rule(place.key, value[key], *args) if the key is there."""
        if key in value:
            rule(f"{place}.{key}" if place else key, value[key], *args)


def base64_is_whole(text):
    """Is it base64 as a whole? Recordings may have it cut short: then it is not asked."""
    return re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text) is not None
