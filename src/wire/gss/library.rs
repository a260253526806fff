//! The system's Kerberos library, loaded when it is needed.
//!
//! Own bindings, because no crate gives every target a keytab of its own without environment variables,
//! which are the whole process's, and because linking to the library would make everybody install it.
//! MIT's `libgssapi_krb5.so.2`, as RFC 2744 and `gssapi/gssapi_ext.h` declare it; its symbols
//! have kept their types since 2.0. This is the only unsafe code of the room: handles that are released
//! when they are dropped, and a safe function around each call.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

/// What it is called on Linux.
const FILE: &str = "libgssapi_krb5.so.2";

/// Any of the library's handles; null is none.
type Handle = *mut c_void;

/// `gss_buffer_desc` (RFC 2744 section 3.2).
#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

impl Buffer {
    const EMPTY: Self = Self { length: 0, value: ptr::null_mut() };

    /// For calls that read it: the library never writes to what it is given.
    const fn of(octets: &[u8]) -> Self {
        Self { length: octets.len(), value: octets.as_ptr().cast_mut().cast() }
    }
}

/// `gss_OID_desc` (section 3.3).
#[repr(C)]
struct Oid {
    length: u32,
    elements: *mut c_void,
}

impl Oid {
    const fn of(octets: &'static [u8]) -> Self {
        Self { length: octets.len() as u32, elements: octets.as_ptr().cast_mut().cast() }
    }
}

/// 1.2.840.113554.1.2.2, Kerberos 5 (RFC 4121).
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";

/// `gss_OID_set_desc`.
#[repr(C)]
struct OidSet {
    count: usize,
    elements: *mut Oid,
}

/// `gss_key_value_element_desc`.
#[repr(C)]
struct Element {
    key: *const c_char,
    value: *const c_char,
}

/// `gss_key_value_set_desc`.
#[repr(C)]
struct ElementSet {
    count: u32,
    elements: *const Element,
}

/// `GSS_C_INITIATE`.
const INITIATE: c_int = 1;

/// What is asked of a context: both sides prove themselves, messages are signed, repeated ones noticed.
const FLAGS: u32 = MUTUAL | 4 | 32;
const MUTUAL: u32 = 2;

/// `GSS_S_CONTINUE_NEEDED`.
const CONTINUE: u32 = 1;
/// `GSS_S_DUPLICATE_TOKEN` and `GSS_S_OLD_TOKEN`.
const REPEATED: u32 = 2 | 4;

/// Declares the functions that are taken out of the library.
macro_rules! functions {
    ($($name:ident: $symbol:literal($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library with its functions. Never unloaded, so that these are there for ever.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            _library: Library,
        }

        impl Functions {
            fn of(library: Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of the library's headers. The functions of libkrb5 are
                    // found through it because it is linked to that.
                    $($name: *unsafe { library.get($symbol) }?,)*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    import_name: c"gss_import_name"(*mut u32, *const Buffer, *const Oid, *mut Handle) -> u32;
    release_name: c"gss_release_name"(*mut u32, *mut Handle) -> u32;
    acquire_cred_from: c"gss_acquire_cred_from"(*mut u32, Handle, u32, *const OidSet, c_int, *const ElementSet, *mut Handle, *mut *mut OidSet, *mut u32) -> u32;
    acquire_cred_with_password: c"gss_acquire_cred_with_password"(*mut u32, Handle, *const Buffer, u32, *const OidSet, c_int, *mut Handle, *mut *mut OidSet, *mut u32) -> u32;
    release_cred: c"gss_release_cred"(*mut u32, *mut Handle) -> u32;
    init_sec_context: c"gss_init_sec_context"(*mut u32, Handle, *mut Handle, Handle, *const Oid, u32, u32, *const c_void, *const Buffer, *mut *mut Oid, *mut Buffer, *mut u32, *mut u32) -> u32;
    delete_sec_context: c"gss_delete_sec_context"(*mut u32, *mut Handle, *mut Buffer) -> u32;
    get_mic: c"gss_get_mic"(*mut u32, Handle, u32, *const Buffer, *mut Buffer) -> u32;
    verify_mic: c"gss_verify_mic"(*mut u32, Handle, *const Buffer, *const Buffer, *mut u32) -> u32;
    display_status: c"gss_display_status"(*mut u32, u32, c_int, *const Oid, *mut u32, *mut Buffer) -> u32;
    release_buffer: c"gss_release_buffer"(*mut u32, *mut Buffer) -> u32;
    krb5_init_context: c"krb5_init_context"(*mut Handle) -> i32;
    krb5_free_context: c"krb5_free_context"(Handle);
    krb5_cc_resolve: c"krb5_cc_resolve"(Handle, *const c_char, *mut Handle) -> i32;
    krb5_cc_destroy: c"krb5_cc_destroy"(Handle, Handle) -> i32;
}

/// The library.
#[derive(Clone, Copy)]
pub(super) struct Gss(&'static Functions);

/// A call that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// `GSS_ROUTINE_ERROR`, shifted down (RFC 2744 section 3.9.1).
    pub(super) routine: u8,
    /// Kerberos' own code.
    pub(super) minor: u32,
    /// What the library says about it, on one line.
    pub(super) text: String,
}

/// How a name is written.
#[derive(Clone, Copy)]
pub(super) enum NameKind {
    /// `service@host`: 1.2.840.113554.1.2.1.4.
    Service,
    /// `name@REALM`: 1.2.840.113554.1.2.2.1.
    Principal,
}

impl Gss {
    /// The library, loaded by the first call that finds it.
    ///
    /// # Errors
    /// What the system's loader says.
    pub(super) fn load() -> Result<Self, String> {
        static LOADED: OnceLock<Functions> = OnceLock::new();
        if let Some(functions) = LOADED.get() {
            return Ok(Self(functions));
        }
        // SAFETY: loading runs the initialisers of Kerberos' libraries, which set up mutexes and nothing
        // else. It is the library of that name and version that the system trusts.
        let library = unsafe { Library::new(FILE) };
        let functions = library.and_then(Functions::of).map_err(|error| {
            // What the loader says is below what was tried.
            error.source().map_or_else(|| error.to_string(), ToString::to_string)
        })?;
        Ok(Self(LOADED.get_or_init(|| functions)))
    }

    /// A name.
    pub(super) fn name(self, text: &str, kind: NameKind) -> Result<Name, Failure> {
        let kind = Oid::of(match kind {
            NameKind::Service => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04",
            NameKind::Principal => b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01",
        });
        let mut name = Name { gss: self, handle: ptr::null_mut() };
        let text = Buffer::of(text.as_bytes());
        // SAFETY: all pointers are to values that outlive the call, which copies what it needs.
        self.call(|minor| unsafe { (self.0.import_name)(minor, &text, &kind, &mut name.handle) })?;
        Ok(name)
    }

    /// A client's credential: of `name`, or of the one that a ticket cache is for. `store` says where it
    /// comes from, as MIT's documentation of credential stores has it.
    pub(super) fn credential(
        self,
        name: Option<&Name>,
        store: &[(&CStr, &CStr)],
    ) -> Result<Credential, Failure> {
        let elements: Vec<Element> =
            store.iter().map(|(key, value)| Element { key: key.as_ptr(), value: value.as_ptr() }).collect();
        // There are two at most.
        let set = ElementSet { count: elements.len() as u32, elements: elements.as_ptr() };
        let name = name.map_or(ptr::null_mut(), |name| name.handle);
        let mut credential = Credential { gss: self, handle: ptr::null_mut() };
        let mut kerberos = Oid::of(KERBEROS);
        let mechanisms = OidSet { count: 1, elements: &mut kerberos };
        // SAFETY: all pointers are to values that outlive the call, which copies what it needs; the two
        // null ones are results that nobody wants, and the name is null or alive.
        self.call(|minor| unsafe {
            (self.0.acquire_cred_from)(
                minor,
                name,
                0,
                &mechanisms,
                INITIATE,
                &set,
                &mut credential.handle,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        Ok(credential)
    }

    /// A client's credential from its password, of which the library wipes its copy.
    pub(super) fn credential_of_password(self, name: &Name, password: &[u8]) -> Result<Credential, Failure> {
        let password = Buffer::of(password);
        let mut credential = Credential { gss: self, handle: ptr::null_mut() };
        let mut kerberos = Oid::of(KERBEROS);
        let mechanisms = OidSet { count: 1, elements: &mut kerberos };
        // SAFETY: as above.
        self.call(|minor| unsafe {
            (self.0.acquire_cred_with_password)(
                minor,
                name.handle,
                &password,
                0,
                &mechanisms,
                INITIATE,
                &mut credential.handle,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        Ok(credential)
    }

    /// Makes a call; gives its supplementary status (RFC 2744 section 3.9.1).
    ///
    /// Texts of errors belong to the thread, so they are asked for at once.
    fn call(self, function: impl FnOnce(*mut u32) -> u32) -> Result<u32, Failure> {
        let mut minor = 0;
        let major = function(&mut minor);
        if major >> 16 == 0 {
            return Ok(major);
        }
        const GSS_CODE: c_int = 1;
        const MECHANISM_CODE: c_int = 2;
        let mut text = if minor == 0 { String::new() } else { self.text(minor, MECHANISM_CODE) };
        if text.is_empty() {
            text = self.text(major, GSS_CODE);
        }
        Err(Failure { routine: (major >> 16) as u8, minor, text })
    }

    /// What a status means. It may hold what a KDC sent, so it is cut and made one line.
    fn text(self, status: u32, kind: c_int) -> String {
        let kerberos = Oid::of(KERBEROS);
        let (mut minor, mut context) = (0, 0);
        let mut buffer = Output::new(self);
        // SAFETY: all pointers are to values that outlive the call. Of several texts the first is taken.
        let major = unsafe {
            (self.0.display_status)(&mut minor, status, kind, &kerberos, &mut context, &mut buffer.buffer)
        };
        if major >> 16 != 0 {
            return format!("status {status:#x}");
        }
        let text = String::from_utf8_lossy(buffer.octets());
        text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// A buffer that the library fills and releases.
struct Output {
    gss: Gss,
    buffer: Buffer,
}

impl Output {
    const fn new(gss: Gss) -> Self {
        Self { gss, buffer: Buffer::EMPTY }
    }

    fn octets(&self) -> &[u8] {
        if self.buffer.value.is_null() {
            return &[];
        }
        // SAFETY: the library has put so many octets there, and they stay until this is dropped.
        unsafe { std::slice::from_raw_parts(self.buffer.value.cast(), self.buffer.length) }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the buffer is empty or the library's, and is released once.
        unsafe { (self.gss.0.release_buffer)(&mut 0, &mut self.buffer) };
    }
}

/// The name of a client or service.
pub(super) struct Name {
    gss: Gss,
    handle: Handle,
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: the handle is null or a name of this value alone, and is released once.
        unsafe { (self.gss.0.release_name)(&mut 0, &mut self.handle) };
    }
}

/// What a client proves itself with.
pub(super) struct Credential {
    gss: Gss,
    handle: Handle,
}

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: the handle is null or a credential of this value alone, and is released once.
        unsafe { (self.gss.0.release_cred)(&mut 0, &mut self.handle) };
    }
}

/// A ticket cache in memory, which is emptied and taken away when it is dropped. Whatever it was used for
/// has to be dropped before.
pub(super) struct MemoryCache {
    gss: Gss,
    name: CString,
}

impl MemoryCache {
    /// A cache of a new name.
    pub(super) fn new(gss: Gss) -> Self {
        let name = format!("MEMORY:privatelink-dns-{:016x}", fastrand::u64(..));
        Self { gss, name: CString::new(name).unwrap_or_default() }
    }

    /// By what the library knows it.
    pub(super) fn name(&self) -> &CStr {
        &self.name
    }
}

impl Drop for MemoryCache {
    fn drop(&mut self) {
        let functions = self.gss.0;
        let (mut context, mut cache) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the handles are made here and used only when they were made. Destroying a cache releases
        // its handle; other handles of it, which nobody has any more, would stay valid.
        unsafe {
            if (functions.krb5_init_context)(&mut context) == 0 {
                if (functions.krb5_cc_resolve)(context, self.name.as_ptr(), &mut cache) == 0 {
                    (functions.krb5_cc_destroy)(context, cache);
                }
                (functions.krb5_free_context)(context);
            }
        }
    }
}

/// What one step of a negotiation gives.
pub(super) struct Step {
    /// What to send to the other side; may be empty at the end.
    pub(super) token: Vec<u8>,
    /// Whether the context is complete, and if so, for how many seconds. `u32::MAX` is for ever.
    pub(super) complete: Option<u32>,
}

/// A context with a service, negotiated step by step.
pub(super) struct Context {
    gss: Gss,
    handle: Handle,
}

impl Context {
    /// Nothing negotiated yet.
    pub(super) const fn new(gss: Gss) -> Self {
        Self { gss, handle: ptr::null_mut() }
    }

    /// The next step: without a token the first one, later with what the other side has sent.
    ///
    /// A service that does not prove itself gives no complete context.
    pub(super) fn step(
        &mut self,
        credential: &Credential,
        service: &Name,
        token: Option<&[u8]>,
    ) -> Result<Step, Failure> {
        let functions = self.gss.0;
        let kerberos = Oid::of(KERBEROS);
        let received = Buffer::of(token.unwrap_or_default());
        let mut to_send = Output::new(self.gss);
        let (mut flags, mut lifetime) = (0, 0);
        // SAFETY: all pointers are to values that outlive the call; the null ones are no channel
        // bindings and a result that nobody wants. The context is null at first and the library's then.
        let status = self.gss.call(|minor| unsafe {
            (functions.init_sec_context)(
                minor,
                credential.handle,
                &mut self.handle,
                service.handle,
                &kerberos,
                FLAGS,
                0,
                ptr::null(),
                &received,
                ptr::null_mut(),
                &mut to_send.buffer,
                &mut flags,
                &mut lifetime,
            )
        })?;
        let is_complete = status & CONTINUE == 0;
        if is_complete && flags & MUTUAL == 0 {
            let text = "the service does not prove itself".to_owned();
            return Err(Failure { routine: 0, minor: 0, text });
        }
        Ok(Step { token: to_send.octets().to_vec(), complete: is_complete.then_some(lifetime) })
    }

    /// The signature of some octets.
    pub(super) fn sign(&mut self, octets: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut mic = Output::new(self.gss);
        let octets = Buffer::of(octets);
        // SAFETY: all pointers are to values that outlive the call; a null context is refused.
        self.gss
            .call(|minor| unsafe { (self.gss.0.get_mic)(minor, self.handle, 0, &octets, &mut mic.buffer) })?;
        Ok(mic.octets().to_vec())
    }

    /// Whether this is the other side's signature of some octets, and for the first time.
    pub(super) fn verify(&mut self, octets: &[u8], mic: &[u8]) -> bool {
        let (octets, mic) = (Buffer::of(octets), Buffer::of(mic));
        // SAFETY: all pointers are to values that outlive the call; a null context is refused.
        let status = self.gss.call(|minor| unsafe {
            (self.gss.0.verify_mic)(minor, self.handle, &octets, &mic, ptr::null_mut())
        });
        status.is_ok_and(|status| status & REPEATED == 0)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle is a context of this value alone and is deleted once; no token is wanted.
            unsafe { (self.gss.0.delete_sec_context)(&mut 0, &mut self.handle, ptr::null_mut()) };
        }
    }
}

// SAFETY: MIT's library is safe for threads as long as no two use one object at the same time, which
// these values have to themselves; no object belongs to the thread that made it. Only texts of errors do,
// and those are taken within the call that failed.
unsafe impl Send for Name {}
// SAFETY: as above.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Send for Context {}
