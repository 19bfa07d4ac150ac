//! Files that Sunset reads and writes: what is read is a regular file of bounded length, what is written is its owner's alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// A settings or rule file is not longer, in bytes.
pub const LONGEST_YAML: u64 = 4 << 20;

/// A secret, token or checkpoint is not longer, in bytes.
pub const LONGEST_SECRET: u64 = 256 << 10;

/// A plan or a list of references is not longer, in bytes.
pub const LONGEST_DOCUMENT: u64 = 256 << 20;

/// For the owner alone.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Opens a regular file to read it. Nothing else is waited for: pipes and devices are refused at once.
///
/// # Errors
/// It is not there, is no regular file, or cannot be read.
pub fn open(path: &Path) -> io::Result<File> {
    // Without the flag, opening a pipe waits until somebody writes to it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// It is not there, is no regular file, is longer, or cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {most} bytes"));
    if file.metadata()?.len() > most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    // It may have grown.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_long()) } else { Ok(bytes) }
}

/// Reads a regular file of at most `most` bytes that holds text in UTF-8.
///
/// # Errors
/// As [`read`]; it is not text.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

/// The file or folder that a path in a directory leads to. Links are followed as long as they stay in the directory:
/// Kubernetes mounts each file as one.
///
/// # Errors
/// It is not there, or lies outside the directory.
pub fn within(directory: &Path, path: &str) -> io::Result<PathBuf> {
    let target = fs::canonicalize(directory.join(path))?;
    if target.starts_with(fs::canonicalize(directory)?) {
        return Ok(target);
    }
    let message = "it is a link to something outside the job directory, which is not read";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Writes a file that nobody else can read, whatever the umask; one that is there is replaced.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create(path)?.write_all(bytes)
}

/// Puts a file that nobody else can read into the place of whatever has its name: a link is replaced, and what it leads to
/// stays as it was. Nobody ever sees a part of it.
///
/// # Errors
/// It cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let mut file = create_new(&partial)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        drop(fs::remove_file(&partial));
    }
    written
}

/// Opens a file to write it anew. Nobody else can read it, whatever the umask.
///
/// # Errors
/// It cannot be written.
pub fn create(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Makes a file that is not there yet. Nobody else can read it, whatever the umask.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn create_new(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create_new(true), path)
}

/// Opens a file to write at its end, and makes it where it is not there. Nobody else can read it, whatever the umask.
///
/// # Errors
/// It cannot be written.
pub fn append(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().append(true).create(true), path)
}

fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(PRIVATE_FILE).open(path)?;
    let metadata = file.metadata()?;
    // It may have been there, and an umask may take from its owner.
    if metadata.is_file() && metadata.permissions().mode() & 0o777 != PRIVATE_FILE {
        match file.set_permissions(Permissions::from_mode(PRIVATE_FILE)) {
            // A file system without modes, or a file of somebody else who lets this user write.
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {}
            changed => changed?,
        }
    }
    Ok(file)
}

/// Makes a directory and those above it that are missing. Nobody else can look into them, whatever the umask; those that
/// are there stay as they are.
///
/// # Errors
/// One cannot be made.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directory(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIRECTORY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_regular_files_of_bounded_length_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "it is longer than 4 bytes");
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for other in [&pipe, Path::new("/dev/zero"), directory.path()] {
            assert_eq!(read(other, 5).unwrap_err().to_string(), "it is not a regular file", "{}", other.display());
        }
        // The kernel says of such a file that it is empty.
        assert_eq!(read(Path::new("/proc/self/status"), 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn links_lead_to_what_is_in_the_directory() {
        let (directory, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(directory.path().join("data")).unwrap();
        fs::write(directory.path().join("data/a"), "").unwrap();
        fs::write(outside.path().join("a"), "").unwrap();
        symlink("data/a", directory.path().join("inside")).unwrap();
        symlink(outside.path().join("a"), directory.path().join("outside")).unwrap();
        symlink(outside.path(), directory.path().join("folder")).unwrap();
        within(directory.path(), "inside").unwrap();
        for path in ["outside", "folder", "folder/a", "data/../outside", "../"] {
            assert_eq!(within(directory.path(), path).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{path}");
        }
        assert_eq!(within(directory.path(), "nothing").unwrap_err().kind(), io::ErrorKind::NotFound);
        // The directory itself may be reached through a link.
        let link = outside.path().join("job");
        symlink(directory.path(), &link).unwrap();
        within(&link, "inside").unwrap();
    }

    #[test]
    fn what_is_written_is_its_owners() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("a/b");
        create_directory(&folder).unwrap();
        create_directory(&folder).unwrap();
        assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
        let path = folder.join("c");
        fs::write(&path, "what was there").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new").unwrap();
        append(&path).unwrap().write_all(b"er").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"newer"[..], 0o600));
        create_new(&path).unwrap_err();
        let link = folder.join("link");
        symlink(&path, &link).unwrap();
        replace(&link, b"another").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap().as_slice(), fs::read(&link).unwrap().as_slice()),
            (&b"newer"[..], &b"another"[..])
        );
        assert_eq!((mode(&link), fs::read_dir(&folder).unwrap().count()), (0o600, 2));
        create_new(&folder.join("d")).unwrap();
        assert_eq!(mode(&folder.join("d")), 0o600);
    }
}
