/* The layout of SDK 1.0, asserted when this file is compiled: every offset and constant that plugins
 * in the field were built with. A line of this file is never changed and never removed; what is
 * appended to the header is appended here. Structs that carry a size may grow at their end. */
#include <turnpike/plugin.h>

#if !defined(__LP64__)
#error "the ABI is defined for LP64 machines (x86-64, aarch64)"
#endif
#define AT(T, field, offset) \
    _Static_assert(offsetof(T, field) == (offset), #T "." #field " has moved")
#define SIZE(T, bytes) _Static_assert(sizeof(T) == (bytes), #T " never grows")
#define GROWS(T, bytes) _Static_assert(sizeof(T) >= (bytes), #T " has shrunk")
#define IS(name, value) _Static_assert((name) == (value), #name " has another value")

SIZE(tp_str, 16);
AT(tp_str, ptr, 0);
AT(tp_str, len, 8);

SIZE(tp_list, 16);
AT(tp_list, ptr, 0);
AT(tp_list, count, 8);
AT(tp_list, stride, 12);

SIZE(tp_header, 32);
AT(tp_header, name, 0);
AT(tp_header, value, 16);

GROWS(tp_call, 32);
AT(tp_call, size, 0);
AT(tp_call, flags, 4);
AT(tp_call, now_ms, 8);
AT(tp_call, seed, 16);
AT(tp_call, state, 24);

SIZE(tp_token, 16);
AT(tp_token, kind, 0);
AT(tp_token, at, 4);
AT(tp_token, len, 8);
AT(tp_token, next, 12);

SIZE(tp_doc, 32);
AT(tp_doc, text, 0);
AT(tp_doc, tokens, 16);
AT(tp_doc, count, 24);
AT(tp_doc, reserved, 28);

GROWS(tp_part, 80);
AT(tp_part, size, 0);
AT(tp_part, index, 4);
AT(tp_part, name, 8);
AT(tp_part, filename, 24);
AT(tp_part, type, 40);
AT(tp_part, head, 56);
AT(tp_part, length, 72);

GROWS(tp_request, 136);
AT(tp_request, size, 0);
AT(tp_request, flags, 4);
AT(tp_request, method, 8);
AT(tp_request, path, 24);
AT(tp_request, query, 40);
AT(tp_request, type, 56);
AT(tp_request, headers, 72);
AT(tp_request, body, 88);
AT(tp_request, parts, 120);

GROWS(tp_operation, 168);
AT(tp_operation, size, 0);
AT(tp_operation, flags, 4);
AT(tp_operation, needs, 8);
AT(tp_operation, format, 16);
AT(tp_operation, model, 32);
AT(tp_operation, user, 48);
AT(tp_operation, max_output_tokens, 64);
AT(tp_operation, prompt_tokens, 72);
AT(tp_operation, choices, 80);
AT(tp_operation, reserved, 84);
AT(tp_operation, body, 88);
AT(tp_operation, parts, 120);
AT(tp_operation, headers, 136);
AT(tp_operation, prompt, 152);

GROWS(tp_event, 112);
AT(tp_event, size, 0);
AT(tp_event, kind, 4);
AT(tp_event, code, 8);
AT(tp_event, flags, 12);
AT(tp_event, choice, 16);
AT(tp_event, item, 20);
AT(tp_event, number, 24);
AT(tp_event, id, 32);
AT(tp_event, name, 48);
AT(tp_event, text, 64);
AT(tp_event, raw, 80);
AT(tp_event, param, 96);

GROWS(tp_local, 24);
AT(tp_local, size, 0);
AT(tp_local, flags, 4);
AT(tp_local, delay_ms, 8);
AT(tp_local, gap_ms, 16);

SIZE(tp_host, 160);
AT(tp_host, size, 0);
AT(tp_host, minor, 4);
AT(tp_host, alloc, 8);
AT(tp_host, keep, 16);
AT(tp_host, request, 24);
AT(tp_host, local, 32);
AT(tp_host, status, 40);
AT(tp_host, header, 48);
AT(tp_host, secret_header, 56);
AT(tp_host, sign, 64);
AT(tp_host, write, 72);
AT(tp_host, quote, 80);
AT(tp_host, attach, 88);
AT(tp_host, emit, 96);
AT(tp_host, report, 104);
AT(tp_host, fail, 112);
AT(tp_host, log, 120);
AT(tp_host, scan, 128);
AT(tp_host, find, 136);
AT(tp_host, text, 144);
AT(tp_host, get_extension, 152);

GROWS(tp_target, 88);
AT(tp_target, size, 0);
AT(tp_target, step, 4);
AT(tp_target, provider, 8);
AT(tp_target, model, 24);
AT(tp_target, context_length, 40);
AT(tp_target, max_output_tokens, 48);
AT(tp_target, options, 56);

GROWS(tp_reply, 56);
AT(tp_reply, size, 0);
AT(tp_reply, status, 4);
AT(tp_reply, headers, 8);
AT(tp_reply, type, 24);
AT(tp_reply, body, 40);

GROWS(tp_frame, 48);
AT(tp_frame, size, 0);
AT(tp_frame, reserved, 4);
AT(tp_frame, name, 8);
AT(tp_frame, data, 24);
AT(tp_frame, used, 40);

SIZE(tp_provider, 64);
AT(tp_provider, size, 0);
AT(tp_provider, state_size, 4);
AT(tp_provider, formats, 8);
AT(tp_provider, build, 24);
AT(tp_provider, head, 32);
AT(tp_provider, data, 40);
AT(tp_provider, end, 48);
AT(tp_provider, failed, 56);

SIZE(tp_endpoint, 64);
AT(tp_endpoint, size, 0);
AT(tp_endpoint, state_size, 4);
AT(tp_endpoint, format, 8);
AT(tp_endpoint, canonical, 24);
AT(tp_endpoint, parse, 40);
AT(tp_endpoint, convert, 48);
AT(tp_endpoint, render, 56);

GROWS(tp_candidate, 136);
AT(tp_candidate, size, 0);
AT(tp_candidate, context_length, 4);
AT(tp_candidate, capabilities, 8);
AT(tp_candidate, provider, 16);
AT(tp_candidate, model, 32);
AT(tp_candidate, deployment, 48);
AT(tp_candidate, price_prompt, 64);
AT(tp_candidate, price_completion, 72);
AT(tp_candidate, cost, 80);
AT(tp_candidate, quality, 88);
AT(tp_candidate, speed, 92);
AT(tp_candidate, trust_level, 96);
AT(tp_candidate, weight, 100);
AT(tp_candidate, tokens_per_second, 104);
AT(tp_candidate, first_token_ms, 112);
AT(tp_candidate, error_permille, 120);
AT(tp_candidate, in_flight, 128);

SIZE(tp_rank, 16);
AT(tp_rank, candidate, 0);
AT(tp_rank, reserved, 4);
AT(tp_rank, score, 8);

SIZE(tp_strategy, 16);
AT(tp_strategy, size, 0);
AT(tp_strategy, reserved, 4);
AT(tp_strategy, rank, 8);

SIZE(tp_plugin, 64);
AT(tp_plugin, size, 0);
AT(tp_plugin, minor, 4);
AT(tp_plugin, id, 8);
AT(tp_plugin, version, 24);
AT(tp_plugin, create, 40);
AT(tp_plugin, destroy, 48);
AT(tp_plugin, get_extension, 56);

IS(TP_OK, 0);
IS(TP_AGAIN, 1);
IS(TP_E_INPUT, -1);
IS(TP_E_UPSTREAM, -2);
IS(TP_E_UNSUPPORTED, -3);
IS(TP_E_NOMEM, -4);
IS(TP_E_INTERNAL, -5);
IS(TP_NULL, 1);
IS(TP_BOOL, 2);
IS(TP_NUMBER, 3);
IS(TP_STRING, 4);
IS(TP_ARRAY, 5);
IS(TP_OBJECT, 6);
IS(TP_STREAM, 1);
IS(TP_RELAY, 2);
IS(TP_STRICT, 4);
IS(TP_NEED_TOOLS, 1);
IS(TP_NEED_VISION, 2);
IS(TP_NEED_AUDIO, 4);
IS(TP_NEED_DOCUMENTS, 8);
IS(TP_NEED_SCHEMA, 16);
IS(TP_NEED_REASONING, 32);
IS(TP_EV_START, 1);
IS(TP_EV_TEXT, 2);
IS(TP_EV_REASONING, 3);
IS(TP_EV_REFUSAL, 4);
IS(TP_EV_CALL, 5);
IS(TP_EV_ARGUMENTS, 6);
IS(TP_EV_SIGNATURE, 7);
IS(TP_EV_MEDIA, 8);
IS(TP_EV_ANNOTATION, 9);
IS(TP_EV_LOGPROBS, 10);
IS(TP_EV_ROW, 11);
IS(TP_EV_FIELD, 12);
IS(TP_EV_ITEM, 13);
IS(TP_EV_BYTES, 14);
IS(TP_EV_FRAME, 15);
IS(TP_EV_USAGE, 16);
IS(TP_EV_FINISH, 17);
IS(TP_EV_ERROR, 18);
IS(TP_EV_END, 19);
IS(TP_FINISH_STOP, 1);
IS(TP_FINISH_LENGTH, 2);
IS(TP_FINISH_TOOLS, 3);
IS(TP_FINISH_FILTER, 4);
IS(TP_FINISH_REFUSAL, 5);
IS(TP_FINISH_PAUSE, 6);
IS(TP_ERR_INVALID, 1);
IS(TP_ERR_AUTH, 2);
IS(TP_ERR_FORBIDDEN, 3);
IS(TP_ERR_NOT_FOUND, 4);
IS(TP_ERR_TOO_LONG, 5);
IS(TP_ERR_RATE, 6);
IS(TP_ERR_QUOTA, 7);
IS(TP_ERR_OVERLOADED, 8);
IS(TP_ERR_TIMEOUT, 9);
IS(TP_ERR_FILTER, 10);
IS(TP_ERR_UPSTREAM, 11);
IS(TP_EV_PREAMBLE, 1);
IS(TP_EV_SHOW_USAGE, 2);
IS(TP_LOCAL_CUT, 1);
IS(TP_LOG_ERROR, 1);
IS(TP_LOG_WARN, 2);
IS(TP_LOG_INFO, 3);
IS(TP_LOG_DEBUG, 4);
IS(TP_DROPPED, 1);
IS(TP_CHANGED, 2);
IS(TP_REPAIRED, 3);
IS(TP_WHOLE, 1);
IS(TP_SSE, 2);
IS(TP_LINES, 3);
IS(TP_CHUNKS, 4);

_Static_assert(sizeof(TP_PROVIDER) == 14 && sizeof(TP_ENDPOINT) == 14 && sizeof(TP_STRATEGY) == 14,
               "an id has another length");
_Static_assert(sizeof(tp_status) == 4 && (tp_status)-1 < 0, "tp_status is a signed 32-bit number");
_Static_assert(_Alignof(tp_call) == 8 && _Alignof(tp_event) == 8, "no over-aligned struct");
_Static_assert(TP_SDK_MAJOR == 1, "another major has a layout file of its own");

/* ISO C wants something in a file. */
int layout_v1(void);
int layout_v1(void)
{
    return TP_SDK_MAJOR;
}
