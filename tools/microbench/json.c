/* What the JSON scanner costs: nanoseconds a text, for every kernel that this CPU has.
 * Rounds are interleaved over texts and kernels, and the median is printed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/str.h"
#include "model/json_int.h"

#define ROUNDS 9
#define ROUND_NS 1500000 /* of one text with one kernel */
#define KERNELS 8

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fill(buf *b, size_t upto, const char *piece)
{
    while (b->len + strlen(piece) <= upto)
        TP_MUST(buf_adds(b, str_of(piece)) == 0);
}

/* A chat completion request whose one user message is `piece` again and again, quoted or raw. */
static tp_str request(size_t size, const char *piece, int quoted)
{
    buf text, out;
    buf_init(&text, 1 << 20);
    buf_init(&out, 1 << 20);
    fill(&text, size, piece);
    TP_MUST(buf_adds(&out, STR("{\"model\":\"llama-3.3-70b\",\"temperature\":0.7,"
                               "\"max_tokens\":256,\"stream\":true,\"seed\":9007199254740993,"
                               "\"messages\":[{\"role\":\"system\",\"content\":"
                               "\"You are a helpful assistant.\"},"
                               "{\"role\":\"user\",\"content\":")) == 0);
    if (quoted) {
        TP_MUST(json_quote(&out, buf_str(&text)) == 0);
    } else {
        TP_MUST(buf_add(&out, "\"", 1) == 0 && buf_adds(&out, buf_str(&text)) == 0 &&
                buf_add(&out, "\"", 1) == 0);
    }
    TP_MUST(buf_adds(&out, STR("}]}")) == 0);
    buf_free(&text);
    return buf_str(&out);
}

static tp_str tools_request(void)
{
    buf out;
    buf_init(&out, 1 << 20);
    TP_MUST(buf_adds(&out, STR("{\n  \"model\": \"auto\",\n  \"tools\": [")) == 0);
    for (int i = 0; i < 12; i++) {
        TP_MUST(buf_printf(
                    &out,
                    "%s\n    {\n      \"type\": \"function\",\n      \"function\": {\n"
                    "        \"name\": \"tool_%d\",\n        \"description\": \"Looks up the "
                    "weather of a city, and says \\\"unknown\\\" if there is none.\",\n"
                    "        \"parameters\": {\n          \"type\": \"object\",\n"
                    "          \"properties\": {\n            \"city\": {\"type\": \"string\"},\n"
                    "            \"days\": {\"type\": \"integer\", \"minimum\": 1}\n          },\n"
                    "          \"required\": [\"city\"]\n        }\n      }\n    }",
                    i ? "," : "", i) == 0);
    }
    TP_MUST(buf_adds(&out, STR("\n  ],\n  \"messages\": [{\"role\": \"user\", "
                               "\"content\": \"Rain?\"}]\n}\n")) == 0);
    return buf_str(&out);
}

static tp_str many_keys(int n)
{
    buf out;
    buf_init(&out, 16u << 20);
    for (int i = 0; i < n; i++)
        TP_MUST(buf_printf(&out, "%s\"key-%d\":%d", i ? "," : "{", i, i) == 0);
    TP_MUST(buf_add(&out, "}", 1) == 0);
    return buf_str(&out);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static volatile uint32_t sink;

static double once(json_scan_fn scan, tp_str text, json_tape *tape)
{
    int64_t start = now_ns(), end = start;
    uint64_t runs = 0;
    uint64_t batch = 1 + 20000 / (text.len + 100);
    do {
        for (uint64_t i = 0; i < batch; i++) {
            json_error err;
            int rc = scan ? json_scan_by(scan, text, tape, &err) : json_scan(text, tape, &err);
            TP_MUST(rc == 0);
            sink = tape->count;
        }
        runs += batch;
        end = now_ns();
    } while (end - start < ROUND_NS);
    return (double)(end - start) / (double)runs;
}

static double quote_once(tp_str text, buf *out)
{
    int64_t start = now_ns(), end = start;
    uint64_t runs = 0;
    do {
        out->len = 0;
        TP_MUST(json_quote(out, text) == 0);
        runs++;
        end = now_ns();
    } while (end - start < ROUND_NS);
    return (double)(end - start) / (double)runs;
}

static const char prose[] =
    "The quick brown fox jumps over the lazy dog, and then it sits down under the old oak to "
    "think about what it has done. ";
static const char code[] = "if (x == \"a\") {\n\treturn f(\"b\", y);\n}\n";
static const char cyrillic[] = "Съешь же ещё этих мягких французских булок, да выпей чаю. ";
static const char chinese[] = "敏捷的棕色狐狸跳过了懒狗，然后坐在老橡树下思考它所做的一切。";
static const char escaped[] = "\\u0421\\u044a\\u0435\\u0448\\u044c \\ud83d\\ude00 ";

int main(void)
{
    struct {
        const char *name;
        tp_str text;
    } texts[] = {
        {"SSE event", STR("{\"id\":\"chatcmpl-9sYJq0mY3Zk\",\"object\":\"chat.completion.chunk\","
                          "\"created\":1735689600,\"model\":\"llama-3.3-70b\",\"choices\":["
                          "{\"index\":0,\"delta\":{\"content\":\" tokens\"},\"logprobs\":null,"
                          "\"finish_reason\":null}],\"usage\":null}")},
        {"chat 1.5 KB", request(1250, prose, 1)},
        {"tools, indented", tools_request()},
        {"100 KB prose", request(100000, prose, 1)},
        {"100 KB code", request(85000, code, 1)},
        {"100 KB Cyrillic", request(100000, cyrillic, 1)},
        {"100 KB Chinese", request(100000, chinese, 1)},
        {"100 KB of \\u", request(100000, escaped, 0)},
        {"20,000 keys", many_keys(20000)},
    };
    size_t count;
    const json_kernel *kernels = json_kernels(&count);
    static double ns[TP_COUNT(texts)][KERNELS + 1][ROUNDS];
    json_tape tape = {0};
    TP_MUST(count <= KERNELS);
    for (int r = 0; r < ROUNDS; r++) {
        for (size_t t = 0; t < TP_COUNT(texts); t++) {
            for (size_t k = 0; k < count; k++) {
                if (kernels[k].usable())
                    ns[t][k][r] = once(kernels[k].scan, texts[t].text, &tape);
            }
            ns[t][count][r] = once(NULL, texts[t].text, &tape);
        }
    }
    printf("%-18s%9s", "ns a text", "bytes");
    for (size_t k = 0; k < count; k++)
        printf("%12s", kernels[k].name);
    printf("%12s\n", "json_scan");
    for (size_t t = 0; t < TP_COUNT(texts); t++) {
        printf("%-18s%9zu", texts[t].name, texts[t].text.len);
        for (size_t k = 0; k <= count; k++) {
            qsort(ns[t][k], ROUNDS, sizeof(double), by_size);
            if (k < count && !kernels[k].usable())
                printf("%12s", "-");
            else
                printf("%12.0f", ns[t][k][ROUNDS / 2]);
        }
        putchar('\n');
    }

    buf out;
    buf_init(&out, 1 << 20);
    const char *pieces[] = {prose, code, cyrillic};
    const char *names[] = {"quote prose", "quote code", "quote Cyrillic"};
    for (size_t q = 0; q < TP_COUNT(pieces); q++) {
        buf in;
        double took[ROUNDS];
        buf_init(&in, 1 << 20);
        fill(&in, 100000, pieces[q]);
        for (int r = 0; r < ROUNDS; r++)
            took[r] = quote_once(buf_str(&in), &out);
        qsort(took, ROUNDS, sizeof(double), by_size);
        printf("%-18s%9zu%12.0f\n", names[q], in.len, took[ROUNDS / 2]);
        buf_free(&in);
    }
    buf_free(&out);
    for (size_t t = 1; t < TP_COUNT(texts); t++)
        free((void *)(uintptr_t)texts[t].text.ptr);
    json_tape_free(&tape);
    return 0;
}
