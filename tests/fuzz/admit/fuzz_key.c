/* What a client says about itself, and what operators write of keys: any bytes are safe, only the
 * right key passes, and what is refused has a status and a message. The first byte chooses. */
#include <stdlib.h>

#include "admit/admit.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GOOD "tp_live_abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE"

static void parse(tp_str in)
{
    tp_str lookup;
    if (!secret_parse(in, &lookup))
        return;
    TP_MUST(in.len > SECRET_CHARS + 1 && in.len <= SECRET_MAX);
    TP_MUST(lookup.ptr == in.ptr && lookup.len == in.len - SECRET_CHARS + SECRET_LOOKUP);
    for (size_t i = 0; i < in.len; i++)
        TP_MUST(in.ptr[i] > ' ' && in.ptr[i] < 0x7f);
}

/* A gateway with one stored key; in: the values of up to three headers, a line each. The first
 * character of a line says which header. */
static void ask(tp_str in, int is_public)
{
    secret_pepper pepper = {.key = {1}, .id = {2}, .known = 1};
    conf c = {.admission = {.address_requests_per_minute = 2}};
    world_key none = {NULL, 0};
    world w = {.conf = &c, .keys = &none, .key_count = 1};
    world_route r = {.kind = WORLD_KEYS, .is_public = is_public, .session = 1};
    tp_header headers[3];
    http_head h = {.headers = headers};
    admit_env env = {book_new(&pepper, NULL, 0), secret_mac_new(&pepper), address_table_new(4)};
    admit_principal who;
    profile_error e = {0};
    registry_key key = {.id = STR("key_a"), .name = STR("a"), .spend_limit_nano = -1};
    TP_MUST(secret_parse(STR(GOOD), &key.lookup));
    secret_mac_of(env.mac, STR(GOOD), key.hmac);
    memcpy(key.pepper_id, pepper.id, sizeof(key.pepper_id));
    TP_MUST(book_put_key(env.book, &key, 0, 0) == 0);
    tp_str address = STR_NONE;
    while (in.len && h.header_count < 3) {
        size_t end = str_find(in, '\n');
        tp_str line = str_make(in.ptr, end), value = str_skip(line, 1);
        in = str_skip(in, end + 1);
        if (line.len && line.ptr[0] == '@') {
            address = value;
        } else {
            int cookie = line.len && line.ptr[0] == 'c';
            headers[h.header_count++] =
                (tp_header){cookie ? STR("cookie") : STR("authorization"), value};
            if (!cookie && !h.known[HTTP_H_AUTHORIZATION].ptr)
                h.known[HTTP_H_AUTHORIZATION] = value;
        }
    }
    for (int i = 0; i < 4; i++) {
        int rc = admit_check(&env, &w, &r, &h, address, (tp_now){.unix_ms = 1}, &who, &e);
        TP_MUST(rc == ADMIT_OK || rc == ADMIT_REFUSED);
        if (rc == ADMIT_REFUSED)
            TP_MUST((e.status == 401 || e.status == 429) && e.message.len && !who.key);
        if (who.key)
            TP_MUST(str_eq(admit_presented(&h), STR(GOOD)));
        admit_release(&env, &who, (tp_now){0});
    }
    secret_mac_free(env.mac);
    address_table_free(env.addresses);
    book_free(env.book);
}

static void master(tp_str in)
{
    secret_master m;
    tp_error err = {0};
    char out[64];
    if (secret_master_parse(in, &m, &err) == 0)
        TP_MUST(in.len == 64 || in.len == 43 || in.len == 44);
    else
        TP_MUST(err.code == TP_ERROR_CONFIG && err.text[0]);
    if (in.len <= sizeof(out)) /* nobody seals under this key */
        TP_MUST(secret_open(&m, STR("x"), in, out) == -1);
}

/* Encoded hashes: the costs are made small, so that what lies behind them is reached quickly. */
static void argon2(tp_str in)
{
    char encoded[SECRET_ARGON2] = "$argon2id$v=19$m=8,t=1,p=1";
    size_t n = strlen(encoded), k = TP_MIN(in.len, sizeof(encoded) - n);
    if (memchr(in.ptr ? in.ptr : "", ',',
               in.len)) /* costs of its own behind ours would be refused */
        return;
    memcpy(encoded + n, in.ptr ? in.ptr : "", k);
    secret_argon2_verify(STR(GOOD), encoded);
    /* As it is: only what asks for more than is allowed, which must be seen before any work. */
    if (in.len && in.len < sizeof(encoded)) {
        char text[2 * SECRET_ARGON2] = "$argon2id$v=19$m=262145";
        memcpy(text + strlen(text), in.ptr, in.len);
        TP_MUST(secret_argon2_verify(STR(GOOD), text) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    tp_str in = str_make((const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'p':
        parse(in);
        break;
    case 'a':
        ask(in, 0);
        break;
    case 'n':
        ask(in, 1);
        break;
    case 'm':
        master(in);
        break;
    case 'h':
        argon2(in);
        break;
    default:
        parse(in);
        ask(in, data[0] & 1);
        master(in);
    }
    return 0;
}
