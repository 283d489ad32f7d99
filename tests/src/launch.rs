//! How the binary is started: with which settings, behind which program, on which file system.
//!
//! A wrapper ends in `exec`, or traces from a process of its own, so that the process id we get is
//! the collector's: what is killed is what is meant.
//!
//! Mounts are made in a mount namespace that begins and ends with the collector: nothing is left on
//! the machine, whatever a test does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The way a collector is started, to be used again at every restart.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Settings and what the wrapper needs.
    pub environment: Vec<(String, String)>,
    /// A program and its arguments, in front of the binary and its arguments.
    pub wrapper: Vec<String>,
    /// The data folder below the collector's folder.
    pub data: PathBuf,
    /// Whether it sees the file systems that we see.
    pub mounts: Mounts,
}

/// The file systems that a collector sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounts {
    /// Those of the machine.
    Shared,
    /// One of its own, in a mount namespace.
    Own,
}

impl Default for Launch {
    fn default() -> Self {
        Launch {
            environment: Vec::new(),
            wrapper: Vec::new(),
            data: "data".into(),
            mounts: Mounts::Shared,
        }
    }
}

impl Launch {
    /// With these settings in its environment.
    pub fn with(settings: &[(&str, &str)]) -> Launch {
        let environment =
            settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Launch { environment, ..Launch::default() }
    }

    /// Behind this program.
    #[must_use]
    pub fn behind(mut self, wrapper: &[&str]) -> Launch {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Behind `strace`, which writes what it saw to `log`. The tracer is a process of its own and
    /// ends with the collector.
    #[must_use]
    pub fn traced(&self, log: &Path, options: &[&str]) -> Launch {
        let log = path_text(log);
        let always = ["strace", "-D", "-f", "--seccomp-bpf", "-q", "-o", &log];
        let inner: Vec<_> = self.wrapper.iter().map(String::as_str).collect();
        let wrapper = [&always, options, &inner].concat();
        self.clone().behind(&wrapper)
    }

    /// With its data on a memory file system of this size. What is there goes with the process.
    #[must_use]
    pub fn on_memory(mut self, folder: &Path, mebibytes: u32) -> Launch {
        let place = mount_point(folder);
        let script = format!("mount -t tmpfs -o size={mebibytes}m tmpfs \"$0\" && exec \"$@\"");
        self.data = "mnt/data".into();
        self.mounts = Mounts::Own;
        self.behind(&["unshare", "--mount", "sh", "-c", &script, &path_text(&place)])
    }

    /// With its data on the ext4 file system inside `image`, mounted by a loop device.
    #[must_use]
    pub fn on_image(mut self, folder: &Path, image: &Path) -> Launch {
        let place = mount_point(folder);
        let script = "mount -t ext4 -o loop \"$0\" \"$1\" && shift && exec \"$@\"";
        self.data = "mnt/data".into();
        self.mounts = Mounts::Own;
        let (image, place) = (path_text(image), path_text(&place));
        self.behind(&["unshare", "--mount", "sh", "-c", script, &image, &place])
    }
}

/// An ext4 file system of this size with the contents of `folder` in a new file.
///
/// # Panics
/// When `mkfs.ext4` is missing or fails.
pub fn make_image(image: &Path, mebibytes: u64, folder: &Path) {
    let file = std::fs::File::create(image).expect("the image can be made");
    file.set_len(mebibytes << 20).expect("the image can have holes");
    // A user's path does not always lead there.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let made = Command::new("mkfs.ext4")
        .env("PATH", path)
        .args(["-q", "-F", "-d"])
        .arg(folder)
        .arg(image)
        .output();
    let made = made.expect("mkfs.ext4 starts (Debian: apt-get install -y e2fsprogs)");
    assert!(made.status.success(), "mkfs.ext4: {}", String::from_utf8_lossy(&made.stderr));
}

/// Wait until no loop device holds the image: a second one beside it would write over its data.
///
/// # Panics
/// When one still holds it after ten seconds.
pub fn wait_until_unmounted(image: &Path) {
    let image = image.canonicalize().expect("the image is there");
    let until = Instant::now() + Duration::from_secs(10);
    while holds_any_loop_device(&image) {
        assert!(Instant::now() < until, "a loop device still holds {}", image.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn holds_any_loop_device(image: &Path) -> bool {
    let blocks = std::fs::read_dir("/sys/block").expect("the kernel lists block devices");
    blocks.filter_map(Result::ok).any(|block| {
        let file = std::fs::read_to_string(block.path().join("loop/backing_file"));
        file.is_ok_and(|file| Path::new(file.trim_end()) == image)
    })
}

/// Compile one file of `tests/native` into `folder`; gives the path of what was made.
///
/// # Panics
/// When there is no C compiler, or it refuses.
pub fn compile(source: &str, folder: &Path, options: &[&str]) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("native").join(source);
    let made = folder.join(Path::new(source).file_stem().expect("a source has a name"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Werror"]).args(options).arg("-o").arg(&made).arg(&file);
    let output = compiler.output().expect("`cc` starts; Rust itself links with it");
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    made
}

fn mount_point(folder: &Path) -> PathBuf {
    let place = folder.join("mnt");
    std::fs::create_dir_all(&place).expect("a folder to mount on can be made");
    place
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}
