// Reads a list of {name, body} from stdin; prints one {name, errors} a line: what the serializer of
// cohere-ai says of each.
const path = require("node:path");
const { V2ChatRequest } = require(path.join(process.env.NODE_DEPS, "node_modules", "cohere-ai",
  "serialization/resources/v2/client/requests/V2ChatRequest.js"));

const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
for (const { name, body } of cases) {
  const { stream, ...rest } = body;
  const errors = typeof stream === "boolean" ? [] : [{ path: ["stream"], message: "not a boolean" }];
  const parsed = V2ChatRequest.parse(rest, { unrecognizedObjectKeys: "fail" });
  if (!parsed.ok) errors.push(...parsed.errors);
  console.log(JSON.stringify({
    name, errors: errors.map((e) => `${e.path.join(".")}: ${e.message}`),
  }));
}
