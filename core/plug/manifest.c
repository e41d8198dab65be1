/* The manifest of a plugin file, read as data: an ELF64 little-endian reader that trusts nothing
 * (every offset is checked against the file's length before it is used), then JSON. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plug/plug_int.h"

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_MACHINE EM_RISCV
#else
#error "which ELF machine is this? add it here"
#endif

static const char *machine_name(unsigned m)
{
    switch (m) {
    case EM_386: return "x86 (32 bits)";
    case EM_ARM: return "ARM (32 bits)";
    case EM_X86_64: return "x86-64";
    case EM_AARCH64: return "aarch64";
    case EM_RISCV: return "RISC-V";
    default: return "an unknown machine";
    }
}

/* n items of `size` bytes at `at` lie within the file? */
static int within(tp_str file, uint64_t at, uint64_t n, uint64_t size)
{
    return at <= file.len && (size == 0 || n <= (file.len - at) / size);
}

/* The NUL-terminated name at `at` of a string table equals z? Bounds come from the table. */
static int name_is(tp_str table, uint64_t at, const char *z)
{
    size_t n = strlen(z) + 1;
    return within(table, at, n, 1) && memcmp(table.ptr + at, z, n) == 0;
}

static int read_header(tp_str file, Elf64_Ehdr *h, tp_error *err)
{
    if (file.len < EI_NIDENT || memcmp(file.ptr, ELFMAG, SELFMAG) != 0)
        return tp_error_set(err, TP_ERROR_ABI, "not an ELF shared library; a plugin is a .so built "
                            "with cc -shared -fPIC against turnpike/plugin.h");
    if (file.ptr[EI_CLASS] != ELFCLASS64 || file.ptr[EI_DATA] != ELFDATA2LSB)
        return tp_error_set(err, TP_ERROR_ABI, "a %s ELF file; this host loads 64-bit "
                            "little-endian ones: build the plugin for %s",
                            file.ptr[EI_CLASS] == ELFCLASS32 ? "32-bit" : "big-endian or unknown",
                            machine_name(HOST_MACHINE));
    if (file.len < sizeof(*h))
        return tp_error_set(err, TP_ERROR_ABI, "the file is cut off within its ELF header "
                            "(%zu bytes); copy it again", file.len);
    memcpy(h, file.ptr, sizeof(*h));
    if (h->e_machine != HOST_MACHINE)
        return tp_error_set(err, TP_ERROR_ABI, "built for %s (ELF machine %u), and this host is "
                            "%s; build the plugin for this machine", machine_name(h->e_machine),
                            h->e_machine, machine_name(HOST_MACHINE));
    if (h->e_type != ET_DYN)
        return tp_error_set(err, TP_ERROR_ABI, "an ELF file of type %u, not a shared library; "
                            "link it with -shared", h->e_type);
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum == 0 ||
        (h->e_phnum && h->e_phentsize != sizeof(Elf64_Phdr)))
        return tp_error_set(err, TP_ERROR_ABI, "no section table that this host can read; was it "
                            "removed (strip --strip-section-headers)? The manifest lies there");
    if (!within(file, h->e_shoff, h->e_shnum, sizeof(Elf64_Shdr)) ||
        !within(file, h->e_phoff, h->e_phnum, sizeof(Elf64_Phdr)))
        return tp_error_set(err, TP_ERROR_ABI, "the file is cut off: its tables end beyond its "
                            "%zu bytes; copy it again", file.len);
    return 0;
}

static void read_section(tp_str file, const Elf64_Ehdr *h, unsigned i, Elf64_Shdr *out)
{
    memcpy(out, file.ptr + h->e_shoff + (uint64_t)i * sizeof(*out), sizeof(*out));
}

/* The bytes of section i, or ptr NULL when it has none or they lie outside the file. */
static tp_str section_bytes(tp_str file, const Elf64_Ehdr *h, unsigned i)
{
    Elf64_Shdr s;
    if (i >= h->e_shnum)
        return STR_NONE;
    read_section(file, h, i, &s);
    if (s.sh_type == SHT_NOBITS || !within(file, s.sh_offset, s.sh_size, 1))
        return STR_NONE;
    return str_make(file.ptr + s.sh_offset, s.sh_size);
}

/* Bits of the majors whose entry symbol is exported. */
static uint32_t read_majors(tp_str file, const Elf64_Ehdr *h, const Elf64_Shdr *dynsym)
{
    static const char prefix[] = "tp_plugin_entry_v";
    uint32_t majors = 0;
    tp_str names = section_bytes(file, h, dynsym->sh_link);
    if (!names.ptr || !within(file, dynsym->sh_offset, dynsym->sh_size, 1))
        return 0;
    for (uint64_t i = 0; i < dynsym->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym sym;
        memcpy(&sym, file.ptr + dynsym->sh_offset + i * sizeof(sym), sizeof(sym));
        if (sym.st_shndx == SHN_UNDEF || !within(names, sym.st_name, sizeof(prefix), 1) ||
            memcmp(names.ptr + sym.st_name, prefix, sizeof(prefix) - 1) != 0)
            continue;
        tp_str rest = str_skip(names, sym.st_name + sizeof(prefix) - 1);
        int64_t major;
        if (str_to_i64(str_make(rest.ptr, strnlen(rest.ptr, TP_MIN(rest.len, 3))), &major) == 0 &&
            major >= 1 && major <= 31)
            majors |= 1u << major;
    }
    return majors;
}

int plug_elf_read(tp_str file, plug_elf *out, tp_error *err)
{
    Elf64_Ehdr h;
    *out = (plug_elf){0};
    int rc = read_header(file, &h, err);
    if (rc)
        return rc;
    for (unsigned i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, file.ptr + h.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_type == PT_TLS)
            out->has_tls = 1;
    }
    tp_str names = section_bytes(file, &h, h.e_shstrndx);
    for (unsigned i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s;
        read_section(file, &h, i, &s);
        if (s.sh_type == SHT_DYNSYM) {
            out->majors |= read_majors(file, &h, &s);
        } else if (!out->manifest.ptr && names.ptr && name_is(names, s.sh_name, ".tp_manifest")) {
            out->manifest = section_bytes(file, &h, i);
            if (!out->manifest.ptr)
                return tp_error_set(err, TP_ERROR_ABI, "the file is cut off: its manifest ends "
                                    "beyond its %zu bytes; copy it again", file.len);
        }
    }
    while (out->manifest.len && out->manifest.ptr[out->manifest.len - 1] == '\0')
        out->manifest.len--;
    return 0;
}

/* ---- JSON */

static int text_member(const tp_doc *d, const char *key, int required, arena *a, tp_str *out,
                       tp_error *err)
{
    uint32_t t = json_find(d, 0, str_of(key));
    *out = STR_NONE;
    if (!t && !required)
        return 0;
    if (!t)
        return tp_error_set(err, TP_ERROR_ABI, "the manifest has no member \"%s\"; it needs id, "
                            "version, license, sdk and kinds", key);
    if (json_kind(d, t) == TP_STRING)
        *out = json_string(d, t, a);
    if (!out->ptr || (required && out->len == 0) || out->len > 4096)
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"%s\" is not a string of 1 to "
                            "4096 bytes", key);
    for (size_t i = 0; i < out->len; i++) /* they are printed in lists and messages */
        if ((unsigned char)out->ptr[i] < 0x20 || out->ptr[i] == 0x7f)
            return tp_error_set(err, TP_ERROR_ABI, "manifest member \"%s\" holds a control "
                                "character; write it as one line", key);
    return 0;
}

static int sdk_member(plug_manifest *m, tp_error *err)
{
    int64_t major, minor;
    size_t dot = str_find(m->sdk, '.');
    if (str_to_i64(str_make(m->sdk.ptr, dot), &major) ||
        str_to_i64(str_skip(m->sdk, dot + 1), &minor) || major > 999 || minor > 999)
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"sdk\" is \"%.*s\", not "
                            "MAJOR.MINOR of the SDK built against, such as \"%d.%d\"",
                            STR_ARG(m->sdk), TP_SDK_MAJOR, TP_SDK_MINOR);
    m->sdk_major = (int32_t)major;
    m->sdk_minor = (int32_t)minor;
    return 0;
}

static int kinds_member(const tp_doc *d, plug_manifest *m, tp_error *err)
{
    uint32_t list = json_find(d, 0, STR("kinds"));
    if (json_kind(d, list) != TP_ARRAY)
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"kinds\" is not a list such as "
                            "[\"provider\"]");
    for (uint32_t t = list + 1; t < d->tokens[list].next; t = d->tokens[t].next) {
        if (json_kind(d, t) != TP_STRING)
            return tp_error_set(err, TP_ERROR_ABI, "manifest member \"kinds\" holds something "
                                "that is not a string");
        if (json_string_is(d, t, STR("provider")))
            m->kinds |= PLUG_KIND_PROVIDER;
        else if (json_string_is(d, t, STR("endpoint")))
            m->kinds |= PLUG_KIND_ENDPOINT;
        else if (json_string_is(d, t, STR("strategy")))
            m->kinds |= PLUG_KIND_STRATEGY;
        /* another kind is a later host's: passed over */
    }
    if (!m->kinds)
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"kinds\" is %.*s, and this host "
                            "knows provider, endpoint and strategy", STR_ARG(json_raw(d, list)));
    return 0;
}

static int id_is_plain(tp_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_'))
            return 0;
    }
    return id.len > 0 && id.len <= 128;
}

static int parse_members(arena *a, json_tape *tape, plug_manifest *m, tp_error *err)
{
    const tp_doc *d = &m->text;
    int rc;
    if ((rc = text_member(d, "id", 1, a, &m->id, err)) ||
        (rc = text_member(d, "version", 1, a, &m->version, err)) ||
        (rc = text_member(d, "license", 1, a, &m->license, err)) ||
        (rc = text_member(d, "sdk", 1, a, &m->sdk, err)) ||
        (rc = text_member(d, "name", 0, a, &m->name, err)) ||
        (rc = text_member(d, "description", 0, a, &m->description, err)) ||
        (rc = sdk_member(m, err)) || (rc = kinds_member(d, m, err)))
        return rc;
    if (!id_is_plain(m->id))
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"id\" is \"%.*s\"; letters, "
                            "digits, '.', '-' and '_' are allowed, 128 at most",
                            STR_ARG(m->id));
    if (!m->name.len)
        m->name = m->id;
    uint32_t t = json_find(d, 0, STR("options"));
    if (t && json_kind(d, t) != TP_OBJECT)
        return tp_error_set(err, TP_ERROR_ABI, "manifest member \"options\" is not a JSON Schema "
                            "object");
    if (json_scan_doc(t ? json_raw(d, t) : STR("{}"), tape, a, &m->options_schema, NULL))
        return tp_error_set(err, TP_ERROR_ABI, "the manifest is too large for its memory");
    return 0;
}

static int parse_text(tp_str text, arena *a, plug_manifest *m, tp_error *err)
{
    if (!text.ptr)
        return tp_error_set(err, TP_ERROR_ABI, "no manifest (section .tp_manifest); write "
                            "TP_MANIFEST({\"id\": ...}); at file scope of one source file");
    if (text.len > PLUG_MAX_MANIFEST)
        return tp_error_set(err, TP_ERROR_ABI, "its manifest has %zu bytes; %zu are allowed",
                            text.len, PLUG_MAX_MANIFEST);
    if (memchr(text.ptr, '\0', text.len))
        return tp_error_set(err, TP_ERROR_ABI, "several manifests, or a NUL within one; write "
                            "TP_MANIFEST once in the whole plugin");
    json_tape tape = {0};
    json_error je = {0};
    int rc = 0;
    tp_str copy = arena_str(a, text);
    if (!copy.ptr)
        rc = tp_error_set(err, TP_ERROR_ABI, "the manifest is too large for its memory");
    else if (json_scan_doc(copy, &tape, a, &m->text, &je) != 0)
        rc = tp_error_set(err, TP_ERROR_ABI, "its manifest is no valid JSON at byte %u: %s", je.at,
                          je.what ? je.what : "too large");
    else if (json_kind(&m->text, 0) != TP_OBJECT)
        rc = tp_error_set(err, TP_ERROR_ABI, "its manifest is not a JSON object");
    else
        rc = parse_members(a, &tape, m, err);
    json_tape_free(&tape);
    return rc;
}

/* "2" or "2, 3": the majors of a bit set, for a message. */
static const char *majors_text(uint32_t majors, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (int i = 1; i < 32; i++)
        if ((majors >> i & 1) && n < size)
            n += (size_t)snprintf(out + n, size - n, "%s%d", n ? ", " : "", i);
    return out;
}

int plug_manifest_parse(tp_str file, arena *a, plug_manifest *out, tp_error *err)
{
    plug_elf elf;
    char text[128];
    *out = (plug_manifest){0};
    int rc = plug_elf_read(file, &elf, err);
    if (rc)
        return rc;
    if (elf.majors && !(elf.majors >> TP_SDK_MAJOR & 1))
        return tp_error_set(err, TP_ERROR_ABI, "the plugin speaks SDK major %s, and this host "
                            "(Turnpike %s) speaks major %d; install the plugin's build for SDK %d, "
                            "or a host that speaks %s", majors_text(elf.majors, text, sizeof(text)),
                            TURNPIKE_VERSION, TP_SDK_MAJOR, TP_SDK_MAJOR, text);
    rc = parse_text(elf.manifest, a, out, err);
    if (rc)
        return rc;
    if (!elf.majors)
        return tp_error_set(err, TP_ERROR_ABI, "it does not export tp_plugin_entry_v%d (its "
                            "manifest says SDK %.*s); define that function with TP_EXPORT, in C++ "
                            "within extern \"C\"", TP_SDK_MAJOR, STR_ARG(out->sdk));
    if (elf.has_tls)
        return tp_error_set(err, TP_ERROR_ABI, "it has a thread-local segment (__thread, "
                            "thread_local, or a library linked in that uses them), which plugins "
                            "may not have; keep state in tp_call.state");
    return 0;
}

int plug_manifest_read(const char *path, arena *a, plug_manifest *out, tp_error *err)
{
    char *bytes;
    size_t len;
    *out = (plug_manifest){0};
    int rc = plug_file_read(path, &bytes, &len, err);
    if (rc)
        return rc;
    rc = plug_manifest_parse(str_make(bytes, len), a, out, err);
    free(bytes);
    return rc ? plug_error_at(err, path) : 0;
}
