"""The curl examples of the four reference documents that ask who may pass and who pays, as they print
them: keys, credits, generations, and the requests that these are for.

Some are printed on one line, with the backslash of the line's end still in it; Governed.bash() ends the
line there again. One document leaves its own address blank."""

AIROUTER = {
    "chat": r"""curl https://api.airouter.kz/api/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer air_live_your_key_here" \
-d '{
"model": "google/gemini-3-pro",
"messages": [
{"role": "user", "content": "Summarize the OpenAI Chat Completions schema in one sentence."}
]
}'""",
    "models": r"""curl https://api.airouter.kz/api/v1/models""",
    "generation": r'''curl "https://api.airouter.kz/api/v1/generation?id=gen-abc123" \ -H "Authorization: Bearer air_live_your_key_here"''',
    "credits": r'''curl https://api.airouter.kz/api/v1/credits \ -H "Authorization: Bearer air_live_your_key_here"''',
    "make": r"""curl -X POST https://api.airouter.kz/api/v1/keys \
-H "Authorization: Bearer air_live_your_key_here" \
-H "Content-Type: application/json" \
-d '{
"name": "production-backend",
"rate_limit": 100
}'""",
    "list": r'''curl https://api.airouter.kz/api/v1/keys \ -H "Authorization: Bearer air_live_your_key_here"''',
    "delete": r'''curl -X DELETE https://api.airouter.kz/api/v1/keys/key_id_here \ -H "Authorization: Bearer air_live_your_key_here"''',
}

KAIROSROUTE = {
    "authenticate": r'''curl https://kairosroute.com/v1/chat/completions \
-H "Authorization: Bearer kr_live_xxxxx..."''',
    "chat": r"""curl https://kairosroute.com/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer kr_live_..." \
-d '{
"model": "kr-auto",
"messages": [
{
"role": "system",
"content": "You are a helpful assistant."
},
{
"role": "user",
"content": "Explain quantum computing in simple terms."
}
],
"temperature": 0.7,
"max_tokens": 500
}'""",
    "models": r'''curl https://kairosroute.com/v1/models \
-H "Authorization: Bearer kr_live_..."''',
    "make": r"""curl -X POST https://kairosroute.com/api/auth \
-H "Content-Type: application/json" \
-H "Authorization: Bearer kr_live_..." \
-d '{
"name": "Production Key",
"expires_in": 7776000
}'""",
    "list": r'''curl https://kairosroute.com/api/auth \
-H "Authorization: Bearer kr_live_..."''',
    "delete": r'''curl -X DELETE https://kairosroute.com/api/auth/key_123abc \
-H "Authorization: Bearer kr_live_..."''',
}

KILO = {
    "chat": r"""curl -X POST "https://api.kilo.ai/api/gateway/chat/completions" \
  -H "Authorization: Bearer $KILO_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "anthropic/claude-sonnet-4.5",
    "messages": [
      {"role": "system", "content": "You are a helpful assistant."},
      {"role": "user", "content": "What is quantum computing?"}
    ],
    "max_tokens": 500,
    "temperature": 0.7
  }'""",
}

CAILOS = {
    "chat": r"""curl /chat/completions \
  -H "Authorization: Bearer cai_your_key_here" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Hello"}]
  }'""",
    "models": r'''curl /models \
  -H "Authorization: Bearer cai_your_key_here"''',
}
