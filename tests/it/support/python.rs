//! Programs from PyPI that nobody here wrote, which tests talk to. Each is installed into a directory of its own, which is
//! kept between runs; where that is impossible, the test is skipped and says so.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Tests run side by side: a directory is filled by one of them.
pub static INSTALLING: Mutex<()> = Mutex::new(());

/// A program that was started; it is stopped when this goes.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The directory with the programs of a package, as `pip` names it; `None` where it cannot be installed.
pub fn install(name: &str, package: &[&str]) -> Option<PathBuf> {
    install_where(name, package, |programs| programs.join(name).exists())
}

/// The directory with a Python that has a library, which is known by the module that it brings.
pub fn library(module: &str, package: &[&str]) -> Option<PathBuf> {
    let import = format!("import {module}");
    install_where(module, package, |programs| quietly(Command::new(programs.join("python")).args(["-c", &import])))
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests reads what is skipped")]
fn install_where(name: &str, package: &[&str], is_installed: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let programs = directory.join("bin");
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let is_there = is_installed(&programs)
        || (quietly(Command::new("python3").args(["-m", "venv"]).arg(&directory))
            && quietly(Command::new(programs.join("pip")).args(["install", "--quiet"]).args(package)));
    if !is_there {
        println!("SKIPPED: {name} cannot be installed (python3 -m venv, pip and a registry are needed)");
    }
    is_there.then_some(programs)
}

/// A port of this machine on which nobody listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a program, and waits until it listens on its port.
pub async fn start(command: &mut Command, port: u16) -> Running {
    let running = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    for _ in 0..300 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return running;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{command:?} does not listen on port {port}")
}

/// Runs a program to its end; it went well.
pub fn quietly(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
