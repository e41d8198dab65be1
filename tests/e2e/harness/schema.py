"""As much of JSON Schema as the gateway's OpenAPI description uses: whether a value fits a schema, values
that do not, and values at the edge that do."""
import math
import re

KNOWN = {"type", "enum", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
         "minLength", "maxLength", "pattern", "minimum", "maximum", "oneOf", "$ref", "description", "format"}
TYPES = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Schemas:
    def __init__(self, document):
        self.document = document

    def of(self, schema):
        """The schema itself, where it names another."""
        assert set(schema) <= KNOWN, schema
        if "$ref" not in schema:
            return schema
        assert set(schema) == {"$ref"}, schema
        at = self.document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            at = at[step]
        return self.of(at)

    def types(self, schema):
        t = self.of(schema).get("type", [])
        return [t] if isinstance(t, str) else t

    def fault(self, schema, value, where="$"):
        """None, or what is wrong with the value."""
        s = self.of(schema)
        if "oneOf" in s:
            faults = [self.fault(one, value, where) for one in s["oneOf"]]
            return None if faults.count(None) == 1 else f"{where}: {faults}"
        if "enum" in s and not any(value == v and type(value) is type(v) for v in s["enum"]):
            return f"{where}: {value!r} is none of {s['enum']}"
        types = self.types(s)
        if types and not any(self.is_a(t, value) for t in types):
            return f"{where}: {value!r} is no {types}"
        if isinstance(value, str):
            return self._text(s, value, where)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not s.get("minimum", -math.inf) <= value <= s.get("maximum", math.inf):
                return f"{where}: {value!r} is out of bounds"
        if isinstance(value, list):
            if not s.get("minItems", 0) <= len(value) <= s.get("maxItems", math.inf):
                return f"{where}: {len(value)} items"
            faults = [self.fault(s["items"], v, f"{where}[{i}]") for i, v in enumerate(value)]
            return next(filter(None, faults), None)
        return self._object(s, value, where) if isinstance(value, dict) and "properties" in s else None

    def _text(self, s, value, where):
        if not s.get("minLength", 0) <= len(value) <= s.get("maxLength", math.inf):
            return f"{where}: {len(value)} characters"
        if "pattern" in s and not re.search(s["pattern"], value):
            return f"{where}: {value!r} is not like {s['pattern']}"
        if s.get("format") == "date-time" and not TIME.fullmatch(value):
            return f"{where}: {value!r} is no time"
        return None

    def _object(self, s, value, where):
        lacks = set(s.get("required", ())) - set(value)
        more = set(value) - set(s["properties"])
        if lacks or (more and s.get("additionalProperties") is False):
            return f"{where}: lacks {lacks}, has {more}"
        faults = [self.fault(p, value[k], f"{where}.{k}") for k, p in s["properties"].items() if k in value]
        return next(filter(None, faults), None)

    @staticmethod
    def is_a(name, value):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name in ("number", "integer"):
            return number and (name == "number" or isinstance(value, int))
        return isinstance(value, TYPES[name])

    def wrong(self, schema):
        """Values that do not fit: of every other type, beyond every bound."""
        s = self.of(schema)
        if "oneOf" in s:
            s = self.of(s["oneOf"][0])
        some = [None, True, False, 0, -1, 1.5, "", "x", "x\ny", "0x10", " 1", "1 ", "+1", "1,5", "1e400", "NaN", [], {},
                [[]], [None], [1], [""], ["a*b"], ["x" * 257], {"a": 1}, 10 ** 400, -10 ** 30, 2 ** 63, 2 ** 64, "\x7f"]
        some += [s["minimum"] - 1, s["maximum"] + 1] if "minimum" in s else []
        some += ["x" * (s["maxLength"] + 1)] if "maxLength" in s else []
        some += [["x"] * (s["maxItems"] + 1)] if "maxItems" in s else []
        some += [str(w).upper() for w in s.get("enum", ())]
        return [v for v in some if self.fault(schema, v)]

    def right(self, schema):
        """Values at the edges of what fits."""
        s = self.of(schema)
        if "oneOf" in s:
            return [v for one in s["oneOf"] for v in self.right(one)]
        if "enum" in s:
            return list(s["enum"])
        out = []
        for t in self.types(s):
            if t == "string" and "minimum" not in s:  # a decimal string stands for the number
                out += ["x" * s.get("minLength", 1), "x" * s.get("maxLength", 9)]
            elif t in ("integer", "number"):
                out += [s["minimum"], s["maximum"]]
            elif t == "array":
                out += [["x"] * max(s["minItems"], 1), [f"m{i}*" for i in range(s["maxItems"])], ["*"]]
            elif t == "object":
                out += [{}]
            else:
                out += {"boolean": [True, False], "null": [None]}.get(t, [])
        return out
