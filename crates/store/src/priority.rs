//! How important a thread is to the operating system.

/// Lets other threads go before the calling one from now on: it does what takes milliseconds, and others wait for what takes microseconds. To the
/// system it is a third as important then. On systems other than Linux it does nothing: there it would be about the whole process.
pub fn give_way() {
    // A thread of shuttle is none of the system.
    #[cfg(all(target_os = "linux", not(all(test, shuttle))))]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // Where a sandbox forbids it, the thread does its work all the same.
        let _ =
            getpriority_process(None).and_then(|nice| setpriority_process(None, nice.saturating_add(NICER).min(19)));
    }
}

/// By how much it is nicer to others.
#[cfg(all(target_os = "linux", not(all(test, shuttle))))]
const NICER: i32 = 5;

#[cfg(all(test, target_os = "linux", not(shuttle)))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn one_thread_gives_way_and_no_other() {
        let nice = || getpriority_process(None).unwrap();
        let before = nice();
        let nicer = std::thread::spawn(move || {
            give_way();
            nice()
        });
        assert_eq!(nicer.join().unwrap(), (before + NICER).min(19));
        assert_eq!(nice(), before);
    }
}
