/* What the room reads of others: credential documents, replies of token endpoints, and requests to
 * sign. Whatever the bytes, what is accepted holds what it promises. The first byte chooses. */
#include <stdlib.h>

#include "base/str.h"
#include "sign/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void document(tp_str in)
{
    arena a;
    buf body;
    sign_google g;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 20);
    buf_init(&body, 1 << 18);
    if (sign_google_parse(in, &a, &g, &err) == 0) {
        TP_MUST(g.token_uri.len);
        TP_MUST(g.kind != SIGN_GOOGLE_SERVICE_ACCOUNT || (g.client_email.len && g.private_key.len));
        TP_MUST(g.kind != SIGN_GOOGLE_USER || (g.client_id.len && g.refresh_token.len));
        tp_error why = {0};
        int rc = sign_google_check(&g, &why);
        TP_MUST(rc == 0 || why.text[0]);
        if (rc == 0 && sign_google_body(&g, STR("scope"), 1700000000, &body, &why) == 0)
            for (size_t i = 0; i < body.len; i++)
                TP_MUST(body.ptr[i] > ' ' && body.ptr[i] < 0x7f);
    } else {
        TP_MUST(err.text[0]);
    }
    sign_google_wipe(&g);
    buf_free(&body);
    arena_reset(&a);
}

static void reply(tp_str in, int status)
{
    arena a;
    sign_token t;
    tp_error err = {0};
    arena_init(&a, NULL, 1 << 20);
    if (sign_token_parse(status, in, &a, &t, &err) == 0) {
        TP_MUST(status == 200 && t.token.len && t.lifetime_s > 0 && t.lifetime_s <= 86400);
        for (size_t i = 0; i < t.token.len; i++)
            TP_MUST(t.token.ptr[i] > ' ' && t.token.ptr[i] < 0x7f);
    } else {
        for (const char *p = err.text; *p; p++)
            TP_MUST(*p >= ' ' && *p < 0x7f);
        TP_MUST(err.text[0]);
    }
    arena_reset(&a);
}

/* Lines: target, key, then a header each. */
static void request(tp_str in)
{
    tp_header headers[16];
    sign_aws4_request r = {.method = STR("POST"),
                           .host = STR("example.com"),
                           .headers = headers,
                           .segs = &in,
                           .seg_count = 1,
                           .service = STR("bedrock"),
                           .region = STR("us-east-1"),
                           .unix_ms = 1700000000000};
    sign_aws4_result out;
    const char *why = NULL;
    arena a;
    tp_str line[2] = {in, STR("")};
    tp_str rest = in;
    for (int i = 0; i < 2; i++) {
        line[i] = str_make(rest.ptr, str_find(rest, '\n'));
        rest = str_skip(rest, line[i].len + 1);
    }
    r.target = line[0];
    if (sign_aws_key_parse(line[1], &r.key) != 0)
        r.key = (sign_aws_key){STR("id"), STR("secret"), STR("")};
    while (rest.len && r.header_count < TP_COUNT(headers)) {
        tp_str one = str_make(rest.ptr, str_find(rest, '\n'));
        size_t colon = str_find(one, ':');
        headers[r.header_count++] = (tp_header){str_make(one.ptr, colon), str_skip(one, colon + 1)};
        rest = str_skip(rest, one.len + 1);
    }
    r.flags = in.len & 1 ? SIGN_AWS4_ALL_HEADERS : 0;
    arena_init(&a, NULL, 16 << 20);
    int rc = sign_aws4(&r, &a, &out, &why);
    if (rc == 0) {
        TP_MUST(out.header_count >= 2 && out.header_count <= SIGN_AWS4_HEADERS);
        tp_str auth = out.headers[out.header_count - 1].value;
        TP_MUST(str_starts(auth, STR("AWS4-HMAC-SHA256 Credential=")));
        tp_str path = str_skip(out.canonical, 5);
        TP_MUST(path.len && path.ptr[0] == '/');
    } else {
        TP_MUST(why);
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    tp_str in = {(const char *)data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        document(in);
        break;
    case 1:
        reply(in, 200);
        break;
    case 2:
        reply(in, 400);
        break;
    default:
        request(in);
        break;
    }
    return 0;
}
