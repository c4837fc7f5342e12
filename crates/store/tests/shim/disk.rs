//! A disk that can lose its power or fail, between a program and the real one. Built and preloaded by `tests/disk.rs`.
//!
//! It stands in front of the C library's file functions, for files under `DISK_FOLDER` only.
//!
//! Power: with `DISK_SHADOW`, it keeps in that folder what would survive a loss of power. `fsync` and `fdatasync` of a file
//! copy its content; `fsync` of a folder, or of one in it, writes down which names it has. Nothing else gets there, least of all what
//! `sync_file_range` was told. With `DISK_LIES`, syncs of files whose name ends so are believed but not carried out.
//!
//! Faults: with `DISK_FAIL_AT`, the so-manieth opening for writing, write, sync, rename, truncation or removal fails with the
//! error number `DISK_ERROR`; with `DISK_FAIL_UNTIL`, all from there on do, until a file of that name exists; with
//! `DISK_FAIL_WHILE`, all do while a file of that name exists. A write that fails has written its first half. `DISK_TOLD` names a
//! file that is made when that happens.
//!
//! Room: while the file that `DISK_ROOM` names exists, files can grow only by the number of bytes that it says, all together, since
//! it said so; then the disk is full. What is written within a file still is.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn lseek(fd: c_int, offset: c_long, whence: c_int) -> c_long;
}

/// The next library's function, behind this one.
macro_rules! real {
    ($name:ident($($arg:ty),*) -> $ret:ty) => {{
        static REAL: OnceLock<usize> = OnceLock::new();
        let address = *REAL.get_or_init(|| {
            let name = CString::new(stringify!($name)).unwrap();
            // SAFETY: -1 is RTLD_NEXT; the name ends with a zero byte.
            unsafe { dlsym(-1_isize as *mut c_void, name.as_ptr()) as usize }
        });
        // SAFETY: the C library has a function of this name and type.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($arg),*) -> $ret>(address) }
    }};
}

struct Setup {
    folder: PathBuf,
    shadow: Option<PathBuf>,
    lies: Option<String>,
    fail_at: u64,
    fail_until: Option<PathBuf>,
    fail_while: Option<PathBuf>,
    error: c_int,
    told: Option<PathBuf>,
    room: Option<PathBuf>,
}

impl Setup {
    /// Whether anything is ever to fail.
    fn fails(&self) -> bool {
        self.fail_at > 0 || self.fail_while.is_some()
    }
}

fn setup() -> Option<&'static Setup> {
    static SETUP: OnceLock<Option<Setup>> = OnceLock::new();
    let setup = SETUP.get_or_init(|| {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
        Some(Setup {
            folder: env::var_os("DISK_FOLDER")?.into(),
            shadow: env::var_os("DISK_SHADOW").map(Into::into),
            lies: env::var("DISK_LIES").ok(),
            fail_at: number("DISK_FAIL_AT").unwrap_or(0),
            fail_until: env::var_os("DISK_FAIL_UNTIL").map(Into::into),
            fail_while: env::var_os("DISK_FAIL_WHILE").map(Into::into),
            error: c_int::try_from(number("DISK_ERROR").unwrap_or(5)).unwrap_or(5),
            told: env::var_os("DISK_TOLD").map(Into::into),
            room: env::var_os("DISK_ROOM").map(Into::into),
        })
    });
    setup.as_ref()
}

fn ours(path: &Path) -> Option<&'static Setup> {
    setup().filter(|setup| path.starts_with(&setup.folder))
}

fn path_of(fd: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// # Safety
/// As for the C library: a string that ends with a zero byte.
unsafe fn named(path: *const c_char) -> PathBuf {
    // SAFETY: promised by the caller.
    PathBuf::from(unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned())
}

/// Whether this is a call that fails; sets the error number.
fn fails(path: &Path) -> bool {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let Some(setup) = ours(path).filter(|setup| setup.fails()) else { return false };
    let call = CALLS.fetch_add(1, Ordering::SeqCst) + 1;
    let first = call == setup.fail_at;
    let on = setup.fail_until.as_ref().is_some_and(|end| call > setup.fail_at && !end.exists());
    let during = setup.fail_while.as_ref().is_some_and(|file| file.exists());
    if !(first || on || during) {
        return false;
    }
    if let Some(told) = &setup.told {
        let _ = std::fs::write(told, format!("call {call}: {}", path.display()));
    }
    // SAFETY: the C library gives the address of this thread's error number.
    unsafe { *__errno_location() = setup.error };
    true
}

fn fails_fd(fd: c_int) -> bool {
    setup().is_some_and(Setup::fails) && path_of(fd).is_some_and(|path| fails(&path))
}

const NO_SPACE: c_int = 28;

/// The bytes of a write that the disk has room for, from the first on, if that is bounded. Those beyond the end of the file are taken.
fn room(fd: c_int, offset: Option<c_long>, count: usize) -> Option<usize> {
    /// What was said last, and how much was taken since.
    static TAKEN: Mutex<(String, u64)> = Mutex::new((String::new(), 0));
    let said = std::fs::read_to_string(setup()?.room.as_ref()?).ok()?;
    let path = path_of(fd)?;
    ours(&path)?;
    // SAFETY: no memory is touched.
    let offset = offset.unwrap_or_else(|| unsafe { lseek(fd, 0, 1) });
    let begin = u64::try_from(offset).ok()?;
    let end = begin + u64::try_from(count).ok()?;
    let grows = end.saturating_sub(std::fs::metadata(&path).ok()?.len());
    let mut taken = TAKEN.lock().unwrap();
    if taken.0 != said {
        *taken = (said.clone(), 0);
    }
    // While it is being said anew, there is nothing in the file.
    let left = said.parse::<u64>().unwrap_or(0).saturating_sub(taken.1);
    let missing = grows.saturating_sub(left);
    taken.1 += grows - missing;
    Some(count.saturating_sub(usize::try_from(missing).ok()?))
}

/// Whether nothing can be written; sets the error number.
fn is_full(room: Option<usize>, count: usize) -> bool {
    let full = count > 0 && room == Some(0);
    if full {
        // SAFETY: the C library gives the address of this thread's error number.
        unsafe { *__errno_location() = NO_SPACE };
    }
    full
}

/// Replaces a file as a whole: the process may be killed at any moment.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension(format!("new{:?}", std::thread::current().id()));
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// What would survive now does. Gives whether that was done here, so that the real disk need not do it.
fn survives(fd: c_int) -> bool {
    let Some(path) = path_of(fd) else { return false };
    let Some((setup, shadow)) = ours(&path).and_then(|setup| Some((setup, setup.shadow.as_ref()?))) else {
        return false;
    };
    if setup.lies.as_ref().is_some_and(|end| path.to_string_lossy().ends_with(end.as_str())) {
        return true;
    }
    // One at a time: what one thread read earlier must not replace what another has read since. sled's own thread syncs too.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap();
    let Ok(metadata) = std::fs::metadata(&path) else { return true };
    if metadata.is_dir() {
        let entries = std::fs::read_dir(&path).unwrap().filter_map(Result::ok);
        let names: BTreeMap<_, _> = entries
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?)))
            .filter(|(_, metadata)| metadata.is_file())
            .map(|(name, metadata)| (name, metadata.ino()))
            .collect();
        // A folder within the folder has a list of its own.
        let within = path.strip_prefix(&setup.folder).unwrap().to_string_lossy().into_owned();
        let (list, within) = match within.as_str() {
            "" => ("names".to_owned(), String::new()),
            name => (format!("{name}.names"), format!("{name}/")),
        };
        let lines: String = names.iter().map(|(name, ino)| format!("{ino} {within}{name}\n")).collect();
        replace(&shadow.join(list), lines.as_bytes());
    } else {
        replace(&shadow.join(metadata.ino().to_string()), &std::fs::read(&path).unwrap());
    }
    true
}

const WRITING: c_int = 0o1 | 0o2 | 0o100;

macro_rules! opening {
    ($($name:ident),*) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
            // SAFETY: the caller's promise.
            if flags & WRITING != 0 && fails(&unsafe { named(path) }) {
                return -1;
            }
            let real = real!($name(*const c_char, c_int, c_uint) -> c_int);
            // SAFETY: the caller's promise.
            unsafe { real(path, flags, mode) }
        }
    )*};
}

opening!(open, open64);

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize {
    let real = real!(write(c_int, *const c_void, usize) -> isize);
    if fd > 2 && fails_fd(fd) {
        // SAFETY: the caller's promise; half of the bytes are among them.
        unsafe { real(fd, bytes, count / 2) };
        fails_again();
        return -1;
    }
    let room = if fd > 2 { room(fd, None, count) } else { None };
    if is_full(room, count) {
        return -1;
    }
    // SAFETY: the caller's promise; no more than there are.
    unsafe { real(fd, bytes, room.unwrap_or(count)) }
}

/// Sets the error number again, after a call that succeeded.
fn fails_again() {
    let error = setup().map_or(5, |setup| setup.error);
    // SAFETY: the C library gives the address of this thread's error number.
    unsafe { *__errno_location() = error };
}

macro_rules! writing_at {
    ($($name:ident),*) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, bytes: *const c_void, count: usize, offset: c_long) -> isize {
            let real = real!($name(c_int, *const c_void, usize, c_long) -> isize);
            if fails_fd(fd) {
                // SAFETY: the caller's promise; half of the bytes are among them.
                unsafe { real(fd, bytes, count / 2, offset) };
                fails_again();
                return -1;
            }
            let room = room(fd, Some(offset), count);
            if is_full(room, count) {
                return -1;
            }
            // SAFETY: the caller's promise; no more than there are.
            unsafe { real(fd, bytes, room.unwrap_or(count), offset) }
        }
    )*};
}

writing_at!(pwrite, pwrite64);

macro_rules! syncing {
    ($($name:ident),*) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int) -> c_int {
            if fails_fd(fd) {
                return -1;
            }
            if survives(fd) {
                return 0;
            }
            let real = real!($name(c_int) -> c_int);
            // SAFETY: the caller's promise.
            unsafe { real(fd) }
        }
    )*};
}

syncing!(fsync, fdatasync);

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(fd: c_int, offset: c_long, count: c_long, flags: c_uint) -> c_int {
    if fails_fd(fd) {
        return -1;
    }
    let real = real!(sync_file_range(c_int, c_long, c_long, c_uint) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(fd, offset, count, flags) }
}

macro_rules! truncating {
    ($($name:ident),*) => {$(
        /// # Safety
        /// As the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, length: c_long) -> c_int {
            if fails_fd(fd) {
                return -1;
            }
            let real = real!($name(c_int, c_long) -> c_int);
            // SAFETY: the caller's promise.
            unsafe { real(fd, length) }
        }
    )*};
}

truncating!(ftruncate, ftruncate64);

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    if fails(&unsafe { named(to) }) {
        return -1;
    }
    let real = real!(rename(*const c_char, *const c_char) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(from, to) }
}

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    if fails(&unsafe { named(path) }) {
        return -1;
    }
    let real = real!(unlink(*const c_char) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(path) }
}

/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: the caller's promise.
    if fails(&unsafe { named(path) }) {
        return -1;
    }
    let real = real!(mkdir(*const c_char, c_uint) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(path, mode) }
}
