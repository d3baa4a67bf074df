//! The Debian package, built as `make deb` builds it and installed in a clean system.

use std::{error::Error, path::Path, process::Command};

#[test]
fn the_package_installs_upgrades_and_leaves_a_clean_debian() -> Result<(), Box<dyn Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..").canonicalize()?;
    // Building with all optimisations, and making a clean Debian, each take minutes the first time.
    let run = |program: &str| {
        let mut command = Command::new("timeout");
        command.args(["--foreground", "1200", program]).current_dir(&repository);
        command.env("CARGO_TARGET_DIR", &target).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        command
    };

    let built = run("make").args(["--silent", "deb"]).output()?;
    let (deb, said) =
        (String::from_utf8(built.stdout)?, String::from_utf8_lossy(&built.stderr).into_owned());
    assert!(built.status.success(), "make deb: {}\n{said}", built.status);
    assert!(Path::new(deb.trim()).is_file(), "make deb printed {deb:?}, which is no file\n{said}");

    let tested = run("packaging/test-in-clean-root").arg(deb.trim()).output()?;
    assert!(
        tested.status.success(),
        "{}\n{}{}",
        tested.status,
        String::from_utf8_lossy(&tested.stdout),
        String::from_utf8_lossy(&tested.stderr)
    );
    Ok(())
}
