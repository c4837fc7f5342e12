//! A running server, and clients of it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A running server; it is killed when the test ends.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// What it printed before it was ready.
    pub(crate) said: Vec<String>,
}

impl Server {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_with_log(data, &[&["--quiet"], more].concat(), Stdio::inherit())
    }

    pub(crate) fn start_with_log(data: &Path, more: &[&str], log: Stdio) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_dogwatch")), data, more, log)
    }

    /// Starts it with a disk of its own at `data`, of so many MiB, which only it sees.
    pub(crate) fn start_on_small_disk(data: &Path, mib: usize, more: &[&str], log: Stdio) -> Self {
        Self::start_on_prepared_disk(data, mib, "true", more, log)
    }

    /// As [`Server::start_on_small_disk`], after a script for the shell, in which `$0` is the disk and `$1` the program.
    pub(crate) fn start_on_prepared_disk(data: &Path, mib: usize, script: &str, more: &[&str], log: Stdio) -> Self {
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={mib}m tmpfs \"$0\" && {{ {script}; }} >&2 && exec \"$@\"");
        let program = env!("CARGO_BIN_EXE_dogwatch");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount, data.to_str().unwrap(), program]);
        Self::spawn(command, data, more, log)
    }

    /// The path of a file of the server's as others see it.
    pub(crate) fn seen_from_outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    fn spawn(mut command: Command, data: &Path, more: &[&str], log: Stdio) -> Self {
        let args = [&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"], more].concat();
        let child = command.args(args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), said: Vec::new() };
        for line in BufReader::new(server.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("listening on http://") {
                server.address = address.parse().unwrap();
                return server;
            }
            server.said.push(line);
        }
        panic!("the server ended before it was ready: {:?}", server.said);
    }

    pub(crate) fn key(&self) -> String {
        let line = self.said.iter().find_map(|line| line.strip_prefix("their API key is in `"));
        let (path, _) = line.unwrap().split_once('`').unwrap();
        std::fs::read_to_string(self.seen_from_outside(Path::new(path))).unwrap().trim().to_owned()
    }

    pub(crate) fn admin(&self) -> String {
        self.said.iter().find_map(|line| line.strip_prefix("its admin: ")).unwrap().to_owned()
    }

    pub(crate) fn stop(mut self) -> ExitStatus {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap()
    }

    pub(crate) fn request(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}{path}", self.address);
        let request =
            ureq::http::Request::builder().method(method).uri(url).header("authorization", format!("Bearer {key}"));
        let mut response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
                agent.run(request).unwrap()
            }
            None => agent.run(request.body(()).unwrap()).unwrap(),
        };
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has seen enough may close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn alive(&self) {
        assert!(self.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ends_with("alive\n"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
