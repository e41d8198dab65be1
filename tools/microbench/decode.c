/* What decoding costs: nanoseconds an SSE event of 200 bytes, from plug_invoke to the canonical
 * event, for each provider plugin that is built. Rounds are interleaved over the plugins, and the
 * median is printed: microbench_decode [folder of plugins]. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "plug/call.h"

#define ROUNDS 15
#define ROUND_EVENTS 20000
#define EVENT_BYTES 200
#define STATE_BYTES 4096

typedef struct subject { /* one plugin's way to tell a piece of text */
    const char *name, *plugin;
    uint32_t flags;             /* of the operation, beside TP_STREAM */
    const char *before[3][2];   /* events before: name, data */
    const char *event;          /* the name of the repeated one */
    const char *head, *tail;    /* its data, around the text */
} subject;

#define CHUNK_TAIL "\"},\"finish_reason\":null}]}"
static const subject subjects[] = {
    {.name = "anthropic", .plugin = "anthropic", .event = "content_block_delta",
     .before = {{"message_start",
                 "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
                 "\"role\":\"assistant\",\"model\":\"claude\",\"content\":[],\"stop_reason\":null,"
                 "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}"},
                {"content_block_start", "{\"type\":\"content_block_start\",\"index\":0,"
                                        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"}},
     .head = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
             "\"text\":\"",
     .tail = "\"}}"},
    {.name = "google", .plugin = "google", .event = "",
     .head = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"",
     .tail = "\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":10},"
             "\"modelVersion\":\"gemini\"}"},
    {.name = "cohere", .plugin = "cohere", .event = "content-delta",
     .before = {{"message-start",
                 "{\"id\":\"r1\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":"
                 "\"assistant\",\"content\":[],\"tool_plan\":\"\",\"tool_calls\":[],"
                 "\"citations\":[]}}}"},
                {"content-start", "{\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":"
                                  "{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}"}},
     .head = "{\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"",
     .tail = "\"}}}}"},
    {.name = "mistral", .plugin = "mistral", .event = "",
     .head = "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
             "\"mistral\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
     .tail = CHUNK_TAIL},
    {.name = "openai, decoded", .plugin = "openai", .event = "",
     .head = "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
             "\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
     .tail = CHUNK_TAIL},
    {.name = "openai, relayed", .plugin = "openai", .event = "", .flags = TP_RELAY,
     .head = "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":"
             "\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
     .tail = CHUNK_TAIL},
};

typedef struct stream { /* one reply under way */
    const subject *s;
    const plug_instance *on;
    char event[EVENT_BYTES + 1];
    plug_scratch scratch;
    plug_out out;
    arena keep;
    uint64_t counted; /* events with an answer */
    double ns[ROUNDS];
    _Alignas(16) char state[STATE_BYTES];
} stream;

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One call as dispatch makes it, in a step of its own. */
static void invoke(stream *m, int what, uint32_t may, plug_invocation *iv)
{
    plug_call call = {.pub = {.size = sizeof(tp_call), .now_ms = 1700000000000, .seed = 1,
                              .state = m->state},
                      .scratch = &m->scratch, .out = &m->out, .keep = &m->keep,
                      .keep_max = 65536, .may = may};
    plug_scratch_reset(&m->scratch);
    plug_out_reset(&m->out);
    if (iv->frame)
        call.borrowed[call.borrowed_count++] = iv->frame->data;
    iv->what = what;
    iv->on = m->on;
    iv->call = &call;
    plug_invoke(iv);
    if (iv->status != TP_OK) {
        fprintf(stderr, "%s: %.*s\n", m->s->name, STR_ARG(m->out.fail_why));
        exit(1);
    }
}

static void feed(stream *m, const char *name, const char *data)
{
    tp_frame f = {.size = sizeof(f), .name = str_of(name), .data = str_of(data)};
    plug_invocation iv = {.frame = &f};
    invoke(m, PLUG_DATA, PLUG_MAY_EMIT, &iv);
    for (uint32_t i = 0; i < m->out.event_count; i++)
        m->counted += m->out.events[i].kind == TP_EV_TEXT || m->out.events[i].kind == TP_EV_FRAME;
}

static void begin(stream *m)
{
    static const char body[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
                               "\"x\"}],\"stream\":true}";
    arena a;
    json_tape tape = {0};
    tp_doc doc, none;
    arena_init(&a, NULL, 1 << 20);
    TP_MUST(json_scan_doc(str_of(body), &tape, &a, &doc, NULL) == 0);
    TP_MUST(json_scan_doc(STR("{}"), &tape, &a, &none, NULL) == 0);
    tp_operation op = {.size = sizeof(op), .flags = TP_STREAM | m->s->flags,
                       .format = STR("chat/openai"), .model = STR("m"), .max_output_tokens = -1,
                       .prompt_tokens = -1, .choices = 1, .body = doc};
    op.parts.stride = sizeof(tp_part);
    op.headers.stride = sizeof(tp_header);
    op.prompt.stride = sizeof(tp_event);
    tp_target target = {.size = sizeof(target), .provider = STR("bench"), .model = STR("m"),
                        .context_length = -1, .max_output_tokens = 4096, .options = none};
    plug_invocation build = {.operation = &op, .target = &target};
    tp_header type = {STR("content-type"), STR("text/event-stream")};
    tp_reply reply = {.size = sizeof(reply), .status = 200,
                      .headers = {&type, 1, sizeof(type)}, .type = STR("text/event-stream")};
    plug_invocation head = {.reply = &reply};
    invoke(m, PLUG_BUILD, PLUG_MAY_REQUEST, &build);
    invoke(m, PLUG_HEAD, PLUG_MAY_EMIT, &head);
    TP_MUST(head.framing == TP_SSE);
    for (int i = 0; i < 3 && m->s->before[i][0]; i++)
        feed(m, m->s->before[i][0], m->s->before[i][1]);
    arena_reset(&a);
    json_tape_free(&tape);
}

/* Text up to 200 bytes of data. */
static void fill(stream *m)
{
    size_t head = strlen(m->s->head), tail = strlen(m->s->tail);
    TP_MUST(head + tail + 8 <= EVENT_BYTES);
    memcpy(m->event, m->s->head, head);
    for (size_t i = head; i < EVENT_BYTES - tail; i++)
        m->event[i] = i % 6 ? 'a' : ' ';
    memcpy(m->event + EVENT_BYTES - tail, m->s->tail, tail);
}

static const plug_instance *open_plugin(plug_loader *l, const char *folder, const char *name)
{
    char path[4096];
    plug_image *image;
    plug_instance *made;
    tp_error err = {0};
    snprintf(path, sizeof(path), "%s/%s.so", folder, name);
    if (access(path, R_OK) != 0)
        return NULL;
    if (plug_load(l, path, &image, &err) || plug_create(image, str_of(name), NULL, &made, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return NULL;
    }
    return made;
}

static void round_of(stream *m, int round)
{
    int64_t start = cpu_ns();
    for (int i = 0; i < ROUND_EVENTS; i++)
        feed(m, m->s->event, m->event);
    m->ns[round] = (double)(cpu_ns() - start) / ROUND_EVENTS;
}

int main(int argc, char **argv)
{
    static stream streams[TP_COUNT(subjects)];
    char run_dir[] = "/tmp/turnpike-decode-XXXXXX", command[64];
    const char *folder = argc > 1 ? argv[1] : DECODE_PLUGINS;
    logger log = {.fd = 2, .level = LOG_WARN};
    tp_error err = {0};
    TP_MUST(mkdtemp(run_dir));
    plug_loader *loader = plug_loader_new(run_dir, &log, &err);
    TP_MUST(loader);
    for (size_t i = 0; i < TP_COUNT(subjects); i++) {
        stream *m = &streams[i];
        m->s = &subjects[i];
        m->on = open_plugin(loader, folder, subjects[i].plugin);
        if (!m->on)
            continue;
        plug_scratch_init(&m->scratch, NULL, 4 << 20, &log);
        arena_init(&m->keep, NULL, 1 << 20);
        fill(m);
        begin(m);
        m->counted = 0;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < TP_COUNT(subjects); i++)
            if (streams[i].on)
                round_of(&streams[i], round);
    printf("%-18s %10s %10s\n", "plugin", "ns/event", "least");
    for (size_t i = 0; i < TP_COUNT(subjects); i++) {
        stream *m = &streams[i];
        if (!m->on) {
            printf("%-18s  not there\n", subjects[i].name);
            continue;
        }
        TP_MUST(m->counted == (uint64_t)ROUNDS * ROUND_EVENTS); /* each one was an answer */
        qsort(m->ns, ROUNDS, sizeof(m->ns[0]), by_size);
        printf("%-18s %10.0f %10.0f\n", m->s->name, m->ns[ROUNDS / 2], m->ns[0]);
        plug_scratch_free(&m->scratch);
        arena_reset(&m->keep);
        plug_destroy((plug_instance *)m->on);
    }
    plug_loader_free(loader);
    snprintf(command, sizeof(command), "rm -rf '%s'", run_dir);
    return system(command) == 0 ? 0 : 1;
}
