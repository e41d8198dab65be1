#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admit_fixture.h"

#define BODY "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE" /* 43 */

static void shapes_of_keys(void **state)
{
    (void)state;
    static const char *const good[] = {"tp_live_" BODY, "air_live_" BODY,
                                       "a_" BODY,       "9_" BODY,
                                       "__" BODY,       "abcdefghijklmnopqrstuvw_" BODY};
    static const char *const bad[] = {"",
                                      "_",
                                      BODY,
                                      "_" BODY,
                                      "tp_live" BODY,
                                      "Tp_live_" BODY,
                                      "tp-live_" BODY,
                                      "abcdefghijklmnopqrstuvwx_" BODY,
                                      "tp_live_abcdefghijklmnopqrstuvwxyz0123456789-_ABCD+",
                                      "tp_live_abcdefghijklmnopqrstuvwxyz0123456789-_ABCD=",
                                      "tp_live_abcdefghijklmnopqrstuvwxyz0123456789-_ABCD ",
                                      "tp_live_abcdefghijklmnopqrstuvwxyz0123456789-_ABCD\xc3"};
    tp_str lookup;
    for (size_t i = 0; i < TP_COUNT(good); i++) {
        tp_str key = str_of(good[i]);
        assert_int_equal(secret_parse(key, &lookup), 1);
        assert_ptr_equal(lookup.ptr, key.ptr);
        assert_int_equal(lookup.len, key.len - SECRET_CHARS + SECRET_LOOKUP);
    }
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        if (secret_parse(str_of(bad[i]), &lookup))
            fail_msg("\"%s\" passed for a key", bad[i]);
    assert_int_equal(secret_parse(STR_NONE, &lookup), 0);
    char nul[] = "tp_live_" BODY;
    nul[20] = 0;
    assert_int_equal(secret_parse(str_make(nul, sizeof(nul) - 1), &lookup), 0);
}

static void fresh_keys(void **state)
{
    (void)state;
    enum { N = 400 };
    static char keys[N][SECRET_MAX];
    char id[SECRET_ID];
    unsigned char seen[SECRET_CHARS][128] = {{0}};
    tp_str lookup;
    for (int i = 0; i < N; i++) {
        size_t n = secret_make(STR("air_live_"), keys[i]);
        assert_int_equal(n, 9 + 43);
        assert_int_equal(secret_parse(str_make(keys[i], n), &lookup), 1);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], n);
        for (size_t c = 0; c < SECRET_CHARS; c++)
            seen[c][(unsigned char)keys[i][9 + c]] = 1;
    }
    for (size_t c = 0; c < SECRET_CHARS; c++) { /* each character carries all its bits */
        int n = 0;
        for (int v = 0; v < 128; v++)
            n += seen[c][v];
        assert_true(c < 42 ? n > 55 && n <= 64 : n == 16);
    }
    for (int i = 0; i < 100; i++) {
        secret_make_id(id);
        assert_memory_equal(id, "key_", 4);
        for (size_t c = 4; c < SECRET_ID; c++)
            assert_true((id[c] >= '0' && id[c] <= '9') || (id[c] >= 'A' && id[c] <= 'Z') ||
                        (id[c] >= 'a' && id[c] <= 'z'));
    }
}

static void hmacs_are_right_each_time(void **state)
{
    (void)state;
    secret_pepper p;
    af_pepper(&p, 0x42);
    secret_mac *m = secret_mac_new(&p);
    char text[200];
    memset(text, 'q', sizeof(text));
    for (size_t n = 0; n < sizeof(text); n++) {
        unsigned char got[32], want[32];
        unsigned len = 0;
        secret_mac_of(m, str_make(text, n), got);
        HMAC(EVP_sha256(), p.key, sizeof(p.key), (unsigned char *)text, n, want, &len);
        assert_int_equal(len, 32);
        assert_memory_equal(got, want, 32);
    }
    secret_mac_free(m);
    secret_mac_free(NULL);
}

static void argon2_hashes(void **state)
{
    (void)state;
    char one[SECRET_ARGON2], two[SECRET_ARGON2];
    tp_str key = STR("tp_live_" BODY);
    assert_int_equal(secret_argon2(key, one), 0);
    assert_int_equal(secret_argon2(key, two), 0);
    assert_string_not_equal(one, two); /* each has a salt of its own */
    assert_memory_equal(one, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_null(strstr(one, "abcdefghijkl"));
    assert_int_equal(secret_argon2_verify(key, one), 1);
    assert_int_equal(secret_argon2_verify(key, two), 1);
    assert_int_equal(secret_argon2_verify(STR("tp_live_" BODY "x"), one), 0);
    assert_int_equal(secret_argon2_verify(str_make(key.ptr, key.len - 1), one), 0);
    one[strlen(one) - 2] = one[strlen(one) - 2] == 'A' ? 'B' : 'A';
    assert_int_equal(secret_argon2_verify(key, one), 0);
}

static void costs_of_foreign_hashes_are_bounded(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "$argon2id$",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$kjMsdAMpWLHpIp0PFjlZCXKCcR1RYhhQ7ERmYTN1vdQ",
        "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=99999999999999999999,t=1,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=64,t=4000000000,p=1$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=262144,t=2,p=200$c29tZXNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA",
        "$argon2id$v=19$m=,t=,p=$$",
        "$argon2id$v=19$m=64,t=1,p=1$",
        "$argon2id$v=99$m=64,t=1,p=1$"};
    char endless[SECRET_ARGON2];
    for (size_t i = 0; i < TP_COUNT(bad); i++)
        assert_int_equal(secret_argon2_verify(STR("tp_live_" BODY), bad[i]), 0);
    assert_int_equal(secret_argon2_verify(STR("x"), NULL), 0);
    memset(endless, '$', sizeof(endless)); /* without a NUL */
    assert_int_equal(secret_argon2_verify(STR("x"), endless), 0);
}

/* ---- Files. */
static char dir[64], file[80];

static int folder(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "%s", "/tmp/turnpike-secret-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(file, sizeof(file), "%s/pepper", dir);
    return 0;
}

static int no_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(dir); /* fails when something was left behind */
}

static void write_file(const void *p, size_t n)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static void a_pepper_is_made_once(void **state)
{
    (void)state;
    secret_pepper a, b;
    struct stat st;
    tp_error err = {0};
    unsigned char digest[32];
    assert_int_equal(secret_pepper_load(file, &a, &err), 0);
    assert_int_equal(secret_pepper_load(file, &b, &err), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(st.st_mode & 0777, 0600);
    SHA256(a.key, 32, digest);
    assert_memory_equal(a.id, digest, 8);
    assert_int_equal(a.known, 1);
    unlink(file);
    assert_int_equal(secret_pepper_load(file, &b, &err), 0);
    assert_memory_not_equal(a.key, b.key, 32);
}

static void a_wrong_pepper_is_an_error(void **state)
{
    (void)state;
    secret_pepper p;
    char bytes[40] = "0123456789012345678901234567890123456789";
    for (size_t n = 0; n <= 40; n++) {
        tp_error err = {0};
        write_file(bytes, n);
        int rc = secret_pepper_load(file, &p, &err);
        assert_int_equal(rc, n == 32 ? 0 : TP_ERROR_IO);
        if (rc)
            assert_non_null(strstr(err.text, file));
        assert_null(strstr(err.text, "012345678"));
    }
    tp_error err = {0};
    assert_int_equal(secret_pepper_load("/nowhere/at/all/pepper", &p, &err), TP_ERROR_IO);
    assert_non_null(strstr(err.text, "/nowhere/at/all/pepper"));
    assert_int_equal(secret_pepper_load(dir, &p, &err), TP_ERROR_IO);
}

static void master_keys(void **state)
{
    (void)state;
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    static const char *const same[] = {hex, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                                       "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"};
    static const char *const bad[] = {
        "",
        "00",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
        "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH 8="};
    secret_master m;
    tp_error err = {0};
    for (size_t i = 0; i < TP_COUNT(same); i++) {
        assert_int_equal(secret_master_parse(str_of(same[i]), &m, &err), 0);
        for (unsigned b = 0; b < 32; b++)
            assert_int_equal(m.key[b], b);
    }
    assert_int_equal(
        secret_master_parse(STR("-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8"), &m, &err), 0);
    for (size_t i = 0; i < TP_COUNT(bad); i++) {
        err = (tp_error){0};
        assert_int_equal(secret_master_parse(str_of(bad[i]), &m, &err), TP_ERROR_CONFIG);
        assert_non_null(strstr(err.text, "64 hex digits"));
        if (bad[i][0])
            assert_null(strstr(err.text, bad[i] + strlen(bad[i]) / 2));
    }
    secret_master a, b;
    struct stat st;
    assert_int_equal(secret_master_load(file, &a, &err), 0);
    assert_int_equal(secret_master_load(file, &b, &err), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    write_file(hex, 64); /* without a line's end */
    assert_int_equal(secret_master_load(file, &b, &err), 0);
    assert_int_equal(b.key[31], 31);
    write_file("\n", 1);
    assert_int_equal(secret_master_load(file, &b, &err), TP_ERROR_IO);
    assert_non_null(strstr(err.text, file));
}

static void what_is_sealed_opens_for_its_owner_only(void **state)
{
    (void)state;
    secret_master m = {{1, 2, 3}}, other = {{1, 2, 4}};
    const tp_str bound = STR("acme/openai/api_key"), plain = STR("sk-of-the-customer-0123456789");
    unsigned char sealed[128], again[128];
    char out[128];
    size_t n = secret_seal(&m, bound, plain, sealed);
    assert_int_equal(n, plain.len + SECRET_SEAL);
    assert_int_equal(secret_seal(&m, bound, plain, again), n);
    assert_memory_not_equal(sealed, again, n);
    assert_memory_not_equal(sealed + 13, again + 13, plain.len);
    assert_null(memmem(sealed, n, "customer", 8));
    tp_str s = str_make((char *)sealed, n);
    assert_int_equal(secret_open(&m, bound, s, out), plain.len);
    assert_memory_equal(out, plain.ptr, plain.len);
    assert_int_equal(secret_open(&m, STR("evil/openai/api_key"), s, out), -1);
    assert_int_equal(secret_open(&m, STR_NONE, s, out), -1);
    assert_int_equal(secret_open(&other, bound, s, out), -1);
    assert_null(memmem(out, sizeof(out), "customer", 8)); /* nothing that was not proved stays */
    for (size_t i = 0; i < n; i++) {
        sealed[i] ^= 1;
        assert_int_equal(secret_open(&m, bound, s, out), -1);
        sealed[i] ^= 1;
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(secret_open(&m, bound, str_make(s.ptr, i), out), -1);
    assert_int_equal(secret_open(&m, bound, s, out), plain.len);
    n = secret_seal(&m, STR_NONE, STR_NONE, sealed);
    assert_int_equal(n, SECRET_SEAL);
    assert_int_equal(secret_open(&m, STR_NONE, str_make((char *)sealed, n), out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_of_keys),
        cmocka_unit_test(fresh_keys),
        cmocka_unit_test(hmacs_are_right_each_time),
        cmocka_unit_test(argon2_hashes),
        cmocka_unit_test(costs_of_foreign_hashes_are_bounded),
        cmocka_unit_test_setup_teardown(a_pepper_is_made_once, folder, no_folder),
        cmocka_unit_test_setup_teardown(a_wrong_pepper_is_an_error, folder, no_folder),
        cmocka_unit_test_setup_teardown(master_keys, folder, no_folder),
        cmocka_unit_test(what_is_sealed_opens_for_its_owner_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
