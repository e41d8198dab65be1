//! A provider in Rust, with `core` alone: `std` brings thread-local storage, which plugins may not
//! have. The types are those of turnpike/plugin.h that a small provider needs; the rest of the
//! host's table is declared as opaque pointers, because only its layout matters.
#![no_std]
#![allow(non_camel_case_types, dead_code)]
use core::ffi::{c_char, c_void};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { abort() } // nothing may unwind across the boundary
}
extern "C" {
    fn abort() -> !;
}

#[repr(C)]
#[derive(Clone, Copy)]
struct tp_str {
    ptr: *const u8,
    len: usize,
}
const fn s(text: &'static str) -> tp_str {
    tp_str { ptr: text.as_ptr(), len: text.len() }
}
#[repr(C)]
struct tp_list {
    ptr: *const c_void,
    count: u32,
    stride: u32,
}
#[repr(C)]
struct tp_doc {
    text: tp_str,
    tokens: *const c_void,
    count: u32,
    reserved: u32,
}
#[repr(C)]
struct tp_operation {
    size: u32,
    flags: u32,
    needs: u64,
    format: tp_str,
    model: tp_str,
    user: tp_str,
    // what follows is not read here
}
#[repr(C)]
struct tp_reply {
    size: u32,
    status: i32,
    headers: tp_list,
    type_: tp_str,
    body: tp_str,
}
#[repr(C)]
struct tp_frame {
    size: u32,
    reserved: u32,
    name: tp_str,
    data: tp_str,
    used: usize,
}
#[repr(C)]
struct tp_event {
    size: u32,
    kind: i32,
    code: i32,
    flags: u32,
    choice: u32,
    item: u32,
    number: i64,
    id: tp_str,
    name: tp_str,
    text: tp_str,
    raw: tp_str,
    param: tp_str,
}
const NONE: tp_str = tp_str { ptr: core::ptr::null(), len: 0 };
fn event(kind: i32, text: tp_str) -> tp_event {
    tp_event {
        size: core::mem::size_of::<tp_event>() as u32,
        kind, code: 0, flags: 0, choice: 0, item: 0, number: -1,
        id: NONE, name: NONE, text, raw: NONE, param: NONE,
    }
}
const EV_TEXT: i32 = 2;
const EV_ERROR: i32 = 18;
const EV_END: i32 = 19;
const ERR_UPSTREAM: i32 = 11;
const FRAMING_LINES: i32 = 3;

type call = *mut c_void;
type fn_ = *const c_void; // a function of the host that is not called here
#[repr(C)]
struct tp_host {
    size: u32,
    minor: u32,
    alloc: fn_,
    keep: fn_,
    request: extern "C" fn(call, tp_str, tp_str) -> i32,
    local: fn_,
    status: fn_,
    header: fn_,
    secret_header: fn_,
    sign: fn_,
    write: extern "C" fn(call, tp_str) -> i32,
    quote: extern "C" fn(call, tp_str) -> i32,
    attach: fn_,
    emit: extern "C" fn(call, *const tp_event) -> i32,
    report: fn_,
    fail: extern "C" fn(call, i32, tp_str, tp_str) -> i32,
}

/// The host pointer is the whole instance: it lives longer than any instance, so nothing is
/// allocated and destroy has nothing to do.
type instance = tp_host;

extern "C" fn create(host: *const tp_host, _: call, _: tp_doc, out: *mut *const instance) -> i32 {
    unsafe { *out = host };
    0
}
extern "C" fn destroy(_: *const instance) {}

extern "C" fn build(h: &instance, c: call, op: &tp_operation, _: *const c_void) -> i32 {
    if op.model.len == 0 {
        return (h.fail)(c, -1, s("model"), s("model is missing; name one"));
    }
    let steps = [
        (h.request)(c, s("POST"), s("/rust")),
        (h.write)(c, s("{\"model\":")),
        (h.quote)(c, op.model),
        (h.write)(c, s("}")),
    ];
    steps.iter().copied().find(|&st| st != 0).unwrap_or(0)
}
extern "C" fn head(_: &instance, _: call, _: &tp_reply, framing: &mut i32) -> i32 {
    *framing = FRAMING_LINES;
    0
}
extern "C" fn data(h: &instance, c: call, f: &tp_frame) -> i32 {
    (h.emit)(c, &event(EV_TEXT, f.data))
}
extern "C" fn end(h: &instance, c: call, broken: i32) -> i32 {
    if broken != 0 { 0 } else { (h.emit)(c, &event(EV_END, NONE)) }
}
extern "C" fn failed(h: &instance, c: call, r: &tp_reply) -> i32 {
    let mut e = event(EV_ERROR, r.body);
    e.code = ERR_UPSTREAM;
    (h.emit)(c, &e)
}

#[repr(C)]
struct tp_provider {
    size: u32,
    state_size: u32,
    formats: tp_list,
    build: extern "C" fn(&instance, call, &tp_operation, *const c_void) -> i32,
    head: extern "C" fn(&instance, call, &tp_reply, &mut i32) -> i32,
    data: extern "C" fn(&instance, call, &tp_frame) -> i32,
    end: extern "C" fn(&instance, call, i32) -> i32,
    failed: extern "C" fn(&instance, call, &tp_reply) -> i32,
}
#[repr(C)]
struct tp_plugin {
    size: u32,
    minor: u32,
    id: tp_str,
    version: tp_str,
    create: extern "C" fn(*const tp_host, call, tp_doc, *mut *const instance) -> i32,
    destroy: extern "C" fn(*const instance),
    get_extension: extern "C" fn(*const c_char) -> *const c_void,
}
// The tables hold pointers to constants only.
unsafe impl Sync for tp_provider {}
unsafe impl Sync for tp_plugin {}
struct formats([tp_str; 1]);
unsafe impl Sync for formats {}

static FORMATS: formats = formats([s("chat/openai")]);
static PROVIDER: tp_provider = tp_provider {
    size: core::mem::size_of::<tp_provider>() as u32,
    state_size: 0,
    formats: tp_list {
        ptr: &FORMATS as *const formats as *const c_void,
        count: 1,
        stride: core::mem::size_of::<tp_str>() as u32,
    },
    build, head, data, end, failed,
};
static PLUGIN: tp_plugin = tp_plugin {
    size: core::mem::size_of::<tp_plugin>() as u32,
    minor: 0,
    id: s("test.lang-rust"),
    version: s("3.0.0"),
    create, destroy, get_extension,
};

extern "C" fn get_extension(id: *const c_char) -> *const c_void {
    let want = b"tp.provider/1\0";
    for (k, &b) in want.iter().enumerate() {
        if unsafe { *id.add(k) } as u8 != b {
            return core::ptr::null();
        }
    }
    &PROVIDER as *const tp_provider as *const c_void
}

#[used]
#[link_section = ".tp_manifest"]
static MANIFEST: [u8; 185] = *br#"{"id": "test.lang-rust", "version": "3.0.0",
"license": "Apache-2.0", "sdk": "1.0", "kinds": ["provider"],
"options": {"type": "object", "properties": {"base_url": {"type": "string"}}}}"#;

#[no_mangle]
pub extern "C" fn tp_plugin_entry_v1(_: *const c_void) -> *const c_void {
    &PLUGIN as *const tp_plugin as *const c_void
}
