//! The socket in the folder of a store, over which a running server does tasks for the program that is called beside it.
//!
//! Whoever may open the socket, which is the owner of the folder, may do what they could do to the store itself. The caller sends
//! the task as one line of JSON; the server answers with [`Said`], a line of JSON each, and closes. One connection is one task.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_store::{Engine, WeakEngine};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Teller};
use crate::failure::Failure;
use crate::task::Task;

/// The socket within the folder of the store.
const NAME: &str = "dogwatch.sock";
/// The longest path of a socket that every system takes, in bytes.
const LONGEST_PATH: usize = 100;
/// The most tasks at once. Each may be long, and has a thread.
const MOST_TASKS: usize = 8;
/// The longest task, in bytes: its arguments.
const LONGEST_TASK: u64 = 64 << 10;
/// How long a caller may take to say its task, or not read what it is told.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a task waits for the store to be opened again, which takes a moment when a server that shares it becomes leader or follower.
pub(crate) const OPENED: Duration = Duration::from_secs(10);
/// The bytes of output that are sent at once.
const PIECE: usize = 32 << 10;

/// What the server says of a task.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Said {
    /// Output for programs.
    Out(String),
    /// Output for people.
    Drawing(String),
    /// So much is done, and of what.
    Progress(u64, String),
    /// The caller is to say, with a byte, that it has written what was said so far.
    Confirm,
    /// The task is done, or has failed with a message. Nothing comes after it.
    Done(Option<String>),
}

/// The path under which the socket is reached, which is short. What comes with it is kept meanwhile.
fn place(data: &Path, name: &str) -> io::Result<(Option<File>, PathBuf)> {
    let path = data.join(name);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((None, path));
    }
    let folder = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
    Ok((Some(folder), path))
}

/// The server that has the store in a folder open, if there is one.
pub(crate) fn server_of(data: &Path) -> Option<UnixStream> {
    // Without one, there is no socket, or nobody listens to it any more.
    let (_folder, path) = place(data, NAME).ok()?;
    UnixStream::connect(path).ok()
}

/// Has a server do a task, and shows what it says of it.
pub(crate) fn ask(stream: &UnixStream, task: Task) -> Result<(), Failure> {
    let mut task = task.with_whole_paths()?;
    let Some(path) = task.take_file() else { return hear(stream, &task, None) };
    let mut file = File::create_new(&path).map_err(Failure::file(&path))?;
    let done = hear(stream, &task, Some((&mut file, &path)));
    if done.is_err() {
        // It can be asked for again under the same name.
        let _ = fs::remove_file(&path);
    }
    done
}

/// As [`ask`], with the file that the output goes to, if it is one.
fn hear(mut stream: &UnixStream, task: &Task, mut file: Option<(&mut File, &Path)>) -> Result<(), Failure> {
    let lost = |error: io::Error| Failure::ServerLost(error);
    let line = serde_json::to_string(task).map_err(io::Error::from)?;
    writeln!(stream, "{line}").map_err(lost)?;
    let (mut out, mut drawing, mut teller) = (io::stdout(), anstream::stdout(), Teller::default());
    for line in BufReader::new(stream).lines() {
        let said: Said = serde_json::from_str(&line.map_err(lost)?).map_err(|error| lost(error.into()))?;
        match said {
            Said::Out(text) => match &mut file {
                Some((file, path)) => file.write_all(text.as_bytes()).map_err(Failure::file(path))?,
                None => out.write_all(text.as_bytes())?,
            },
            Said::Drawing(text) => drawing.write_all(text.as_bytes())?,
            Said::Progress(done, what) => teller.tell(done, &what),
            Said::Confirm => {
                out.flush()?;
                stream.write_all(b"\n").map_err(lost)?;
            }
            Said::Done(Some(why)) => return Err(Failure::Served(why)),
            Said::Done(None) => {
                if let Some((file, path)) = file {
                    file.sync_all().map_err(Failure::file(path))?;
                }
                return Ok(out.flush()?);
            }
        }
    }
    Err(lost(io::ErrorKind::UnexpectedEof.into()))
}

/// A thread that listens to the socket in the folder of a store, until it is dropped. A server that opens the store anew keeps it: one socket that
/// takes the place of another one could be removed in its stead.
pub(crate) struct Socket {
    path: PathBuf,
    /// By which the file is known: another server may have put its own in its place.
    file: (u64, u64),
    served: Arc<Served>,
    tasks: Arc<AtomicUsize>,
}

/// What tasks are done with.
struct Served {
    now: Mutex<Now>,
    changed: Condvar,
}

struct Now {
    /// The engine that has the store open, unless it is being opened.
    engine: Option<WeakEngine>,
    /// No more tasks are taken.
    ends: bool,
}

impl Served {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.now());
        self.changed.notify_all();
    }

    /// The engine that has the store open; waits for it while the store is opened anew.
    fn engine(&self) -> Option<Engine> {
        let until = Instant::now().checked_add(OPENED)?;
        let mut now = self.now();
        loop {
            let engine = now.engine.as_ref().and_then(WeakEngine::upgrade);
            let left = until.saturating_duration_since(Instant::now());
            if engine.is_some() || now.ends || left.is_zero() {
                return engine;
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// By which a file is known.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Socket {
    /// Listens in the folder of a store that this process has open.
    pub(crate) fn listen(data: &Path, engine: WeakEngine) -> io::Result<Self> {
        // Nobody but the owner can reach it, from the moment on at which it has its name. What a server that was killed has left goes.
        let (folder, new) = place(data, &format!("{NAME}.new"))?;
        let path = data.join(NAME);
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        let file = identity(&new)?;
        fs::rename(&new, &path)?;
        drop(folder);
        let now = Mutex::new(Now { engine: Some(engine), ends: false });
        let (served, tasks) = (Arc::new(Served { now, changed: Condvar::new() }), Arc::new(AtomicUsize::new(0)));
        let run = {
            let (served, tasks) = (Arc::clone(&served), Arc::clone(&tasks));
            move || accept(&listener, &served, &tasks)
        };
        thread::Builder::new().name("dogwatch-socket".to_owned()).spawn(run)?;
        Ok(Self { path, file, served, tasks })
    }

    /// Does tasks with another engine from now on, for the store was opened anew; or with none, so that they wait for the next one.
    pub(crate) fn serve(&self, engine: Option<WeakEngine>) {
        self.served.change(|now| now.engine = engine);
    }

    /// Whether callers find it: somebody else may have removed its file, or put another one there.
    pub(crate) fn is_found(&self) -> bool {
        identity(&self.path).is_ok_and(|file| file == self.file)
    }

    /// Takes no more tasks, and waits for those under way, for so long at most.
    pub(crate) fn close(self, most: Duration) {
        let tasks = Arc::clone(&self.tasks);
        drop(self);
        let began = Instant::now();
        while tasks.load(Ordering::Acquire) > 0 && began.elapsed() < most {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.served.change(|now| now.ends = true);
        if self.is_found() {
            // The thread waits for a caller: this is one. If it is not told, it holds nothing but the socket.
            drop(self.path.parent().map(server_of));
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Counts a task until it is dropped.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn accept(listener: &UnixListener, served: &Arc<Served>, tasks: &Arc<AtomicUsize>) {
    loop {
        let accepted = listener.accept();
        if served.now().ends {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // There may be too many open files, for a while.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let others = tasks.fetch_add(1, Ordering::AcqRel);
        let under_way = UnderWay(Arc::clone(tasks));
        if others >= MOST_TASKS {
            let _ =
                Caller::new(stream).done(Some("error: the server has as many tasks as it does at once\n".to_owned()));
            continue;
        }
        let served = Arc::clone(served);
        let run = move || {
            let _under_way = under_way;
            serve(stream, &served);
        };
        if let Err(why) = thread::Builder::new().name("dogwatch-task".to_owned()).spawn(run) {
            tracing::warn!(%why, "a task cannot be done");
        }
    }
}

/// Does the task of one caller.
fn serve(stream: UnixStream, served: &Served) {
    let caller = Caller::new(stream);
    let failed = match caller.task() {
        Err(why) => Some(format!("error: the task cannot be read: {why}\n")),
        Ok(task) => match served.engine() {
            None => Some("error: the server does not have the store open at present\n".to_owned()),
            Some(engine) => {
                let output = |said: fn(String) -> Said| Output { caller: caller.clone(), said, bytes: Vec::new() };
                let (out, drawing) = (Box::new(output(Said::Out)), Box::new(output(Said::Drawing)));
                let told = caller.clone();
                let mut last = Instant::now();
                let progress = Box::new(move |done, what: &'static str| {
                    if last.elapsed() > Duration::from_millis(200) {
                        last = Instant::now();
                        // A caller that is gone is noticed when there is output.
                        let _ = told.say(&Said::Progress(done, what.to_owned()));
                    }
                });
                let asked = caller.clone();
                let mut desk = Desk::served(engine, out, drawing, progress, Box::new(move || asked.confirms()));
                let done = task.run(&mut desk).and_then(|()| {
                    desk.out.flush()?;
                    Ok(desk.drawing.flush()?)
                });
                // What it has printed before it failed is said first.
                let flushed = desk.out.flush();
                done.err().map(|failure| failure.to_string()).or(flushed.err().map(|why| format!("error: {why}\n")))
            }
        },
    };
    // A caller that has gone away does not hear it.
    let _ = caller.done(failed);
}

/// Who has sent a task.
#[derive(Clone)]
struct Caller(Arc<UnixStream>);

impl Caller {
    fn new(stream: UnixStream) -> Self {
        Self(Arc::new(stream))
    }

    fn task(&self) -> io::Result<Task> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        self.0.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new((&*self.0).take(LONGEST_TASK)).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn say(&self, said: &Said) -> io::Result<()> {
        let mut line = serde_json::to_vec(said)?;
        line.push(b'\n');
        (&*self.0).write_all(&line)
    }

    /// Waits until the caller has what was said so far where it belongs.
    fn confirms(&self) -> io::Result<()> {
        self.say(&Said::Confirm)?;
        (&*self.0).read_exact(&mut [0])
    }

    fn done(&self, failed: Option<String>) -> io::Result<()> {
        self.say(&Said::Done(failed))
    }
}

/// Sends what is printed, many lines at once.
struct Output {
    caller: Caller,
    said: fn(String) -> Said,
    bytes: Vec<u8>,
}

impl Output {
    /// Sends the first bytes.
    fn send(&mut self, length: usize) -> io::Result<()> {
        let rest = self.bytes.split_off(length);
        let bytes = std::mem::replace(&mut self.bytes, rest);
        let text = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        if text.is_empty() { Ok(()) } else { self.caller.say(&(self.said)(text)) }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= PIECE
            && let Some(last) = self.bytes.iter().rposition(|byte| *byte == b'\n')
        {
            self.send(last.saturating_add(1))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send(self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::VerifyArgs;

    /// A store that is opened anew, as by a server that becomes leader, is reached over the same socket; a task that comes in between waits.
    #[test]
    fn tasks_go_on_with_the_next_engine() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_path_buf();
        let task = || {
            let args = VerifyArgs { data: data.clone() };
            ask(&server_of(&data).unwrap(), Task::Stats(args))
        };
        let first = Engine::open(&data).unwrap();
        let socket = Socket::listen(&data, first.downgrade()).unwrap();
        let file = identity(&data.join(NAME)).unwrap();
        task().unwrap();
        drop(first);
        thread::scope(|scope| {
            let waits = scope.spawn(task);
            while socket.tasks.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            let second = Engine::open_existing(&data).unwrap();
            socket.serve(Some(second.downgrade()));
            waits.join().unwrap().unwrap();
            task().unwrap();
            // One that is about to be closed is not held on to.
            socket.serve(None);
            let waits = scope.spawn(task);
            thread::sleep(Duration::from_millis(50));
            assert!(!waits.is_finished());
            socket.serve(Some(second.downgrade()));
            waits.join().unwrap().unwrap();
        });
        assert!(identity(&data.join(NAME)).unwrap() == file && socket.is_found());
        fs::remove_file(data.join(NAME)).unwrap();
        assert!(!socket.is_found());
        socket.close(OPENED);
        assert!(server_of(&data).is_none());
    }
}
